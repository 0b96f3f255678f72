// Pure but for `current`, which reads the environment. Where the state directory is.

import AegixSystem
import Glibc

/// `--state-dir`, else `$AEGIX_STATE`, else `$XDG_STATE_HOME/aegix`, else `~/.local/state/aegix`.
public enum StateLocation {
    /// Absolute. `option` and `$AEGIX_STATE` may be relative to the current directory; a relative `$XDG_STATE_HOME` is
    /// ignored, as its specification asks.
    public static func resolve(
        option: Bytes?, cwd: Bytes, environment: (String) -> Bytes?
    ) throws(Failure) -> Bytes {
        if let named = option ?? nonEmpty(environment("AEGIX_STATE")) {
            return Path.normalized(Path.join(cwd, named))
        }
        if let home = nonEmpty(environment("XDG_STATE_HOME")), Path.isAbsolute(home) {
            return Path.normalized(Path.join(home, Bytes("aegix")))
        }
        if let home = nonEmpty(environment("HOME")), Path.isAbsolute(home) {
            return Path.normalized(Path.join(home, Bytes(".local/state/aegix")))
        }
        throw Failure(
            "state.unknown",
            "there is no place for the record: HOME isn't set. Name one with --state-dir or AEGIX_STATE.")
    }

    /// For this process.
    public static func current(option: Bytes?) throws(Failure) -> Bytes {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        // Without a current directory, only a relative name has a problem, and it shows as one.
        let found = getcwd(&buffer, buffer.count) != nil
        let cwd = found ? buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) } : Bytes("/")
        return try resolve(option: option, cwd: cwd) { name in
            getenv(name).map { value in Bytes(UnsafeRawBufferPointer(start: value, count: strlen(value))) }
        }
    }

    private static func nonEmpty(_ bytes: Bytes?) -> Bytes? { bytes?.isEmpty == true ? nil : bytes }
}
