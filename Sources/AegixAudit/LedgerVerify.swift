// Pure but for `verifyLedger`, which reads the state directory. Whether the ledger's chain is whole.

import AegixSystem
import CAegix
import Glibc

/// Goes over a ledger in pieces, from its start, and stops at the first fault.
struct LedgerCheck {
    private(set) var verdict = Verdict()
    /// What the runs in it came to.
    private(set) var runs: [RunID: Standing] = [:]
    /// The hashes of these entries, by `seq`.
    private(set) var hashes: [UInt64: String] = [:]
    private let asked: Set<UInt64>
    /// The line that isn't whole yet.
    private var rest = Bytes()
    /// Lines that are no entries, until one vouches for them.
    private var gap: (line: Int, bytes: Bytes)?
    private var line = 0

    struct Verdict: Equatable, Sendable {
        var entries: UInt64 = 0
        /// SHA-256 of the last entry: what a cut tail is compared with.
        var head = Ledger.origin
        /// Lines on which something torn begins and is vouched for by the entry after it.
        var torn: [Int] = []
        /// Bytes after the last newline, which the next append will vouch for.
        var tornTail = 0
        var fault: Fault?

        struct Fault: Equatable, Sendable {
            /// From 1.
            var line: Int
            var reason: String
        }
    }

    /// How far the ledger has told of a run.
    enum Standing: Sendable { case begun, ended, pruned }

    /// - hashesOf: entries whose hash is asked for.
    init(hashesOf asked: Set<UInt64> = []) { self.asked = asked }

    /// An append gets past no more than that, so no ledger of ours has a longer stretch without an entry.
    private static let longest = 4 << 20

    mutating func feed(_ piece: UnsafeRawBufferPointer) {
        var start = 0
        while verdict.fault == nil, let base = piece.baseAddress, start < piece.count,
            let newline = memchr(base + start, 0x0A, piece.count - start)
        {
            let stop = newline - UnsafeMutableRawPointer(mutating: base)
            let whole = UnsafeRawBufferPointer(rebasing: piece[start..<stop])
            if rest.isEmpty {
                take(whole)
            } else {
                rest.append(contentsOf: whole)
                let line = rest
                rest = []
                line.withUnsafeBytes { take($0) }
            }
            start = stop + 1
        }
        guard verdict.fault == nil else { return }
        rest.append(contentsOf: piece[start...])
        if rest.count > LedgerCheck.longest { fail(line + 1, "the line isn't an entry") }
    }

    mutating func finish() {
        if verdict.fault != nil { return }
        verdict.tornTail = rest.count
        if let gap { fail(gap.line, "the line isn't an entry") }
    }

    private mutating func fail(_ line: Int, _ reason: String) {
        verdict.fault = Verdict.Fault(line: line, reason: reason)
    }

    private mutating func take(_ bytes: UnsafeRawBufferPointer) {
        line += 1
        guard let told = LedgerLine(bytes) else {
            let before = gap ?? (line, [])
            gap = (before.line, before.bytes + Bytes(bytes) + [0x0A])
            if gap?.bytes.count ?? 0 > LedgerCheck.longest { fail(before.line, "the line isn't an entry") }
            return
        }
        if let reason = fault(told.torn) { return fail(gap?.line ?? line, reason) }
        if told.seq != verdict.entries + 1 {
            return fail(line, "entry \(verdict.entries + 1) is missing: this is entry \(told.seq)")
        }
        if told.prev != verdict.head { return fail(line, "the line before isn't the one this entry was chained to") }
        if let gap { verdict.torn.append(gap.line) }
        gap = nil
        verdict.entries += 1
        var digest = SHA256()
        digest.update(bytes)
        verdict.head = digest.finish()
        if asked.contains(told.seq) { hashes[told.seq] = verdict.head }
        note(told.entry)
    }

    private mutating func note(_ entry: LedgerEntry) {
        switch entry.kind {
        case .start: runs[entry.run] = .begun
        case .finish, .interrupted: runs[entry.run] = .ended
        case .pruned: runs[entry.run] = .pruned
        case .applied, .reset, .discarded, .committed: break
        }
    }

    private func fault(_ torn: Ledger.Torn?) -> String? {
        guard let gap else { return torn == nil ? nil : "what this entry calls torn isn't there" }
        guard let torn else { return "the line isn't an entry" }
        // The newline at its end is its own, or the one that the next append put there.
        let candidates = [gap.bytes, Bytes(gap.bytes.dropLast())]
        let isVouched = candidates.contains { $0.count == torn.bytes && SHA256.hex($0) == torn.digest }
        return isVouched ? nil : "the torn bytes aren't those that the next entry names"
    }
}

extension Ledger {
    static func verify(_ bytes: Bytes) -> LedgerCheck.Verdict {
        var check = LedgerCheck()
        bytes.withUnsafeBytes { check.feed($0) }
        check.finish()
        return check.verdict
    }
}

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
            return "the tail was cut: the ledger ends with entry \(check.verdict.entries), and there was entry \(head.seq)"
        }
        if head.seq == 0 || check.hashes[head.seq] == head.hash { return nil }
        return "entry \(head.seq) isn't the one that was the newest once: the ledger was written anew"
    }

    private func take(
        _ bytes: Bytes, _ keys: [VerifyingKey], _ report: inout LedgerReport, _ wanted: inout [LedgerHead]
    ) {
        func fault(_ reason: String) { report.faults.append(.init(line: nil, reason: "\(StateDirectory.headName): \(reason)")) }
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

extension Envelope.Flaw {
    public var words: String {
        switch self {
        case .malformed: "it isn't an envelope as aegix writes them"
        case .unknownKey(let id):
            "it is signed with the key \(Bytes(String(id.prefix(64))).shown), which isn't known here; name the public key with --key"
        case .badSignature: "the signature doesn't hold"
        }
    }
}
