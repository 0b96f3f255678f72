// Differences of texts: applied to the old they give the new, whatever the texts are.

import AegixSystem
import Testing

@testable import AegixWorkspace

@Suite struct LineDiffTests {
    /// SplitMix64: a seed names a run.
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
            return z ^ z >> 31
        }
    }

    /// Applies the hunks by what they say, as patch would: positions, context and all.
    private static func applied(_ diff: UnifiedDiff, to old: Bytes) -> Bytes? {
        let lines = Lines(old)
        var (out, at) = (Bytes(), 0)
        for hunk in diff.hunks {
            guard hunk.old.lowerBound >= at else { return nil }
            while at < hunk.old.lowerBound {
                out += lines[at]
                at += 1
            }
            var (olds, news, isRight) = (0, 0, true)
            diff.lines(of: hunk) { mark, line in
                if mark != .come {
                    isRight = isRight && at < lines.count && lines[at] == line
                    (at, olds) = (at + 1, olds + 1)
                }
                if mark != .gone {
                    out += line
                    news += 1
                }
            }
            guard isRight, olds == hunk.old.count, news == hunk.new.count else { return nil }
        }
        while at < lines.count {
            out += lines[at]
            at += 1
        }
        return out
    }

    private static func text(_ random: inout Random, lines: Int, words: Int) -> Bytes {
        let ends: [Bytes] = [[0x0A], [0x0D, 0x0A], [0x0A], [0x0A]]
        var out = Bytes()
        for _ in 0..<lines {
            out += Bytes(String(repeating: "w", count: Int.random(in: 0...2, using: &random)))
            out += Bytes(String(Int.random(in: 0..<words, using: &random)))
            out += ends[Int.random(in: 0..<ends.count, using: &random)]
        }
        if Bool.random(using: &random), !out.isEmpty { out.removeLast() }
        return out
    }

    private static func edited(_ old: Bytes, _ random: inout Random) -> Bytes {
        var lines = Lines(old)
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            var all = (0..<lines.count).map { Bytes(lines[$0]) }
            let place = Int.random(in: 0...all.count, using: &random)
            switch Int.random(in: 0...2, using: &random) {
            case 0: all.insert(Bytes("new\(place)\n"), at: place)
            case 1 where place < all.count: all.remove(at: place)
            default: if place < all.count { all.append(all.remove(at: place)) }
            }
            lines = Lines(Bytes(all.joined()))
        }
        return lines.bytes
    }

    @Test(arguments: 0..<UInt64(400)) func hunksGiveTheNew(seed: UInt64) {
        var random = Random(state: seed)
        let words = [2, 5, 1000][Int(seed % 3)]
        let old = LineDiffTests.text(&random, lines: Int.random(in: 0...60, using: &random), words: words)
        let new =
            seed % 2 == 0
            ? LineDiffTests.edited(old, &random)
            : LineDiffTests.text(&random, lines: Int.random(in: 0...60, using: &random), words: words)
        #expect(LineDiffTests.applied(UnifiedDiff(old, new), to: old) == new, "seed \(seed)")
    }

    /// The bound leaves a longer way, never a wrong one.
    @Test(arguments: 0..<UInt64(100)) func boundedIsRight(seed: UInt64) {
        var random = Random(state: seed)
        let a = (0..<80).map { _ in Int32.random(in: 0..<40, using: &random) }
        let b = (0..<80).map { _ in Int32.random(in: 0..<40, using: &random) }
        for (steps, most) in [(0, 4096), (50, 4096), (1_000_000, 0), (1_000_000, 3)] {
            let edits = LineDiff.edits(a, b, steps: steps, most: most)
            var (out, at) = ([Int32](), 0)
            for edit in edits {
                out += a[at..<edit.old.lowerBound] + b[edit.new]
                at = edit.old.upperBound
            }
            #expect(out + a[at...] == b, "seed \(seed), steps \(steps), most \(most)")
        }
    }

    /// Against the length of the longest common subsequence by its definition.
    @Test(arguments: 0..<UInt64(200)) func shortest(seed: UInt64) {
        var random = Random(state: seed &+ 7)
        let a = (0..<Int.random(in: 0...24, using: &random)).map { _ in Int32.random(in: 0..<4, using: &random) }
        let b = (0..<Int.random(in: 0...24, using: &random)).map { _ in Int32.random(in: 0..<4, using: &random) }
        var table = [[Int]](repeating: [Int](repeating: 0, count: b.count + 1), count: a.count + 1)
        for x in a.indices.reversed() {
            for y in b.indices.reversed() {
                table[x][y] = a[x] == b[y] ? table[x + 1][y + 1] + 1 : max(table[x + 1][y], table[x][y + 1])
            }
        }
        let cost = LineDiff.edits(a, b).reduce(0) { $0 + $1.old.count + $1.new.count }
        #expect(cost == a.count + b.count - 2 * table[0][0], "seed \(seed): \(a) \(b)")
    }

    @Test func exactText() {
        func told(_ old: String, _ new: String) -> String {
            var out = Bytes()
            UnifiedDiff(Bytes(old), Bytes(new)).write(into: &out)
            return String(decoding: out, as: UTF8.self)
        }
        #expect(told("a\nb\n", "a\nc") == "@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n")
        #expect(told("a", "a\n") == "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n")
        #expect(told("", "x\n") == "@@ -0,0 +1 @@\n+x\n")
        #expect(told("x\r\n", "") == "@@ -1 +0,0 @@\n-x\r\n")
        #expect(told("same\n", "same\n") == "")
        let old = (1...30).map { "\($0)\n" }.joined()
        let new = old.replacing("5\n6\n", with: "5\nfive\n6\n").replacing("28\n", with: "")
        #expect(told(old, new).split(separator: "\n").filter { $0.hasPrefix("@@") }.count == 2)
    }

    /// A hostile file must not hold a review up.
    @Test func isBounded() {
        var random = Random(state: 1)
        let a = (0..<200_000).map { _ in Int32.random(in: 0..<50, using: &random) }
        let b = (0..<200_000).map { _ in Int32.random(in: 0..<50, using: &random) }
        let started = ContinuousClock.now
        _ = LineDiff.edits(a, b)
        #expect(ContinuousClock.now - started < .seconds(30))
    }
}
