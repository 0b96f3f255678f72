import AegixSystem
import Foundation
import Testing

@testable import AegixAudit

@Suite struct LedgerTests {
    private func entry(_ kind: LedgerEntry.Kind = .start, workspace: Bytes = Bytes("/w")) throws -> LedgerEntry {
        LedgerEntry(kind, try RunID.make(), time: Sample.time, workspace: workspace, command: Bytes("true"))
    }

    private func append(_ count: Int, _ state: StateDirectory, _ workspace: Bytes = Bytes("/w")) throws {
        var ledger = try Ledger.open(in: state)
        for _ in 0..<count { try ledger.append(entry(workspace: workspace)) }
    }

    @Test func chainsItsEntries() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        try append(3, state)
        try append(2, state)
        let verdict = Ledger.verify(try fixture.file("ledger.jsonl"))
        #expect(verdict.entries == 5)
        #expect(verdict.fault == nil && verdict.torn.isEmpty && verdict.tornTail == 0)
        #expect(try fixture.mode("ledger.jsonl") == 0o600)
    }

    /// Names that a bounded read of the tail has to get past.
    @Test func findsTheLastLongLine() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        for byte in [1, 0xFF, 0x22] as [UInt8] {
            try append(1, state, Bytes("/") + Bytes(repeating: byte, count: 4000))
        }
        try append(1, state)
        let verdict = Ledger.verify(try fixture.file("ledger.jsonl"))
        #expect(verdict.entries == 4 && verdict.fault == nil)
    }

    @Test(arguments: [1, 40, 200]) func goesOnAfterATornWrite(_ kept: Int) throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        try append(2, state)
        let whole = try fixture.file("ledger.jsonl")
        let second = try #require(whole.firstIndex(of: 0x0A)) + 1
        try fixture.write(Bytes(whole[..<(second + kept)]), to: "ledger.jsonl")
        #expect(Ledger.verify(try fixture.file("ledger.jsonl")).tornTail == kept)
        try append(2, state)
        let repaired = try fixture.file("ledger.jsonl")
        let verdict = Ledger.verify(repaired)
        #expect(verdict.entries == 3 && verdict.fault == nil && verdict.torn == [2])
        // What is called torn is vouched for as well.
        var changed = repaired
        changed[second] ^= 1
        #expect(Ledger.verify(changed).fault?.line == 2)
    }

    @Test func goesOnAfterATornFirstWrite() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        try fixture.write(Bytes("{\"comm"), to: "ledger.jsonl")
        try append(2, state)
        let verdict = Ledger.verify(try fixture.file("ledger.jsonl"))
        #expect(verdict.entries == 2 && verdict.fault == nil && verdict.torn == [1])
    }

    @Test func findsEveryChangedByteButTheLastLines() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        try append(4, state)
        let whole = try fixture.file("ledger.jsonl")
        let lastLine = try #require(whole.dropLast().lastIndex(of: 0x0A))
        for index in 0..<lastLine {
            var changed = whole
            changed[index] ^= 1
            #expect(Ledger.verify(changed).fault != nil, "byte \(index)")
        }
    }

    @Test func findsADroppedLine() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        try append(4, state)
        let lines = try fixture.file("ledger.jsonl").split(separator: 0x0A).map(Bytes.init)
        for dropped in 0..<3 {
            var rest = lines
            rest.remove(at: dropped)
            #expect(Ledger.verify(Bytes(rest.joined(separator: [0x0A])) + [0x0A]).fault?.line == dropped + 1)
        }
        // A tail that was cut shows by its head.
        let cut = Ledger.verify(Bytes(lines.dropLast().joined(separator: [0x0A])) + [0x0A])
        let head = SHA256.hex(try #require(lines.last))
        #expect(cut.fault == nil && cut.head != head)
    }

    @Test func refusesAnEndThatIsNoLedger() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        try fixture.write(Bytes(repeating: 0, count: 5 << 20), to: "ledger.jsonl")
        #expect(throws: SystemError.self) { try append(1, state) }
        let failure = try #require(throws: Failure.self) {
            _ = try RunDirectory.begin(Sample.start(try Sample.id()), in: state)
        }
        #expect(failure.code == "ledger.damaged")
        #expect(try fixture.names("live").isEmpty && fixture.names("runs").isEmpty)
    }

    @Test func staysWholeUnderManyWriters() throws {
        let fixture = try Fixture()
        _ = try fixture.open()
        DispatchQueue.concurrentPerform(iterations: 200) { _ in
            do {
                // Its own opening, as another process has: locks belong to the opening.
                try append(2, try fixture.open())
            } catch {
                Issue.record(error)
            }
        }
        let verdict = Ledger.verify(try fixture.file("ledger.jsonl"))
        #expect(verdict.entries == 400 && verdict.fault == nil && verdict.torn.isEmpty)
    }

    @Test func readsBackwards() throws {
        let fixture = try Fixture()
        let state = try fixture.open()
        try append(600, state)
        var seen: [RunID] = []
        if let reader = try LedgerReader.open(in: state) {
            let isWhole = try reader.newestFirst {
                seen.append($0.run)
                return true
            }
            #expect(isWhole)
        }
        #expect(seen.count == 600)
        let inFile = try fixture.file("ledger.jsonl").split(separator: 0x0A)
            .compactMap { Bytes($0).withUnsafeBytes { LedgerLine($0)?.entry.run } }
        #expect(seen.reversed() == inFile)
    }

    /// Lines of every length against pieces that begin and end anywhere in them.
    @Test(arguments: [1, 65_535, 65_536, 200_000, 300_001, 1_000_000]) func readsLongLinesBackwards(_ long: Int) throws
    {
        let fixture = try Fixture()
        let state = try fixture.open()
        let lengths = [3, long, 1, 70_000, 0, long, 65_536, 1, 2, long]
        let lines = lengths.enumerated().map {
            Bytes(repeating: UInt8(ascii: "a") + UInt8($0.offset), count: $0.element)
        }
        for end in [Bytes(), [0x0A]] {
            try fixture.write(Bytes(lines.joined(separator: [0x0A])) + end, to: "ledger.jsonl")
            var seen: [Bytes] = []
            let isWhole = try LedgerReader.open(in: state)?.newestLines { line in
                seen.append(Bytes(line.bytes))
                return true
            }
            #expect(isWhole == true && seen == lines.reversed().filter { !$0.isEmpty })
        }
    }

    @Test func shortensCommands() {
        #expect(
            LedgerEntry.summary([Bytes("sh"), Bytes("-c"), Bytes("echo 'a b'")]) == Bytes("sh -c 'echo '\\''a b'\\'''"))
        #expect(LedgerEntry.summary([Bytes("")]) == Bytes("''"))
        let long = LedgerEntry.summary(Array(repeating: Bytes("€€€€"), count: 1000))
        #expect(long.count < 220 && long.text != nil)
    }
}
