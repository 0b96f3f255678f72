// Side effects: a temporary directory with a home and a workspace. Whose word counts, on real files.

import AegixPolicy
import AegixSystem
import Glibc
import Testing

@testable import AegixCLI

/// A home, a workspace and a ceiling of their own, removed at the end.
private final class Place {
    let root: Bytes
    var home: Bytes { Path.join(root, Bytes("home")) }
    var workspace: Bytes { Path.join(root, Bytes("ws")) }
    var configuration: Bytes { Path.join(home, Bytes("config")) }
    var ceiling: Bytes { Path.join(root, Bytes("etc/policy.toml")) }

    init() throws {
        var template = Array("/tmp/aegix-policy-XXXXXX".utf8CString)
        root = try #require(mkdtemp(&template).map { Bytes(UnsafeRawBufferPointer(start: $0, count: strlen($0))) })
        for name in ["home", "home/config", "ws", "etc"] {
            _ = Path.join(root, Bytes(name)).withCString { mkdir($0, 0o700) }
        }
    }

    deinit { remove(root) }

    private func remove(_ path: Bytes) {
        guard let stream = path.withCString({ opendir($0) }) else { return }
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { Bytes($0.prefix { $0 != 0 }) }
            if name == Bytes(".") || name == Bytes("..") { continue }
            let child = Path.join(path, name)
            if child.withCString({ unlink($0) }) != 0 { remove(child) }
        }
        closedir(stream)
        _ = path.withCString { rmdir($0) }
    }

    func write(_ path: Bytes, _ text: String, mode: mode_t = 0o600) throws {
        _ = path.withCString { unlink($0) }
        let file = try Descriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
        try file.writeAll(Bytes(text))
        #expect(fchmod(file.raw, mode) == 0)
    }

    func inWorkspace(_ name: String) -> Bytes { Path.join(workspace, Bytes(name)) }

    func load(_ argument: Bytes? = nil, _ overrides: PolicyOverrides = PolicyOverrides()) throws(Failure)
        -> LoadedPolicy
    {
        var stack = PolicyStack(workspace: workspace, home: home)
        stack.configuration = configuration
        stack.ceilingPath = ceiling
        stack.ceilingOwner = geteuid()
        return try stack.load(argument, overrides)
    }

    func recorded(_ text: String, isStranger: Bool) throws(Failure) -> Policy {
        var stack = PolicyStack(workspace: workspace, home: home)
        stack.configuration = configuration
        stack.ceilingPath = ceiling
        stack.ceilingOwner = geteuid()
        return try stack.loadRecorded(Bytes(text), named: "recorded", isStranger: isStranger) { _ in }.policy
    }

    func failure(_ argument: Bytes? = nil) -> Failure? {
        do throws(Failure) {
            _ = try load(argument)
            return nil
        } catch { return error }
    }

    func trust(_ path: Bytes) throws {
        let file = try #require(try PolicyFile.read(path, named: "x"))
        try TrustStore(directory: configuration).pin(file)
    }
}

@Suite struct PolicyStackTests {
    private let loosening = "version = 1\n[workspace]\nmode = \"direct\"\n"

    @Test func withoutAFileItIsTheDefault() throws {
        let loaded = try Place().load()
        #expect(loaded.sources.map(\.name) == ["default"])
        #expect(loaded.policy.name == "default")
        #expect(loaded.policy.digest == SHA256.hex(loaded.effective))
        #expect(loaded.origin(of: .wall).hasPrefix("default:"))
    }

    @Test func theUsersFileReplacesTheDefaultAndTheArgumentBoth() throws {
        let place = try Place()
        try place.write(Path.join(place.configuration, Bytes("policy.toml")), "version = 1\nname = \"mine\"")
        #expect(try place.load().policy.name == "mine")
        #expect(try place.load(Bytes("python")).policy.name == "python")
    }

    @Test(arguments: [0o602, 0o620] as [mode_t])
    func theUsersFileIsNobodyElsesToWrite(_ mode: mode_t) throws {
        let place = try Place()
        try place.write(Path.join(place.configuration, Bytes("policy.toml")), "version = 1", mode: mode)
        #expect(place.failure()?.code == "policy.unsafe")
    }

