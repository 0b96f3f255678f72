// Side effects: pipes. What aegix says, on which stream, and what it exits with.

import AegixSystem
import Glibc
import Testing

@testable import AegixCLI

/// A console whose streams are pipes.
private final class Heard {
    let console: Console
    private let output = Pipe()
    private let errors = Pipe()

    private struct Pipe: ~Copyable {
        let reading: Descriptor
        let writing: Descriptor

        init() {
            var ends: [Int32] = [-1, -1]
            #expect(pipe(&ends) == 0)
            for end in ends { #expect(fcntl(end, F_SETFL, O_NONBLOCK) == 0) }
            reading = Descriptor(owning: ends[0])
            writing = Descriptor(owning: ends[1])
        }
    }

    init(json: Bool, closed: Bool = false) {
        console = Console(json: json, output: closed ? -1 : output.writing.raw, errors: errors.writing.raw)
    }

    var out: Bytes { Heard.read(output.reading.raw) }
    var err: String { String(decoding: Heard.read(errors.reading.raw), as: UTF8.self) }

    private static func read(_ number: Int32) -> Bytes {
        var buffer = Bytes(repeating: 0, count: 65536)
        let count = Glibc.read(number, &buffer, buffer.count)
        return Array(buffer.prefix(max(0, count)))
    }

    /// As `aegixMain` does it.
    func run(_ words: [Bytes]) -> Int32 {
        do {
            return try dispatch(words, console)
        } catch {
            return console.report(error)
        }
    }
}

@Suite struct ConsoleTests {
    private let broken = Failure(
        "policy.invalid", "two errors",
        details: [.init(message: "first", file: "p.toml", line: 3, column: 7), .init(message: "second")], errno: ENOENT)

    @Test func anErrorAsADocument() throws {
        let heard = Heard(json: true)
        #expect(heard.console.report(broken) == 125)
        let out = heard.out
        #expect(out.last == UInt8(ascii: "\n"))
        let document = try JSON.parse(out)
        #expect(
            document == [
                "schema": "aegix.error/v1", "code": "policy.invalid", "message": "two errors", "errno": "ENOENT",
                "details": [
                    ["message": "first", "file": "p.toml", "line": 3, "column": 7], ["message": "second"],
                ], "exit_code": 125,
            ])
        #expect(Array(out.dropLast()) == document.canonical)
        #expect(heard.err.isEmpty)
    }

    @Test func anErrorForAPerson() {
        let heard = Heard(json: false)
        #expect(heard.console.report(broken) == 125)
        #expect(heard.err == "aegix: two errors\n  p.toml:3:7: first\n  second\n")
        #expect(heard.out.isEmpty)
    }

    @Test func noNameImitatesALineOfOurs() {
        let heard = Heard(json: false)
        _ = heard.console.report(Failure("x", "bad \u{1B}[2Jname\naegix: all is well"))
        #expect(heard.err == "aegix: bad \\u{1b}[2Jname\\naegix: all is well\n")
    }

    @Test func aSecondDocumentIsNeverPrinted() throws {
        let heard = Heard(json: true)
        try heard.console.document(["a": 1])
        #expect(heard.console.report(Failure("x", "late", exitCode: 123)) == 123)
        #expect(heard.out == Bytes("{\"a\":1}\n"))
        #expect(heard.err == "aegix: late\n")
    }

    @Test(arguments: [true, false]) func aClosedStdoutIsTold(json: Bool) {
        let heard = Heard(json: json, closed: true)
        #expect(heard.run(words("help")) == 125)
        #expect(heard.err == "aegix: can't write to stdout: bad file descriptor\n")
    }

    @Test func aClosedStdoutKeepsTheErrorItself() {
        let heard = Heard(json: true, closed: true)
        #expect(heard.run(words("hlep")) == 125)
        let said = heard.err
        #expect(said.contains("can't write to stdout") && said.contains("did you mean `aegix help`?"))
    }

    @Test func documentsOfTheFramework() throws {
        for (given, schema) in [
            (words("--version", "--json"), "aegix.version/v1"), (words("--json", "--help"), "aegix.help/v1"),
            (words("help", "doctor", "--json"), "aegix.help/v1"),
            (words("doctor", "--help", "--json"), "aegix.help/v1"),
            (words("sandboxes", "x", "--json"), "aegix.error/v1"), (words("--json"), "aegix.error/v1"),
            (words("--json", "doctor", "x"), "aegix.error/v1"), (words("--bogus", "--json"), "aegix.error/v1"),
        ] {
            let heard = Heard(json: true)
            let code = heard.run(given)
            guard case .object(let members) = try JSON.parse(heard.out) else {
                Issue.record("no document")
                continue
            }
            #expect(members["schema"] == .string(schema))
            #expect(code == (schema == "aegix.error/v1" ? 125 : 0))
        }
    }

    @Test func unknownCommands() {
        for (word, part) in [
            ("hlep", "did you mean `aegix help`?"), ("xyzzy", "aegix -- xyzzy"),
            ("replay", "RUN|BUNDLE is missing"),
        ] {
            let heard = Heard(json: false)
            #expect(heard.run([Bytes(word)]) == 125)
            let said = heard.err
            #expect(said.contains(part))
            #expect(said.split(separator: "\n").count == 1)
        }
    }
}
