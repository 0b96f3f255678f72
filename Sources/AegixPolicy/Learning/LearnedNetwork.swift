// Pure. Names that were looked up and connections that were let through ─► `[network]`.

import AegixSystem

/// Exact names and ports. Three names of one domain and port become a wildcard, where the domain isn't one under which
/// strangers have names, and the policy that was learned under lets them all through.
struct LearnedNetwork {
    private struct Entry {
        var pattern: HostPattern
        var reason: String
    }

    private var entries: [Entry] = []
    private let within: Policy
    private let hasMore: Bool
    private static let fewest = 3

    init(_ seen: Observations, _ within: Policy) {
        self.within = within
        hasMore = seen.hasMoreHosts
        let connected = Set(seen.hosts.filter { $0.port != nil }.compactMap(\.name))
        for host in seen.hosts { add(host, connected) }
        wildcards()
        entries.sort { $0.pattern.text < $1.pattern.text }
    }

    func put(into learned: inout LearnedPolicy) {
        if hasMore, within.network.mode != .none {
            learned.reasons[.networkMode] = "kept: more was connected to than is kept"
            learned.reasons[.networkAllow] = "kept"
            return
        }
        if entries.isEmpty {
            learned.policy.network.mode = .none
            learned.policy.network.allow = []
            learned.reasons[.networkMode] = "nothing was connected to"
            return
        }
        learned.policy.network.mode = .allow
        learned.reasons[.networkMode] = "what was connected to is below"
        learned.policy.network.allow = entries.map { .init($0.pattern, origin: "learned") }
        learned.entryReasons[.networkAllow] = entries.map(\.reason)
        learned.policy.network.settle()
        if learned.policy.network.allow.count != entries.count { learned.entryReasons[.networkAllow] = nil }
    }

    private mutating func add(_ host: Observations.Host, _ connected: Set<String>) {
        let by = host.by.isEmpty ? "" : " by \(LearnedText.program(host.by))"
        guard let port = host.port else {
            // A lookup needs a rule of any port; the one that opens least is that of TLS.
            guard let name = host.name, !connected.contains(name) else { return }
            return add(.name(name), 443, "looked up\(by), and not connected to")
        }
        if let name = host.name { add(.name(name), port, "connected to\(by)") }
        guard let address = host.address?.unmapped else { return }
        let range = AddressRange(address, prefix: address.bits)
        if host.name == nil { return add(.range(range), port, "connected to\(by)") }
        // Closed to names, so that it was a rule for the address that let it through.
        let holder = within.network.allow.first { $0.pattern.covers(address: address) && $0.pattern.allows(port: port) }
        if let name = host.name, holder != nil { add(.range(range), port, "where \(name) leads") }
    }

    private mutating func add(_ host: HostPattern.Host, _ port: UInt16, _ reason: String) {
        guard var pattern = HostPattern.any else { return }
        pattern.host = host
        pattern.port = port
        if !entries.contains(where: { $0.pattern == pattern }) {
            entries.append(Entry(pattern: pattern, reason: reason))
        }
    }

    private mutating func wildcards() {
        var groups: [HostPattern: [String]] = [:]
        for entry in entries {
            guard case .name(let name) = entry.pattern.host, let dot = name.firstIndex(of: ".") else { continue }
            var wide = entry.pattern
            wide.host = .suffix(String(name[dot...]))
            groups[wide, default: []].append(name)
        }
        for (wide, names) in groups where names.count >= LearnedNetwork.fewest {
            guard case .suffix(let end) = wide.host, !PublicSuffix.isOne(end.dropFirst()),
                NetworkNarrowing.covers(wide, by: within.network)
            else { continue }
            entries.removeAll { wide.port == $0.pattern.port && wide.covers($0.pattern.host) }
            let shown = names.sorted().prefix(4).joined(separator: ", ")
            entries.append(Entry(pattern: wide, reason: "\(names.count) names: \(shown)"))
        }
    }
}

extension HostPattern {
    fileprivate static var any: HostPattern? {
        do throws(Defect) { return try HostPattern("any.invalid") } catch { return nil }
    }
}

/// Domains under which anybody can have a name. A guess that errs towards yes: the price is a longer list of names.
enum PublicSuffix {
    /// One label, two short ones (`co.uk`), or a host of other people's sites.
    static func isOne(_ domain: Substring) -> Bool {
        let labels = domain.split(separator: ".")
        guard labels.count > 1, let last = labels.last else { return true }
        if labels.count == 2, last.utf8.count == 2, labels[0].utf8.count <= 3 || second.contains(String(labels[0])) {
            return true
        }
        return shared.contains { domain == $0 || domain.hasSuffix("." + $0) }
    }

    private static let second: Set<String> = ["info", "name", "asso", "gouv", "govt", "school", "firm", "store"]

    private static let shared = [
        "amazonaws.com", "appspot.com", "azureedge.net", "azurewebsites.net", "blogspot.com", "cloudapp.net",
        "cloudfront.net",
        "deno.dev", "digitaloceanspaces.com", "duckdns.org", "edgekey.net", "edgesuite.net", "akamaized.net",
        "akamai.net",
        "fastly.net", "firebaseapp.com", "fly.dev", "github.io", "githubusercontent.com", "gitlab.io", "glitch.me",
        "googleusercontent.com", "herokuapp.com", "ngrok.app", "ngrok.io", "netlify.app", "on.aws", "onrender.com",
        "pages.dev",
        "r2.dev", "readthedocs.io", "run.app", "sharepoint.com", "surge.sh", "trafficmanager.net", "translate.goog",
        "vercel.app", "web.app", "windows.net", "wordpress.com", "workers.dev",
    ]
}
