// Pure data.

/// The version of aegix, as `aegix --version` and the record say it.
public enum Version {
    public static let number = "0.1.0"
}
