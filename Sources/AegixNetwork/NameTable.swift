// Data. The names that were looked up, each with the address that stands for it inside and those that it has outside.

import AegixPlan
import AegixPolicy
import AegixSystem

final class NameTable {
    final class Entry {
        let name: String
        /// The same for the whole run, so that what a program keeps stays right.
        let inside: HostAddress
        var outside: [HostAddress] = []
        /// By the monotonic clock.
        var expires: UInt64 = 0

        init(name: String, inside: HostAddress) {
            self.name = name
            self.inside = inside
        }
    }

    private var byName: [String: Entry] = [:]
    private var byAddress: [HostAddress: Entry] = [:]

    static let most = 16_384
    /// A program connects a moment after it has looked a name up, also where an answer is good for that moment only.
    static let leastSeconds: UInt32 = 1
    static let mostSeconds: UInt32 = 300

    func entry(at inside: HostAddress) -> Entry? { byAddress[inside] }
    func entry(named name: String) -> Entry? { byName[name] }

    /// Seconds that the answer is good for; nil: no room for another name.
    func learn(_ name: String, _ addresses: [HostAddress], seconds: UInt32, now: UInt64) -> (Entry, UInt32)? {
        let good = min(max(seconds, NameTable.leastSeconds), NameTable.mostSeconds)
        guard let entry = byName[name] ?? make(name) else { return nil }
        entry.outside = addresses
        entry.expires = now &+ UInt64(good) &* 1_000_000_000
        return (entry, good)
    }

    private func make(_ name: String) -> Entry? {
        if byName.count >= NameTable.most { return nil }
        // The first address is the resolver's.
        let first = UInt32(truncatingIfNeeded: NetworkPlan.resolver.low)
        let entry = Entry(name: name, inside: HostAddress(v4: first + 1 + UInt32(byName.count)))
        byName[name] = entry
        byAddress[entry.inside] = entry
        return entry
    }
}
