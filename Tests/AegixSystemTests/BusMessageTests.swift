// Pure. D-Bus as far as it is spoken.

import AegixSystem
import Testing

@Suite struct BusMessageTests {
    /// A signal as systemd sends it, padded as the specification says.
    private func signal(_ member: String, _ body: (inout BusWriter) -> Void, signature: String) -> Bytes {
        var content = BusWriter()
        body(&content)
        var message = BusMessage.call(member, body: content, signature: signature)
        message[1] = 4
        return message
    }

    @Test func aCallIsLaidOutAsTheSpecificationSays() {
        var body = BusWriter()
        body.string(Bytes("ab"))
        body.array(alignment: 8) { _ in }
        // length, text, NUL, padding; then the array's length and the padding that its elements would begin after
        #expect(body.bytes == [2, 0, 0, 0, 97, 98, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        let message = BusMessage.call("M", body: body, signature: "sa(sv)")
        #expect(message.starts(with: [UInt8(ascii: "l"), 1, 0, 1, 16, 0, 0, 0, 1, 0, 0, 0]))
        #expect(message.suffix(16).elementsEqual(body.bytes))
        #expect((message.count - 16) % 8 == 0)
    }

    @Test func aSignalIsReadBack() throws {
        let bytes = signal(
            "JobRemoved",
            {
                $0.number(7)
                $0.string(Bytes("/job/7"))
                $0.string(Bytes("aegix.scope"))
                $0.string(Bytes("done"))
            }, signature: "uoss")
        let found = try #require(try BusMessage.first(in: bytes + [1, 2, 3]))
        #expect(found.length == bytes.count)
        #expect(found.message.kind == .signal)
        #expect(found.message.member == Bytes("JobRemoved"))
        #expect(found.message.strings == [Bytes("/job/7"), Bytes("aegix.scope"), Bytes("done")])
    }

    @Test func halfAMessageIsWaitedFor() throws {
        let bytes = signal("JobRemoved", { $0.number(7) }, signature: "u")
        for count in bytes.indices { #expect(try BusMessage.first(in: Bytes(bytes[..<count]))?.length == nil) }
    }

    /// Every length is the other side's word: whatever is changed in a message, reading it ends.
    @Test func noByteOfItIsTrusted() {
        let bytes = signal("JobRemoved", { $0.string(Bytes("done")) }, signature: "s")
        for index in bytes.indices {
            for value in [0, 1, 0x7f, 0x80, 0xff] as [UInt8] {
                var changed = bytes
                changed[index] = value
                do { _ = try BusMessage.first(in: changed) } catch {
                    #expect(error.errno == BusMessage.malformed.errno)
                }
            }
        }
    }
}

extension BusMessage {
    fileprivate static func call(_ member: String, body: BusWriter, signature: String) -> Bytes {
        BusWriter.call(
            member, on: "/o", interface: "i.i", destination: "d.d", signature: signature, body: body)
    }
}
