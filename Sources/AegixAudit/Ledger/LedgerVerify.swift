// Pure. Whether a ledger's chain is whole.

import AegixSystem
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
