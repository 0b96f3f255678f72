// Each preset runs a command, or says what of the host is missing.

import Foundation
import Testing

extension Integration {
    @Suite struct PresetTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        @Test func theyAreListed() throws {
            let text = try ground.run("policy", "list").text
            for name in ["default", "strict", "ci", "agent", "python", "reproducible"] {
                #expect(text.contains(name), "\(name) isn't listed")
            }
        }

        @Test(arguments: ["default", "ci", "agent", "python", "strict", "reproducible"])
        func itRuns(preset: String) throws {
            let ended = try ground.run("--policy", preset, "--python", "print(6 * 7)")
            if preset == "strict", ended.code == 125 {
                // Sealed needs cgroup v2 controllers; where they aren't to be had it must say so, and how to get them.
                #expect(ended.errorText.contains("sealed") && ended.errorText.contains("cgroup"), "\(ended.errorText)")
                return
            }
            #expect(ended.text == "42\n" && ended.code == 0, "\(ended.errorText)")
            #expect(try ground.record()["policy"]["name"].string == preset)
        }

        @Test func eachIsAPolicyFile() throws {
            for name in ["default", "strict", "ci", "agent", "python", "reproducible"] {
                let shown = try ground.run("policy", "show", name)
                #expect(shown.text.contains("version = 1") && shown.text.contains("name = \"\(name)\""))
                let copy = try ground.write("\(ground.directory)/\(name).toml", shown.out)
                let checked = try ground.run("policy", "check", copy)
                #expect(checked.code == 0, "\(name): \(checked.errorText)")
            }
        }
    }
}
