// Pure. Who may change what: parents, the workspace, the ceiling, locks and the caller's options.

import AegixSystem
import Testing

@testable import AegixPolicy

struct LayeringTests {
    private func message(_ body: () throws -> Void) -> String? {
        do { try body() } catch let error as PolicyErrors { return error.failure.message } catch let error as Failure {
            return error.message
        } catch { return nil }
        return nil
    }

    @Test func aChildThatLoosensIsToldBothPlaces() {
        let text = "version = 1\nextends = \"strict\"\n[limits]\nwall = \"5m\""
        let said = message { _ = try LayeredPolicy(chain(text), anchors: anchors) }
        #expect(said?.hasPrefix("p.toml:4:8: limits.wall loosens its parent (strict:") == true)
        #expect(said?.contains("\"5m\" is looser than \"1m\"") == true)
    }

    @Test func aChildThatNarrowsInheritsTheRest() throws {
        let layered = try LayeredPolicy(
            chain("version = 1\nextends = \"strict\"\n[limits]\nwall = \"5s\""), anchors: anchors)
        #expect(layered.policy.limits.wall == 5_000_000_000)
        #expect(layered.policy.identity == .nobody)
        #expect(layered.origin(of: .wall) == "p.toml:4:8")
        #expect(layered.origin(of: .identityUser).hasPrefix("strict:"))
        #expect(layered.policy.name == "p")
    }

