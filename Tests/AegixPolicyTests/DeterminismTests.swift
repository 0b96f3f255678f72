// Pure. [determinism]: what it may say, and who may say it over whom.

import AegixSystem
import Testing

@testable import AegixPolicy

struct DeterminismTests {
    @Test func itIsRead() throws {
        let read = try policy(
            """
            [determinism]
            hostname = "build-1.example"
            seed = 0
            cpus = 2
            aslr = false
            env = true
            clock = "2035-01-01T00:00:00.5Z"
            """
        ).determinism
        #expect(read.hostname == "build-1.example" && read.seed == 0 && read.cpus == 2 && !read.aslr && read.env)
        #expect(Instant.parse(read.clock) == 2_051_222_400_500_000_000)
        #expect(
            try policy("[determinism]\nseed = \"none\"\ncpus = \"none\"\nhostname = \"\"\nclock = \"\"").determinism
                == .init())
    }

    @Test(arguments: [
        ("hostname = \"-a\"", "1 to 63 letters"), ("hostname = \"a b\"", "1 to 63 letters"),
        ("hostname = \"\(String(repeating: "a", count: 64))\"", "1 to 63 letters"),
        ("seed = -1", "a whole number from 0, or \"none\""), ("seed = \"x\"", "a whole number"),
        ("cpus = 0", "from 1 to 4096"), ("cpus = 1.5", "a whole number"), ("aslr = 1", "true or false"),
        ("clock = \"2035-01-01\"", "a moment in UTC"), ("clock = \"2035-01-01T00:00:00+01:00\"", "a moment in UTC"),
        ("clock = \"2035-13-01T00:00:00Z\"", "a moment in UTC"), ("clock = 2035-01-01T00:00:00Z", "must be a string"),
    ])
    func mistakesSayWhatIsAllowed(_ line: String, _ part: String) {
        let found = errors("version = 1\n[determinism]\n" + line)
        #expect(found.count == 1 && found.first?.contains(part) == true, "\(line): \(found)")
    }

    private let pinned = "[determinism]\nseed = 1\naslr = false\nclock = \"2035-01-01T00:00:00Z\""

    /// It is no right: a later policy, the workspace's too, may pin otherwise or not at all.
    @Test func aLaterPolicyMayPinOtherwise() throws {
        var layered = try LayeredPolicy(chain("version = 1\n" + pinned), anchors: anchors)
        try layered.layWorkspace(
            chain("version = 1\n[determinism]\nseed = 2\naslr = true\nclock = \"\"\ncpus = 1"), trusted: false,
            remedy: "")
        #expect(layered.policy.determinism.seed == 2 && layered.policy.determinism.aslr)
        #expect(layered.policy.determinism.clock.isEmpty && layered.policy.determinism.cpus == 1)
    }

    @Test(arguments: [
        ("seed = 2", false), ("aslr = true", false), ("clock = \"\"", false), ("cpus = 1", false), ("seed = 1", true),
        ("env = false", true),
    ])
    func lockedItStaysAsItIs(_ line: String, _ isAllowed: Bool) throws {
        var layered = try LayeredPolicy(
            chain("version = 1\nlock = [\"determinism\"]\n" + pinned), anchors: anchors)
        let text = try chain("version = 1\n[determinism]\n" + line)
        if isAllowed {
            try layered.layWorkspace(text, trusted: false, remedy: "")
        } else {
            #expect(throws: PolicyErrors.self) { try layered.layWorkspace(text, trusted: false, remedy: "") }
        }
    }

    @Test func thePresetPinsEverything() throws {
        let preset = try LayeredPolicy(
            chain(try #require(Preset.named("reproducible")).text), anchors: anchors
        ).policy
        let pins = preset.determinism
        #expect(pins.seed != nil && pins.cpus != nil && !pins.aslr && pins.env && !pins.clock.isEmpty)
        #expect(preset.identity == .nobody && preset.network.mode == .none && preset.env.pass.isEmpty)
    }
}
