// Side effects: reads the workspace; `stage` makes what will be put in place, out of sight.

import AegixSystem
import CAegix
import Glibc

/// What a transaction will do, checked against the workspace as it is.
public final class Preparation {
    let verb: Journal.Verb
    let held: HeldWorkspace
    private(set) var steps: [Step]
    public private(set) var conflicts: [Conflict]
    /// Changes that are to be made; the others are made already.
    public let changes: Int
    private let source: Source

    /// Paths that get something else.
    public var changed: [Bytes] {
        switch source {
        case .layer(_, let needed, _): needed.map(\.change.path)
        case .images: Set(steps.map(\.path)).sorted { $0.lexicographicallyPrecedes($1) }
        }
    }

    private enum Source {
        case layer(Layer, needed: [Checked], check: BaseCheck)
        case images
    }

    /// To apply these changes of a layer.
    public init(applying changes: [Change], of layer: Layer, to held: HeldWorkspace) throws(TransactionFault) {
        (self.held, verb, steps) = (held, .apply, [])
        do throws(SystemError) {
            let check = try BaseCheck(changes, in: held.tree)
            conflicts = check.conflicts
            self.changes = check.needed.count
            source = .layer(layer, needed: check.needed, check: check)
        } catch {
            throw .failed("can't compare the workspace with what the run saw", error)
        }
    }

    /// To undo what a journal says was done.
    public init(undoing applied: Applied, in held: HeldWorkspace) throws(TransactionFault) {
        (self.held, verb, changes, source) = (held, .reset, applied.changes, .images)
        do throws(SystemError) {
            (steps, conflicts) = try ResetCheck.inverse(of: applied.journal.steps, in: held.tree)
        } catch {
            throw .failed("can't compare the workspace with what was applied", error)
        }
    }

    /// Fills the staging directory and completes the steps.
    ///
    /// - before: the directory of the run, in which the pre-images are or will be.
    func stage(in staging: Tree, run: Tree, copies: Bool) throws(TransactionFault) {
        switch source {
        case .layer(let layer, let needed, let check): try stage(layer, needed, check, staging)
        case .images: if copies { try fetch(run, staging) }
        }
        guard copies, verb == .apply else { return }
        do throws(SystemError) {
            try run.makeDirectory(PreImages.name)
            let target = try run.directory(PreImages.name)
            let duplicate = TreeDuplicate()
            for step in steps where step.verb == .take || step.verb == .exchange {
                // What only moves comes back from where it goes.
                guard step.old?.isWhole == true else { continue }
                let parent = try held.tree.parent(of: step.path)
                try duplicate.copy(Path.name(step.path), in: parent, to: target, step.slotName)
            }
        } catch {
            throw .failed("can't keep what was there before", error)
        }
    }

    private func stage(
        _ layer: Layer, _ needed: [Checked], _ check: BaseCheck, _ staging: Tree
    ) throws(TransactionFault) {
        let plan = ApplyPlan(needed, moves: check.moves, exchanges: try Preparation.canExchange(staging))
        var (first, last): ([Step], [Step]) = ([], [])
        do throws(SystemError) {
            try openDirectories(plan, &first, &last)
        } catch {
            throw .failed("can't look at the workspace's directories", error)
        }
        let maker: Staging
        do throws(SystemError) {
            let inPlace = plan.items.filter { $0.step.verb == .attributes }.map(\.step.path)
            maker = try Staging(layer, into: staging, base: held.tree, inPlace: Set(inPlace))
        } catch {
            throw .failed("can't open the run's layer", error)
        }
        steps = first
        for item in plan.items {
            var step = item.step
            switch step.verb {
            case .put where step.new == nil, .exchange:
                let image = try maker.stage(item.staged, slot: step.slotName, place: check.place)
                step.new = image
                if image.root.kind == .directory, image.root.mode & 0o700 != 0o700, geteuid() != 0 {
                    last.append(Preparation.closing(step, image.root))
                }
            case .attributes:
                do throws(SystemError) {
                    let place = check.place(of: step.path)
                    let at = try held.tree.place(check.moves[step.path] ?? place)
                    let now = try FileAttributes(of: at, try FileFacts(of: at))
                    let wanted = try maker.attributes(item.staged[0], now: now)
                    if let opened = first.first(where: { $0.path == step.path }) {
                        last.removeAll { $0.path == step.path }
                        step.oldAttributes = opened.newAttributes
                    } else {
                        step.oldAttributes = now
                    }
                    step.newAttributes = wanted
                } catch {
                    throw .failed("can't prepare \(step.path.shown)", error)
                }
            default: break
            }
            if step.verb == .attributes, step.old?.root.kind == .directory {
                last.append(step)
            } else {
                steps.append(step)
            }
        }
        // All that may close a directory comes at the end, the deepest first.
        steps += last.sorted { $1.path.lexicographicallyPrecedes($0.path) }
    }

