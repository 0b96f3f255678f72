// Pure. What we write: the canonical form of RFC 8785, the form for people, and bytes that are no text.

import Testing

@testable import AegixSystem

struct JSONTests {
    private func canonical(_ value: JSON) -> String { String(decoding: value.canonical, as: UTF8.self) }

    @Test func sortsMembersByCodeUnits() {
        // RFC 8785, 3.2.3: a surrogate pair sorts before U+FB33, though its scalar is the greater.
        let value: JSON = [
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control",
            "\u{f6}": "Latin Small Letter O With Diaeresis",
        ]
        #expect(
            canonical(value)
                == #"{"\r":"Carriage Return","1":"One","\#u{80}":"Control","\#u{f6}":"Latin Small Letter O With "#
                + #"Diaeresis","\#u{20ac}":"Euro Sign","\#u{1f600}":"Emoji: Grinning Face","\#u{fb33}":"Hebrew "#
                + #"Letter Dalet With Dagesh"}"#)
    }

    @Test func sortsShorterBeforeLongerAndCapitalsFirst() {
        #expect(canonical(["ab": 1, "a": 2, "B": 3, "": 4, "a_": 5]) == #"{"":4,"B":3,"a":2,"a_":5,"ab":1}"#)
    }

    @Test func sortsAtEveryDepth() {
        let value: JSON = ["b": [["d": 1, "c": 2]], "a": ["f": [:], "e": []]]
        #expect(canonical(value) == #"{"a":{"e":[],"f":{}},"b":[{"c":2,"d":1}]}"#)
    }

    @Test func escapesWhatItMustAndNothingElse() {
        // RFC 8785, 3.2.2.2.
        #expect(
            canonical(.string("\u{20ac}$\u{f}\nA'B\"\\\\\"/"))
                == "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"")
        #expect(canonical(.string("\u{8}\t\n\u{c}\r")) == #""\b\t\n\f\r""#)
        #expect(canonical(.string("\u{0}\u{1b}\u{1f}")) == #""\u0000\u001b\u001f""#)
        #expect(canonical(.string("\u{7f}\u{2028}\u{202e}")) == "\"\u{7f}\u{2028}\u{202e}\"")
    }

    @Test func escapesNames() {
        #expect(canonical(["a\"\n": 1]) == #"{"a\"\n":1}"#)
    }

    @Test func normalizesNothing() {
        #expect(JSON.string("\u{e9}").canonical == [0x22, 0xC3, 0xA9, 0x22])
        #expect(JSON.string("e\u{301}").canonical == [0x22, 0x65, 0xCC, 0x81, 0x22])
    }

    @Test(
        arguments: [
            (0, "0"), (-0.0, "0"), (1.5, "1.5"), (2, "2"), (-0.25, "-0.25"), (0.0001, "0.0001"),
            (100_000.5, "100000.5"),
            (0.1 + 0.2, "0.30000000000000004"), (9_007_199_254_740_991, "9007199254740991"), (1e15, "1000000000000000"),
        ] as [(Double, String)])
    func writesShortestNumbers(_ number: Double, _ text: String) {
        #expect(canonical(.double(number)) == text)
    }

    @Test func writesWordsAndIntegers() {
        #expect(canonical([nil, true, false, -7, 9_007_199_254_740_991]) == "[null,true,false,-7,9007199254740991]")
    }

    @Test func carriesBigNumbersAsText() {
        #expect(JSON.big(UInt64.max) == .string("18446744073709551615"))
        #expect(JSON.big(Int64.min) == .string("-9223372036854775808"))
    }

    @Test func indentsForPeople() {
        let value: JSON = ["b": [1, ["c": nil]], "a": [], "d": [:]]
        let text = """
            {
              "a": [],
              "b": [
                1,
                {
                  "c": null
                }
              ],
              "d": {}
            }

            """
        #expect(String(decoding: value.pretty, as: UTF8.self) == text)
    }

    @Test func keepsTheLastOfALiteralsDoubles() {
        #expect(JSON(dictionaryLiteral: ("a", 1), ("a", 2)) == ["a": 2])
    }

    @Test func readsOnlyItsOwnKind() {
        let value: JSON = ["s": "x", "i": 1, "b": true, "a": [1], "o": ["k": "v"]]
        #expect(value["s"]?.string == "x" && value["s"]?.int == nil)
        #expect(value["i"]?.int == 1 && value["i"]?.bool == nil)
        #expect(value["b"]?.bool == true && value["b"]?.string == nil)
        #expect(value["a"]?.array == [1] && value["a"]?.object == nil)
        #expect(value["o"]?["k"] == "v" && value["o"]?.array == nil)
        #expect(value["none"] == nil && value["s"]?["k"] == nil)
    }

    // MARK: - Bytes

    @Test(
        arguments: [
            [], Bytes("plain"), Bytes("\u{e9}\u{1f600}"), [0], Bytes("a\nb\u{1b}[31m"),
        ] as [Bytes])
    func textStaysText(_ bytes: Bytes) {
        #expect(JSON.bytes(bytes).string.map { Bytes($0) } == bytes)
        #expect(JSON.bytes(bytes).bytesValue == bytes)
    }

    @Test(
        arguments: [
            ([0xFF, 0xFE], "//4="),  // never in UTF-8
            ([0x2F, 0x61, 0xC3], "L2HD"),  // cut
            ([0xC0, 0xAF], "wK8="),  // an overlong slash
            ([0xED, 0xA0, 0x80], "7aCA"),  // half a surrogate pair
            ([0xF4, 0x90, 0x80, 0x80], "9JCAgA=="),  // beyond U+10FFFF
        ] as [(Bytes, String)])
    func bytesThatAreNoTextAreBase64(_ bytes: Bytes, _ encoded: String) {
        #expect(JSON.bytes(bytes) == ["base64": .string(encoded)])
        #expect(JSON.bytes(bytes).bytesValue == bytes)
    }

    @Test func noBytesInOtherValues() {
        #expect(JSON.int(1).bytesValue == nil)
        #expect(JSON.object(["base64": 1]).bytesValue == nil)
        #expect(JSON.object(["base64": "not base64"]).bytesValue == nil)
    }
}
