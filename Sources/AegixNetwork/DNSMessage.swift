// Pure. Questions and answers of DNS (RFC 1035), as far as the sandbox's resolver needs them. Hostile bytes come in here.

import AegixSystem

/// A question for one name.
public struct DNSQuestion: Equatable, Sendable {
    public var id: UInt16
    public var wantsRecursion: Bool
    /// Labels joined by dots, as they came.
    public var name: Bytes
    public var type: UInt16
    public var isInternet: Bool
    /// The question's own bytes, which the answer repeats.
    var raw: Bytes

    public enum Failure: Error {
        case unanswerable
        case malformed(id: UInt16)
    }

    static let address: UInt16 = 1

    public init(_ message: Bytes) throws(Failure) {
        guard message.count >= 12 else { throw .unanswerable }
        let id = DNSQuestion.number(message, 0)
        let flags = DNSQuestion.number(message, 2)
        if flags & 0x8000 != 0 { throw .unanswerable }  // an answer
        let counts = (DNSQuestion.number(message, 4), DNSQuestion.number(message, 6), DNSQuestion.number(message, 8))
        // Opcode 0, one question, nothing answered yet; what is additional (EDNS) isn't read.
        guard flags & 0x7800 == 0, counts == (1, 0, 0) else { throw .malformed(id: id) }
        var at = 12
        var name = Bytes()
        while true {
            guard at < message.count else { throw .malformed(id: id) }
            let length = Int(message[at])
            at += 1
            if length == 0 { break }
            // Longer ones are pointers, which have nothing to point at in a first name.
            guard length < 64, at + length < message.count, name.count + length < 254 else { throw .malformed(id: id) }
            if !name.isEmpty { name.append(UInt8(ascii: ".")) }
            // A dot within a label would read as two.
            let label = message[at..<at + length]
            name += label.map { $0 == UInt8(ascii: ".") ? 0 : $0 }
            at += length
        }
        guard at + 4 <= message.count else { throw .malformed(id: id) }
        self.id = id
        wantsRecursion = flags & 0x0100 != 0
        self.name = name
        type = DNSQuestion.number(message, at)
        isInternet = DNSQuestion.number(message, at + 2) == 1
        raw = Bytes(message[12..<at + 4])
    }

    private static func number(_ message: Bytes, _ at: Int) -> UInt16 {
        UInt16(message[at]) << 8 | UInt16(message[at + 1])
    }
}

public enum DNSAnswer: Equatable, Sendable {
    case address(Bytes, ttl: UInt32)
    /// The name is there, and has nothing of this type.
    case nothing
    case noSuchName
    case failed
    case notImplemented

    public func bytes(to question: DNSQuestion) -> Bytes {
        var out = DNSAnswer.header(question.id, code: code, wantsRecursion: question.wantsRecursion, questions: 1)
        out += question.raw
        if case .address(let address, let ttl) = self {
            out[7] = 1
            out += [0xC0, 12, 0, 1, 0, 1]
            for shift in [24, 16, 8, 0] { out.append(UInt8(truncatingIfNeeded: ttl >> UInt32(shift))) }
            out += [0, UInt8(address.count)] + address
        }
        return out
    }

    public static func malformed(_ id: UInt16) -> Bytes { header(id, code: 1, wantsRecursion: false, questions: 0) }

    private var code: UInt8 {
        switch self {
        case .address, .nothing: 0
        case .failed: 2
        case .noSuchName: 3
        case .notImplemented: 4
        }
    }

    private static func header(_ id: UInt16, code: UInt8, wantsRecursion: Bool, questions: UInt8) -> Bytes {
        [
            UInt8(id >> 8), UInt8(truncatingIfNeeded: id), wantsRecursion ? 0x81 : 0x80, 0x80 | code, 0, questions, 0,
            0,
            0, 0, 0, 0,
        ]
    }
}
