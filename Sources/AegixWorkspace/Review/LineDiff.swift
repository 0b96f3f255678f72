// Pure. The shortest way from one list of lines to another, within a bound.

import AegixSystem

/// Myers' algorithm in linear space. Its cost grows with the product of length and difference, so one comparison may take
/// so many steps and no more; past that, lines that are there once on both sides hold the text together, and what lies between
/// two such without another is replaced as a whole. The result is then longer than it had to be, and never wrong.
public struct LineDiff {
    /// Lines `old` give way to lines `new`.
    public struct Edit: Equatable, Sendable {
        public var old: Range<Int>
        public var new: Range<Int>
    }

    private let a: [Int32]
    private let b: [Int32]
    private var gone: [Bool]
    private var come: [Bool]
    private var left: Int
    private let most: Int

    /// Lines as numbers: equal ones are equal.
    /// - steps: how many diagonals may be followed in all; nil: in proportion to the length, so that many files cost no more
    ///   than one that is as long as all of them.
    /// - most: how many edits one comparison looks for.
    public static func edits(_ a: [Int32], _ b: [Int32], steps: Int? = nil, most: Int = 4096) -> [Edit] {
        let fair = min(20_000_000, 100_000 + 200 * (a.count + b.count))
        var diff = LineDiff(a, b, steps: steps ?? fair, most: most)
        diff.compare()
        return diff.collected()
    }

    private init(_ a: [Int32], _ b: [Int32], steps: Int, most: Int) {
        (self.a, self.b, left, self.most) = (a, b, steps, most)
        gone = Array(repeating: false, count: a.count)
        come = Array(repeating: false, count: b.count)
    }

    private mutating func compare() {
        var open = [Edit(old: 0..<a.count, new: 0..<b.count)]
        while let part = open.popLast() {
            let inner = trimmed(part)
            if inner.old.isEmpty || inner.new.isEmpty {
                replace(inner)
            } else if let snake = middle(inner) {
                open.append(
                    Edit(
                        old: inner.old.lowerBound..<snake.old.lowerBound,
                        new: inner.new.lowerBound..<snake.new.lowerBound))
                open.append(
                    Edit(
                        old: snake.old.upperBound..<inner.old.upperBound,
                        new: snake.new.upperBound..<inner.new.upperBound))
            } else {
                let parts = anchored(inner)
                if parts.count == 1 { replace(inner) } else { open += parts }
            }
        }
    }

    private mutating func replace(_ part: Edit) {
        for index in part.old { gone[index] = true }
        for index in part.new { come[index] = true }
    }

    private func trimmed(_ part: Edit) -> Edit {
        var (x, y, u, v) = (part.old.lowerBound, part.new.lowerBound, part.old.upperBound, part.new.upperBound)
        while x < u, y < v, a[x] == b[y] { (x, y) = (x + 1, y + 1) }
        while u > x, v > y, a[u - 1] == b[v - 1] { (u, v) = (u - 1, v - 1) }
        return Edit(old: x..<u, new: y..<v)
    }

    /// The common stretch in the middle of a shortest way, which may be empty; nil: too far apart. Both sides differ at
    /// their ends and have lines, so the way has two edits or more, and both parts around it are smaller.
    private mutating func middle(_ part: Edit) -> Edit? {
        let (n, m) = (part.old.count, part.new.count)
        let (startA, startB) = (part.old.lowerBound, part.new.lowerBound)
        let size = 2 * min(n, m, most + 2) + 4
        var forward = [Int](repeating: 0, count: size)
        var backward = forward
        func slot(_ k: Int) -> Int { (k % size + size) % size }
        let isOdd = (n + m) % 2 == 1
        for h in 0...((n + m + 1) / 2) {
            if h > most || left <= 0 { return nil }
            for side in [true, false] {
                for k in stride(from: -(h - 2 * max(0, h - m)), through: h - 2 * max(0, h - n), by: 2) {
                    left -= 1
                    let (lower, upper) =
                        side
                        ? (forward[slot(k - 1)], forward[slot(k + 1)]) : (backward[slot(k - 1)], backward[slot(k + 1)])
                    var x = k == -h || k != h && lower < upper ? upper : lower + 1
                    var y = x - k
                    let (s, t) = (x, y)
                    if side {
                        while x < n, y < m, a[startA + x] == b[startB + y] { (x, y) = (x + 1, y + 1) }
                        forward[slot(k)] = x
                    } else {
                        while x < n, y < m, a[startA + n - 1 - x] == b[startB + m - 1 - y] { (x, y) = (x + 1, y + 1) }
                        backward[slot(k)] = x
                    }
                    let z = n - m - k
                    let reach = side ? h - 1 : h
                    guard isOdd == side, abs(z) <= reach else { continue }
                    if x + (side ? backward[slot(z)] : forward[slot(z)]) < n { continue }
                    return side
                        ? Edit(old: startA + s..<startA + x, new: startB + t..<startB + y)
                        : Edit(old: startA + n - x..<startA + n - s, new: startB + m - y..<startB + m - t)
                }
            }
        }
        return nil
    }

    /// The parts between lines that are there once on both sides, in the same order on both.
    private func anchored(_ part: Edit) -> [Edit] {
        var seen: [Int32: (old: Int, new: Int, olds: Int, news: Int)] = [:]
        for index in part.old {
            seen[a[index], default: (0, 0, 0, 0)].olds += 1
            seen[a[index]]?.old = index
        }
        for index in part.new {
            seen[b[index], default: (0, 0, 0, 0)].news += 1
            seen[b[index]]?.new = index
        }
        let pairs = seen.values.filter { $0.olds == 1 && $0.news == 1 }.sorted { $0.old < $1.old }.map {
            ($0.old, $0.new)
        }
        var parts: [Edit] = []
        var (x, y) = (part.old.lowerBound, part.new.lowerBound)
        for (old, new) in LineDiff.rising(pairs) {
            parts.append(Edit(old: x..<old, new: y..<new))
            (x, y) = (old + 1, new + 1)
        }
        parts.append(Edit(old: x..<part.old.upperBound, new: y..<part.new.upperBound))
        return parts
    }

    /// The longest selection in which the second numbers rise, too.
    private static func rising(_ pairs: [(Int, Int)]) -> [(Int, Int)] {
        var ends: [Int] = []
        var before = [Int](repeating: -1, count: pairs.count)
        for index in pairs.indices {
            var (low, high) = (0, ends.count)
            while low < high {
                let half = (low + high) / 2
                if pairs[ends[half]].1 < pairs[index].1 { low = half + 1 } else { high = half }
            }
            if low > 0 { before[index] = ends[low - 1] }
            if low == ends.count { ends.append(index) } else { ends[low] = index }
        }
        var chain: [(Int, Int)] = []
        var at = ends.last ?? -1
        while at >= 0 {
            chain.append(pairs[at])
            at = before[at]
        }
        return chain.reversed()
    }

    private func collected() -> [Edit] {
        var edits: [Edit] = []
        var (x, y) = (0, 0)
        while x < a.count || y < b.count {
            let (s, t) = (x, y)
            while x < a.count, gone[x] { x += 1 }
            while y < b.count, come[y] { y += 1 }
            if s < x || t < y { edits.append(Edit(old: s..<x, new: t..<y)) }
            if x < a.count, y < b.count, !gone[x], !come[y] { (x, y) = (x + 1, y + 1) }
        }
        return edits
    }
}
