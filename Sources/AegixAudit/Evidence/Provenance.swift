// Pure. What a bundle says of its run in other tools' words: SLSA's provenance and in-toto's link, filled from the record.

import AegixSystem

/// Which predicate a signed bundle carries.
public enum BundlePredicate: String, CaseIterable, Sendable {
    case run, slsa, link

    /// - artifacts: by the names that they have as subjects.
    func statement(
        _ subjects: [Statement.Subject], _ record: JSON, start: LedgerHead?, artifacts: [Statement.Subject]
    ) -> Statement {
        switch self {
        case .run: Statement(subjects, RunPredicate(record: record, start: start))
        case .slsa: Statement(subjects + artifacts, SLSAPredicate(record: record, byproducts: subjects))
        case .link: Statement(subjects + artifacts, LinkPredicate(record: record))
        }
    }
}

/// https://slsa.dev/spec/v1.0/provenance. It says of a run what the record says, and no more: the builder is whoever runs aegix
/// on a machine of his own, which by itself is level 1.
public struct SLSAPredicate: Predicate {
    public static let uri = "https://slsa.dev/provenance/v1"
    static let buildType = "urn:aegix:build:run:v1"
    static let builder = "urn:aegix:builder:local"
    public var type: String { SLSAPredicate.uri }
    public let json: JSON

    init(record: JSON, byproducts: [Statement.Subject]) {
        let policy = record["policy"]
        json = [
            "buildDefinition": [
                "buildType": .string(SLSAPredicate.buildType),
                // What the caller asked for.
                "externalParameters": [
                    "command": record["command"]?["argv"] ?? .null,
                    "labels": record["labels"] ?? .object([:]),
                    "policy": ["name": policy?["name"] ?? .null, "sha256": policy?["digest"] ?? .null],
                    "workspace": [
                        "mode": record["workspace"]?["mode"] ?? .null, "path": record["workspace"]?["path"] ?? .null,
                    ],
                ],
                "internalParameters": ["tier": record["enforcement"]?["tier"] ?? .null],
                "resolvedDependencies": .array(Provenance.dependencies(record)),
            ],
            "runDetails": [
                "builder": [
                    "id": .string(SLSAPredicate.builder),
                    "version": [
                        "aegix": record["aegix"]?["version"] ?? "", "build": record["aegix"]?["build"] ?? "",
                    ],
                ],
                "byproducts": .array(
                    byproducts.map { ["digest": ["sha256": .string($0.digest)], "name": .string($0.name)] }),
                "metadata": .object(Provenance.metadata(record)),
            ],
        ]
    }
}

/// https://in-toto.io/attestation/link/v0.3. Its products are the statement's subjects.
public struct LinkPredicate: Predicate {
    public static let uri = "https://in-toto.io/attestation/link/v0.3"
    public var type: String { LinkPredicate.uri }
    public let json: JSON

    init(record: JSON) {
        let outcome = record["outcome"]
        json = [
            "byproducts": [
                "return-value": outcome?["exit_code"] ?? .null, "status": outcome?["status"] ?? .null,
                "stderr-sha256": record["streams"]?["stderr"]?["sha256"] ?? .null,
                "stdout-sha256": record["streams"]?["stdout"]?["sha256"] ?? .null,
            ],
            "command": .array((record["command"]?["argv"]?.array ?? []).map { .string(Provenance.text($0)) }),
            "environment": [
                "aegix": record["aegix"]?["version"] ?? .null, "kernel": record["host"]?["kernel"] ?? .null,
                "policy-sha256": record["policy"]?["digest"] ?? .null, "tier": record["enforcement"]?["tier"] ?? .null,
                "workdir": .string(Provenance.text(record["invocation"]?["cwd"])),
            ],
            "materials": .array(Provenance.dependencies(record)),
            // A step of a layout is told by a label: aegix run --label step=build.
            "name": record["labels"]?["step"] ?? record["run_id"] ?? "",
        ]
    }
}

private enum Provenance {
    /// What is known by digest of what went in: the program, the policy's sources, and what was read of the workspace where
    /// that was recorded.
    static func dependencies(_ record: JSON) -> [JSON] {
        var all: [JSON] = []
        func add(_ name: String, _ digest: JSON?) {
            guard let digest = digest?.string, ContentDigest(digest) != nil, all.count < most else { return }
            all.append(["digest": ["sha256": .string(digest)], "name": .string(name)])
        }
        add(text(record["command"]?["program"]), record["command"]?["digest"])
        for source in record["policy"]?["sources"]?.array ?? [] {
            add(text(source["name"]), source["digest"])
        }
        for input in record["inputs"]?.array ?? [] { add("workspace/" + text(input["path"]), input["sha256"]) }
        return all
    }

    /// An envelope is bounded, and the record, which has all, is a subject.
    private static let most = 5000

    /// Times as protobuf takes them; a member that isn't known is left out.
    static func metadata(_ record: JSON) -> [String: JSON] {
        var members: [String: JSON] = [:]
        for (name, from) in [("invocationId", "run_id"), ("startedOn", "started_at"), ("finishedOn", "finished_at")] {
            if let value = record[from]?.string { members[name] = .string(value) }
        }
        return members
    }

    /// Bytes that are no text can't stand in these forms: they are shown.
    static func text(_ value: JSON?) -> String {
        guard let bytes = value?.bytesValue else { return "" }
        return bytes.text ?? bytes.shown
    }
}
