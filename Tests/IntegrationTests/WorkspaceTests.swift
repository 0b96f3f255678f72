// A workspace with any name, anywhere, in each mode: seen at its own path, and changed only where that was asked for.

import Foundation
import Testing

extension Integration {
    @Suite struct WorkspaceTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        static let names: [Bytes] = [
            bytes("plain"), bytes("with space"), bytes("new\nline"), [0xff, 0xfe], bytes("a,b:c"),
            bytes("back\\slash\\"), bytes("quote'\"`$(x)"), bytes("%s%n"), bytes("-dash"),
            bytes("#[*]?{}"), Bytes(repeating: 0x78, count: 255),
        ]

        func make(_ path: Bytes) -> Bool { with(path) { mkdir($0, 0o755) } == 0 }

        func has(_ path: Bytes) -> Bool { with(path) { access($0, F_OK) } == 0 }

        private func with(_ path: Bytes, _ call: (UnsafePointer<CChar>) -> Int32) -> Int32 {
            (path.map(CChar.init(bitPattern:)) + [0]).withUnsafeBufferPointer { $0.baseAddress.map(call) ?? -1 }
        }

        /// What overlay makes for itself has mode 0: with nothing changed, with something, and with what is gone again.
        @Test(arguments: ["true", "echo x >f", "mkdir d; echo x >d/x; rm -r d"])
        func itsOwnerCanRemoveARun(_ script: String) throws {
            #expect(try ground.run("--quiet", "--cmd", script).code == 0)
            let run = try #require(ground.runs.last)
            let removal = Process()
            removal.executableURL = URL(fileURLWithPath: "/bin/rm")
            removal.arguments = ["-rf", run]
            try removal.run()
            removal.waitUntilExit()
            #expect(removal.terminationStatus == 0 && access(run, F_OK) < 0)
        }

