// Pure. No child ever gains a right: thousands of random pairs, judged by an oracle that knows nothing of patterns but how
// to match one path, and asks about every path of a small world.

import AegixSystem
import Glibc
import Testing

@testable import AegixPolicy

/// SplitMix64: the same pairs on every machine.
struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    mutating func pick<T>(_ items: [T]) -> T { items[Int.random(in: 0..<items.count, using: &self)] }
    mutating func some<T>(_ items: [T], most: Int) -> [T] {
        (0..<Int.random(in: 0...most, using: &self)).map { _ in pick(items) }
    }
    mutating func chance(_ one: Int) -> Bool { Int.random(in: 0..<one, using: &self) == 0 }
}

/// All paths of up to four names from a, b and ab, and the workspace and home among them.
private let world: [[String]] = {
    var all: [[String]] = [[]]
    var last: [[String]] = [[]]
    for _ in 0..<4 {
        last = last.flatMap { path in ["a", "b", "ab"].map { path + [$0] } }
        all += last
    }
    return all
}()
private let small = PolicyAnchors(home: Bytes("/a"), workspace: Bytes("/a/b"))

private let patterns = [
    "/a", "/b", "/a/a", "/a/b", "/a/b/a", "/ab/a/b", "/b/a", "/b/*", "/b/**/a", "/b/a*", "~/ab", "~", ".", "a", "ab/b",
    "**/a", "/a/*/b", "/",
]
private let collected = ["a", "a/b", "**", "ab/**", "*/a", "a/**/b", "**/ab", "a/b/*", "b*"]
private let denied = ["/a/a", "/b", "**/ab", "a", "/a/b/**"]

/// How deep into each path of the world a pattern covers it, by fnmatch on each ancestor; asked for once, for speed only.
private let depths: [String: [Int?]] = {
    var all: [String: [Int?]] = [:]
    for pattern in patterns + denied {
        let parts: [String]
        if pattern.hasPrefix("/") {
            parts = names(pattern)
        } else if pattern.hasPrefix("~") {
            parts = ["a"] + names(pattern).dropFirst()
        } else {
            parts = ["a", "b"] + names(pattern).filter { $0 != "." }
        }
        all[pattern] = world.map { path in (0...path.count).reversed().first { matches(parts, Array(path[..<$0])) } }
    }
    return all
}()

private func names(_ path: String) -> [String] { path.split(separator: "/").map(String.init) }

private func matches(_ pattern: [String], _ path: [String]) -> Bool {
    guard let first = pattern.first else { return path.isEmpty }
    if first == "**" { return (0...path.count).contains { matches(Array(pattern[1...]), Array(path[$0...])) } }
    guard let name = path.first, fnmatch(first, name, 0) == 0 else { return false }
    return matches(Array(pattern[1...]), Array(path[1...]))
}

private enum Right: Int { case none, read, layered, applied, written }

/// The deepest entry decides; which of two equally deep ones isn't said anywhere, so both ways are asked.
private func rights(_ policy: Policy, readWinsTies: Bool) -> [Right] {
    func covers(_ rules: [Policy.PathRule]) -> [[Int?]] {
        rules.map { depths[String(decoding: $0.pattern, as: UTF8.self)] ?? [] }
    }
    let mode: Right =
        switch policy.workspace.mode {
        case .readOnly: .read
        case .layer: .layered
        case .apply: .applied
        case .direct: .written
        }
    let deny = covers(policy.files.deny)
    let offers =
        covers(policy.files.read).map { ($0, Right.read) } + covers(policy.files.write).map { ($0, Right.written) }
        + [(depths["."] ?? [], mode)]
    return world.indices.map { index in
        if deny.contains(where: { $0[index] != nil }) { return .none }
        var best: (depth: Int, right: Right) = (-1, .none)
        for (offer, right) in offers {
            guard let depth = offer[index] else { continue }
            let wins = readWinsTies ? right.rawValue < best.right.rawValue : right.rawValue > best.right.rawValue
            if depth > best.depth || (depth == best.depth && wins) { best = (depth, right) }
        }
        return best.right
    }
}

