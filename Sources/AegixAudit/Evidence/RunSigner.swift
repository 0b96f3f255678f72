// Side effects: reads the signing key; writes the signed head of the ledger.

import AegixSystem
import Glibc

/// Who signs a run. The private key is read twice, before anything runs, to know that it can be had, and at the end; in between
/// it is nowhere in memory.
public struct RunSigner: Sendable, Equatable {
    /// Absolute.
    public let path: Bytes
    public let key: VerifyingKey

    public static let name = "audit.dsse.json"
    static let exitCode: Int32 = 123

    public init(_ path: Bytes) throws(Failure) {
        self.path = path
        key = try SigningKeyFile.read(path).publicKey
    }

    /// The key that the run began with, or none.
    func open() throws(Failure) -> SigningKey {
        let found: SigningKey
        do throws(Failure) { found = try SigningKeyFile.read(path) } catch { throw RunSigner.failure(error.message) }
        if found.publicKey != key { throw RunSigner.failure("\(path.shown) has another key by now") }
        return found
    }

    static func failure(_ why: String) -> Failure {
        Failure("record.unsigned", "the command ran, and its record isn't signed: \(why)", exitCode: exitCode)
    }

    /// What becomes `audit.dsse.json`.
    static func envelope(
        _ record: Bytes, _ manifest: Bytes, start: LedgerHead?, with key: SigningKey
    ) throws(Failure) -> Bytes {
        guard case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(record) }) else {
            throw failure("it can't be read")
        }
        let statement = Statement(
            [.init("audit.json", SHA256.hex(record)), .init(Manifest.name, SHA256.hex(manifest))],
            RunPredicate(record: json, start: start))
        guard let envelope = Envelope.sign(statement.json.canonical, with: key) else {
            throw failure("libcrypto makes no signature")
        }
        return envelope.json.canonical
    }

    /// Puts the newest entry under a signature. Under the ledger's lock, so that no older head replaces a newer one.
    static func seal(
        _ head: LedgerHead, time: UInt64, with key: SigningKey, in state: StateDirectory
    ) throws(SystemError) {
        let statement = Statement([.init("ledger.jsonl#\(head.seq)", head.hash)], HeadPredicate(head: head, time: time))
        guard let envelope = Envelope.sign(statement.json.canonical, with: key) else {
            throw SystemError("sign", errno: EIO)
        }
        try StateFile.replace(envelope.json.canonical, at: StateDirectory.headName, in: state.root)
    }
}
