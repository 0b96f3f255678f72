// Side effects: the kernel's random numbers, for a new key. Ed25519 (RFC 8032) by libcrypto.

import CAegix
import CCrypto
import Glibc

/// A private key, which stays in libcrypto's memory and is wiped there. No text of it is made but by `withPEM`.
public final class SigningKey {
    public let publicKey: VerifyingKey
    private let key: OpaquePointer

    private init?(seed: UnsafeRawBufferPointer) {
        crypto_without_configuration()
        guard seed.count == 32, let base = seed.bindMemory(to: UInt8.self).baseAddress, let key = ed25519_private(base)
        else { return nil }
        var raw = Bytes(repeating: 0, count: 32)
        var length = raw.count
        guard EVP_PKEY_get_raw_public_key(key, &raw, &length) == 1, length == 32 else {
            EVP_PKEY_free(key)
            return nil
        }
        self.key = key
        publicKey = VerifyingKey(raw)
    }

    deinit { EVP_PKEY_free(key) }

    public static func make() throws(SystemError) -> SigningKey {
        var made: SigningKey?
        WipedBytes.with(32) { seed in
            var done = 0
            while done < 32, let base = seed.baseAddress {
                let count = aegix_random(base + done, 32 - done)
                if count < 0, errno != EINTR { return }
                done += max(count, 0)
            }
            made = SigningKey(seed: UnsafeRawBufferPointer(seed))
        }
        guard let made else { throw SystemError.last("getrandom") }
        return made
    }

    /// PKCS #8 as `openssl genpkey -algorithm ed25519` writes it; nil for anything else.
    public static func parse(_ pem: UnsafeRawBufferPointer) -> SigningKey? {
        var key: SigningKey?
        WipedBytes.with(64) { room in
            guard PEM.decode(pem, PEM.privateLabel, into: room) == PEM.privatePrefix.count + 32,
                room.starts(with: PEM.privatePrefix)
            else { return }
            let seed = room[PEM.privatePrefix.count..<PEM.privatePrefix.count + 32]
            key = SigningKey(seed: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[seed.indices]))
        }
        return key
    }

    /// Wiped when `body` is done.
    public func withPEM<R>(_ body: (UnsafeRawBufferPointer) throws(SystemError) -> R) throws(SystemError) -> R {
        var result: Result<R, SystemError>?
        WipedBytes.with(256) { room in
            var length = 32
            let prefix = PEM.privatePrefix
            for (index, byte) in prefix.enumerated() { room[index] = byte }
            guard let base = room.bindMemory(to: UInt8.self).baseAddress,
                EVP_PKEY_get_raw_private_key(key, base + prefix.count, &length) == 1, length == 32
            else { return }
            var at = 64
            func put(_ text: String) {
                for byte in text.utf8 {
                    room[at] = byte
                    at += 1
                }
            }
            put("-----BEGIN \(PEM.privateLabel)-----\n")
            at += Int(EVP_EncodeBlock(base + at, base, Int32(prefix.count + 32)))
            put("\n-----END \(PEM.privateLabel)-----\n")
            let text = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[64..<at])
            do throws(SystemError) { result = .success(try body(text)) } catch { result = .failure(error) }
        }
        guard let result else { throw SystemError("encode", errno: EINVAL) }
        return try result.get()
    }

    public func sign(_ message: Bytes) -> Bytes {
        guard let context = EVP_MD_CTX_new() else { return [] }
        defer { EVP_MD_CTX_free(context) }
        var signature = Bytes(repeating: 0, count: 64)
        var length = signature.count
        guard EVP_DigestSignInit(context, nil, nil, nil, key) == 1,
            EVP_DigestSign(context, &signature, &length, message, message.count) == 1, length == 64
        else { return [] }
        return signature
    }
}

public struct VerifyingKey: Equatable, Hashable, Sendable {
    public let raw: Bytes

    init(_ raw: Bytes) { self.raw = raw }

    /// SubjectPublicKeyInfo, as `openssl pkey -pubout` writes it; nil for anything else.
    public static func parse(_ pem: Bytes) -> VerifyingKey? {
        var raw: Bytes?
        WipedBytes.with(64) { room in
            guard pem.withUnsafeBytes({ PEM.decode($0, PEM.publicLabel, into: room) }) == PEM.publicPrefix.count + 32,
                room.starts(with: PEM.publicPrefix)
            else { return }
            raw = Bytes(room[PEM.publicPrefix.count..<PEM.publicPrefix.count + 32])
        }
        return raw.map(VerifyingKey.init)
    }

    /// DER.
    public var subjectPublicKeyInfo: Bytes { PEM.publicPrefix + raw }

    public var pem: Bytes {
        Bytes(
            "-----BEGIN \(PEM.publicLabel)-----\n\(Base64.encode(subjectPublicKeyInfo))\n-----END \(PEM.publicLabel)-----\n"
        )
    }

    /// As securesystemslib computes it, so that in-toto's tools find the key: SHA-256 of its canonical JSON.
    public var id: String {
        let key: JSON = [
            "keytype": "ed25519", "keyval": ["public": .string(Hex.encode(raw))], "scheme": "ed25519",
        ]
        return SHA256.hex(key.canonical)
    }

    public func verifies(_ signature: Bytes, of message: Bytes) -> Bool {
        crypto_without_configuration()
        guard signature.count == 64, let key = ed25519_public(raw) else { return false }
        defer { EVP_PKEY_free(key) }
        guard let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        return EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1
            && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }
}

/// Textual keys of RFC 7468, of the one kind that there is here.
private enum PEM {
    static let privateLabel = "PRIVATE KEY"
    static let publicLabel = "PUBLIC KEY"
    /// DER up to the 32 bytes of the key; RFC 8410.
    static let privatePrefix: Bytes = [
        0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ]
    static let publicPrefix: Bytes = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00]

    /// How many bytes there are; nil: not exactly one such block of one line.
    static func decode(
        _ pem: UnsafeRawBufferPointer, _ label: String, into room: UnsafeMutableRawBufferPointer
    ) -> Int? {
        let (begin, end) = (Bytes("-----BEGIN \(label)-----\n"), Bytes("\n-----END \(label)-----"))
        guard pem.starts(with: begin), let stop = pem[begin.count...].firstIndex(of: UInt8(ascii: "\n")),
            pem[stop...].starts(with: end),
            pem[(stop + end.count)...].allSatisfy({ [0x0A, 0x0D, 0x20].contains($0) })
        else { return nil }
        let text = UnsafeRawBufferPointer(rebasing: pem[begin.count..<stop])
        let padding = text.reversed().prefix { $0 == UInt8(ascii: "=") }.count
        guard !text.isEmpty, text.count % 4 == 0, padding <= 2, text.count / 4 * 3 <= room.count,
            let from = text.bindMemory(to: UInt8.self).baseAddress, let to = room.bindMemory(to: UInt8.self).baseAddress
        else { return nil }
        let count = EVP_DecodeBlock(to, from, Int32(text.count))
        return count < 0 ? nil : Int(count) - padding
    }
}

/// Memory for what nobody shall find later.
public enum WipedBytes {
    public static func with(_ count: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        withUnsafeTemporaryAllocation(byteCount: count, alignment: 16) { room in
            room.initializeMemory(as: UInt8.self, repeating: 0)
            body(room)
            OPENSSL_cleanse(room.baseAddress, room.count)
        }
    }
}