    @Test func theWorkspaceNarrowsAndLoosensOnlyOnceItIsTrusted() throws {
        let place = try Place()
        let file = place.inWorkspace("aegix.toml")
        try place.write(file, "version = 1\n[workspace]\nmode = \"read-only\"\n")
        #expect(try place.load().policy.workspace.mode == .readOnly)
        try place.write(file, loosening)
        #expect(place.failure()?.code == "policy.invalid")
        #expect(
            place.failure()?.message.contains("aegix.toml:3:8: workspace.mode loosens its parent (default:") == true)
        #expect(place.failure()?.message.contains("aegix policy trust") == true)
        try place.trust(file)
        #expect(try place.load().policy.workspace.mode == .direct)
        try place.write(file, loosening + "# changed\n")
        #expect(place.failure()?.code == "policy.invalid")
    }

    @Test func theCeilingHoldsForATrustedWorkspaceAndForOptions() throws {
        let place = try Place()
        try place.write(place.ceiling, "version = 1\n[workspace]\nmode = \"layer\"\n[limits]\nwall = \"1m\"")
        #expect(try place.load().policy.limits.wall == 60_000_000_000)
        try place.write(place.inWorkspace("aegix.toml"), loosening)
        try place.trust(place.inWorkspace("aegix.toml"))
        #expect(place.failure()?.message.contains("above the machine's ceiling") == true)
        try place.write(place.inWorkspace("aegix.toml"), "version = 1")
        var options = PolicyOverrides()
        options.timeout = .init(nil)
        #expect(throws: Failure.self) { try place.load(nil, options) }
        try place.write(place.ceiling, "version = 1", mode: 0o622)
        #expect(place.failure()?.code == "policy.unsafe")
    }

    @Test func aLinkInTheWorkspaceIsNotFollowed() throws {
        let place = try Place()
        let link = place.inWorkspace("aegix.toml")
        #expect(symlink("/etc/shadow", String(decoding: link, as: UTF8.self)) == 0)
        let failure = try #require(place.failure())
        #expect(failure.code == "policy.unsafe")
        #expect(!failure.message.contains("root:"))
    }

    @Test func aFifoADirectoryAndTooMuchAreRefusedAtOnce() throws {
        let place = try Place()
        let path = place.inWorkspace("aegix.toml")
        #expect(path.withCString { mkfifo($0, 0o600) } == 0)
        #expect(place.failure()?.code == "policy.unsafe")
        _ = path.withCString { unlink($0) }
        #expect(path.withCString { mkdir($0, 0o700) } == 0)
        #expect(place.failure()?.code == "policy.unsafe")
        _ = path.withCString { rmdir($0) }
        try place.write(path, String(repeating: "#", count: (1 << 20) + 1))
        #expect(place.failure()?.code == "policy.unsafe")
    }

    @Test(arguments: [
        "root:$6$hunter2:1:0:9:7:::\n", "KEY = \"hunter2\"\n", "\u{7f}ELF\u{2}hunter2\u{1}\n",
        "version = 1\nname = \"hunter2 \"",
    ])
    func whatWasNoPolicyIsNeverQuoted(_ text: String) throws {
        let place = try Place()
        try place.write(place.inWorkspace("aegix.toml"), text)
        let failure = try #require(place.failure())
        #expect(failure.code == "policy.invalid")
        #expect(!failure.message.contains("hunter2"))
        #expect(!failure.details.contains { $0.message.contains("hunter2") })
    }

    @Test func aPresetsNameIsThePresetWhateverLiesAround() throws {
        let place = try Place()
        try place.write(place.inWorkspace("python"), loosening)
        #expect(try place.load(Bytes("python")).policy.workspace.mode == .layer)
        #expect(place.failure(Bytes("pyton"))?.message == "there is no preset pyton. Did you mean python?")
        #expect(place.failure(Bytes("./none.toml"))?.code == "policy.missing")
    }

    @Test func aPolicyInTheWorkspaceNeedsTrustAndSoDoesItsParent() throws {
        let place = try Place()
        let child = place.inWorkspace("p.toml")
        try place.write(place.inWorkspace("parent.toml"), loosening)
        try place.write(child, "version = 1\nextends = \"parent.toml\"")
        #expect(place.failure(child)?.code == "policy.untrusted")
        try place.trust(child)
        #expect(place.failure(child)?.code == "policy.untrusted")
        #expect(place.failure(child)?.message.contains("parent.toml") == true)
        try place.trust(place.inWorkspace("parent.toml"))
        #expect(try place.load(child).policy.workspace.mode == .direct)
    }

    @Test func aPolicyWhereItsRunMayWriteNeedsTrust() throws {
        let place = try Place()
        let path = Path.join(place.root, Bytes("etc/p.toml"))
        let etc = String(decoding: Path.join(place.root, Bytes("etc")), as: UTF8.self)
        try place.write(path, "version = 1\n[files]\nwrite = [\"\(etc)\"]")
        #expect(place.failure(path)?.code == "policy.untrusted")
        try place.trust(path)
        #expect(try place.load(path).policy.files.write.count == 1)
    }

    @Test func aNarrowedPathCannotLeadOutByALink() throws {
        let place = try Place()
        let data = String(decoding: Path.join(place.root, Bytes("etc")), as: UTF8.self)
        try place.write(
            Path.join(place.configuration, Bytes("policy.toml")), "version = 1\n[files]\nread = [\"\(data)\"]")
        #expect(symlink("/var", data + "/link") == 0)
        try place.write(place.inWorkspace("aegix.toml"), "version = 1\n[files]\nread = [\"\(data)/link\"]")
        #expect(place.failure()?.message.contains("by a symbolic link") == true)
    }

    @Test func aDamagedOrSharedStoreIsRefused() throws {
        let place = try Place()
        try place.write(place.inWorkspace("aegix.toml"), loosening)
        try place.trust(place.inWorkspace("aegix.toml"))
        let store = Path.join(place.configuration, Bytes("trusted.jsonl"))
        #expect(store.withCString { chmod($0, 0o622) } == 0)
        #expect(place.failure()?.code == "policy.unsafe")
        try place.write(store, "not json\n")
        #expect(place.failure()?.message.contains("damaged") == true)
    }

    /// A replay has what was recorded, and no more than this machine allows by now.
    @Test func aRecordedPolicyIsCutToTheCeiling() throws {
        let place = try Place()
        let text =
            "version = 1\n[network]\nmode = \"guarded\"\n[limits]\nwall = \"10h\"\n[env]\npass = [\"A\", \"B\"]\n"
        let free = try place.recorded(text, isStranger: false)
        #expect(free.network.mode == .guarded && free.limits.wall == 36_000_000_000_000 && free.env.pass == ["A", "B"])
        try place.write(place.ceiling, "version = 1\n[network]\nmode = \"none\"\n[limits]\nwall = \"1h\"\n")
        let cut = try place.recorded(text, isStranger: false)
        #expect(cut.network.mode == .none && cut.limits.wall == 3_600_000_000_000 && cut.env.pass == ["A", "B"])
        // Of a stranger, no more than what the caller has without saying anything.
        let own = Path.join(place.configuration, Bytes("policy.toml"))
        try place.write(own, "version = 1\n[env]\npass = [\"B\"]\n")
        #expect(try place.recorded(text, isStranger: false).env.pass == ["A", "B"])
        #expect(try place.recorded(text, isStranger: true).env.pass == ["B"])
    }

    @Test func aRecordedPolicyQuotesNothingAndExtendsNothing() throws {
        let place = try Place()
        for text in [
            "version = 1\nextends = \"/etc/passwd\"\n", "secret-of-somebody", "version = 1\nextends = \"x.toml\"\n",
        ] {
            do throws(Failure) {
                _ = try place.recorded(text, isStranger: true)
                Issue.record("\(text) was taken")
            } catch {
                #expect(!error.message.contains("secret-of-somebody"))
            }
        }
    }
}
