// Pure. DSSE 1.0: who says so, of what. The payload is signed as bytes, so no reader has to agree on a form of JSON.

import AegixSystem

/// `audit.dsse.json` and its like: a payload and one signature.
public struct Envelope: Equatable, Sendable {
    public var payload: Bytes
    public var payloadType: String
    public var keyID: String
    public var signature: Bytes

    public static let statementType = "application/vnd.in-toto+json"
    /// The most that is read of one.
    public static let longest = 4 << 20

    public static func sign(_ payload: Bytes, with key: SigningKey) -> Envelope? {
        let signature = key.sign(preAuthentication(payload, statementType))
        if signature.isEmpty { return nil }
        return Envelope(
            payload: payload, payloadType: statementType, keyID: key.publicKey.id, signature: signature)
    }

    /// What is really signed: `DSSEv1 LEN TYPE LEN PAYLOAD`.
    static func preAuthentication(_ payload: Bytes, _ type: String) -> Bytes {
        Bytes("DSSEv1 \(type.utf8.count) \(type) \(payload.count) ") + payload
    }

    public var json: JSON {
        [
            "payload": .string(Base64.encode(payload)), "payloadType": .string(payloadType),
            "signatures": [["keyid": .string(keyID), "sig": .string(Base64.encode(signature))]],
        ]
    }

    public enum Flaw: Error, Equatable, Sendable {
        /// Not what aegix writes, to the byte.
        case malformed
        case unknownKey(String)
        case badSignature
    }

    /// Only what `json.canonical` would write: no bit of the file is free.
    public static func parse(_ bytes: Bytes) throws(Flaw) -> Envelope {
        guard bytes.count <= longest,
            case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(bytes, maxDepth: 4) }),
            let payload = json["payload"]?.string.flatMap(Base64.decode), let type = json["payloadType"]?.string,
            let signatures = json["signatures"]?.array, signatures.count == 1,
            let keyID = signatures[0]["keyid"]?.string,
            let signature = signatures[0]["sig"]?.string.flatMap(Base64.decode)
        else { throw .malformed }
        let envelope = Envelope(payload: payload, payloadType: type, keyID: keyID, signature: signature)
        if envelope.json.canonical != bytes { throw .malformed }
        return envelope
    }

    /// The key of these that has signed it.
    public func verify(_ keys: [VerifyingKey]) throws(Flaw) -> VerifyingKey {
        if payloadType != Envelope.statementType { throw .malformed }
        guard let key = keys.first(where: { $0.id == keyID }) else { throw .unknownKey(keyID) }
        if !key.verifies(signature, of: Envelope.preAuthentication(payload, payloadType)) { throw .badSignature }
        return key
    }
}

extension Envelope.Flaw {
    public var words: String {
        switch self {
        case .malformed: "it isn't an envelope as aegix writes them"
        case .unknownKey(let id):
            "it is signed with the key \(Bytes(String(id.prefix(64))).shown), which isn't known here; name the public key with --key"
        case .badSignature: "the signature doesn't hold"
        }
    }
}
