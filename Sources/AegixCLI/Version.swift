// Pure but for reading this program's own notes.

import AegixSystem

/// The version of aegix, as `aegix --version` and the record say it.
public enum Version {
    public static let number = "0.1.0"
    public static var build: String { BuildID.current ?? "none" }
}
