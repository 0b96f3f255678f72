// Side effects: reads a run's layer and the workspace. What all forms of a review begin with.

import AegixAudit
import AegixPolicy
import AegixSystem
import AegixWorkspace
import Glibc

/// The chosen changes of a run, and where their contents are.
struct Review {
    let changes: RunChanges
    let chosen: [Change]
    /// nil: nothing was changed, or it was in place, and what was there before is gone.
    let source: ReviewSource?
    private let only: [PathPattern]

    init(_ changes: RunChanges, only: [Bytes]) throws(Failure) {
        self.changes = changes
        let patterns = try only.map { text throws(Failure) in try Review.pattern(text) }
        self.only = patterns
        if only.isEmpty {
            chosen = changes.list.changes
        } else {
            chosen = changes.list.changes.filter { Review.matches($0, patterns) }
        }
        source = changes.list == ChangeList() || changes.isInPlace ? nil : try Review.open(changes)
    }

    private static func open(_ changes: RunChanges) throws(Failure) -> ReviewSource {
        let gone = Failure(
            "run.discarded", "the changes of run \(changes.run) aren't kept any more: they were discarded")
        guard let layer = changes.layer else { throw gone }
        do throws(SystemError) {
            return try ReviewSource(layer, over: changes.workspace, changes.list)
        } catch {
            if error.errno == ENOENT, error.subject == layer.upper { throw gone }
            if error.subject == layer.upper {
                throw Failure("run.unreadable", "can't open the layer of run \(changes.run)", error)
            }
            throw Failure("workspace.missing", "can't open the workspace \(changes.workspace.shown)", error)
        }
    }

    private static func pattern(_ text: Bytes) throws(Failure) -> PathPattern {
        var pattern: PathPattern
        do throws(PathPattern.Defect) {
            pattern = try PathPattern(text)
        } catch {
            throw Failure("usage.value", "--only can't be \(text.shown): it \(error.reason)")
        }
        guard pattern.anchor == .workspace else {
            throw Failure("usage.value", "--only can't be \(text.shown): it is relative to the workspace")
        }
        pattern.components.append(.anyDepth)
        return pattern
    }

    private static func matches(_ change: Change, _ patterns: [PathPattern]) -> Bool {
        [change.path, change.from].compactMap { $0 }.contains { path in
            let names = Path.components(path)
            return patterns.contains { $0.matches(names: names) }
        }
    }

    /// A list that was cut short would be a patch of half a change.
    func patch(_ console: Console) throws(Failure) -> Bytes {
        if changes.isInPlace {
            throw Failure(
                "review.direct",
                "run \(changes.run) wrote its workspace in place: what was there before isn't kept, so there is no patch"
            )
        }
        if !changes.list.cut.isEmpty {
            let bounds = changes.list.cut.map(\.rawValue).sorted().joined(separator: ", ")
            throw Failure(
                "review.cut",
                "the list of what run \(changes.run) changed was cut short (\(bounds)), so there is no patch of it. "
                    + "Look into \(changes.layer?.upper.shown ?? "its layer").")
        }
        guard let source else { return [] }
        var writer = PatchWriter(changes.list, from: source)
        let patterns = only
        let patch = try writer.make { patterns.isEmpty || Review.matches($0, patterns) }
        if writer.leftOut.inGit > 0 {
            console.note("not in the patch: \(writer.leftOut.inGit) changes in git directories")
        }
        if writer.leftOut.other > 0 {
            console.note(
                "not in the patch, or not all of it: \(writer.leftOut.other) changes of empty directories, permissions, times, "
                    + "xattrs or special files")
        }
        return patch
    }

    /// `aegix.review/v1`.
    func document() throws(Failure) -> Bytes {
        let summary = ChangeSummary(chosen)
        var json = JSONWriter(capacity: 1024 + chosen.count * 512)
        json.object { json in
            json.key("changes")
            json.array(chosen) { $1.write(into: &$0, withIdentity: false) }
            json.key("cut")
            json.array(ChangeList.Bound.allCases.filter(changes.list.cut.contains)) { $0.string($1.rawValue) }
            json.key("run_id")
            json.string(changes.run.description)
            json.key("schema")
            json.string("aegix.review/v1")
            json.key("stale")
            json.array(chosen.filter { source?.isStale($0) ?? false }) { $0.string($1.path) }
            json.key("summary")
            json.object { json in
                json.key("changes")
                json.int(summary.total)
                json.key("files")
                json.int(summary.files)
                json.key("flags")
                json.object { json in
                    for flag in Change.Flag.allCases.sorted(by: { $0.rawValue < $1.rawValue }) {
                        json.key(flag.rawValue)
                        json.int(summary.flags[flag] ?? 0)
                    }
                }
                json.key("kinds")
                json.object { json in
                    for kind in Change.Kind.allCases.sorted(by: { $0.rawValue < $1.rawValue }) {
                        json.key(kind.rawValue)
                        json.int(summary.kinds[kind] ?? 0)
                    }
                }
            }
            json.key("workspace")
            json.string(changes.workspace)
        }
        json.newline()
        return json.bytes
    }
}
