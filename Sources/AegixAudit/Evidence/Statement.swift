// Pure. in-toto Statement v1: what is said of which files.

import AegixSystem

/// Subjects by digest, and one predicate of them. A new kind of predicate is a type that gives its own; nothing here changes.
public struct Statement: Sendable {
    public var subjects: [Subject]
    public var predicateType: String
    public var predicate: JSON

    public struct Subject: Equatable, Sendable {
        public var name: String
        /// SHA-256 in hex.
        public var digest: String

        public init(_ name: String, _ digest: String) { (self.name, self.digest) = (name, digest) }
    }

    static let type = "https://in-toto.io/Statement/v1"

    public init(_ subjects: [Subject], _ predicate: some Predicate) {
        self.subjects = subjects
        predicateType = predicate.type
        self.predicate = predicate.json
    }

    public var json: JSON {
        [
            "_type": .string(Statement.type), "predicate": predicate, "predicateType": .string(predicateType),
            "subject": .array(
                subjects.map { ["digest": ["sha256": .string($0.digest)], "name": .string($0.name)] }),
        ]
    }

    public init?(_ payload: Bytes) {
        guard case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(payload) }),
            json["_type"]?.string == Statement.type, let type = json["predicateType"]?.string,
            let predicate = json["predicate"], let list = json["subject"]?.array
        else { return nil }
        subjects = []
        for item in list {
            guard let name = item["name"]?.string, let digest = item["digest"]?["sha256"]?.string else { return nil }
            subjects.append(Subject(name, digest))
        }
        (predicateType, self.predicate) = (type, predicate)
    }

    public func digest(of name: String) -> String? {
        let found = subjects.filter { $0.name == name }
        return found.count == 1 ? found[0].digest : nil
    }
}

/// What a statement says of its subjects.
public protocol Predicate {
    /// A URI, which names form and version.
    var type: String { get }
    var json: JSON { get }
}

/// That aegix ran a command, and how that went: the members of the record that a verifier asks for first, as the record has
/// them. The record is a subject, so the rest of it is signed as well.
public struct RunPredicate: Predicate {
    public static let uri = "urn:aegix:run:v1"
    public var type: String { RunPredicate.uri }
    public let json: JSON

    /// - start: the ledger's entry of the run's start.
    init(record: JSON, start: LedgerHead?) {
        var members: [String: JSON] = ["ledger": start.map(\.json) ?? .null]
        for name in ["run_id", "aegix", "started_at", "finished_at", "outcome"] {
            members[name] = record[name] ?? .null
        }
        members["command"] = ["argv": record["command"]?["argv"] ?? .null]
        members["policy"] = [
            "name": record["policy"]?["name"] ?? .null, "sha256": record["policy"]?["digest"] ?? .null,
        ]
        members["tier"] = record["enforcement"]?["tier"] ?? .null
        json = .object(members)
    }
}

/// An entry of the ledger, and with it all those before.
public struct LedgerHead: Equatable, Sendable {
    public var seq: UInt64
    /// SHA-256 of its line.
    public var hash: String

    public init(seq: UInt64, hash: String) { (self.seq, self.hash) = (seq, hash) }

    /// `SEQ:HASH`, as `verify --ledger` prints it.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let seq = UInt64(parts[0]), parts[1].utf8.count == 64, Hex.decode(parts[1].utf8) != nil
        else { return nil }
        self.init(seq: seq, hash: String(parts[1]))
    }

    var json: JSON { ["entries": .int(Int(clamping: seq)), "sha256": .string(hash)] }

    init?(_ json: JSON) {
        guard let seq = json["entries"]?.int, seq >= 0, let hash = json["sha256"]?.string else { return nil }
        self.init(seq: UInt64(seq), hash: hash)
    }
}

extension LedgerHead: CustomStringConvertible {
    public var description: String { "\(seq):\(hash)" }
}

/// That the ledger had this entry as its newest.
struct HeadPredicate: Predicate {
    static let uri = "urn:aegix:ledger-head:v1"
    var type: String { HeadPredicate.uri }
    var head: LedgerHead
    var time: UInt64

    var json: JSON { ["head": head.json, "time": .string(Clock.rfc3339(time))] }
}
