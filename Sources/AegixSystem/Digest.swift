// Pure but for memory. SHA-256 by libcrypto's direct functions: the EVP layer would load providers and configuration.

import CCrypto

/// A running SHA-256.
public struct SHA256 {
    private var context = SHA256_CTX()

    public init() { SHA256_Init(&context) }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        SHA256_Update(&context, bytes.baseAddress, bytes.count)
    }

    public mutating func update(_ bytes: Bytes) { bytes.withUnsafeBytes { update($0) } }

    /// Lower-case hexadecimal.
    public mutating func finish() -> String {
        var digest = Bytes(repeating: 0, count: 32)
        SHA256_Final(&digest, &context)
        return Hex.encode(digest)
    }

    public static func hex(_ bytes: Bytes) -> String {
        var running = SHA256()
        running.update(bytes)
        return running.finish()
    }

    /// 32 bytes.
    public static func digest(_ bytes: Bytes) -> Bytes {
        var running = SHA256()
        running.update(bytes)
        var digest = Bytes(repeating: 0, count: 32)
        SHA256_Final(&digest, &running.context)
        return digest
    }
}

public enum Hex {
    public static func encode(_ bytes: Bytes) -> String {
        var out = Bytes()
        out.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            out.append(digit(byte >> 4))
            out.append(digit(byte & 15))
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// nil: not pairs of lower-case digits.
    public static func decode(_ text: some Collection<UInt8>) -> Bytes? {
        if text.count % 2 != 0 { return nil }
        var out = Bytes()
        var high: UInt8?
        for byte in text {
            let value: UInt8
            switch byte {
            case 0x30...0x39: value = byte - 0x30
            case 0x61...0x66: value = byte - 0x61 + 10
            default: return nil
            }
            if let first = high {
                out.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return out
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}

/// SHA-1, for one purpose: git names its objects by it, and a binary patch has to name them.
public enum SHA1 {
    /// Lower-case hexadecimal.
    public static func hex(_ head: Bytes, _ bytes: Bytes) -> String {
        var context = SHA_CTX()
        SHA1_Init(&context)
        head.withUnsafeBytes { _ = SHA1_Update(&context, $0.baseAddress, $0.count) }
        bytes.withUnsafeBytes { _ = SHA1_Update(&context, $0.baseAddress, $0.count) }
        var digest = Bytes(repeating: 0, count: 20)
        SHA1_Final(&digest, &context)
        return Hex.encode(digest)
    }
}
