// Side effects: none; reads this program's own notes.

import CAegix

/// Names the exact binary.
public enum BuildID {
    /// nil when it was linked without one.
    public static var current: String? {
        var bytes = Bytes(repeating: 0, count: 32)
        let count = aegix_build_id(&bytes, bytes.count)
        return count == 0 ? nil : Hex.encode(Bytes(bytes[..<count]))
    }
}
