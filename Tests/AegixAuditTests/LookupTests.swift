import AegixSandbox
import AegixSystem
import Testing

@testable import AegixAudit

@Suite struct LookupTests {
    private func run(_ state: StateDirectory, workspace: String, label: String, code: Int32) throws -> RunID {
        var start = Sample.start(try Sample.id())
        start.workspace = .init(path: Bytes(workspace), mode: "layer")
        start.labels = ["k": label]
        var end = Sample.end()
        end.outcome = Outcome(code == 124 ? .timedOut : .exited, exitCode: code)
        _ = try RunDirectory.begin(start, in: state).finish(end)
        return start.id
    }

    @Test func findsByIdPrefixAndLast() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        let first = try run(state, workspace: "/a", label: "1", code: 0)
        let second = try run(state, workspace: "/ab", label: "2", code: 0)
        #expect(try state.find("last", from: Bytes("/a/x")) == first)
        #expect(try state.find("last", from: Bytes("/ab")) == second)
        #expect(try state.find(first.description, from: []) == first)
        #expect(try state.find(String(second.description.prefix(20)), from: []) == second)
        func code(_ text: String) throws -> String {
            try #require(throws: Failure.self) { _ = try state.find(text, from: Bytes("/nowhere")) }.code
        }
        #expect(try code("0") == "run.ambiguous")
        #expect(try code("last") == "run.unknown")
        #expect(try code("zz") == "run.unknown")
        #expect(try code("") == "run.unknown")
        #expect(try code("../..") == "run.unknown")
    }

    @Test func listsNewestFirst() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        var ids: [RunID] = []
        for index in 0..<30 {
            ids.append(try run(state, workspace: "/a", label: "\(index % 3)", code: index % 10 == 0 ? 124 : 0))
        }
        let all = try state.history(HistoryQuery())
        #expect(all.entries.map(\.run) == ids.reversed().prefix(20).map { $0 } && all.hasMore)
        var query = HistoryQuery()
        query.limit = 100
        #expect(try !state.history(query).hasMore)
        query.status = "timed_out"
        #expect(try state.history(query).entries.count == 3)
        query.status = nil
        query.labels = ["k": "1"]
        #expect(try state.history(query).entries.count == 10)
        query.labels = [:]
        query.since = Sample.time + 2_000_000
        #expect(try state.history(query).entries.isEmpty)
    }

    /// Of the same label: one that goes on, one that ended, one that was closed without its labels, since its record was lost.
    @Test func tellsRunningFromEnded() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        let ended = try run(state, workspace: "/a", label: "x", code: 0)
        var start = Sample.start(try Sample.id())
        start.labels = ["k": "x"]
        let goesOn = start.id
        let begun = try RunDirectory.begin(start, in: state)
        var lost = LedgerEntry(.start, try RunID.make(), time: Sample.time, workspace: nil, command: Bytes("true"))
        lost.labels = ["k": "x"]
        var ledger = try Ledger.open(in: state)
        try ledger.append(lost)
        (lost.labels, lost.kind) = ([:], .interrupted)
        lost.closing = .init(status: "interrupted", exitCode: nil, durationNanoseconds: nil, audit: "", manifest: "")
        try ledger.append(lost)
        var query = HistoryQuery()
        query.labels = ["k": "x"]
        #expect(try state.history(query).entries.map(\.run) == [goesOn, ended])
        query.status = "running"
        #expect(try state.history(query).entries.map(\.run) == [goesOn])
        query.status = "interrupted"
        #expect(try state.history(query).entries.isEmpty)
        query.labels = [:]
        #expect(try state.history(query).entries.map(\.run) == [lost.run])
        _ = consume begun
    }
}
