// Bad input: one clear line, the right exit code, and where a run was begun, a record.

import Foundation
import Testing

extension Integration {
    @Suite struct MistakeTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        func oneLine(
            _ ended: Ended, code: Int32, mentions words: [String], _ location: SourceLocation = #_sourceLocation
        ) {
            #expect(ended.code == code, "\(ended.errorText)", sourceLocation: location)
            #expect(ended.out.isEmpty, sourceLocation: location)
            #expect(
                ended.complaints.count == 1 && ended.errorText.hasPrefix("aegix: "), "\(ended.errorText)",
                sourceLocation: location)
            for word in words {
                #expect(
                    ended.errorText.contains(word), "\(word) isn't in: \(ended.errorText)", sourceLocation: location)
            }
        }

        @Test func aMissingPolicy() throws {
            oneLine(try ground.run("--policy", "/absent.toml", "--", "true"), code: 125, mentions: ["/absent.toml"])
            oneLine(try ground.run("--policy", "defualt", "--", "true"), code: 125, mentions: ["defualt", "default"])
        }

        @Test func aBrokenPolicy() throws {
            for (text, words) in [
                ("version = 1\n[limits\n", ["broken.toml:2:"]), ("version = 2\n", ["broken.toml:1:", "version"]),
                ("[limits]\nwall = \"1s\"\n", ["version"]),
                ("version = 1\n[files]\ndeni = []\n", ["broken.toml:3:1", "deny"]),
                ("version = 1\n[workspace]\nmode = \"dirct\"\n", ["broken.toml:3:", "direct"]),
                ("version = 1\n[audit]\ndetail = \"fils\"\n", ["broken.toml:3:", "files"]),
                (
                    "version = 1\n[network]\nmode = \"allow\"\nallow = [\"10.1.2.3/24\"]\n",
                    ["broken.toml:4:10", "10.1.2.0/24"]
                ),
                ("\u{0}\u{1}", ["broken.toml"]),
            ] {
                let file = try ground.write("\(ground.directory)/broken.toml", text)
                let ended = try ground.run("--policy", file, "--", "true")
                #expect(ended.code == 125 && ended.out.isEmpty)
                for word in words { #expect(ended.errorText.contains(word), "\(word) isn't in: \(ended.errorText)") }
            }
        }

        @Test func anUnknownOption() throws {
            oneLine(try ground.run("--tiemout", "1s", "--", "true"), code: 125, mentions: ["--tiemout", "--timeout"])
            oneLine(try ground.run("rnu", "--", "true"), code: 125, mentions: ["rnu"])
            oneLine(try ground.run("run"), code: 125, mentions: ["--cmd"])
            oneLine(try ground.run("run", "--"), code: 125, mentions: [])
            oneLine(try ground.run("--cmd", "true", "--", "true"), code: 125, mentions: ["--cmd"])
        }

        @Test func aWorkspaceThatIsNotThere() throws {
            oneLine(try ground.run("--workspace", "/absent", "--", "true"), code: 125, mentions: ["/absent"])
            let file = try ground.write("file", "")
            oneLine(try ground.run("--workspace", file, "--", "true"), code: 125, mentions: [file])
            oneLine(try ground.run("--workspace", "", "--", "true"), code: 125, mentions: ["--workspace"])
        }

        @Test func aStateDirectoryThatCannotBeWritten() throws {
            oneLine(try ground.run("--state-dir", "/proc/none", "--", "true"), code: 125, mentions: ["/proc/none"])
            let file = try ground.write("\(ground.directory)/file", "")
            oneLine(try ground.run("--state-dir", file, "--", "true"), code: 125, mentions: [file])
            oneLine(try ground.run("--", "true", env: ["AEGIX_STATE": bytes(file)]), code: 125, mentions: [file])
            if !Ground.isRoot {
                chmod(ground.directory, 0o555)
                defer { chmod(ground.directory, 0o755) }
                oneLine(
                    try ground.run("--state-dir", "\(ground.directory)/new", "--", "true"), code: 125,
                    mentions: ["\(ground.directory)/new"])
            }
        }

        @Test func aFullDisk() throws {
            // /dev/full is the smallest full disk: the copy of the record can't be written, after the command ran.
            let ended = try ground.run("--record", "/dev/full", "--", "echo", "ran")
            #expect(ended.code == 123 || ended.code == 125, "\(ended.code) \(ended.errorText)")
            #expect(ended.code == 125 ? ended.out.isEmpty : ended.text == "ran\n")
            #expect(ended.complaints.count == 1)
        }

        @Test func aClosedStdout() throws {
            var child = try ground.spawn(["--cmd", "echo hi; exit 3"], stdout: .closed)
            let ended = child.finish(deadline: 20)
            #expect([3, 125, 141].contains(ended.code), "\(ended.code) \(ended.errorText)")
            let full = open("/dev/full", O_WRONLY)
            defer { close(full) }
            var filling = try ground.spawn(["--cmd", "echo hi; exit 3"], stdout: .descriptor(full))
            let told = filling.finish(deadline: 20)
            #expect(told.code != 0 && told.seconds < 10, "\(told.code) \(told.errorText)")
            #expect(try ground.record()["outcome"]["status"].string != nil)
            var helping = try ground.spawn(["--help"], stdout: .descriptor(full))
            #expect(helping.finish(deadline: 10).code != 0, "help that nobody could read isn't a success")
        }

        @Test func everyCommandHasHelp() throws {
            for command in [["run"], ["plan"], ["show"], ["history"], ["policy"], ["doctor"], []] {
                let ended = try ground.run(raw: (command + ["--help"]).map(bytes))
                #expect(ended.code == 0 && ended.text.contains("Usage:"), "\(command)")
            }
        }

        @Test func planTouchesNothing() throws {
            let ended = try ground.run("plan", "--cmd", "touch made")
            #expect(ended.code == 0 && !ended.text.isEmpty, "\(ended.errorText)")
            #expect(access(ground.state, F_OK) != 0, "plan made the state directory")
            #expect(try FileManager.default.contentsOfDirectory(atPath: ground.workspace) == [])
        }

        @Test func doctorSaysWhatItTried() throws {
            let ended = try ground.run("doctor")
            #expect(
                ended.code == 0 && ended.text.lowercased().contains("landlock")
                    && ended.text.lowercased().contains("overlay"), "\(ended.errorText)")
        }
    }
}
