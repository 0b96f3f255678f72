import AegixSandbox
import AegixSystem
import Foundation
import Testing

@testable import AegixAudit

@Suite struct RecordTests {
    let directory = Bytes("/state/runs/x")

    private func encode(_ start: RunStart, _ end: RunEnd) throws -> (bytes: Bytes, json: JSON) {
        let bytes = AuditRecord.encode(start, end, directory: directory, layer: .none)
        return (bytes, try JSON.parse(bytes))
    }

    @Test func isAsTheGoldenFileHasIt() throws {
        let id = try #require(RunID("01m7ywdyfe74n21w6y26sv6"))
        let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Golden/record.json")
        let made = try encode(Sample.start(id), Sample.end()).json.pretty
        if ProcessInfo.processInfo.environment["AEGIX_GOLDEN"] == "write" { try Data(made).write(to: golden) }
        #expect(made == Bytes(try Data(contentsOf: golden)))
    }

    @Test func isCanonicalAndAlwaysTheSame() throws {
        let start = Sample.start(try Sample.id())
        var end = Sample.end()
        end.execs.append(
            Sample.exec([Bytes("sh"), [0xFF, 0xFE], Bytes("a\"b\\c\n\u{1}\u{7f}é")], program: [0x2F, 0xC3]))
        end.outcome.message = "quoted \"\u{2}\""
        let first = try encode(start, end)
        #expect(first.json.canonical == first.bytes)
        #expect(try encode(start, end).bytes == first.bytes)
    }

    @Test func keepsBytesThatAreNotUTF8() throws {
        var start = Sample.start(try Sample.id())
        start.workspace = .init(path: [0x2F, 0xFF], mode: "direct")
        var end = Sample.end()
        end.execs = [Sample.exec([[0xC3, 0x28], Bytes("é")])]
        let json = try encode(start, end).json
        #expect(json["workspace"]?["path"]?.bytesValue == [0x2F, 0xFF])
        #expect(json["workspace"]?["path"]?["base64"] != nil)
        let argv = json["processes"]?.array?.first?["argv"]?.array
        #expect(argv?.map(\.bytesValue) == [[0xC3, 0x28], Bytes("é")])
        #expect(argv?.last == "é")
    }

    @Test func holdsNoValueThatTheCallerPassedOn() throws {
        let bytes = try encode(Sample.start(try Sample.id()), Sample.end()).bytes
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(!text.contains("hunter"))
        #expect(text.contains("PIP_TOKEN") && text.contains("xterm") && text.contains("/usr/bin"))
    }

    @Test func saysWhatWasCut() throws {
        var end = Sample.end()
        end.execs = Array(repeating: Sample.exec([Bytes("true")]), count: RecordBounds.execs + 5)
        end.execsLeftOut = 2
        end.violations = (0..<1001).map {
            Violation(control: "seccomp", rule: "r\($0)", errno: 1, count: 1, firstTime: Sample.time, firstPid: 2)
        }
        let json = try encode(Sample.start(try Sample.id()), end).json
        #expect(json["processes"]?.array?.count == RecordBounds.execs)
        #expect(json["cut"]?["processes"] == ["kept": 10000, "of": 10007])
        #expect(json["cut"]?["violations"] == ["kept": 1000, "of": 1001])
        end.violations.removeLast()
        end.hasAllViolations = false
        let uncounted = try encode(Sample.start(try Sample.id()), end).json
        #expect(uncounted["cut"]?["violations"] == ["kept": 1000, "of": .null])
        #expect(try encode(Sample.start(try Sample.id()), Sample.end()).json["cut"] == [:])
    }

    @Test func staysSmallWhateverAnExecCarries() throws {
        var end = Sample.end()
        end.execs = Array(repeating: Sample.exec([Bytes(repeating: 1, count: 100_000), Bytes("x")]), count: 3000)
        let (bytes, json) = try encode(Sample.start(try Sample.id()), end)
        #expect(bytes.count < RecordBounds.execBytes + 100_000)
        #expect(json["cut"]?["processes"]?["of"] == 3000)
        let first = try #require(json["processes"]?.array?.first)
        #expect(first["argv_cut"] == true)
        #expect(first["argv"]?.array?.count == 1)
    }

    @Test func carriesTextOnlyWhenAsked() throws {
        var end = Sample.end()
        end.stdout?.head = Bytes("héllo").dropLast(0)
        end.stdout?.bytes = 100
        end.stdout?.captured = 6
        #expect(try encode(Sample.start(try Sample.id()), end).json["streams"]?["stdout"]?["text"] == .null)
        end.includeText = true
        let stream = try encode(Sample.start(try Sample.id()), end).json["streams"]?["stdout"]
        #expect(stream?["text"] == "héllo")
        #expect(stream?["truncated"] == true)
        #expect(stream?["text_cut"] == false)
        #expect(stream?["path"] == "/state/runs/x/stdout.log")
    }

    /// Half a character at the end of the head is the reader's doing, not the command's.
    @Test func cutsTextBetweenCharacters() throws {
        var end = Sample.end()
        end.includeText = true
        end.stdout?.head = Bytes(Bytes("ab€").dropLast())
        end.stdout?.captured = 50
        end.stdout?.bytes = 50
        #expect(try encode(Sample.start(try Sample.id()), end).json["streams"]?["stdout"]?["text"] == "ab")
        end.stdout?.captured = 4
        end.stdout?.bytes = 4
        let whole = try encode(Sample.start(try Sample.id()), end).json["streams"]?["stdout"]?["text"]
        #expect(whole?["base64"] != nil)
    }

    @Test func writesTimesAsTheClockDoes() throws {
        for time in (0..<2000).map({ $0 * 4_000_037_000_000_999 as UInt64 }) + [0, 999, Sample.time] {
            var json = JSONWriter()
            json.time(time)
            #expect(json.bytes == Bytes("\"" + Clock.rfc3339(time) + "\""))
            #expect(Timestamp.parse(Clock.rfc3339(time)) == time)
        }
        #expect(Timestamp.parse("2026-11-21") == Timestamp.parse("2026-11-21T00:00:00Z"))
        #expect(Timestamp.parse("2026-11-21 10:22") == Timestamp.parse("2026-11-21T10:22:00.0Z"))
        for wrong in ["", "yesterday", "2026-13-01", "2026-11-21T", "2026-11-21T10:22:4"] {
            #expect(Timestamp.parse(wrong) == nil)
        }
    }
}
