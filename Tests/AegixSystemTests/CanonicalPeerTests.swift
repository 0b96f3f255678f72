// Canonical JSON, held against PyPI's rfc8785: the vectors of the RFC and random values.

import Foundation
import Testing

@testable import AegixSystem

struct CanonicalPeerTests {
    @Test(.enabled(if: Peers.isThere, "`make peers` fetches what this is compared with"))
    func agreesWithRFC8785() throws {
        var told = 0
        for line in try Peers.run("canonical.py", "20000").split(separator: "\n") {
            let parts = line.split(separator: " ")
            let document = try #require(Hex.decode(parts[0].utf8))
            let shown = document.shown
            let made = Result(catching: { () throws(JSONError) in try JSON.parse(document).canonical })
            if parts[1] == "!" {
                #expect(throws: JSONError.self, "\(shown)") { try made.get() }
            } else {
                #expect(try made.get() == Hex.decode(parts[1].utf8), "\(shown)")
            }
            told += 1
        }
        #expect(told > 20_000)
    }

    @Test func neverWritesAnIntegerThatADoubleCantHold() throws {
        #expect(JSON.int(.max).canonical == Bytes("\"9223372036854775807\""))
        #expect(JSON.int(-9_007_199_254_740_992).canonical == Bytes("\"-9007199254740992\""))
        var writer = JSONWriter()
        writer.int(Int.min)
        writer.size(.max)
        #expect(writer.bytes == Bytes("\"-9223372036854775808\",9007199254740991"))
    }
}

/// The Python programs of Tests/Peers.
enum Peers {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static var modules: String {
        ProcessInfo.processInfo.environment["AEGIX_PEERS"] ?? root.appending(path: ".build/peers").path
    }

    static var isThere: Bool {
        FileManager.default.fileExists(atPath: modules + "/rfc8785")
            || ProcessInfo.processInfo.environment["AEGIX_MUST_WORK"] == "1"
    }

    static func run(_ program: String, _ arguments: String...) throws -> String {
        let child = Process()
        child.executableURL = URL(
            filePath: ProcessInfo.processInfo.environment["PYTHON"] ?? "/usr/bin/python3")
        child.arguments = [root.appending(path: "Tests/Peers/\(program)").path] + arguments
        child.environment = ["PYTHONPATH": modules, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"]
        let pipe = Pipe()
        child.standardOutput = pipe
        try child.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        child.waitUntilExit()
        try #require(child.terminationStatus == 0)
        return String(decoding: output, as: UTF8.self)
    }
}