private let hosts = [
    "a.x", "*.x", "b.a.x", "*.a.x", "y", "a.x:22", "*.x:5432", "10.0.0.0/8", "10.1.0.0/16:5432", "10.1.2.3",
    "9.9.9.9:443", "9.0.0.0/8",
]
private let targets = [
    "x", "a.x", "b.a.x", "c.b.a.x", "y", "z", "10.1.2.3", "10.1.9.9", "10.200.0.1", "9.9.9.9", "9.1.1.1", "8.8.8.8",
]

/// By text alone: a name or an address, and a port.
private func reaches(_ network: Policy.Network, _ target: String, _ port: UInt16) -> Bool {
    let isAddress = target.first?.isNumber == true
    func number(_ text: Substring) -> UInt32 { text.split(separator: ".").reduce(0) { $0 << 8 | (UInt32($1) ?? 0) } }
    func holds(_ rule: Policy.HostRule, _ ports: [UInt16]?) -> Bool {
        let parts = rule.pattern.text.split(separator: ":")
        let asked = parts.count > 1 ? [UInt16(parts[1]) ?? 0] : ports
        if let asked, !asked.contains(port) { return false }
        let host = parts[0]
        if host.hasPrefix("*") { return !isAddress && target.hasSuffix(host.dropFirst()) }
        if host.first?.isNumber != true || !isAddress { return host == target }
        let range = host.split(separator: "/")
        let bits = range.count > 1 ? UInt32(range[1]) ?? 32 : 32
        return number(range[0]) >> (32 - bits) == number(Substring(target)) >> (32 - bits)
    }
    if network.mode == .none || network.deny.contains(where: { holds($0, nil) }) { return false }
    if network.mode == .host { return true }
    return network.allow.contains { holds($0, [80, 443]) } || (network.mode == .guarded && !target.hasPrefix("10."))
}

