// Side effects: reads policies/*.toml of the checkout.

import AegixSystem
import Glibc
import Testing

@testable import AegixPolicy

struct PresetTests {
    @Test(arguments: Preset.names)
    func parsesAndRoundTrips(_ name: String) throws {
        let preset = try #require(Preset.named(name))
        let layered = try LayeredPolicy(chain(preset.text, name: name), anchors: anchors)
        #expect(layered.policy.name == name)
        let again = try LayeredPolicy(chain(String(decoding: layered.policy.toml, as: UTF8.self)), anchors: anchors)
            .policy
        #expect(bare(again) == bare(layered.policy))
        #expect(again.digest == layered.policy.digest)
        #expect(layered.policy.canonical == layered.policy.json.canonical)
    }

    @Test(arguments: Preset.names)
    func isTheFileThatIsShipped(_ name: String) throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let file = try Descriptor.open(Bytes("/\(root)/policies/\(name).toml"), O_RDONLY)
        #expect(
            try file.readAll(limit: 1 << 20) == Bytes(try #require(Preset.named(name)).text), "run policies/embed.sh")
    }

    @Test func theQuickWayToTheDefaultIsTheFile() throws {
        let read = try LayeredPolicy(chain(try #require(Preset.named("default")).text), anchors: anchors)
        let quick = try #require(LayeredPolicy(presetDefault: anchors))
        #expect(read.policy == quick.policy)
        #expect(quick.origin(of: .wall).hasPrefix("default:"))
    }

    @Test func strictHoldsEverything() throws {
        let strict = try LayeredPolicy(chain(try #require(Preset.named("strict")).text), anchors: anchors).policy
        #expect(strict.require == .sealed)
        #expect(strict.lock == Set(Policy.Table.allCases))
        #expect(strict.identity == .nobody)
        #expect(strict.workspace.mode == .readOnly)
    }

    @Test func bytesThatAreNoTextRoundTrip() throws {
        var own = Policy()
        own.name = "x"
        own.files.read = [
            .init(pattern: [0x2F, 0xFF, 0xFE], origin: ""),
            .init(pattern: Bytes("/a \"b\\\\n\u{1}\u{202E}"), origin: ""),
        ]
        own.env.set = ["A": [0xC3], "B": Bytes("x\n\"y\\"), "C": []]
        let again = try LayeredPolicy(chain(String(decoding: own.toml, as: UTF8.self)), anchors: anchors).policy
        #expect(bare(again) == bare(own))
        #expect(own.canonical == own.json.canonical)
    }
}
