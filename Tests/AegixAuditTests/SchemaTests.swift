import AegixSandbox
import AegixSystem
import Foundation
import Testing

@testable import AegixAudit

/// Records against the published schema, by a validator that isn't ours.
@Suite struct SchemaTests {
    static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Conformance/validate_record.py").path

    private static func validate(_ files: [String]) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", script] + files
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }

    private static var isInstalled: Bool {
        if ProcessInfo.processInfo.environment["AEGIX_MUST_WORK"] == "1" { return true }
        // An empty file isn't a record: 1, and 77 or 127 where there is no validator.
        do { return try validate(["/dev/null"]) == 1 } catch { return false }
    }

    @Test(.enabled(if: isInstalled, "needs python3-jsonschema"))
    func everyKindOfRecordIsValid() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        var files: [String] = []
        func record(_ start: RunStart, _ end: RunEnd?) throws {
            let run = try RunDirectory.begin(start, in: state)
            files.append(fixture.path + "/runs/\(start.id)/audit.json")
            run.events.exec(Sample.exec([[0xFF]], program: [0x2F, 0x80]))
            if let violation = end?.violations.first { run.events.violation(violation) }
            if let end { _ = try run.finish(end) }
        }
        try record(Sample.start(try Sample.id()), Sample.end())
        try record(Sample.start(try Sample.id()), nil)
        var end = RunEnd(
            Outcome(.timedOut, exitCode: 124, signal: 9, limit: .wall, rule: "limits.wall", message: "over"),
            finishedAt: Sample.time, durationNanoseconds: 5)
        end.includeText = true
        var stream = StreamSummary()
        stream.digest = SHA256.hex([0xFF])
        stream.head = [0xFF]
        stream.captured = 1
        stream.bytes = 1
        end.stdout = stream
        end.execs = Array(repeating: Sample.exec([Bytes("x")]), count: RecordBounds.execs + 1)
        try record(Sample.start(try Sample.id()), end)
        var bare = RunStart(
            id: try Sample.id(), startedAt: Sample.time, aegix: .init(version: "0", build: "0"),
            invocation: .init(argv: [], cwd: nil, how: nil), command: .init(argv: []))
        bare.labels = ["a": "\u{10FFFF}"]
        try record(bare, RunEnd(Outcome(.failed, exitCode: 125), finishedAt: Sample.time, durationNanoseconds: 0))
        // One of which nothing is left but its directory.
        let gone = try Sample.id()
        do { _ = try RunDirectory.begin(Sample.start(gone), in: state) }
        try fixture.write([], to: "runs/\(gone)/events.jsonl")
        files.append(fixture.path + "/runs/\(gone)/audit.json")
        #expect(try state.closeInterrupted().closed.count == 2)
        #expect(try Self.validate(files) == 0)
        // The control: a record with one more member isn't valid.
        let text = String(decoding: try fixture.file("runs/\(bare.id)/audit.json"), as: UTF8.self)
        try fixture.write(Bytes(text.dropLast() + ",\"zzz\":1}"), to: "bad.json")
        #expect(try Self.validate([fixture.path + "/bad.json"]) == 1)
    }
}
