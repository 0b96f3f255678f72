// Pure. What went into two runs and isn't the same.

import AegixSystem

struct CauseComparison {
    private let first: JSON
    private let second: JSON
    /// What was told already, which isn't told again.
    private let told: Set<Told>

    private struct Told: Hashable {
        let area: Difference.Area
        let subject: Bytes
    }

    init(_ first: JSON, _ second: JSON, told: [Difference]) {
        (self.first, self.second) = (first, second)
        self.told = Set(told.map { Told(area: $0.area, subject: $0.subject) })
    }

    func note(in comparison: inout Comparison) {
        command(&comparison)
        policy(&comparison)
        enforcement(&comparison)
        programs(&comparison)
        environment(&comparison)
        host(&comparison)
        inputs(&comparison)
        network(&comparison)
    }

    // MARK: - One area each

    private func command(_ comparison: inout Comparison) {
        compare(first["command"]?["argv"], second["command"]?["argv"], .command, "argv", &comparison)
        compare(first["command"]?["program"], second["command"]?["program"], .command, "program", &comparison)
        compare(first["invocation"]?["cwd"], second["invocation"]?["cwd"], .command, "directory", &comparison)
    }

    /// What a replay changes on purpose is told by who changed it, and keys that move nothing inside aren't causes.
    private static let passedOver: Set<String> = [
        "name", "version", "lock", "audit", "secrets", "approval", "files.read", "files.write", "env.set", "env.pass",
        "workspace.mode", "workspace.keep", "workspace.sandbox", "workspace.protect", "artifacts.max_bytes", "require",
        "network",
    ]

    private func policy(_ comparison: inout Comparison) {
        let (one, other) = (keys(first["policy"]?["effective"]), keys(second["policy"]?["effective"]))
        for key in Set(one.keys).union(other.keys).sorted() where one[key] != other[key] {
            let table = key.split(separator: ".", maxSplits: 1).first.map(String.init) ?? key
            if CauseComparison.passedOver.contains(key) || CauseComparison.passedOver.contains(table) { continue }
            compare(one[key], other[key], table == "limits" ? .limits : .policy, key, &comparison)
        }
        refusals(&comparison)
    }

