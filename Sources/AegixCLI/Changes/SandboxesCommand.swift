// Side effects: reads the state directory.

import AegixAudit
import AegixSystem
import AegixWorkspace

/// `aegix sandboxes`.
public enum SandboxesCommand: Command {
    public static let name = "sandboxes"
    public static let summary = "list the named sandboxes"
    public static let usage = ["sandboxes [--json]"]
    public static let details = """
        A sandbox that was given a name with `aegix run --name NAME` lives on from call to call. Each is listed with its \
        size on disk, when it was made, the newest run that finished in it, and the workspace that it belongs to. What \
        it would change is shown by `aegix review NAME`; `aegix reset NAME` puts it back to the untouched workspace.
        """
    public static let options = [Option.recordState]

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        _ = try arguments.operands()
        let path = try StateLocation.current(option: arguments.value("state-dir"))
        let state = try RecordState.open(at: path, console)
        var rows: [Row] = []
        for found in try state?.sandboxes() ?? [] {
            rows.append(
                Row(
                    name: found.name, path: found.path, about: found.about, isBusy: found.isBusy,
                    size: try size(found.path)))
        }
        if console.json { try console.document(document(rows)) } else { try table(rows, console) }
        return 0
    }

    private struct Row {
        var name: String
        var path: Bytes
        var about: NamedSandbox.About
        var isBusy: Bool
        var size: TreeSize
    }

    private static func size(_ path: Bytes) throws(Failure) -> TreeSize {
        do throws(SystemError) {
            return try TreeSize.measure(path)
        } catch {
            throw Failure("sandbox.unusable", "can't look into \(path.shown)", error)
        }
    }

    private static func document(_ rows: [Row]) -> JSON {
        [
            "schema": "aegix.sandboxes/v1",
            "sandboxes": .array(
                rows.map { row in
                    [
                        "bytes": .big(row.size.bytes), "busy": .bool(row.isBusy),
                        "created": .string(Clock.rfc3339(row.about.created)), "cut": .bool(row.size.isCut),
                        "entries": .int(Int(row.size.entries)),
                        "last_run": row.about.lastRun.map { .string($0.description) } ?? .null,
                        "name": .string(row.name), "path": .bytes(row.path), "workspace": .bytes(row.about.workspace),
                    ]
                }),
        ]
    }

    private static func table(_ rows: [Row], _ console: Console) throws(Failure) {
        let width = rows.map(\.name.count).max() ?? 0
        for row in rows {
            let name = row.name + String(repeating: " ", count: width - row.name.count)
            let size = (row.size.isCut ? "more than " : "") + Units.size(Int(row.size.bytes))
            let made = Clock.rfc3339(row.about.created).prefix(19)
            let last = row.about.lastRun.map(\.description) ?? "no run yet"
            let busy = row.isBusy ? "  a run goes on" : ""
            try console.print("\(name)  \(size)  \(made)Z  \(last)  \(row.about.workspace.shown)\(busy)")
        }
    }
}
