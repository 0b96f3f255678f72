// Pure. An envelope in the form that Sigstore's tools read.

import AegixSystem

/// application/vnd.dev.sigstore.bundle.v0.3+json, with a public key for its verification material: no certificate, no transparency log
/// and no time, which a key that is kept by its owner doesn't need and can't prove.
enum SigstoreBundle {
    static let mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

    static func encode(_ envelope: Envelope, key: VerifyingKey) -> Bytes {
        let json: JSON = [
            "dsseEnvelope": envelope.json, "mediaType": .string(mediaType),
            "verificationMaterial": ["publicKey": ["hint": .string(hint(key))]],
        ]
        return json.canonical
    }

    /// As cosign makes it: by it a verifier with several keys finds the one.
    static func hint(_ key: VerifyingKey) -> String {
        Base64.encode(Hex.decode(SHA256.hex(key.subjectPublicKeyInfo).utf8) ?? [])
    }
}
