// Pure but for reading this program's own notes.

import AegixSystem
import CAegix

/// The version of aegix, as `aegix --version` and the record say it.
public enum Version {
    public static let number = "0.1.0"

    /// Names the exact binary; `none` when it was linked without a build id.
    public static var build: String {
        var bytes = Bytes(repeating: 0, count: 32)
        let count = aegix_build_id(&bytes, bytes.count)
        return count == 0 ? "none" : Hex.encode(Bytes(bytes[..<count]))
    }
}
