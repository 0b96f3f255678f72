// Pure. Artifacts for a person.

import AegixSystem
import AegixWorkspace

enum ArtifactText {
    private static let lines = 50
    private static let most = 3

    /// For the one line at a run's end: nothing, where all went as it was asked.
    static func problems(_ collection: ArtifactCollection) -> [String] {
        var parts: [String] = []
        let none = collection.patterns.filter { $0.matched == 0 }
        // What was never looked at may have been there.
        if !none.isEmpty, collection.error == nil, collection.bounds.isDisjoint(with: [.count, .entries, .time]) {
            let names = none.prefix(most).map { Bytes($0.text).shown }.joined(separator: ", ")
            let more = none.count > most ? " and \(none.count - most) more" : ""
            parts.append("no artifact matches \(names)\(more)")
        }
        let bounds = ArtifactCollection.Bound.allCases.filter(collection.bounds.contains).map(words)
        if !bounds.isEmpty { parts.append("artifacts are cut short by \(bounds.joined(separator: " and "))") }
        let count = collection.skippedCount
        if count > 0 { parts.append("\(count) \(count == 1 ? "path" : "paths") not collected") }
        return parts
    }

    private static func words(_ bound: ArtifactCollection.Bound) -> String {
        switch bound {
        case .count: "their number"
        case .depth: "their depth"
        case .entries: "the size of the workspace"
        case .maxBytes: "artifacts.max_bytes"
        case .time: "time"
        }
    }

    /// A section of `aegix show`.
    static func lines(_ record: JSON) -> [String] {
        guard let collection = record["collection"], collection != .null else { return [] }
        let all = record["artifacts"]?.array ?? []
        var out: [String] = []
        if let error = collection["error"]?.string { out.append("  not complete: " + Bytes(error).shown) }
        for pattern in collection["patterns"]?.array ?? [] where pattern["matched"]?.int == 0 {
            out.append("  nothing matches " + RecordText.shown(pattern["pattern"]))
        }
        for bound in (collection["bounds"]?.array ?? []).compactMap(\.string) {
            out.append("  cut short by " + (ArtifactCollection.Bound(rawValue: bound).map(words) ?? Bytes(bound).shown))
        }
        // What isn't there first: it mustn't hide behind a thousand others.
        let skipped = all.filter { $0["skipped"] != .null }
        let copied = all.filter { $0["skipped"] == .null }
        for artifact in (skipped + copied).prefix(lines) {
            let reason = artifact["skipped"]?.string
            let what = reason.map { "not collected: " + Bytes($0).shown } ?? Units.size(artifact["size"]?.int ?? 0)
            out.append(RecordText.clipped("  \(RecordText.shown(artifact["path"]))  \(what)"))
        }
        let total = (collection["files"]?.int ?? 0) + (collection["skipped"]?.int ?? 0)
        if total > lines { out.append("  … and \(total - lines) more") }
        if !copied.isEmpty { out.append("  in " + RecordText.shown(collection["path"])) }
        if let place = collection["out"], place != .null {
            let error = place["error"]?.string.map { ": " + Bytes($0).shown }
            out.append("  \(error == nil ? "and in" : "not in") \(RecordText.shown(place["path"]))\(error ?? "")")
        }
        return out
    }

    /// A line of `aegix plan`.
    static func plan(_ collect: [String], maxBytes: UInt64, out: Bytes?) -> String {
        let patterns = collect.map { Bytes($0).shown }.joined(separator: ", ")
        let place = out.map { ", copied to " + $0.shown } ?? ""
        return "\(patterns), at most \(Units.size(Int(clamping: maxBytes)))\(place)"
    }
}