/// What the child may and the parent may not, in plain words.
private func gains(_ child: Policy, _ parent: Policy) -> [String] {
    var all: [String] = []
    func more(_ a: UInt64?, _ b: UInt64?) -> Bool { (a ?? .max) > (b ?? .max) }
    if child.require.rawValue < parent.require.rawValue { all.append("require") }
    if !parent.lock.isSubset(of: child.lock) { all.append("lock") }
    if parent.identity == .nobody, child.identity != .nobody { all.append("identity") }
    let backings = [Policy.Workspace.Backing.copy, .overlay, .auto]
    if backings.firstIndex(of: child.workspace.backing) ?? 0 > backings.firstIndex(of: parent.workspace.backing) ?? 0 {
        all.append("backing")
    }
    if child.workspace.sandbox == .workspace, parent.workspace.sandbox == .run { all.append("sandbox") }
    if !child.workspace.keep.isSubset(of: parent.workspace.keep) { all.append("keep") }
    if !Set(parent.workspace.protect).isSubset(of: child.workspace.protect) { all.append("protect") }
    if more(child.limits.wall, parent.limits.wall) { all.append("wall") }
    if child.limits.grace > parent.limits.grace { all.append("grace") }
    if more(child.limits.cpuTime, parent.limits.cpuTime) { all.append("cpu_time") }
    if more(child.limits.cpus, parent.limits.cpus) { all.append("cpus") }
    if more(child.limits.memory, parent.limits.memory) { all.append("memory") }
    if more(child.limits.pids, parent.limits.pids) { all.append("pids") }
    if more(child.limits.disk, parent.limits.disk) { all.append("disk") }
    if more(child.limits.output, parent.limits.output) { all.append("output") }
    if parent.limits.onOutput == .kill, child.limits.onOutput != .kill { all.append("on_output") }
    if more(child.limits.openFiles, parent.limits.openFiles) { all.append("open_files") }
    if more(child.limits.execs, parent.limits.execs) { all.append("execs") }
    if child.secrets.contains(where: { parent.secrets[$0.key] != $0.value }) { all.append("secrets") }
    if !Set(child.capabilities).isSubset(of: parent.capabilities) { all.append("capabilities") }
    if parent.audit.durable, !child.audit.durable { all.append("durable") }
    if parent.audit.detail == .files, child.audit.detail != .files { all.append("detail") }
    let kept: [Policy.Audit.Inputs] = [.none, .read, .all]
    if kept.prefix(while: { $0 != parent.audit.inputs }).contains(child.audit.inputs) { all.append("inputs") }
    if child.artifacts.maxBytes > parent.artifacts.maxBytes { all.append("max_bytes") }
    if parent.lock.contains(.determinism), child.determinism != parent.determinism { all.append("determinism") }
    func collects(_ policy: Policy, _ path: [String]) -> Bool {
        policy.artifacts.collect.contains { pattern in
            (1...path.count).contains { matches(names(pattern), Array(path[..<$0])) }
        }
    }
    for path in world where !path.isEmpty && collects(child, path) && !collects(parent, path) {
        all.append("collect " + path.joined(separator: "/"))
    }
    for target in targets {
        for port: UInt16 in [22, 80, 443, 5432] where reaches(child.network, target, port) {
            if !reaches(parent.network, target, port) { all.append("network \(target):\(port)") }
        }
    }
    if child.network.mode != .none {
        if parent.network.inspect, !child.network.inspect { all.append("inspect") }
        if child.network.resolvers != parent.network.resolvers,
            child.network.resolvers.isEmpty || !Set(child.network.resolvers).isSubset(of: parent.network.resolvers)
        {
            all.append("resolvers")
        }
    }
    // What a program sees in each variable: set, the caller's, or nothing (PATH is always there).
    for name in ["A", "AB", "LC_X", "LC_ALL", "PATH"] {
        func seen(_ env: Policy.Environment) -> String? {
            if let value = env.set[name] { return "=" + String(decoding: value, as: UTF8.self) }
            return name == "PATH" || env.pass.contains { fnmatch($0, name, 0) == 0 } ? "caller" : nil
        }
        if let mine = seen(child.env), mine != seen(parent.env) { all.append("env \(name)") }
    }
    for ties in [true, false] {
        let both = zip(rights(child, readWinsTies: ties), rights(parent, readWinsTies: ties))
        for (path, pair) in zip(world, both) where pair.0.rawValue > pair.1.rawValue {
            all.append("/" + path.joined(separator: "/"))
        }
    }
    return all
}

