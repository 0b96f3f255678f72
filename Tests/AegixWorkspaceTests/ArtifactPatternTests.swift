// What a walk is told name by name is what a pattern says of the whole path.

import AegixSystem
import Testing

@testable import AegixWorkspace

struct ArtifactPatternTests {
    private func matched(_ patterns: [String], _ path: String) throws -> [Int] {
        let walk = try ArtifactPatterns(patterns)
        var place = walk.top
        for name in path.split(separator: "/") { place = walk.step(place, Bytes(String(name))) }
        return place.matched
    }

    @Test(arguments: [
        ("a", "a", true), ("a", "a/b/c", true), ("a", "b", false), ("a/b", "a", false), ("a/b", "a/b", true),
        ("**", "x/y", true), ("a/**", "a", true), ("a/**", "a/b", true), ("a/**/z", "a/z", true),
        ("a/**/z", "a/b/c/z", true),
        ("a/**/z", "a/b/c", false), ("**/*.xml", "r.xml", true), ("**/*.xml", "d/e/r.xml", true),
        ("**/*.xml", "d/r.xmls", false),
        ("*", ".hidden", true), ("**/a/**/b", "x/a/y/a/b", true), ("**/a/b", "a/a/b", true), ("**/a/b", "a/b/b", true),
    ])
    func pathsAreFollowed(_ pattern: String, _ path: String, _ matches: Bool) throws {
        #expect(try matched([pattern], path).isEmpty == !matches)
    }

    @Test func eachPatternIsToldApart() throws {
        #expect(try matched(["a", "b", "**/c"], "a/c") == [0, 2])
    }

    @Test func whatLeadsNowhereIsKnownBefore() throws {
        let walk = try ArtifactPatterns(["dist/*.whl", "a/b/c"])
        #expect(walk.step(walk.top, Bytes("src")).leadsNowhere)
        let dist = walk.step(walk.top, Bytes("dist"))
        #expect(!dist.leadsNowhere && dist.matched.isEmpty && dist.isOnTheWay)
        #expect(walk.step(dist, Bytes("sub")).leadsNowhere)
    }

    @Test(arguments: ["/a", "~/a", "..", "a/../b", "", "."])
    func nothingOutsideIsNamed(_ pattern: String) {
        #expect(throws: (any Error).self) { try ArtifactPatterns([pattern]) }
    }
}
