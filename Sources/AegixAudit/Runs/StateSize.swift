// Side effects: reads the state directory. What it takes on disk.

import AegixSystem
import AegixWorkspace

public struct StateSize: Sendable {
    /// Records and output.
    public var runs = TreeSize()
    /// What runs changed, and what was there before it was applied.
    public var layers = TreeSize()
    public var sandboxes = TreeSize()
    public var cache = TreeSize()
    /// The ledger, and what is being removed.
    public var other = TreeSize()
    /// How many runs were looked at.
    public var count = 0

    public init() {}

    public var all: TreeSize { runs + layers + sandboxes + cache + other }
}

extension StateDirectory {
    /// What isn't counted when the time is over is left out, and said to be (`isCut`).
    ///
    /// - until: by the monotonic clock.
    public func size(until deadline: UInt64) throws(Failure) -> StateSize {
        var size = StateSize()
        do throws(SystemError) {
            let top = Tree(owning: try StateFile.openDirectory(".", in: root))
            for entry in try top.entries() {
                switch entry.name.text {
                case "runs": try measureRuns(try top.directory(entry.name), into: &size, deadline)
                case NamedSandbox.parent: size.sandboxes = try StateDirectory.measure(entry, top, deadline)
                case "cache": size.cache = try StateDirectory.measure(entry, top, deadline)
                default: size.other = size.other + (try StateDirectory.measure(entry, top, deadline))
                }
            }
        } catch {
            throw failure(error)
        }
        return size
    }

    private func measureRuns(_ runs: Tree, into size: inout StateSize, _ deadline: UInt64) throws(SystemError) {
        // Half the time for the names: of very many, those of the newest aren't worth all of it.
        let now = Clock.monotonic()
        let (entries, isCut) = try runs.entries(until: now + (max(now, deadline) - now) / 2)
        size.runs.isCut = isCut
        for entry in entries.reversed() {
            if Clock.monotonic() >= deadline {
                size.runs.isCut = true
                return
            }
            if try !runs.isDirectory(entry) {
                size.other = size.other + (try StateDirectory.measure(entry, runs, deadline))
                continue
            }
            do throws(SystemError) {
                let run = try runs.directory(entry.name)
                size.count += 1
                for part in try run.entries() {
                    let taken = try StateDirectory.measure(part, run, deadline)
                    let isLayer = [Bytes("layer"), Bytes("layer.gone"), Bytes("before")].contains(part.name)
                    if isLayer { size.layers = size.layers + taken } else { size.runs = size.runs + taken }
                }
            } catch {
                // Removed meanwhile.
                if !error.isAbsence { throw error }
            }
        }
    }

    private static func measure(
        _ entry: DirectoryEntry, _ tree: Tree, _ deadline: UInt64
    ) throws(SystemError) -> TreeSize {
        var size = TreeSize()
        guard let facts = try tree.facts(name: entry.name) else { return size }
        (size.bytes, size.entries) = (facts.bytes, 1)
        if !facts.isDirectory { return size }
        do throws(SystemError) {
            return size + (try TreeSize.measure(try tree.directory(entry.name), until: deadline))
        } catch {
            if !error.isAbsence { throw error }
            return size
        }
    }
}

extension SystemError {
    fileprivate var isAbsence: Bool { errno == 2 }
}
