// Side effects: writes a key pair into the state directory.

import AegixAudit
import AegixSystem

/// `aegix keygen`.
public enum KeygenCommand: Command {
    public static let name = "keygen"
    public static let summary = "make a key that signs records"
    public static let usage = ["keygen [NAME] [--state-dir DIR] [--json]"]
    public static let details = """
        Makes an Ed25519 key in `keys/` of the state directory, which no run ever sees: `NAME.pem` (PKCS #8, mode 0600) and \
        `NAME.pub.pem`. NAME is `aegix` unless given. A key that is there is never overwritten.

        A policy with `audit.sign = "PATH"` signs the records of its runs with it. Give the public half to whoever is to verify them.
        """
    public static let options = [
        Option(
            "state-dir", "DIR", completes: .directory,
            help: "Keep the key in DIR. Default: $AEGIX_STATE, else $XDG_STATE_HOME/aegix, else ~/.local/state/aegix.")
    ]

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        let name = try keyName(try arguments.operands("NAME", optional: 1).first)
        let state = try StateDirectory.open(at: try StateLocation.current(option: arguments.value("state-dir")))
        let pair = try state.makeKey(name)
        if console.json {
            try console.document([
                "schema": "aegix.key/v1", "key_id": .string(pair.key.id), "private": .bytes(pair.privatePath),
                "public": .bytes(pair.publicPath),
            ])
        } else {
            try console.print(
                """
                key      \(pair.key.id)
                private  \(pair.privatePath.shown)
                public   \(pair.publicPath.shown)

                In a policy:  [audit] sign = "\(pair.privatePath.shown)"
                """)
        }
        return 0
    }

    private static func keyName(_ word: Bytes?) throws(Failure) -> String {
        guard let word else { return "aegix" }
        let isPlain = word.allSatisfy {
            (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
                || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
        }
        guard let text = word.text, isPlain, (1...64).contains(word.count), word.first != UInt8(ascii: "-") else {
            throw Failure(
                "usage.value", "a key can't be called \(word.shown): take up to 64 letters, digits, - and _")
        }
        return text
    }
}
