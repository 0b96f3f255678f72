// swift-tools-version: 6.2
import PackageDescription

// Targets in the order of the data's way, lowest first: each imports only targets above it in this list.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let strictC: [CSetting] = [.treatAllWarnings(as: .error), .define("_GNU_SOURCE")]

let package = Package(
    name: "aegix",
    products: [.executable(name: "aegix", targets: ["aegix"])],
    targets: [
        .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        .systemLibrary(name: "CCap", pkgConfig: "libcap", providers: [.apt(["libcap-dev"])]),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CAres", pkgConfig: "libcares", providers: [.apt(["libc-ares-dev"])]),
        .target(name: "CAegix", cSettings: strictC),
        .target(name: "CTOML", cxxSettings: [.treatAllWarnings(as: .error)]),
        .target(name: "AegixSystem", dependencies: ["CAegix", "CCrypto"], swiftSettings: strict),
        .target(name: "AegixPolicy", dependencies: ["AegixSystem", "CTOML", "CCap"], swiftSettings: strict),
        .target(
            name: "AegixWorkspace", dependencies: ["AegixPolicy", "AegixSystem", "CAegix", "CZlib"],
            swiftSettings: strict),
        .target(
            name: "AegixPlan", dependencies: ["AegixPolicy", "AegixWorkspace", "AegixSystem"], swiftSettings: strict),
        .target(
            name: "AegixNetwork", dependencies: ["AegixPlan", "AegixPolicy", "AegixSystem", "CAegix", "CAres"],
            swiftSettings: strict),
        .target(
            name: "AegixSandbox",
            dependencies: ["AegixNetwork", "AegixPlan", "AegixWorkspace", "AegixSystem", "CAegix", "CSeccomp", "CCap"],
            swiftSettings: strict),
        .target(
            name: "AegixAudit",
            dependencies: [
                "AegixWorkspace", "AegixSandbox", "AegixNetwork", "AegixPlan", "AegixPolicy", "AegixSystem", "CAegix",
                "CZstd",
            ],
            swiftSettings: strict),
        .target(
            name: "AegixCLI",
            dependencies: [
                "AegixAudit", "AegixWorkspace", "AegixSandbox", "AegixNetwork", "AegixPlan", "AegixPolicy",
                "AegixSystem", "CAegix",
            ], swiftSettings: strict),
        .executableTarget(name: "aegix", dependencies: ["AegixCLI"], swiftSettings: strict),
        .testTarget(name: "AegixSystemTests", dependencies: ["AegixSystem"], swiftSettings: strict),
        .testTarget(
            name: "AegixPolicyTests", dependencies: ["AegixPolicy", "AegixSystem"], swiftSettings: strict),
        .testTarget(
            name: "AegixPlanTests", dependencies: ["AegixPlan", "AegixPolicy", "AegixSystem"], exclude: ["Golden"],
            swiftSettings: strict),
        .testTarget(
            name: "AegixWorkspaceTests", dependencies: ["AegixWorkspace", "AegixSystem"], swiftSettings: strict),
        .testTarget(
            name: "AegixNetworkTests", dependencies: ["AegixNetwork", "AegixPlan", "AegixPolicy", "AegixSystem"],
            swiftSettings: strict),
        .testTarget(
            name: "AegixAuditTests",
            dependencies: [
                "AegixAudit", "AegixWorkspace", "AegixSandbox", "AegixNetwork", "AegixPolicy", "AegixSystem",
            ],
            exclude: ["Golden"],
            swiftSettings: strict),
        .testTarget(
            name: "AegixCLITests", dependencies: ["AegixCLI", "AegixSandbox", "AegixPolicy", "AegixSystem", "CAegix"],
            swiftSettings: strict),
        .testTarget(name: "IntegrationTests", swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
