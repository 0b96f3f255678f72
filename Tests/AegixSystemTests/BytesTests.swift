// Pure. Bytes: as Base64, as paths, and as a person sees them.

import Testing

@testable import AegixSystem

struct Base64Tests {
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func isAsTheStandardHasIt(_ plain: String, _ encoded: String) {
        #expect(Base64.encode(Bytes(plain)) == encoded)
        #expect(Base64.decode(encoded) == Bytes(plain))
    }

    @Test func usesEveryDigit() {
        let all = Bytes(0...255)
        let encoded = Base64.encode(all)
        #expect(Set(encoded).count == 65)
        #expect(Base64.decode(encoded) == all)
    }

    @Test func everyLengthComesBack() {
        for count in 0..<70 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 151 &+ count) }
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
    }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zm9", "====", "Z===", "Zg==Zg==", "Zg=g", "=Zg=", "Zm9v\n", "Zm 9", "Zm-_", "Zm9\u{e9}",
        "Zm9v=",
    ])
    func refusesOtherText(_ text: String) {
        #expect(Base64.decode(text) == nil)
    }
}

struct PathTests {
    @Test(
        arguments: [
            ("/", []), ("", []), ("///", []), ("/a/b", ["a", "b"]), ("a//b/", ["a", "b"]),
            ("/a/../b", ["a", "..", "b"]),
        ] as [(String, [String])])
    func splitsAtSlashes(_ path: String, _ names: [String]) {
        #expect(Path.components(Bytes(path)) == names.map { Bytes($0) })
    }

    @Test(arguments: [
        ("/", "/"), ("", "/"), ("/a/b", "/a/b"), ("//a///b//", "/a/b"), ("/a/./b/.", "/a/b"), ("/a/../b", "/b"),
        ("/..", "/"), ("/../../a", "/a"), ("/a/b/../../..", "/"), ("/...", "/..."), ("/.a/..b", "/.a/..b"),
    ])
    func normalizes(_ path: String, _ normal: String) {
        #expect(Path.normalized(Bytes(path)) == Bytes(normal))
        #expect(Path.normalized(Bytes(normal)) == Bytes(normal))
    }

    @Test func keepsBytesThatAreNoText() {
        #expect(Path.normalized([0x2F, 0xFF, 0x2F, 0x2F, 0xC3]) == [0x2F, 0xFF, 0x2F, 0xC3])
        #expect(Path.name([0x2F, 0x61, 0x2F, 0xFF]) == [0xFF])
    }

    @Test(arguments: [
        ("/a", "b", "/a/b"), ("/a/", "b/c", "/a/b/c"), ("/", "b", "/b"), ("/a", "/b", "/b"), ("/a", "", "/a"),
        ("/a", "../b", "/a/../b"),
    ])
    func joins(_ base: String, _ rest: String, _ whole: String) {
        #expect(Path.join(Bytes(base), Bytes(rest)) == Bytes(whole))
    }

    @Test(arguments: [
        ("/a/b", "/a", "b"), ("/a", "/", "a"), ("/", "/", ""), ("/a/b/", "/a", "b"), ("//a//b", "/a", "b"),
    ])
    func knowsParentAndName(_ path: String, _ parent: String, _ name: String) {
        #expect(Path.parent(Bytes(path)) == Bytes(parent))
        #expect(Path.name(Bytes(path)) == Bytes(name))
    }

    @Test(arguments: [
        ("/", "/", true), ("/", "/a", true), ("/a", "/a", true), ("/a", "/a/b", true), ("/a", "/ab", false),
        ("/a/b", "/a", false), ("/a", "/b/a", false), ("/a", "/", false),
    ])
    func contains(_ ancestor: String, _ path: String, _ isIn: Bool) {
        #expect(Path.contains(Bytes(ancestor), Bytes(path)) == isIn)
    }

    @Test func tellsAbsoluteFromRelative() {
        #expect(Path.isAbsolute(Bytes("/")) && Path.isAbsolute(Bytes("/a")))
        #expect(!Path.isAbsolute(Bytes("a/")) && !Path.isAbsolute([]))
        #expect(Path.absolute([]) == Bytes("/") && Path.absolute([Bytes("a"), Bytes("b")]) == Bytes("/a/b"))
    }
}

struct ShownTests {
    @Test(arguments: ["", "plain name.txt", "\u{e9}t\u{e9} \u{65e5}\u{672c} \u{1f600}", "\"'$`", "\u{5e9}\u{5dc}"])
    func leavesTextAsItIs(_ text: String) {
        #expect(Bytes(text).shown == text)
    }

    @Test(arguments: [
        ("a\nb", #"a\nb"#), ("a\tb", #"a\tb"#), ("a\rb", #"a\u{d}b"#), ("\u{0}", #"\u{0}"#),
        ("\u{1b}[31mred", #"\u{1b}[31mred"#), ("\u{1b}]0;title\u{7}", #"\u{1b}]0;title\u{7}"#), ("\u{7f}", #"\u{7f}"#),
        ("\u{9b}2J", #"\u{9b}2J"#), ("\u{80}\u{9f}", #"\u{80}\u{9f}"#),
    ])
    func showsControlCharacters(_ text: String, _ shown: String) {
        #expect(Bytes(text).shown == shown)
    }

    @Test(arguments: [
        ("exe.\u{202e}txt", #"exe.\u{202e}txt"#),
        ("\u{202a}\u{202b}\u{202c}\u{202d}", #"\u{202a}\u{202b}\u{202c}\u{202d}"#),
        ("\u{2066}\u{2067}\u{2068}\u{2069}", #"\u{2066}\u{2067}\u{2068}\u{2069}"#),
        ("a\u{200b}b\u{200e}\u{200f}", #"a\u{200b}b\u{200e}\u{200f}"#),
    ])
    func showsWhatTurnsOrHidesText(_ text: String, _ shown: String) {
        #expect(Bytes(text).shown == shown)
    }

    @Test func showsInvalidUTF8() {
        #expect(([0x61, 0xFF, 0x62] as Bytes).shown == #"a\u{fffd}b"#)
        // A lone C1 byte is a command to some terminals.
        #expect(([0x9B, 0x32, 0x4A] as Bytes).shown == #"\u{fffd}2J"#)
    }

    @Test func neverLetsAControlCharacterThrough() {
        for byte in UInt8.min...UInt8.max {
            for bytes in [[byte], [0xC2, byte], [0x61, byte, 0x62]] {
                let isQuiet = bytes.shown.unicodeScalars.allSatisfy {
                    $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value)
                }
                #expect(isQuiet)
            }
        }
    }

    @Test func textIsValidUTF8Only() {
        #expect(Bytes("\u{e9}").text == "\u{e9}")
        #expect(([0xE9] as Bytes).text == nil)
    }
}