/// A text with a random choice of keys. Few values, so that narrower ones come up often.
private func text(_ random: inout Random, keys: Int) -> String {
    func list(_ items: [String]) -> String {
        var seen: Set<String> = []
        return "[" + items.filter { seen.insert($0).inserted }.map { "\"\($0)\"" }.joined(separator: ", ") + "]"
    }
    var out = "version = 1\n"
    if random.chance(keys) { out += "require = \"\(random.pick(["sealed", "isolated", "confined"]))\"\n" }
    if random.chance(keys) {
        out += "lock = \(list(random.some(["env", "files", "limits", "determinism"], most: 3)))\n"
    }
    if random.chance(keys) { out += "[identity]\nuser = \"\(random.pick(["keep", "nobody"]))\"\n" }
    out += "[workspace]\n"
    if random.chance(keys) { out += "mode = \"\(random.pick(["layer", "read-only", "direct"]))\"\n" }
    if random.chance(keys) { out += "backing = \"\(random.pick(["auto", "overlay", "copy"]))\"\n" }
    if random.chance(keys) { out += "sandbox = \"\(random.pick(["run", "workspace"]))\"\n" }
    if random.chance(keys) { out += "keep = \(list(random.some(["home", "tmp"], most: 2)))\n" }
    if random.chance(keys) { out += "protect = \(list(random.some(["x", "y"], most: 2)))\n" }
    out += "[files]\n"
    let write = random.some(patterns, most: 2)
    let read = random.some(patterns, most: 3).filter { !write.contains($0) }
    if random.chance(keys) {
        out += "read = \(list(read))\nwrite = \(list(write))\n"
    } else if random.chance(keys) {
        out += "write = \(list(write))\n"
    } else if random.chance(keys) {
        out += "read = \(list(read))\n"
    }
    if random.chance(keys) { out += "deny = \(list(random.some(denied, most: 2)))\n" }
    out += "[limits]\n"
    let limits = ["wall", "cpu_time", "cpus", "memory", "pids", "disk", "output", "open_files", "execs"]
    for key in limits where random.chance(keys * 3) {
        let unit = ["output", "memory", "disk"].contains(key) ? "MiB" : "s"
        let count = ["cpus", "pids", "open_files", "execs"].contains(key)
        let amount = random.pick([0, 5, 9, 40])
        out += "\(key) = \(count || amount == 0 ? "\(amount)" : "\"\(amount)\(unit)\"")\n"
    }
    if random.chance(keys * 2) { out += "grace = \"\(random.pick([0, 1, 2]))s\"\n" }
    if random.chance(keys * 2) { out += "on_output = \"\(random.pick(["kill", "truncate"]))\"\n" }
    out += "[env]\n"
    if random.chance(keys) { out += "pass = \(list(random.some(["A", "A*", "LC_*", "LC_ALL", "AB"], most: 2)))\n" }
    if random.chance(keys) {
        let pairs = Dictionary(random.some(["A", "LC_X", "PATH"], most: 2).map { ($0, random.pick(["x", "y"])) }) { $1 }
        out += "set = { " + pairs.map { "\($0) = \"\($1)\"" }.joined(separator: ", ") + " }\n"
    }
    if random.chance(keys) {
        let names = random.some(["A", "B", "C"], most: 2)
        out += "[secrets]\n" + Set(names).sorted().map { "\($0) = \"env:\(random.pick(["X", "Y"]))\"\n" }.joined()
    }
    if random.chance(keys) { out += "[capabilities]\nkeep = \(list(random.some(["net_raw", "chown"], most: 2)))\n" }
    out += "[artifacts]\n"
    if random.chance(keys) { out += "collect = \(list(random.some(collected, most: 3)))\n" }
    if random.chance(keys) { out += "max_bytes = \"\(random.pick([1, 5]))MiB\"\n" }
    if random.chance(keys) {
        let mode = random.pick(["none", "allow", "allow", "guarded", "guarded", "host"])
        out += "[network]\nmode = \"\(mode)\"\n"
        let allow = mode == "none" || mode == "host" ? [] : random.some(hosts, most: 3)
        if random.chance(2) { out += "allow = \(list(allow))\n" }
        let deny = random.some(hosts, most: 1).filter { one in !allow.contains { covers(one, $0) } }
        if random.chance(2) { out += "deny = \(list(deny))\n" }
        if random.chance(3) { out += "inspect = \(random.chance(2))\n" }
        if random.chance(3) { out += "resolvers = \(list(random.some(["9.9.9.9", "1.1.1.1"], most: 2)))\n" }
    }
    out += "[determinism]\n"
    if random.chance(keys) { out += "hostname = \"\(random.pick(["", "a", "b"]))\"\n" }
    if random.chance(keys) { out += "seed = \(random.pick(["\"none\"", "0", "1"]))\n" }
    if random.chance(keys) { out += "cpus = \(random.pick(["\"none\"", "1", "2"]))\n" }
    if random.chance(keys) { out += "aslr = \(random.chance(2))\nenv = \(random.chance(2))\n" }
    if random.chance(keys) { out += "clock = \"\(random.pick(["", "2035-01-01T00:00:00Z"]))\"\n" }
    out += "[audit]\n"
    if random.chance(keys) { out += "durable = \(random.chance(2))\n" }
    if random.chance(keys) { out += "detail = \"\(random.pick(["processes", "files"]))\"\n" }
    if random.chance(keys) { out += "inputs = \"\(random.pick(["none", "read", "all"]))\"\n" }
    return out
}

