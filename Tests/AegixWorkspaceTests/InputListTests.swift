import AegixSystem
import Testing

@testable import AegixWorkspace

@Suite struct InputListTests {
    static let digest = String(repeating: "ab", count: 32)

    static var sample: InputList {
        var list = InputList(.read)
        var file = Input(Bytes("a\nb"), .file)
        (file.mode, file.modified, file.size) = (0o644, -5, 3)
        (file.digest, file.isKept, file.uses) = (digest, true, [.read, .written])
        var odd = Input([0xFF, 0xFE], .symlink)
        odd.target = [0x2F, 0xC3]
        odd.uses = [.link]
        var inner = Input(Bytes("d/x"), .file)
        inner.reason = .denied
        list.inputs = [Input([], .directory), file, Input(Bytes("d"), .directory), inner, odd]
        list.cut = [.bytes]
        return list
    }

    @Test func comesBackAsItWas() throws {
        let bytes = InputListTests.sample.encode()
        #expect(InputList.decode(bytes) == InputListTests.sample)
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            #expect(try JSON.parse(Bytes(line)).canonical == Bytes(line))
        }
        #expect(InputList.decode(InputList(.all).encode()) == InputList(.all))
        #expect(InputListTests.sample.contents == [InputListTests.digest: 3])
    }

    /// One thing of a good list made wrong.
    @Test(arguments: [
        #""path":"d/x""# + "→" + #""path":"../x""#,
        #""path":"d/x""# + "→" + #""path":"/etc/x""#,
        #""path":"d/x""# + "→" + #""path":"d/./x""#,
        #""path":"d/x""# + "→" + #""path":"d//x""#,
        #""path":"d/x""# + "→" + #""path":"d/""#,
        #""path":"d/x""# + "→" + #""path":"d/\u0000x""#,
        #""path":"d/x""# + "→" + #""path":"e/x""#,
        #""path":"d/x""# + "→" + #""path":"d""#,
        #""path":"d/x""# + "→" + #""path":"a""#,
        #""kind":"directory","mode":"00","modified":"0","path":"d""# + "→"
            + #""kind":"file","mode":"00","modified":"0","path":"d""#,
        #""kind":"directory","mode":"00","modified":"0","path":"d""# + "→"
            + #""kind":"symlink","mode":"00","modified":"0","path":"d""#,
        #""kind":"directory","mode":"00","modified":"0","path":"""# + "→"
            + #""kind":"file","mode":"00","modified":"0","path":"""#,
        #""size":3"# + "→" + #""size":-3"#, #""size":3"# + "→" + #""size":1.5"#,
        #""mode":"0644""# + "→" + #""mode":"04755""#, #""mode":"0644""# + "→" + #""mode":420"#,
        #""modified":"-5""# + "→" + #""modified":"99999999999999999999""#,
        #""inputs":5"# + "→" + #""inputs":4"#, #""inputs":5"# + "→" + #""inputs":6"#,
        #""inputs":5"# + "→" + #""inputs":-1"#, #""mode":"read""# + "→" + #""mode":"none""#,
        "aegix.inputs/v1→aegix.inputs/v2", #""bytes""# + "→" + #""luck""#,
        #""denied""# + "→" + #""fine""#, #""written""# + "→" + #""eaten""#,
        "\"\(digest)\"→null", "\(digest)→../\(digest.dropFirst(3))", "\(digest)→\(digest.uppercased())",
        #""kept":true"# + "→" + #""kept":1"#, "\"base64\":\"L8M=\"→\"base64\":\"AA==\"",
        #""link""# + "→" + #"{"a":[[[[1]]]]}"#,
    ]) func refusesWhatItWouldNotWrite(change: String) throws {
        let parts = change.split(separator: "→", omittingEmptySubsequences: false).map(String.init)
        let text = String(decoding: InputListTests.sample.encode(), as: UTF8.self)
        let changed = text.replacing(parts[0], with: parts[1])
        try #require(changed != text, "nothing of \(parts[0])")
        #expect(InputList.decode(Bytes(changed)) == nil)
    }

    @Test func refusesHalvesAndMore() {
        let whole = InputListTests.sample.encode()
        for length in 0..<whole.count { #expect(InputList.decode(Bytes(whole.prefix(length))) == nil) }
        #expect(InputList.decode(whole + whole) == nil)
        #expect(InputList.decode(whole + Bytes("\n")) == nil)
        var bounds = InputBounds()
        bounds.count = 4
        #expect(InputList.decode(whole, bounds) == nil)
        bounds = InputBounds()
        bounds.names = 5
        #expect(InputList.decode(whole, bounds) == nil)
    }
}
