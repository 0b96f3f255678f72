// Pure. What `--vary` changes, to find what a command depends on without anybody having named it.

import AegixPlan
import AegixPolicy
import AegixSystem

/// What `--vary` changes in one more replay.
enum ReplayVariation: String, CaseIterable {
    case timezone
    case umask
    case processors = "num_cpus"
    case variable = "env"
    case home
    case fileOrder = "file_order"

    static func named(_ word: Bytes) throws(Failure) -> ReplayVariation {
        let names = allCases.map(\.rawValue)
        if let text = word.text, let found = ReplayVariation(rawValue: text) { return found }
        let near = Spelling.nearest(to: word.shown, in: names).map { "; did you mean \($0)?" } ?? ""
        throw Failure(
            "usage.value", "--vary knows \(names.joined(separator: ", ")), not \(word.shown)\(near)")
    }

    /// Something else than the run had.
    func planned(_ record: JSON) -> Variation {
        func recorded(_ name: String) -> String? {
            record["determinism"]?.array?.first { $0["name"]?.string == name }?["value"]?.string
        }
        var planned = Variation()
        switch self {
        // In hours and minutes, and east of everybody: neither a rounded offset nor the same day hides it.
        case .timezone: planned.timezone = recorded("timezone") == "Asia/Kathmandu" ? "UTC" : "Asia/Kathmandu"
        case .umask: planned.umask = recorded("umask") == "0077" ? 0o022 : 0o077
        case .processors: planned.processors = recorded("cpus") == "1" ? 2 : 1
        case .variable: planned.variable = .init(name: Bytes("AEGIX_VARIATION"), value: Bytes("1"))
        case .home: planned.home = Bytes(recorded("home") == "/home/variation" ? "/home/other" : "/home/variation")
        case .fileOrder: planned.reversesListings = true
        }
        return planned
    }
}
