import AegixSandbox
import AegixSystem
import Foundation
import Testing

@testable import AegixAudit

@Suite struct RecoveryTests {
    /// A run that is dropped is what SIGKILL leaves: no lock, no end.
    private func leaveDead(_ state: StateDirectory, logs: Bool = false) throws -> RunID {
        let id = try Sample.id()
        var run = try RunDirectory.begin(Sample.start(id), in: state)
        if logs { try run.openLog(.stdout).writeAll(Bytes("half a li")) }
        run.events.enforced(try #require(Sample.end().enforcement))
        run.events.exec(Sample.exec([Bytes("sh"), Bytes("-c")]))
        _ = consume run
        return id
    }

    @Test func closesADeadRun() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        let id = try leaveDead(state, logs: true)
        #expect(try fixture.open().closeInterrupted().closed == [id])
        let json = try fixture.json(run: id, "audit.json")
        #expect(json["outcome"]?["status"] == "interrupted")
        #expect(json["command"]?["argv"] == ["true"])
        #expect(json["processes"]?.array?.first?["argv"] == ["sh", "-c"])
        #expect(json["enforcement"]?["tier"] == "isolated")
        #expect(json["streams"]?["stdout"]?["captured"] == 9)
        #expect(json["streams"]?["stdout"]?["bytes"] == .null)
        #expect(json["streams"]?["stderr"] == .null)
        #expect(try fixture.names("live").isEmpty)
        let history = try state.history(HistoryQuery())
        #expect(history.entries.map(\.closing?.status) == ["interrupted"])
        #expect(Ledger.verify(try fixture.file("ledger.jsonl")).entries == 2)
        #expect(try fixture.open().closeInterrupted().closed.isEmpty)
        #expect(try state.find("last", from: Bytes("/w")) == id)
    }

    @Test func leavesALivingRunAlone() throws {
        let fixture = try Fixture()
        let id = try Sample.id()
        let run = try RunDirectory.begin(Sample.start(id), in: try fixture.open())
        #expect(try fixture.open().closeInterrupted().closed.isEmpty)
        #expect(try fixture.open().history(HistoryQuery()).entries.map(\.closing) == [nil])
        let unfinished = try #require(throws: Failure.self) { _ = try fixture.open().record(of: id) }
        #expect(unfinished.code == "run.unfinished")
        _ = try run.finish(Sample.end())
        #expect(try fixture.json(run: id, "audit.json")["outcome"]?["status"] == "exited")
    }

    /// Every prefix of the steps of a run's end.
    @Test(arguments: ["no audit", "half audit", "no manifest", "no ledger", "only live", "no events", "nothing"])
    func closesAKillAtAnyStep(_ stage: String) throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        let id = try Sample.id()
        let run = try RunDirectory.begin(Sample.start(id), in: state)
        let afterStart = try fixture.file("ledger.jsonl")
        _ = try run.finish(Sample.end())
        let directory = "runs/\(id)"
        func drop(_ name: String) throws { try FileManager.default.removeItem(atPath: fixture.path + "/" + name) }
        try fixture.write([], to: "live/\(id)")
        if stage != "only live" { try fixture.write(afterStart, to: "ledger.jsonl") }
        switch stage {
        case "no manifest": try drop(directory + "/manifest.json")
        case "no audit", "no events": for name in ["audit.json", "manifest.json"] { try drop(directory + "/" + name) }
        case "half audit":
            try fixture.write(
                Bytes(try fixture.file(directory + "/audit.json").prefix(100)), to: directory + "/audit.json")
        case "nothing": try drop(directory)
        default: break
        }
        if stage == "no events" { try fixture.write(Bytes("{\"event\":\"sta"), to: directory + "/events.jsonl") }
        #expect(try fixture.open().closeInterrupted().closed == [id])
        #expect(try fixture.names("live").isEmpty)
        let verdict = Ledger.verify(try fixture.file("ledger.jsonl"))
        #expect(verdict.fault == nil && verdict.entries == (stage == "nothing" ? 1 : 2))
        if stage == "nothing" { return }
        let record = try fixture.file(directory + "/audit.json")
        let json = try JSON.parse(record)
        #expect(json.canonical == record)
        // The outcome event was written before audit.json was.
        #expect(json["outcome"]?["status"]?.string == (stage == "no events" ? "interrupted" : "exited"))
        #expect(
            try fixture.json(directory + "/manifest.json")["files"]?["audit.json"]?["sha256"]?.string
                == SHA256.hex(record))
    }

    @Test func closesOnceHoweverManyTry() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        for _ in 0..<20 { _ = try leaveDead(state) }
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            do {
                let mine = try fixture.open()
                #expect(try mine.closeInterrupted().failed.isEmpty)
                _ = try RunDirectory.begin(Sample.start(try Sample.id()), in: mine).finish(Sample.end())
            } catch {
                Issue.record(error)
            }
        }
        let verdict = Ledger.verify(try fixture.file("ledger.jsonl"))
        #expect(verdict.fault == nil && verdict.entries == 56)
        #expect(try fixture.names("live").isEmpty)
    }
}
