// Pure. One stream of bytes with the secrets taken out as it goes by.

/// What may be the beginning of a secret is held back until it is known: what comes out is the same however the stream was split. Memory is
/// bounded by the longest spelling.
public final class RedactionStream {
    private let redactor: Redactor
    private var state = Redactor.State()
    /// What is held, from `base` of the whole stream to where it was read to.
    private var kept: Bytes = []
    private var base = 0
    /// Everything before this has come out.
    private var done = 0
    /// Found, and not come out yet: in order, without overlaps.
    private var found: [Stretch] = []
    /// How many stretches were redacted.
    public private(set) var count: UInt64 = 0

    private struct Stretch {
        var start: Int
        var end: Int
        var secret: UInt32
    }

    /// So much of a beginning is given away to whoever waits for it: a prompt may end like one.
    public static let mostReleased = 4

    public init(_ redactor: Redactor) { self.redactor = redactor }

    /// Whether something is held that `release` would let out.
    public var canRelease: Bool { done < base + kept.count && (held <= RedactionStream.mostReleased || leads) }

    private var held: Int {
        max(
            Int(redactor.plain.nodes[Int(state.plain)].held), Int(redactor.coded.nodes[Int(state.coded)].held))
    }

    /// What is held begins with a whole secret, which may be part of a longer one.
    private var leads: Bool { found.first.map { $0.start <= done } ?? false }

    public func feed(_ bytes: UnsafeRawBufferPointer, into out: inout Bytes) {
        if bytes.isEmpty { return }
        if kept.isEmpty { return feed(bytes, fresh: bytes, into: &out) }
        kept.append(contentsOf: bytes)
        let all = kept
        kept = []
        all.withUnsafeBytes { whole in
            feed(whole, fresh: UnsafeRawBufferPointer(rebasing: whole[(whole.count - bytes.count)...]), into: &out)
        }
    }

    /// - all: what was held, and `fresh` behind it.
    private func feed(_ all: UnsafeRawBufferPointer, fresh: UnsafeRawBufferPointer, into out: inout Bytes) {
        let start = base
        let offset = all.count - fresh.count
        redactor.scan(fresh, &state) { end, length, isCoded, secret in
            let last = offset + end
            let first = isCoded ? RedactionStream.back(all, from: last, length) : last - length
            add(Stretch(start: start + first, end: start + last, secret: secret))
        }
        let plain = all.count - Int(redactor.plain.nodes[Int(state.plain)].held)
        let coded = RedactionStream.back(all, from: all.count, Int(redactor.coded.nodes[Int(state.coded)].held))
        let safe = min(plain, coded)
        emit(upTo: start + safe, all, into: &out)
        base = start + safe
        kept.append(contentsOf: UnsafeRawBufferPointer(rebasing: all[safe...]))
    }

    /// Where a coded pattern began whose last `length` bytes end there.
    private static func back(_ bytes: UnsafeRawBufferPointer, from end: Int, _ length: Int) -> Int {
        var (at, left) = (end, length)
        while left > 0, at > 0 {
            at -= 1
            if bytes[at] != 0x0A, bytes[at] != 0x0D { left -= 1 }
        }
        return at
    }

    private func add(_ new: Stretch) {
        var new = new
        while let last = found.last, last.end > new.start {
            if last.start < new.start || last.start == new.start && last.end >= new.end {
                (new.start, new.secret) = (last.start, last.secret)
            }
            new.end = max(new.end, last.end)
            found.removeLast()
        }
        found.append(new)
    }

    /// - all: the bytes from `base` on.
    private func emit(upTo limit: Int, _ all: UnsafeRawBufferPointer, into out: inout Bytes) {
        var taken = 0
        for stretch in found {
            if stretch.start >= limit { break }
            literal(upTo: stretch.start, all, into: &out)
            if stretch.end > limit {
                // It may grow yet.
                found.removeFirst(taken)
                return
            }
            mark(stretch, into: &out)
            taken += 1
        }
        if taken > 0 { found.removeFirst(taken) }
        literal(upTo: limit, all, into: &out)
    }

    private func mark(_ stretch: Stretch, into out: inout Bytes) {
        if stretch.end <= done { return }
        out += redactor.marks[Int(stretch.secret)]
        count += 1
        done = stretch.end
    }

    private func literal(upTo end: Int, _ all: UnsafeRawBufferPointer, into out: inout Bytes) {
        if end <= done { return }
        out.append(contentsOf: UnsafeRawBufferPointer(rebasing: all[(done - base)..<(end - base)]))
        done = end
    }

    /// Lets out what waited long enough: a whole secret's name, and of a beginning no more than its first bytes. What follows is
    /// taken for the rest of a secret all the same.
    public func release(into out: inout Bytes) {
        kept.withUnsafeBytes { all in
            if held <= RedactionStream.mostReleased { return emit(upTo: base + all.count, all, into: &out) }
            while let first = found.first, first.start <= done {
                mark(first, into: &out)
                found.removeFirst()
            }
        }
    }

    /// The end of the stream: nothing follows that could complete a secret.
    ///
    /// - isCut: it would have gone on, so what may be the beginning of one doesn't come out.
    public func finish(into out: inout Bytes, isCut: Bool = false) {
        kept.withUnsafeBytes { all in
            if isCut, held > 0, base + all.count > done {
                add(Stretch(start: base, end: base + all.count, secret: pending))
            }
            emit(upTo: base + all.count, all, into: &out)
        }
        base += kept.count
        kept = []
        state = Redactor.State()
    }

    /// Whose beginning is held.
    private var pending: UInt32 {
        let (plain, coded) = (redactor.plain.nodes[Int(state.plain)], redactor.coded.nodes[Int(state.coded)])
        return plain.depth >= coded.depth ? plain.owner : coded.owner
    }
}
