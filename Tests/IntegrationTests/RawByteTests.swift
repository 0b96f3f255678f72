// Bytes that aren't UTF-8 reach the command unchanged, and the record keeps them without loss.

import Foundation
import Testing

extension Integration {
    @Suite struct RawByteTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        static let words: [Bytes] = [
            [0xff, 0xfe], [0xc3, 0x28], bytes("a\nb"), bytes("tab\tquote'\"\\"), [0x1b, 0x5b, 0x33, 0x31, 0x6d],
            bytes("é ü 漢 🙂"), [0xed, 0xa0, 0x80],
            bytes(""), bytes("-- --cmd"),
        ]

        @Test func argumentsOfAProgram() throws {
            let ended = try ground.run(raw: [bytes("--"), bytes("printf"), bytes("[%s]")] + RawByteTests.words)
            #expect(ended.out == RawByteTests.words.flatMap { bytes("[") + $0 + bytes("]") })
            let kept = try ground.record()["processes"][0]["argv"].array.compactMap(\.bytes)
            #expect(kept == [bytes("printf"), bytes("[%s]")] + RawByteTests.words)
        }

        @Test func argumentsOfAScript() throws {
            try ground.write("script.sh", "printf '[%s]' \"$@\"")
            let expected = RawByteTests.words.flatMap { bytes("[") + $0 + bytes("]") }
            #expect(try ground.run(raw: [bytes("--script"), bytes("script.sh")] + RawByteTests.words).out == expected)
            let code =
                "import sys, os; sys.stdout.buffer.write(b''.join(b'[' + os.fsencode(a) + b']' for a in sys.argv[1:]))"
            #expect(try ground.run(raw: [bytes("--python"), bytes(code)] + RawByteTests.words).out == expected)
        }

        @Test func aScriptGivenAsText() throws {
            #expect(
                try ground.run(raw: [bytes("--cmd"), bytes("printf %s '") + [0xff, 0xfe] + bytes("'")]).out == [
                    0xff, 0xfe,
                ])
        }

        @Test func theEnvironment() throws {
            let odd: Bytes = [0xff, 0x3d, 0xfe, 0x0a, 0x31]
            let ended = try ground.run(
                raw: [
                    bytes("--env"), bytes("GIVEN=") + odd, bytes("--pass-env"), bytes("PASSED"), bytes("--cmd"),
                    bytes("printf '%s|%s' \"$GIVEN\" \"$PASSED\""),
                ],
                env: ["PASSED": odd])
            #expect(ended.out == odd + bytes("|") + odd)
        }

        @Test func namesOfFiles() throws {
            let name: Bytes = [0xff, 0x20, 0x0a, 0x41]
            let ended = try ground.run(raw: [
                bytes("--"), bytes("sh"), bytes("-c"), bytes("echo text > \"$1\"; cat \"$1\"; cat ./*A"), bytes("sh"),
                name,
            ])
            #expect(ended.text == "text\ntext\n")
        }

        @Test func aProgramByItsPath() throws {
            let path = bytes("\(ground.workspace)/") + [0xff, 0x70]
            let copied = try ground.run(raw: [
                bytes("--policy"),
                bytes(
                    try ground.write("\(ground.directory)/direct.toml", "version = 1\n[workspace]\nmode = \"direct\"\n")
                ), bytes("--"), bytes("cp"), bytes("/bin/echo"), path,
            ])
            #expect(copied.code == 0)
            let ended = try ground.run(raw: [bytes("--"), path, bytes("ran")])
            #expect(ended.text == "ran\n")
            #expect(try ground.record()["command"]["program"].bytes == path)
        }

        @Test func theRecordIsStillOneDocument() throws {
            let ended = try ground.run(raw: [
                bytes("--json"), bytes("--label"), bytes("k=") + [0xff], bytes("--"), bytes("printf"), [0xff],
            ])
            #expect(ended.code == 0 || ended.code == 125)
            _ = try Ground.document(ended)
            for option in ["--workspace", "--policy", "--script", "--read"] {
                let refused = try ground.run(raw: [
                    bytes("--json"), bytes(option), [0x2f, 0xff, 0x0a], bytes("--"), bytes("true"),
                ])
                #expect(refused.code == 125)
                _ = try Ground.document(refused)
            }
        }

        @Test func errorsStayOneLineAndHarmless() throws {
            // A path with a newline and a terminal's escape must not forge lines or move the cursor.
            let ended = try ground.run(raw: [
                bytes("--workspace"), bytes("/nonexistent\n\u{1b}[2Jx"), bytes("--"), bytes("true"),
            ])
            #expect(ended.code == 125)
            #expect(ended.complaints.count == 1 && !ended.err.contains(0x1b), "\(ended.err)")
        }
    }
}
