// Pure. What we read, which may come from anywhere: strict, bounded, and what we wrote comes back.

import Testing

@testable import AegixSystem

struct JSONParserTests {
    private func parse(_ text: String) throws -> JSON { try JSON.parse(Bytes(text)) }

    /// The message of a refusal; nil when it was accepted.
    private func refusal(_ bytes: Bytes, maxDepth: Int = 64) -> JSONError? {
        do throws(JSONError) {
            _ = try JSON.parse(bytes, maxDepth: maxDepth)
            return nil
        } catch {
            return error
        }
    }

    @Test func readsEveryKind() throws {
        #expect(
            try parse(" {\"a\" : [ null , true,false, \"x\" ],\t\"b\":{}, \"c\":[]\r\n} ")
                == ["a": [nil, true, false, "x"], "b": [:], "c": []])
    }

    @Test(
        arguments: [
            ("0", 0), ("-0", 0), ("-12", -12), ("9007199254740991", 9_007_199_254_740_991),
            ("-9007199254740991", -9_007_199_254_740_991),
        ] as [(String, Int)])
    func readsIntegers(_ text: String, _ number: Int) throws {
        #expect(try parse(text) == .int(number))
    }

    @Test(
        arguments: [
            ("1.5", 1.5), ("-0.25", -0.25), ("1e2", 100), ("1E+2", 100), ("25e-1", 2.5), ("0e0", 0),

        ] as [(String, Double)])
    func readsFractionsAndExponents(_ text: String, _ number: Double) throws {
        #expect(try parse(text) == .double(number))
    }

    @Test(arguments: [
        "", " ", "[", "{", "[1,]", "[,1]", "[1 2]", "{\"a\":1,}", "{\"a\" 1}", "{\"a\":}", "{a:1}", "{1:2}", "{\"a\":1",
        "[1", "[1}", "1 2", "{}x", "nul", "True", "truex", "NaN", "Infinity", "-Infinity", "'a'", "// x", "/**/1",
        "\u{feff}1", "\u{a0}1", "01", "-01", "00", "-", "+1", ".5", "-.5", "1.", "0x1", "--1", "1e", "1e+", "1+1",
        "1.2.3", "1e999", "-1e999",
    ])
    func refusesWhatIsNoJSON(_ text: String) {
        #expect(refusal(Bytes(text)) != nil)
    }

    @Test(arguments: [
        #""abc"#, #"""#, #""\"#, #""\x""#, #""\u12""#, #""\u12g4""#, #""\u 123""#, #""\u+123""#, "\"a\nb\"",
        "\"a\tb\"", "\"\u{0}\"",
    ])
    func refusesBrokenStrings(_ text: String) {
        #expect(refusal(Bytes(text)) != nil)
    }

    @Test func readsEscapes() throws {
        #expect(
            try parse(#""\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\u0000""#) == "\"\\/\u{8}\u{c}\n\r\tA\u{e9}\u{20ac}\u{0}")
    }

    @Test func joinsSurrogatePairs() throws {
        #expect(try parse(#""\ud83d\ude00""#) == "\u{1f600}")
        #expect(try parse(#""\uD800\uDC00\udbff\udfff""#) == "\u{10000}\u{10ffff}")
    }

    @Test(arguments: [
        #""\ud83d""#, #""\ude00""#, #""\ud83d\ud83d""#, #""\ud83dx""#, #""\ud83d\n""#, #""\ud83d\u0041""#,
        #""\ud83d\"#, #""\ud83d\u""#, #""\ude00\ud83d""#,
    ])
    func refusesHalvesOfPairs(_ text: String) {
        #expect(refusal(Bytes(text)) != nil)
    }

    @Test(arguments: [[0xFF], [0xC3], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80]] as [Bytes])
    func refusesStringsThatAreNoUTF8(_ bytes: Bytes) {
        #expect(refusal([0x22] + bytes + [0x22])?.message == "a string isn't UTF-8")
    }

    @Test(arguments: [
        #"{"a":1,"a":1}"#, #"{"a":1,"\u0061":2}"#, #"{"":1,"":null}"#, #"[{"b":{"a":1,"c":2,"a":3}}]"#,
    ])
    func refusesAMemberTwice(_ text: String) {
        #expect(refusal(Bytes(text))?.message == "a member stands twice")
    }

    @Test func theSameNameInSeveralObjectsIsFine() throws {
        #expect(try parse(#"{"a":{"a":1},"b":[{"a":2},{"a":3}]}"#)["a"]?["a"] == 1)
    }

    @Test(arguments: ["[", "{\"a\":"])
    func nestsToTheBoundAndNoDeeper(_ open: String) {
        let close = open == "[" ? "]" : "}"
        func nested(_ depth: Int) -> Bytes {
            Bytes(String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth))
        }
        #expect(refusal(nested(64)) == nil)
        #expect(refusal(nested(65))?.message == "nested deeper than 64")
        #expect(refusal(nested(3), maxDepth: 3) == nil)
        #expect(refusal(nested(4), maxDepth: 3)?.message == "nested deeper than 3")
        #expect(refusal(Bytes(String(repeating: open, count: 1_000_000))) != nil)
    }

    @Test func saysWhere() {
        #expect(refusal(Bytes("[1,x]")) == JSONError(offset: 3, message: "not a JSON value"))
        #expect(refusal(Bytes("{} {}")) == JSONError(offset: 3, message: "text after the document"))
        #expect(JSONError(offset: 3, message: "not so").description == "at byte 3: not so")
    }

    @Test func whatWeWriteComesBack() throws {
        var dice = Dice(seed: 8785)
        for _ in 0..<300 {
            let value = dice.json(depth: 4)
            let canonical = value.canonical
            let again = try JSON.parse(canonical)
            #expect(again == value)
            #expect(again.canonical == canonical)
            #expect(try JSON.parse(value.pretty) == value)
        }
    }

    @Test func noMutationTraps() {
        var dice = Dice(seed: 4)
        let document = dice.json(depth: 5).pretty
        for _ in 0..<3000 {
            var bytes = document
            for _ in 0...dice.below(3) { bytes[dice.below(bytes.count)] = UInt8(dice.below(256)) }
            _ = refusal(Bytes(bytes.prefix(1 + dice.below(bytes.count))))
        }
    }
}

/// Random, but the same every time.
private struct Dice {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bound
    }

    mutating func text() -> String {
        let scalars: [Unicode.Scalar] = [
            "a", "b", "Z", "\"", "\\", "\n", "\u{0}", "\u{7f}", "\u{e9}", "\u{fb33}", "\u{1f600}",
        ]
        var text = ""
        for _ in 0..<below(6) { text.unicodeScalars.append(scalars[below(scalars.count)]) }
        return text
    }

    mutating func json(depth: Int) -> JSON {
        switch below(depth > 0 ? 8 : 5) {
        case 0: return .null
        case 1: return .bool(below(2) == 0)
        case 2: return .int(below(1 << 31) - (1 << 30))
        case 3: return .double(Double(below(100_000)) + 0.5)
        case 4: return .string(text())
        case 5:
            var items: [JSON] = []
            for _ in 0...below(4) { items.append(json(depth: depth - 1)) }
            return .array(items)
        default:
            var members: [String: JSON] = [:]
            for _ in 0...below(4) { members[text()] = json(depth: depth - 1) }
            return .object(members)
        }
    }
}