        @Test(arguments: ["layer", "read-only", "direct"])
        func anyName(mode: String) throws {
            let policy = try ground.policy("[workspace]\nmode = \"\(mode)\"\n").map(bytes)
            for name in WorkspaceTests.names {
                let place = bytes("\(ground.directory)/\(mode)-") + name.prefix(255 - mode.utf8.count - 1)
                try #require(make(place))
                let script = "pwd; echo text > made && cat made; test -e made || ls -d ."
                let ended = try ground.run(
                    raw: policy + [bytes("--quiet"), bytes("--workspace"), place, bytes("--cmd"), bytes(script)])
                let shown = place + bytes("\n") + bytes(mode == "read-only" ? ".\n" : "text\n")
                #expect(ended.code == 0 && ended.out == shown, "\(name): \(ended.text) \(ended.errorText)")
                #expect(has(place + bytes("/made")) == (mode == "direct"), "\(name): on the host")
                if mode == "layer" {
                    #expect(
                        access("\(ground.runs.last ?? "")/layer/upper/made", F_OK) == 0, "\(name): not in the layer")
                }
                if mode == "read-only" { #expect(ended.errorText.contains("Read-only")) }
                // The same from inside it, as the default.
                #expect(
                    try ground.run(raw: [bytes("--cmd"), bytes("pwd")], directory: place).out == place + bytes("\n"))
            }
        }

        @Test func underTmp() throws {
            var template = Array("/tmp/aegix integration,XXXXXX".utf8CString)
            let place = String(cString: try #require(mkdtemp(&template)))
            ground.atEnd { try? FileManager.default.removeItem(atPath: place) }
            try ground.write("\(place)/file", "here\n")
            let ended = try ground.run("--workspace", place, "--cmd", "cat file; touch /tmp/mine; ls /tmp")
            #expect(
                ended.text.split(separator: "\n").sorted()
                    == ["here", Substring((place as NSString).lastPathComponent), "mine"].sorted())
            #expect(access("/tmp/mine", F_OK) != 0)
        }

        @Test func deniedInTheSystem() throws {
            // By a literal path, through a symlink, by a pattern; and what isn't named stays.
            let denied = ["/usr/share/doc", "/bin/ls", "/etc/os-release", "/usr/share/*/GPL-2"]
            let list = denied.map { "\"\($0)\"" }.joined(separator: ", ")
            let policy = try ground.policy("[files]\ndeny = [\(list)]\n")
            let look = """
                ls / ; /usr/bin/ls /; cat /etc/os-release /usr/lib/os-release /usr/share/common-licenses/GPL-2
                ls /usr/share/doc/*; head -c 4 /usr/share/common-licenses/GPL-3 && echo there
                """
            let plain = try ground.shell(look)
            #expect(!plain.errorText.contains("denied") && plain.text.contains("there"), "\(plain.errorText)")
            let ended = try ground.shell(look, policy)
            #expect(ended.text.split(separator: "\n").count == 1 && ended.text.contains("there"), "\(ended.text)")
            #expect(ended.errorText.components(separatedBy: "Permission denied").count == 7, "\(ended.errorText)")

            let refused = try ground.shell("true", ground.policy("[files]\ndeny = [\"/proc/cpuinfo\"]\n"))
            #expect(refused.code == 125 && refused.errorText.contains("files.deny"), "\(refused.errorText)")
        }

        @Test func underHome() throws {
            let home = "\(ground.directory)/home"
            for name in ["project", ".hidden", "project/deep/er"] {
                try FileManager.default.createDirectory(atPath: "\(home)/\(name)", withIntermediateDirectories: true)
                try ground.write("\(home)/\(name)/file", "here\n")
                try ground.write("\(home)/private", "secret\n")
                let ended = try ground.run(
                    "--workspace", "\(home)/\(name)", "--cmd",
                    "cat file; pwd; cat ~/private \(home)/private; echo note > ~/note && cat ~/note")
                #expect(ended.text == "here\n\(home)/\(name)\nnote\n", "\(name): \(ended.text) \(ended.errorText)")
                #expect(access("\(home)/note", F_OK) != 0, "a file in the caller's home")
            }
        }

        @Test func bySymbolicLink() throws {
            symlink(ground.workspace, "\(ground.directory)/link")
            #expect(
                try ground.run("--workspace", "\(ground.directory)/link", "--", "/bin/pwd").text == ground.workspace
                    + "\n")
        }

        @Test func theLayerHoldsEveryKindOfChange() throws {
            try ground.write("kept", "kept\n")
            try ground.write("gone", "gone\n")
            try ground.write("changed", "before\n")
            let script =
                "rm gone; echo after > changed; mkdir -p a/b; echo x > a/b/c; ln -s kept link; chmod 600 kept; mv a moved; cat changed; ls"
            let ended = try ground.shell(script)
            #expect(ended.code == 0 && ended.text.hasPrefix("after\n"), "\(ended.errorText)")
            #expect(ground.read("\(ground.workspace)/changed") == bytes("before\n"))
            #expect(ground.read("\(ground.workspace)/gone") == bytes("gone\n"))
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: ground.workspace).sorted() == [
                    "changed", "gone", "kept",
                ])
            #expect(ground.read("\(ground.runs.last ?? "")/layer/upper/changed") == bytes("after\n"))
            #expect(ended.errorText.contains("aegix review "), "the summary doesn't say how to see the changes")
            // The next run begins with the workspace as it is, not with the last one's layer.
            #expect(try ground.shell("cat changed gone").text == "before\ngone\n")
        }

        @Test func ownersAndTimesAreTheHosts() throws {
            try ground.write("file", "x")
            var status = stat()
            stat("\(ground.workspace)/file", &status)
            let ended = try ground.shell("stat -c '%u %g %a %Y' file; id -u; id -g")
            #expect(
                ended.text
                    == "\(status.st_uid) \(status.st_gid) 644 \(status.st_mtim.tv_sec)\n\(status.st_uid)\n\(status.st_gid)\n"
            )
        }
    }
}
