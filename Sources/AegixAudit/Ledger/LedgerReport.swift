// Side effects: reads the ledger, its signed head and the names of the runs.

import AegixSystem
import Glibc

/// What `verify --ledger` found.
public struct LedgerReport: Sendable {
    public var head = LedgerHead(seq: 0, hash: Ledger.origin)
    /// Lines on which something torn begins that a later entry vouches for.
    public var torn: [Int] = []
    public var tornTail = 0
    /// In the order in which they are found; the first names the first line that doesn't hold. Empty: intact.
    public var faults: [Fault] = []
    /// Of the signed head, where there is one whose signature holds.
    public var signed: (head: LedgerHead, keyID: String, time: String)?

    public struct Fault: Equatable, Sendable {
        /// From 1; nil: what is wrong isn't in a line.
        public var line: Int?
        public var reason: String
    }
}

extension StateDirectory {
    static let headName = "ledger.head.dsse.json"

    /// Stages: what is in `runs/` and `live/`, first, so that a run that ends meanwhile is no fault; the chain; the heads, the
    /// signed one and those that were kept elsewhere; the runs that the chain doesn't tell of.
    ///
    /// Not done here: whether the records are those that the entries name; that is `verify RUN`.
    public func verifyLedger(heads: [LedgerHead], keys: [VerifyingKey]) throws(Failure) -> LedgerReport {
        do throws(SystemError) {
            let found = try finishedRuns()
            // Read before the chain, which only grows.
            let envelope = try headEnvelope()
            var report = LedgerReport()
            var wanted = heads
            if let envelope { take(envelope, keys, &report, &wanted) }
            let check = try checked(Set(wanted.map(\.seq)))
            let verdict = check.verdict
            report.head = LedgerHead(seq: verdict.entries, hash: verdict.head)
            (report.torn, report.tornTail) = (verdict.torn, verdict.tornTail)
            if let fault = verdict.fault {
                report.faults.insert(.init(line: fault.line, reason: fault.reason), at: 0)
                return report
            }
            for head in wanted {
                if let reason = StateDirectory.mismatch(head, check) {
                    report.faults.append(.init(line: Int(clamping: verdict.entries) + 1, reason: reason))
                }
            }
            for run in found where check.runs[run] == nil || check.runs[run] == .begun {
                // One that couldn't be begun has a directory and no record.
                if try StateFile.facts(of: "runs/\(run)/audit.json", in: root) == nil { continue }
                let part = check.runs[run] == nil ? "doesn't tell of run \(run)" : "has no end of run \(run)"
                report.faults.append(
                    .init(
                        line: Int(clamping: verdict.entries) + 1,
                        reason: "the ledger \(part), whose record is there: its tail was cut"))
                if report.faults.count >= 20 { break }
            }
            return report
        } catch {
            throw failure(error)
        }
    }

    private static func mismatch(_ head: LedgerHead, _ check: LedgerCheck) -> String? {
        if head.seq > check.verdict.entries {
            return
                "the tail was cut: the ledger ends with entry \(check.verdict.entries), and there was entry \(head.seq)"
        }
        if head.seq == 0 || check.hashes[head.seq] == head.hash { return nil }
        return "entry \(head.seq) isn't the one that was the newest once: the ledger was written anew"
    }

    private func take(
        _ bytes: Bytes, _ keys: [VerifyingKey], _ report: inout LedgerReport, _ wanted: inout [LedgerHead]
    ) {
        func fault(_ reason: String) {
            report.faults.append(.init(line: nil, reason: "\(StateDirectory.headName): \(reason)"))
        }
        do throws(Envelope.Flaw) {
            let envelope = try Envelope.parse(bytes)
            let key = try envelope.verify(keys)
            guard let statement = Statement(envelope.payload), statement.predicateType == HeadPredicate.uri,
                let head = statement.predicate["head"].flatMap({ LedgerHead($0) })
            else { return fault("it doesn't tell of a ledger") }
            report.signed = (head, key.id, statement.predicate["time"]?.string ?? "")
            wanted.append(head)
        } catch {
            fault(error.words)
        }
    }

    private func headEnvelope() throws(SystemError) -> Bytes? {
        guard try StateFile.facts(of: StateDirectory.headName, in: root) != nil else { return nil }
        return try StateFile.read(StateDirectory.headName, in: root, limit: Envelope.longest)
    }

    private func checked(_ seqs: Set<UInt64>) throws(SystemError) -> LedgerCheck {
        var check = LedgerCheck(hashesOf: seqs)
        let file: Descriptor
        do throws(SystemError) {
            file = try Ledger.openToRead(in: self)
        } catch {
            if error.errno == ENOENT { return check }
            throw error
        }
        var at: UInt64 = 0
        while check.verdict.fault == nil {
            let piece = try Ledger.read(file, from: at, count: 1 << 20)
            if piece.isEmpty { break }
            piece.withUnsafeBytes { check.feed($0) }
            at += UInt64(piece.count)
        }
        check.finish()
        return check
    }

    /// Those with a place in `runs/` and none in `live/`: what they came to is in the ledger by then.
    private func finishedRuns() throws(SystemError) -> [RunID] {
        let directory: Descriptor
        do throws(SystemError) {
            directory = try StateFile.openDirectory("runs", in: root)
        } catch {
            if error.errno == ENOENT { return [] }
            throw error
        }
        let names = try StateFile.names(in: directory, room: 64 << 20)
        let alive = Set(try StateFile.names(in: live, room: 4 << 20))
        return names.filter { !alive.contains($0) }.compactMap { $0.text.flatMap { RunID($0) } }
    }
}
