// Data. What a run did on the network, bounded.

import AegixPlan
import AegixPolicy
import AegixSystem

/// A lookup or a connection, allowed or not.
public struct NetworkEvent: Equatable, Sendable {
    public enum Kind: String, Sendable { case lookup, connect }

    public var kind: Kind
    /// Wall-clock nanoseconds since 1970.
    public var time: UInt64
    /// nil: not known.
    public var pid: Int32?
    /// As the command asked for it; nil for a bare address.
    public var name: Bytes?
    /// What was really connected to.
    public var address: HostAddress?
    public var port: UInt16?
    public var isAllowed: Bool
    /// With its place in the policy.
    public var rule: String
    /// What the connect came to; 0: it stands.
    public var errno: Int32 = 0
    public var sent: UInt64 = 0
    public var received: UInt64 = 0
    /// Alike ones are counted.
    public var count: UInt64 = 1
    /// Somebody was asked.
    public var approval: Approval?

    public init(
        _ kind: Kind, time: UInt64, pid: Int32? = nil, name: Bytes?, address: HostAddress? = nil, port: UInt16? = nil,
        isAllowed: Bool, rule: String
    ) {
        self.kind = kind
        self.time = time
        self.pid = pid
        self.name = name
        self.address = address
        self.port = port
        self.isAllowed = isAllowed
        self.rule = rule
    }

    /// `lookup(evil.example)`, `connect(10.0.0.1:80)`
    public var subject: String {
        let host = name?.shown ?? address.map { $0.isIPv6 ? "[\($0.text)]" : $0.text } ?? "?"
        return "\(kind.rawValue)(\(host)\(port.map { ":\($0)" } ?? ""))"
    }
}

/// What is kept for the record. Lookups of one name and refused connects to one place are one entry with a count.
public final class NetworkLog {
    public private(set) var events: [NetworkEvent] = []
    public private(set) var leftOut: UInt64 = 0
    /// New since they were last taken.
    private var fresh: [Int] = []
    private var denials: [NetworkEvent] = []
    private var known: [String: Int] = [:]

    static let most = 20_000

    public init() {}

    /// The entry's number; nil where there is no room.
    @discardableResult public func add(_ event: NetworkEvent) -> Int? {
        if !event.isAllowed, denials.count < NetworkLog.most { denials.append(event) }
        let isRepeated = event.approval == nil && (event.kind == .lookup || !event.isAllowed)
        let key = isRepeated ? event.subject + (event.isAllowed ? "+" : "-") + event.rule : ""
        if isRepeated, let index = known[key] {
            events[index].count += 1
            return index
        }
        if events.count >= NetworkLog.most {
            leftOut += 1
            return nil
        }
        events.append(event)
        fresh.append(events.count - 1)
        if isRepeated { known[key] = events.count - 1 }
        return events.count - 1
    }

    func update(_ index: Int?, _ change: (inout NetworkEvent) -> Void) {
        if let index { change(&events[index]) }
    }

    /// First seen since the last call.
    public func takeFresh() -> [NetworkEvent] {
        defer { fresh.removeAll(keepingCapacity: true) }
        return fresh.map { events[$0] }
    }

    /// Refused since the last call, every time.
    public func takeDenials() -> [NetworkEvent] {
        defer { denials.removeAll(keepingCapacity: true) }
        return denials
    }

    public var hasNews: Bool { !fresh.isEmpty || !denials.isEmpty }
}