    /// What the replay was refused and the run wasn't.
    private func refusals(_ comparison: inout Comparison) {
        func subjects(_ record: JSON) -> [Bytes] {
            (record["violations"]?.array ?? []).map { violation in
                let words = [violation["control"], violation["rule"], violation["path"]].compactMap { $0?.bytesValue }
                return Bytes(words.joined(separator: [0x20]))
            }
        }
        let (before, after) = (Set(subjects(first)), Set(subjects(second)))
        for refused in after.subtracting(before).sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            comparison.causes.append(
                Difference(.policy, refused, before: Bytes("allowed, or not tried"), after: Bytes("refused")))
        }
        for allowed in before.subtracting(after).sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            comparison.causes.append(
                Difference(.policy, allowed, before: Bytes("refused"), after: Bytes("allowed, or not tried")))
        }
    }

    private func enforcement(_ comparison: inout Comparison) {
        compare(first["enforcement"]?["tier"], second["enforcement"]?["tier"], .enforcement, "tier", &comparison)
        let (one, other) = (controls(first), controls(second))
        for name in Set(one.keys).union(other.keys).sorted() {
            compare(one[name], other[name], .enforcement, name, &comparison)
        }
    }

    /// Those that both runs have by the way that they are run: its streams and the place of its workspace are the replay's own.
    private func controls(_ record: JSON) -> [String: JSON] {
        let own: Set<String> = [
            "stdin", "hidden", "secrets", "network", "approvals", "commands", "identity", "core dumps",
        ]
        var found: [String: JSON] = [:]
        for control in record["enforcement"]?["controls"]?.array ?? [] {
            guard let name = control["name"]?.string, let mechanism = control["mechanism"]?.string,
                !own.contains(name), !name.hasPrefix("limits.")
            else { continue }
            found[name] = .string(control["held"]?.bool == true ? mechanism : "not held: \(mechanism)")
        }
        return found
    }

    private func programs(_ comparison: inout Comparison) {
        let program = first["command"]?["program"]?.bytesValue ?? Bytes("program")
        let (one, other) = (first["command"]?["digest"]?.string, second["command"]?["digest"]?.string)
        if let one, let other, one != other {
            comparison.causes.append(Difference(.programs, program, before: Bytes(one), after: Bytes(other)))
        }
        // A program that only one of them ran is another version as often as not: gcc-12, gcc-14. Those before their libraries.
        let (ran, runs) = (executables(first), executables(second))
        for path in Set(ran.keys).union(runs.keys).sorted(by: { $0.lexicographicallyPrecedes($1) })
        where path != program && ran[path] != runs[path] {
            comparison.causes.append(
                Difference(.programs, path, before: ran[path].map { Bytes($0) }, after: runs[path].map { Bytes($0) }))
        }
        digests("loaded", .programs, but: program, &comparison)
    }

    private func executables(_ record: JSON) -> [Bytes: String] {
        var found: [Bytes: String] = [:]
        for one in record["loaded"]?.array ?? [] where one["kind"]?.string == "program" {
            if let path = one["path"]?.bytesValue { found[path] = one["sha256"]?.string ?? "digest not known" }
        }
        return found
    }

    private func inputs(_ comparison: inout Comparison) {
        digests("inputs", .inputs, but: nil, &comparison)
    }

    /// Of files that both runs name: one that only one of them read follows from something else.
    private func digests(_ member: String, _ area: Difference.Area, but known: Bytes?, _ comparison: inout Comparison) {
        func files(_ record: JSON) -> [Bytes: String] {
            var found: [Bytes: String] = [:]
            for one in record[member]?.array ?? [] {
                if let path = one["path"]?.bytesValue, let digest = one["sha256"]?.string { found[path] = digest }
            }
            return found
        }
        let (one, other) = (files(first), files(second))
        for (path, digest) in one.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            guard path != known, let now = other[path], now != digest else { continue }
            if told.contains(Told(area: area, subject: path)) { continue }
            comparison.causes.append(Difference(area, path, before: Bytes(digest), after: Bytes(now)))
        }
    }

    private func environment(_ comparison: inout Comparison) {
        let (one, other) = (variables(first), variables(second))
        for name in Set(one.keys).union(other.keys).sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            if told.contains(Told(area: .environment, subject: name)) { continue }
            switch (one[name], other[name]) {
            case (let before?, nil):
                comparison.causes.append(
                    Difference(
                        .environment, name, before: before ?? Bytes("set, value not recorded"), note: "isn't set"))
            case (nil, let after?):
                comparison.causes.append(
                    Difference(.environment, name, after: after ?? Bytes("set, value not recorded"), note: "wasn't set")
                )
            case (let before??, let after??) where before != after:
                comparison.causes.append(Difference(.environment, name, before: before, after: after))
            case (_??, _??): break
            default: comparison.unknown.append("the value of \(name.shown), which is never recorded")
            }
        }
        for member in ["uid", "gid"] {
            compare(
                first["identity"]?["inside"]?[member], second["identity"]?["inside"]?[member], .environment, member,
                &comparison)
        }
        let (before, after) = (knobs(first), knobs(second))
        for name in before.keys.sorted() where after[name] != nil {
            compare(before[name], after[name], .environment, name, &comparison)
        }
        for stream in ["stdout", "stderr"] {
            compare(
                first["streams"]?[stream]?["terminal"], second["streams"]?[stream]?["terminal"], .environment,
                "\(stream) is a terminal", &comparison)
        }
    }

    /// nil as a value: it was set, and to what isn't recorded.
    private func variables(_ record: JSON) -> [Bytes: Bytes?] {
        var found: [Bytes: Bytes?] = [:]
        for variable in record["environment"]?.array ?? [] {
            if let name = variable["name"]?.bytesValue { found[name] = .some(variable["value"]?.bytesValue) }
        }
        return found
    }

    private func knobs(_ record: JSON) -> [String: JSON] {
        var found: [String: JSON] = [:]
        for knob in record["determinism"]?.array ?? [] {
            if let name = knob["name"]?.string { found[name] = knob["value"] ?? .null }
        }
        return found
    }

    private func host(_ comparison: inout Comparison) {
        for member in ["kernel", "cpu", "distribution", "processors", "landlock_abi"] {
            compare(first["host"]?[member], second["host"]?[member], .host, member, &comparison)
        }
    }

    /// What was reached, by name and port: addresses change from one lookup to the next.
    private func network(_ comparison: inout Comparison) {
        func reached(_ record: JSON) -> Set<Bytes> {
            var found: Set<Bytes> = []
            for one in record["network"]?.array ?? []
            where one["kind"]?.string == "connect" && one["decision"]?.string != "deny" {
                guard let name = (one["name"]?.bytesValue ?? one["address"]?.bytesValue) else { continue }
                found.insert(name + Bytes(":\(one["port"]?.int ?? 0)"))
            }
            return found
        }
        let (one, other) = (reached(first), reached(second))
        for place in one.subtracting(other).sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            comparison.causes.append(Difference(.network, place, before: Bytes("reached"), after: Bytes("not reached")))
        }
        for place in other.subtracting(one).sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            comparison.causes.append(Difference(.network, place, before: Bytes("not reached"), after: Bytes("reached")))
        }
    }

    // MARK: - Values

    /// Where one record doesn't have the member at all, nothing can be said.
    private func compare(
        _ one: JSON?, _ other: JSON?, _ area: Difference.Area, _ subject: String, _ comparison: inout Comparison
    ) {
        if one == other { return }
        let name = Bytes(subject)
        if told.contains(Told(area: area, subject: name)) { return }
        comparison.causes.append(
            Difference(area, name, before: CauseComparison.text(one), after: CauseComparison.text(other)))
    }

    static func text(_ value: JSON?) -> Bytes? {
        guard let value, value != .null else { return nil }
        if let bytes = value.bytesValue { return bytes }
        return value.canonical
    }

    private func keys(_ effective: JSON?) -> [String: JSON] {
        var found: [String: JSON] = [:]
        for (table, value) in effective?.object ?? [:] {
            guard let members = value.object else {
                found[table] = value
                continue
            }
            for (key, value) in members { found["\(table).\(key)"] = value }
        }
        return found
    }
}