/// Too much is fine here: it only keeps contradictions out of the texts.
private func covers(_ one: String, _ other: String) -> Bool {
    guard let a = try? HostPattern(one), let b = try? HostPattern(other) else { return false }
    return a.deniesWhole(b)
}

struct NarrowingPropertyTests {
    @Test func noChildEverGainsARight() throws {
        var random = Random(state: 20_261_121)
        var accepted = 0
        for _ in 0..<6000 {
            let parentText = text(&random, keys: 1)
            let childText = text(&random, keys: random.pick([3, 6, 12]))
            let parent = try LayeredPolicy(chain(parentText), anchors: small)
            var child = parent
            do { try child.layWorkspace(chain(childText), trusted: false, remedy: "") } catch { continue }
            accepted += 1
            let gained = gains(child.policy, parent.policy)
            #expect(gained.isEmpty, "\(gained)\n--- parent\n\(parentText)\n--- child\n\(childText)")
            if !gained.isEmpty { return }
        }
        // A check that refuses everything would pass too.
        #expect(accepted > 600, "\(accepted) accepted")
    }

    @Test func everyPolicyIsWithinItselfAndSoIsItsText() throws {
        var random = Random(state: 7)
        for _ in 0..<500 {
            let parent = try LayeredPolicy(chain(text(&random, keys: 1)), anchors: small)
            #expect(Narrowing.loosenings(of: parent.policy, beyond: parent.policy, anchors: small) == [])
            let again = try LayeredPolicy(chain(String(decoding: parent.policy.toml, as: UTF8.self)), anchors: small)
                .policy
            #expect(
                bare(again)
                    == bare(
                        {
                            var own = parent.policy
                            own.name = again.name
                            return own
                        }()))
        }
    }

    @Test func nothingEndsAboveTheCeiling() throws {
        var random = Random(state: 99)
        var accepted = 0
        for index in 0..<2500 {
            let ceilingText = text(&random, keys: 1)
            let ceilingChain = try chain(ceilingText)
            let ceiling = try Ceiling(ceilingChain, anchors: small)
            // A ceiling with all its keys written is a policy, so the oracle can judge.
            guard ceiling.keys.count >= PolicyKey.allCases.count - 15 else { continue }
            let source = PolicySource(
                name: "base", bytes: Bytes(text(&random, keys: random.pick([2, 6]))), isPreset: index % 2 == 0)
            let base = try PolicyChain.load(source) { _, _, _ throws(Failure) in throw Failure("", "") }
            var layered = try LayeredPolicy(base, anchors: small)
            do { try layered.cut(to: ceiling, base) } catch { continue }
            accepted += 1
            let limits: Set = ["wall", "cpu_time", "output", "open_files", "execs", "grace", "on_output"]
            // A key that a ceiling leaves out isn't capped.
            let capsHosts = ceiling.keys.isSuperset(of: [.networkMode, .networkAllow, .networkDeny])
            let free = [("inspect", PolicyKey.networkInspect), ("resolvers", .networkResolvers)]
                .filter { !ceiling.keys.contains($0.1) }.map(\.0)
            let gained = gains(layered.policy, ceiling.policy).filter {
                !limits.contains($0) && !free.contains($0) && (capsHosts || !$0.hasPrefix("network "))
            }
            #expect(
                gained.isEmpty,
                "\(gained)\n--- ceiling\n\(ceilingText)\n--- base\n\(String(decoding: source.bytes, as: UTF8.self))")
            if !gained.isEmpty { return }
        }
        #expect(accepted > 300, "\(accepted) accepted")
    }
}
