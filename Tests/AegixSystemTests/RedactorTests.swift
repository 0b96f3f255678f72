import Testing

@testable import AegixSystem

struct RedactorTests {
    private func redactor(_ values: String...) throws -> Redactor {
        try #require(
            Redactor(values.enumerated().map { Secret(name: "S\($0.offset)", value: Bytes($0.element)) }))
    }

    private func text(_ redactor: Redactor, _ input: String) -> String { redactor.redact(input) }

    @Test func nothingToLookFor() { #expect(Redactor([]) == nil) }

    @Test func theValueItself() throws {
        let one = try redactor("hunter2-token")
        #expect(text(one, "a hunter2-token b") == "a [redacted:S0] b")
        #expect(text(one, "hunter2-tokenhunter2-token") == "[redacted:S0][redacted:S0]")
        #expect(text(one, "hunter2-tokex hunter2-toke") == "hunter2-tokex hunter2-toke")
        #expect(text(one, "") == "")
    }

    /// As a resolver writes it. What isn't a host name's, or is a word, is sought as it is.
    @Test func inAHostName() throws {
        let one = try redactor("S3cretVALUE77")
        #expect(text(one, "s3cretvalue77.example S3cretVALUE77") == "[redacted:S0].example [redacted:S0]")
        #expect(text(try redactor("Secret/VALUE"), "secret/value") == "secret/value")
        #expect(text(try redactor("Pass"), "pass") == "pass")
    }

    @Test func valuesThatOverlap() throws {
        let two = try redactor("abcdef", "abcdefghi", "hijk-lmn")
        #expect(text(two, "abcdef.") == "[redacted:S0].")
        #expect(text(two, "abcdefghi.") == "[redacted:S1].")
        #expect(text(two, "abcdefgh.") == "[redacted:S0]gh.")
        #expect(text(two, "abcdefghijk-lmn.") == "[redacted:S1].")
        let repeated = try redactor("aaaa")
        #expect(text(repeated, "baaaaaaaaab") == "b[redacted:S0]b")
    }

    @Test(arguments: ["hunter2", "hunter2-token", "p@ss/w+rd & \"quote\"", "ünïcode-wörd", "line one\nline two!"])
    func spellings(_ value: String) throws {
        let one = try redactor(value)
        for before in ["", "x", "ab", "user:"] {
            for after in ["", "!", "\n", "xyz"] {
                let base64 = Base64.encode(Bytes(before + value + after))
                let core = Base64.encode(Bytes(value)).prefix(value.utf8.count)
                #expect(!text(one, base64).contains(core), "\(base64)")
                #expect(text(one, base64).contains("[redacted:S0]"), "\(base64): \(text(one, base64))")
                let folded = stride(from: 0, to: base64.count, by: 5).map { base64.dropFirst($0).prefix(5) }
                #expect(text(one, folded.joined(separator: "\n")).contains("[redacted:S0]"))
                #expect(text(one, folded.joined(separator: "\r\n")).contains("[redacted:S0]"))
            }
        }
        let hex = Hex.encode(Bytes(value))
        #expect(text(one, hex + " " + hex.uppercased()) == "[redacted:S0] [redacted:S0]")
        #expect(text(one, JSON.string(value).canonicalText) == "\"[redacted:S0]\"")
    }

    @Test func spellingsOfURLs() throws {
        let one = try redactor("p@ss w/rd+é")
        for spelled in [
            "p%40ss%20w%2Frd%2B%C3%A9", "p%40ss%20w%2frd%2b%c3%a9", "p%40ss+w%2Frd%2B%C3%A9", "p%40ss%20w/rd%2B%C3%A9",
        ] {
            #expect(text(one, "https://u:\(spelled)@h/") == "https://u:[redacted:S0]@h/")
        }
        #expect(text(one, #""p@ss w\/rd+\u00e9""#) == #""[redacted:S0]""#)
        #expect(text(one, #"b'p@ss w/rd+\xc3\xa9'"#) == "b'[redacted:S0]'")
    }

    @Test func linesOfAKey() throws {
        let one = try redactor("-----BEGIN KEY-----\nMIIEvQIBADANBg\nshort\nkqhkiG9w0BAQEF\n-----END KEY-----\n")
        #expect(text(one, "say MIIEvQIBADANBg twice") == "say [redacted:S0] twice")
        #expect(
            text(one, "-----BEGIN KEY-----\r\nMIIEvQIBADANBg\r\nshort\r\nkqhkiG9w0BAQEF\r\n-----END KEY-----\r\n")
                == "[redacted:S0]\r\n")
    }

    @Test func aBeginningIsHeldAndLetOut() throws {
        let stream = RedactionStream(try redactor("hunter2-token"))
        var out = Bytes()
        func feed(_ text: String) { Bytes(text).withUnsafeBytes { stream.feed($0, into: &out) } }
        feed("name: hun")
        #expect(out == Bytes("name: ") && stream.canRelease)
        stream.release(into: &out)
        #expect(out == Bytes("name: hun") && !stream.canRelease)
        feed("ter2-")
        #expect(out == Bytes("name: hun") && !stream.canRelease)
        stream.release(into: &out)
        feed("token.")
        #expect(out == Bytes("name: hun[redacted:S0].") && stream.count == 1)
        feed(" hunter2-t")
        stream.finish(into: &out)
        #expect(out == Bytes("name: hun[redacted:S0]. hunter2-t"))
    }

    @Test func aWholeOneThatMayGrowIsNamedMeanwhile() throws {
        let stream = RedactionStream(try redactor("hunter2", "hunter2-and-more"))
        var out = Bytes()
        Bytes("is hunter2").withUnsafeBytes { stream.feed($0, into: &out) }
        #expect(out == Bytes("is ") && stream.canRelease)
        stream.release(into: &out)
        #expect(out == Bytes("is [redacted:S0]"))
        Bytes("-and-more!").withUnsafeBytes { stream.feed($0, into: &out) }
        #expect(out == Bytes("is [redacted:S0][redacted:S1]!"))
    }

    @Test func whatWasCutOffInTheMiddle() throws {
        #expect(try redactor("hunter2-token").redact(Bytes("say hunter2-t"), isCut: true) == Bytes("say [redacted:S0]"))
    }

    // MARK: - Properties

    /// However a stream is split, the same comes out, and it is what a search without any cleverness finds.
    @Test(arguments: 0..<60) func splits(_ seed: Int) throws {
        var random = Random(seed: UInt64(seed))
        let letters = seed % 2 == 0 ? "ab" : "abMTYyNjE2\n/+="
        let alphabet = Array(letters.utf8)
        let secrets = (0..<Int.random(in: 1...4, using: &random)).map { index in
            Secret(
                name: "N\(index)",
                value: (0..<Int.random(in: 4...9, using: &random)).map { _ in
                    alphabet.randomElement(using: &random) ?? 0
                })
        }
        let redactor = try #require(Redactor(secrets))
        var input = Bytes()
        while input.count < 600 {
            switch Int.random(in: 0..<5, using: &random) {
            case 0: input += secrets.randomElement(using: &random)?.value ?? []
            case 1: input += Bytes(Base64.encode(Bytes("x") + (secrets.randomElement(using: &random)?.value ?? [])))
            case 2: input += Bytes(Hex.encode(secrets.randomElement(using: &random)?.value ?? []))
            default:
                input += (0..<Int.random(in: 1...7, using: &random)).map { _ in
                    alphabet.randomElement(using: &random) ?? 0
                }
            }
        }
        let whole = redactor.redact(input)
        #expect(whole == Reference.redact(input, secrets))
        for _ in 0..<20 {
            let stream = RedactionStream(redactor)
            var (out, at) = (Bytes(), 0)
            while at < input.count {
                let next = min(input.count, at + Int.random(in: 1...40, using: &random))
                Bytes(input[at..<next]).withUnsafeBytes { stream.feed($0, into: &out) }
                at = next
            }
            stream.finish(into: &out)
            #expect(out == whole)
        }
        // Let out at any moment, no value comes through whole.
        for _ in 0..<20 {
            let stream = RedactionStream(redactor)
            var (out, at) = (Bytes(), 0)
            while at < input.count {
                let next = min(input.count, at + Int.random(in: 1...8, using: &random))
                Bytes(input[at..<next]).withUnsafeBytes { stream.feed($0, into: &out) }
                if Bool.random(using: &random) { stream.release(into: &out) }
                at = next
            }
            stream.finish(into: &out)
            for secret in secrets where secret.value.count > 2 * RedactionStream.mostReleased {
                #expect(!Reference.contains(out, secret.value))
            }
        }
    }
}

