import AegixSandbox
import AegixSystem
import Foundation
import Testing

@testable import AegixAudit

@Suite struct RunDirectoryTests {
    @Test func leavesAWholeRun() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        let id = try Sample.id()
        var start = Sample.start(id)
        start.durable = true
        var run = try RunDirectory.begin(start, in: state)
        #expect(try fixture.names("live") == [id.description])
        let log = try run.openLog(.stdout)
        try log.writeAll(Bytes("hello\n"))
        _ = try run.openLog(.stderr)
        var end = Sample.end()
        var stream = StreamSummary()
        stream.bytes = 6
        stream.captured = 6
        stream.digest = SHA256.hex(Bytes("hello\n"))
        end.stdout = stream
        end.stderr = nil
        run.events.exec(end.execs[0])
        let record = try run.finish(end)

        #expect(try fixture.file("runs/\(id)/audit.json") == record)
        #expect(try fixture.names("live").isEmpty)
        #expect(
            try fixture.names("runs/\(id)")
                == ["audit.json", "events.jsonl", "manifest.json", "policy.toml", "stderr.log", "stdout.log"])
        let files = try #require(try fixture.json(run: id, "manifest.json")["files"]?.object)
        #expect(files.count == 5)
        for (name, entry) in files {
            let content = try fixture.file("runs/\(id)/\(name)")
            #expect(entry["sha256"]?.string == SHA256.hex(content), "\(name)")
            #expect(entry["bytes"]?.int == content.count)
            #expect(try fixture.mode("runs/\(id)/\(name)") == 0o600)
        }
        #expect(try fixture.mode("runs/\(id)") == 0o700)
        let ledger = try fixture.file("ledger.jsonl")
        #expect(Ledger.verify(ledger).entries == 2)
        let last = try JSON.parse(Bytes(try #require(ledger.split(separator: 0x0A).last)))
        #expect(last["audit"]?.string == SHA256.hex(record))
        #expect(last["manifest"]?.string == SHA256.hex(try fixture.file("runs/\(id)/manifest.json")))
        let events = try fixture.file("runs/\(id)/events.jsonl").split(separator: 0x0A).map {
            try JSON.parse(Bytes($0))
        }
        #expect(events.map { $0["event"]?.string } == ["start", "exec", "outcome"])
        #expect(try state.find("last", from: Bytes("/w/deep/er")) == id)
        #expect(try state.record(of: id) == record)
    }

    @Test func keepsALayerOnlyIfItHoldsSomething() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        for changed in [false, true] {
            let id = try Sample.id()
            var reserved = try ReservedRun(id, in: state)
            let paths = try reserved.makeLayer(mode: 0o755)
            var run = try RunDirectory.begin(Sample.start(id), in: state, reserved: reserved)
            #expect(try fixture.mode("runs/\(id)/layer/upper") == 0o755)
            // As overlay leaves it, and as a crash of the kernel might.
            let work = try #require(paths.work.text)
            try FileManager.default.createDirectory(atPath: work + "/work/#1/x", withIntermediateDirectories: true)
            #expect(chmod(work + "/work", 0) == 0)
            if changed { try Data().write(to: URL(fileURLWithPath: try #require(paths.upper.text) + "/new")) }
            let layer = try run.finishLayer()
            #expect(layer == (changed ? .kept : .none))
            if changed { try run.dropWork() }
            let json = try JSON.parse(try run.finish(Sample.end()))
            #expect(json["layer"]?["path"]?.bytesValue == (changed ? paths.upper : nil))
            // An empty layer is left as it is: removing directories is what costs.
            #expect(FileManager.default.fileExists(atPath: fixture.path + "/runs/\(id)/layer"))
            #expect(FileManager.default.fileExists(atPath: work) == !changed)
        }
    }

    @Test func keepsALayerWhoseTopChangedItsMode() throws {
        let fixture = try Fixture()
        let (id, open) = (try Sample.id(), try fixture.open())
        var reserved = try ReservedRun(id, in: open)
        let upper = try #require(try reserved.makeLayer(mode: 0o755).upper.text)
        var run = try RunDirectory.begin(Sample.start(id), in: open, reserved: reserved)
        #expect(chmod(upper, 0o700) == 0)
        let state = try run.finishLayer()
        #expect(state == .kept)
    }

    @Test func refusesAnUnsafeStateDirectory() throws {
        let fixture = try Fixture()
        _ = try fixture.open()
        #expect(chmod(fixture.path, 0o750) == 0)
        #expect(try #require(throws: Failure.self) { _ = try fixture.open() }.code == "state.unsafe")
        #expect(chmod(fixture.path, 0o700) == 0)
        _ = try fixture.open()
        #expect(symlink(fixture.path, fixture.path + ".link") == 0)
        let link = Bytes(fixture.path + ".link")
        let failure = try #require(throws: Failure.self) { _ = try StateDirectory.open(at: link) }
        #expect(failure.code == "state.unsafe" && failure.message.contains("--state-dir"))
        let below = Bytes("/dev/null/state")
        #expect(throws: Failure.self) { _ = try StateDirectory.open(at: below) }
        let kernel = try #require(throws: Failure.self) { _ = try StateDirectory.open(at: Bytes("/proc/aegix/state")) }
        #expect(kernel.code == "state.unwritable")
    }

    @Test func refusesAnothersStateDirectory() throws {
        guard geteuid() == 0 else { return }
        let fixture = try Fixture()
        _ = try fixture.open()
        #expect(chown(fixture.path, 12345, 12345) == 0)
        #expect(try #require(throws: Failure.self) { _ = try fixture.open() }.code == "state.unsafe")
    }

    @Test func boundsItsEvents() throws {
        let fixture = try Fixture()
        let id = try Sample.id()
        let run = try RunDirectory.begin(Sample.start(id), in: try fixture.open())
        let exec = Sample.exec([Bytes(repeating: 0x61, count: 3000)])
        for _ in 0..<4000 { run.events.exec(exec) }
        let violation = Sample.end().violations[0]
        run.events.violation(violation)
        _ = try run.finish(Sample.end())
        let events = try fixture.file("runs/\(id)/events.jsonl")
        #expect(events.count < RecordBounds.eventBytes + 10_000)
        let last = try events.split(separator: 0x0A).suffix(2).map { try JSON.parse(Bytes($0))["event"]?.string }
        #expect(last == ["cut", "outcome"])
    }

    @Test func tellsTheFirstViolationOfEachRule() throws {
        let fixture = try Fixture()
        let id = try Sample.id()
        let run = try RunDirectory.begin(Sample.start(id), in: try fixture.open())
        var violation = Sample.end().violations[0]
        for _ in 0..<5 { run.events.violation(violation) }
        violation.rule = "mount"
        run.events.violation(violation)
        run.events.limit(.wall)
        _ = try run.finish(Sample.end())
        let events = try fixture.file("runs/\(id)/events.jsonl").split(separator: 0x0A)
            .map { try JSON.parse(Bytes($0))["event"]?.string }
        #expect(events == ["start", "violation", "violation", "limit", "outcome"])
    }

    /// Refused before a policy, a workspace or a program was found.
    @Test func recordsARunThatNeverRan() throws {
        let fixture = try Fixture()
        let id = try Sample.id()
        let start = RunStart(
            id: id, startedAt: Sample.time, aegix: .init(version: "0", build: "0"),
            invocation: .init(argv: [Bytes("aegix")], cwd: nil, how: nil), command: .init(argv: []))
        let run = try RunDirectory.begin(start, in: try fixture.open())
        var end = RunEnd(
            Outcome(.failed, exitCode: 125, message: "no such policy"), finishedAt: Sample.time, durationNanoseconds: 1)
        end.changes = .none
        let json = try JSON.parse(try run.finish(end))
        for name in ["policy", "host", "identity", "workspace", "usage", "enforcement", "layer"] {
            #expect(json[name] == .null, "\(name)")
        }
        #expect(try fixture.names("runs/\(id)") == ["audit.json", "events.jsonl", "manifest.json"])
    }
}