    @Test(arguments: [
        "[files]\nread = [\"/opt/python/../..\"]", "[files]\nread = [\"/opt/pythonx\"]",
        "[files]\nread = [\"/opt/py*\"]", "[files]\nread = [\"/opt/**\"]",
        "[files]\nread = [\"~\"]", "[files]\nread = [\"/data\", \"x\"]", "[files]\nwrite = [\"/opt/python\"]",
        "[files]\nwrite = [\"/data/ro\"]",
        "[files]\nwrite = [\"/data/ro/x\"]", "[files]\nread = [\"/opt/python\"]", "[files]\ndeny = []",
        "[env]\nset = { LD_PRELOAD = \"x\" }",
        "[env]\nset = { TZ = \"Europe/Berlin\" }", "[env]\npass = [\"HOME*\"]", "[env]\npass = [\"L*\"]",
        "[capabilities]\nkeep = [\"chown\"]",
        "[workspace]\nprotect = []", "[workspace]\nmode = \"direct\"", "lock = []", "require = \"confined\"",
        "[limits]\nopen_files = 0",
        "[limits]\ngrace = \"1s\"", "[limits]\non_output = \"truncate\"", "[audit]\ndurable = false",
        "[audit]\ndetail = \"processes\"", "[audit]\ninputs = \"none\"",
        "[identity]\nuser = \"keep\"",
    ])
    func loosens(_ text: String) throws {
        let parent = """
            version = 1
            lock = ["env"]
            [identity]
            user = "nobody"
            [files]
            read = ["/opt/python", "/data/ro"]
            write = ["/data"]
            deny = ["~/.ssh"]
            [limits]
            on_output = "kill"
            [env]
            pass = ["LC_*"]
            set = { TZ = "UTC" }
            [audit]
            durable = true
            detail = "files"
            inputs = "read"
            """
        var layered = try LayeredPolicy(chain(parent), anchors: anchors)
        #expect(throws: (any Error).self) {
            try layered.layWorkspace(chain("version = 1\n" + text), trusted: false, remedy: "")
        }
        // The same words are fine once the user says so, but for what no policy may say.
        if !text.contains("..") {
            #expect(throws: Never.self) {
                try layered.layWorkspace(chain("version = 1\n" + text), trusted: true, remedy: "")
            }
        }
    }

    @Test func narrowedPathsRememberWhatTheyMustStayIn() throws {
        var layered = try LayeredPolicy(
            chain("version = 1\n[files]\nread = [\"/opt\", \"~/.pyenv\"]"), anchors: anchors)
        try layered.layWorkspace(
            chain("version = 1\n[files]\nread = [\"/opt/x\", \"/home/u/.pyenv/versions\"]"), trusted: false, remedy: "")
        #expect(layered.policy.files.read.map(\.beneath) == [[Bytes("/opt")], [Bytes("/home/u/.pyenv")]])
    }

    @Test func optionsOverrideButForLocksAndTheCeiling() throws {
        var options = PolicyOverrides()
        options.timeout = try PolicyOverrides.timeout("10m")
        options.read = [Bytes("/opt/a*b")]
        options.require = .confined
        var free = try LayeredPolicy(chain("version = 1\n[limits]\nwall = \"1m\""), anchors: anchors)
        try free.apply(options, ceiling: nil)
        #expect(free.policy.limits.wall == 600_000_000_000)
        #expect(free.policy.files.read.map(\.pattern) == [Bytes("/opt/a\\*b")])
        #expect(free.origin(of: .wall) == "--timeout")

        var locked = try LayeredPolicy(
            chain("version = 1\nlock = [\"limits\"]\n[limits]\nwall = \"1m\""), anchors: anchors)
        let said = message { try locked.apply(options, ceiling: nil) }
        #expect(said?.hasPrefix("--timeout loosens [limits], which is locked (p.toml:2:8)") == true)
        options.timeout = try PolicyOverrides.timeout("1s")
        locked = try LayeredPolicy(chain("version = 1\nlock = [\"limits\"]\n[limits]\nwall = \"1m\""), anchors: anchors)
        try locked.apply(options, ceiling: nil)
        #expect(locked.policy.limits.wall == 1_000_000_000)

        let ceiling = try Ceiling(
            chain("version = 1\nrequire = \"isolated\"\n[files]\nread = [\"/usr/local\"]", name: "c.toml"),
            anchors: anchors)
        let above = message { try free.apply(options, ceiling: ceiling) }
        #expect(above?.contains("--require: require is above the machine's ceiling (c.toml:2:11)") == true)
    }

    @Test func errorsNeverShowWhatAnOptionSets() throws {
        var options = PolicyOverrides()
        options.setEnvironment = [("TOKEN", Bytes("hunter2"))]
        var locked = try LayeredPolicy(chain("version = 1\nlock = [\"env\"]"), anchors: anchors)
        let said = message { try locked.apply(options, ceiling: nil) }
        #expect(said?.contains("adds TOKEN") == true)
        #expect(said?.contains("hunter2") == false)
    }

    @Test func theCeilingCutsPresetsAndRefusesTheUsersWords() throws {
        let ceiling = try Ceiling(
            chain("version = 1\n[limits]\nwall = \"1m\"\n[files]\ndeny = [\"~/.ssh\"]", name: "c.toml"),
            anchors: anchors)
        let preset = try PolicyChain.load(.preset(#require(Preset.named("default")))) { _, _, _ throws(Failure) in
            throw Failure("", "")
        }
        var layered = try LayeredPolicy(preset, anchors: anchors)
        try layered.cut(to: ceiling, preset)
        #expect(layered.policy.limits.wall == 60_000_000_000)
        #expect(layered.policy.files.deny.map(\.pattern) == [Bytes("~/.ssh")])
        #expect(layered.origin(of: .wall) == "c.toml:3:8")
        let own = try chain("version = 1\n[limits]\nwall = \"2m\"")
        var user = try LayeredPolicy(own, anchors: anchors)
        let said = message { try user.cut(to: ceiling, own) }
        #expect(said?.hasPrefix("p.toml:3:8: limits.wall is above the machine's ceiling (c.toml:3:8)") == true)
    }

    @Test func chainsAreBoundedAndCyclesAreFound() {
        func load(_ next: @escaping (Int) -> String) -> String? {
            var count = 0
            return message {
                _ = try PolicyChain.load(PolicySource(name: "0", bytes: Bytes("version = 1\nextends = \"x\""))) {
                    _, _, _ throws(Failure) in
                    count += 1
                    return PolicySource(name: next(count), bytes: Bytes("version = 1\nextends = \"x\""))
                }
            }
        }
        #expect(load { String($0) }?.contains("more than 8") == true)
        #expect(load { _ in "0" }?.contains("comes back") == true)
    }

    @Test func theSchemaKnowsWhatTheReaderKnows() throws {
        let properties = try #require(PolicySchema.document["properties"]?.object)
        #expect(Set(properties.keys) == Set(Schema.top.map(\.name) + Schema.tables.map(\.name)))
        // Every key that is enforced stands in the table, and none of them is also said to come later as a whole.
        #expect(Schema.tables.first { $0.name == "secrets" }?.entries != nil)
        for key in PolicyKey.allCases where key != .secrets {
            let table = key.table?.rawValue
            let keys = table.flatMap { name in Schema.tables.first { $0.name == name }?.keys } ?? Schema.top
            #expect(keys.contains { $0.name == key.name })
        }
    }
}
