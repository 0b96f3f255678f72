// Pure. Whether a ledger's chain is whole.

import AegixSystem

extension Ledger {
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

    /// Goes through all of it and stops at the first fault. A tail that was cut at a line's end can't be seen from the
    /// ledger alone: compare `head`, or the entries with the runs.
    static func verify(_ bytes: Bytes) -> Verdict {
        var verdict = Verdict()
        var pending: (line: Int, start: Int)?
        var number = 0
        var start = 0
        while let stop = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            number += 1
            let line = Bytes(bytes[start..<stop])
            defer { start = stop + 1 }
            guard let json = entry(line), let seq = json["seq"]?.int, let prev = json["prev"]?.string else {
                pending = pending ?? (number, start)
                continue
            }
            let gap = pending.map { Bytes(bytes[$0.start..<start]) }
            if let reason = fault(json, gap: gap) {
                verdict.fault = Verdict.Fault(line: pending?.line ?? number, reason: reason)
                return verdict
            }
            if UInt64(seq) != verdict.entries + 1 {
                verdict.fault = Verdict.Fault(line: number, reason: "entry \(verdict.entries + 1) is missing")
                return verdict
            }
            if prev != verdict.head {
                verdict.fault = Verdict.Fault(
                    line: number, reason: "the line before isn't the one this entry was chained to")
                return verdict
            }
            if let pending { verdict.torn.append(pending.line) }
            pending = nil
            verdict.entries += 1
            verdict.head = SHA256.hex(line)
        }
        verdict.tornTail = bytes.count - start
        if let pending { verdict.fault = Verdict.Fault(line: pending.line, reason: "the line isn't an entry") }
        return verdict
    }

    /// Canonical, so that not even white space can be changed unseen.
    private static func entry(_ line: Bytes) -> JSON? {
        guard case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(line) }),
            json.canonical == line, LedgerEntry(json) != nil
        else { return nil }
        return json
    }

    private static func fault(_ json: JSON, gap: Bytes?) -> String? {
        let torn = json["after_torn"]
        guard let gap else { return torn == nil ? nil : "what this entry calls torn isn't there" }
        guard let torn, let count = torn["bytes"]?.int, let digest = torn["sha256"]?.string else {
            return "the line isn't an entry"
        }
        // The newline at its end is its own, or the one that the next append put there.
        let candidates = [gap, Bytes(gap.dropLast())]
        let isVouched = candidates.contains { $0.count == count && SHA256.hex($0) == digest }
        return isVouched ? nil : "the torn bytes aren't those that the next entry names"
    }
}