/// Every spelling at every place.
private enum Reference {
    static func redact(_ input: Bytes, _ secrets: [Secret]) -> Bytes {
        var owner = [(start: Int, end: Int, secret: Int)]()
        for (index, secret) in secrets.enumerated() {
            let forms = SecretForms(secret.value)
            for start in input.indices {
                for form in forms.plain where input[start...].starts(with: form) {
                    owner.append((start, start + form.count, index))
                }
                for form in forms.coded {
                    if let end = end(of: form, in: input, from: start) { owner.append((start, end, index)) }
                }
            }
        }
        // The longest of one start first, of equal ones the first secret's.
        owner.sort { ($0.start, -$0.end, $0.secret) < ($1.start, -$1.end, $1.secret) }
        var (out, at) = (Bytes(), 0)
        var index = 0
        while index < owner.count {
            var (start, end, secret) = owner[index]
            index += 1
            while index < owner.count, owner[index].start < end {
                end = max(end, owner[index].end)
                index += 1
            }
            _ = start
            start = max(start, at)
            out += input[at..<start] + Bytes("[redacted:\(secrets[secret].name)]")
            (at, secret) = (end, 0)
        }
        return out + input[at...]
    }

    private static func end(of form: Bytes, in input: Bytes, from start: Int) -> Int? {
        var (at, breaks) = (start, 0)
        for (index, byte) in form.enumerated() {
            while index > 0, at < input.count, input[at] == 0x0A || input[at] == 0x0D {
                breaks += 1
                at += 1
                if breaks > 2 { return nil }
            }
            breaks = 0
            guard at < input.count, input[at] == byte else { return nil }
            at += 1
        }
        return at
    }

    static func contains(_ text: Bytes, _ part: Bytes) -> Bool {
        text.indices.contains { text[$0...].starts(with: part) }
    }
}

private struct Random: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}

extension JSON {
    fileprivate var canonicalText: String { String(decoding: canonical, as: UTF8.self) }
}