    /// The last of the steps for a new directory that is closed to its owner.
    private static func closing(_ put: Step, _ root: Entry) -> Step {
        var step = Step(verb: .attributes, path: put.path, old: Image(root))
        let none: [FileAttributes.Extended] = []
        step.oldAttributes = FileAttributes(mode: root.mode | 0o700, modified: nil, extended: none)
        step.newAttributes = FileAttributes(mode: root.mode, modified: nil, extended: none)
        return step
    }

    /// Only root may change what lies in a directory that its owner has closed to himself. An ordinary user opens it for the
    /// time being.
    private func openDirectories(_ plan: ApplyPlan, _ first: inout [Step], _ last: inout [Step]) throws(SystemError) {
        if geteuid() == 0 { return }
        var seen: Set<Bytes> = []
        for item in plan.items where item.step.verb != .attributes {
            let parent = Path.relativeParent(item.step.path)
            if seen.insert(parent).inserted { try open(parent, stays: true, &first, &last) }
            if item.step.old?.root.kind == .directory, seen.insert(item.step.path).inserted {
                try open(item.step.path, stays: false, &first, &last)
            }
        }
        first.sort { $0.path.lexicographicallyPrecedes($1.path) }
    }

    private func open(
        _ path: Bytes, stays: Bool, _ first: inout [Step], _ last: inout [Step]
    ) throws(SystemError) {
        let name = path.isEmpty ? Bytes(".") : path
        // A directory that isn't there yet will be open.
        guard let facts = try held.tree.facts(name), facts.isDirectory, facts.permissions & 0o300 != 0o300 else {
            return
        }
        let place = try held.tree.place(path)
        let now = try FileAttributes(of: place, facts)
        var opened = now
        opened.mode |= 0o700
        var step = Step(verb: .attributes, path: path, old: Image(Entry(facts)))
        (step.oldAttributes, step.newAttributes) = (now, opened)
        first.append(step)
        if stays { last.append(step.inverse(of: Entry(facts))) }
    }

    /// Tried, since file systems that can't don't say so otherwise.
    private static func canExchange(_ staging: Tree) throws(TransactionFault) -> Bool {
        let (one, other) = (Bytes("probe-1"), Bytes("probe-2"))
        do throws(SystemError) {
            try staging.makeDirectory(one)
            try staging.makeDirectory(other)
            var can = true
            do throws(SystemError) {
                try staging.exchange(one, with: staging, other)
            } catch {
                if error.errno != EINVAL { throw error }
                can = false
            }
            try staging.removeDirectory(one)
            try staging.removeDirectory(other)
            return can
        } catch {
            throw .failed("can't prepare in the workspace", error)
        }
    }

    /// Pre-images come back from another file system; what they are on disk is new.
    private func fetch(_ run: Tree, _ staging: Tree) throws(TransactionFault) {
        do throws(SystemError) {
            let kept = try run.directory(PreImages.name)
            let duplicate = TreeDuplicate()
            for index in steps.indices where steps[index].verb == .put || steps[index].verb == .exchange {
                guard let image = steps[index].new, image.isWhole else { continue }
                let slot = steps[index].slotName
                try duplicate.copy(slot, in: kept, to: staging, slot)
                steps[index].new = try ResetCheck.refreshed(image, staging, slot)
            }
        } catch {
            throw .failed("can't fetch what was there before", error)
        }
    }
}

/// Where what was there before lies, in the directory of the run.
enum PreImages {
    static let name = Bytes("before")
}

extension Step {
    /// The way back of a step in place, of the same directory.
    fileprivate func inverse(of entry: Entry) -> Step {
        var step = inverse
        step.old = Image(entry)
        step.new = nil
        return step
    }
}
