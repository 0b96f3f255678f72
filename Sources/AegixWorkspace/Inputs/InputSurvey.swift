// Side effects: reads a workspace after a run, and copies contents into the run directory.

import AegixPolicy
import AegixSystem
import Glibc

/// Stages: the walk, where something is to be kept: every name is listed, and nothing but regular files is opened; then what was read and isn't
/// listed. Nothing is followed, no mount is entered, what is denied isn't opened.
public final class InputSurvey {
    let ground: InputGround
    private let bounds: InputBounds
    private let deadline: UInt64
    let mode: InputList.Mode?
    private let above: [Bytes]
    private var store: InputStore?
    private var digestsLeft: UInt64
    var found = InputFindings()
    var list: InputList
    private var names = 0
    /// There is no place for more: the walk is over.
    private var fault: InputStore.Fault?
    /// Directories that got another name: all that is in them went along.
    private var moved: [Bytes] = []

    /// - keeps: nil keeps nothing.
    /// - place: where contents go, made when it is asked for.
    public static func survey(
        _ ground: InputGround, keeps mode: InputList.Mode?, into place: () throws -> Bytes,
        _ bounds: InputBounds = InputBounds()
    ) -> InputFindings {
        let survey = InputSurvey(ground, mode, bounds)
        do {
            let tree = try ground.top()
            let now = try FileFacts(of: tree.descriptor)
            if (now.device, now.inode) != ground.directory {
                throw SystemError("open", ground.workspace, errno: ESTALE)
            }
            if mode != nil {
                let path = try place()
                survey.store = InputStore(try Tree(at: path), room: bounds.bytes, secrets: ground.redactor)
                survey.walk(tree, now, path)
            }
            survey.tellRest(tree)
        } catch let error as Failure {
            survey.found.error = error.message
        } catch {
            survey.found.error = "can't look at the workspace: \(error)"
        }
        return survey.finish()
    }

    private init(_ ground: InputGround, _ mode: InputList.Mode?, _ bounds: InputBounds) {
        (self.ground, self.mode, self.bounds) = (ground, mode, bounds)
        deadline = Clock.monotonic() &+ bounds.time
        digestsLeft = bounds.digested
        above = Path.components(ground.workspace)
        list = InputList(mode ?? .all)
        moved = ground.uses.compactMap { path, uses in
            uses.contains(.named) ? InputSurvey.relative(path, to: ground.workspace) : nil
        }
    }

    private func finish() -> InputFindings {
        list.inputs.sort { $0.path.lexicographicallyPrecedes($1.path) }
        list.cut = found.cut
        found.told += list.inputs.filter { !$0.uses.isEmpty || $0.isKept }
        found.told.sort { $0.path.lexicographicallyPrecedes($1.path) }
        if mode != nil, found.error == nil { found.list = list }
        found.isFailed = found.error != nil
        found.contents = store?.count ?? 0
        found.bytes = store?.bytes ?? 0
        return found
    }

    // MARK: - The walk

    private func walk(_ top: Tree, _ facts: FileFacts, _ place: Bytes) {
        var input = self.input([], facts)
        input.uses = uses([])
        list.inputs.append(input)
        do throws(InputStore.Fault) {
            try directory([], depth: 0) { top }
        } catch {
            guard case .target(let error) = error else { return }
            // The record has to find room, too.
            found.error = "can't keep inputs: \(error); what was kept is removed"
            for index in list.inputs.indices { list.inputs[index].isKept = false }
            store = nil
            do { try TreeRemoval.remove(place) } catch { found.error = "can't keep inputs: \(error)" }
        }
    }

    /// Who the reader is changes once for several names: it takes longer than looking at them.
    ///
    /// - open: gets at the directory.
    private func directory(
        _ path: Bytes, depth: Int, _ open: () throws(SystemError) -> Tree
    ) throws(InputStore.Fault) {
        do throws(SystemError) {
            let (tree, names, first) = try ground.identity.reading { () throws(SystemError) in
                let tree = try open()
                let names = try tree.entries().map(\.name)
                return (tree, names, look(at: names.prefix(InputSurvey.together), in: tree, path))
            }
            fault = nil
            for start in stride(from: 0, to: names.count, by: InputSurvey.together) {
                let some = names[start..<min(start + InputSurvey.together, names.count)]
                let looks =
                    try start == 0
                    ? first
                    : ground.identity.reading { () throws(SystemError) in look(at: some, in: tree, path) }
                take(looks)
                if fault != nil || isFull { break }
                for look in looks where look.input.kind == .directory && look.input.reason != .denied {
                    enter(look, in: tree, depth: depth + 1)
                    if fault != nil || isFull { break }
                }
            }
        } catch {
            note(path, InputSurvey.reason(error))
        }
        if let fault { throw fault }
    }

    private func look(at names: ArraySlice<Bytes>, in tree: Tree, _ path: Bytes) -> [Look] {
        names.compactMap { look(at: $0, in: tree, LayerWalk.under(path, $0)) }
    }

    private static let together = 64

    private var isFull: Bool {
        if Clock.monotonic() > deadline { found.cut.insert(.time) }
        return found.cut.contains(.time) || found.cut.contains(.count)
    }

    /// One name, as it was found; a file whose content is wanted is open.
    private final class Look {
        let name: Bytes
        let facts: FileFacts
        var input: Input
        var file = Descriptor.none

        init(_ name: Bytes, _ facts: FileFacts, _ input: Input) {
            (self.name, self.facts, self.input) = (name, facts, input)
        }

        func close() { file = .none }
    }

    /// nil: it isn't there, or isn't to be named.
    private func look(at name: Bytes, in tree: Tree, _ path: Bytes) -> Look? {
        if ground.redactor?.finds(in: path) == true {
            found.nameless += 1
            return nil
        }
        do throws(SystemError) {
            guard let facts = try tree.facts(name: name) else { return nil }
            if isDenied(Path.join(ground.workspace, path)) {
                var input = Input(path, Input.Kind(facts))
                input.reason = .denied
                return Look(name, facts, input)
            }
            let look = Look(name, facts, input(path, facts))
            look.input.uses = uses(path)
            if look.input.kind == .other { look.input.reason = .special }
            if look.input.reason == nil { open(look, in: tree) }
            return look
        } catch {
            return nil
        }
    }

    private func open(_ look: Look, in tree: Tree) {
        do throws(SystemError) {
            switch look.input.kind {
            case .file where isWanted(look.input) || mattered(look.input): look.file = try tree.file(look.name)
            case .symlink:
                let target = try tree.link(look.name)
                if ground.redactor?.finds(in: target) == true {
                    look.input.reason = .secret
                } else {
                    look.input.target = target
                }
            default: return
            }
        } catch {
            look.input.reason = InputSurvey.reason(error)
        }
    }

    private func take(_ looks: [Look]) {
        for look in looks {
            if list.inputs.count >= bounds.count || names > bounds.names { found.cut.insert(.count) }
            if isFull { return }
            names += look.input.path.count
            if look.file.isOpen, fault == nil {
                do throws(InputStore.Fault) {
                    try take(&look.input, look.file, look.facts, keeps: isWanted(look.input))
                } catch {
                    fault = error
                }
            }
            look.close()
            list.inputs.append(look.input)
        }
    }

    private func enter(_ look: Look, in tree: Tree, depth: Int) {
        if depth >= bounds.depth {
            found.cut.insert(.depth)
            return note(look.input.path, .depth)
        }
        do throws(InputStore.Fault) {
            try directory(look.input.path, depth: depth) { () throws(SystemError) in try tree.directory(look.name) }
        } catch {
            fault = error
        }
    }

    static func reason(_ error: SystemError) -> Input.Reason { error.errno == EXDEV ? .mount : .unreadable }

    private func isWanted(_ input: Input) -> Bool {
        mode == .all || mode == .read && (mattered(input) || moved.contains { Path.contains($0, input.path) })
    }

    /// A symlink or a directory that was only listed has nothing that would be read.
    func mattered(_ input: Input) -> Bool { !input.uses.isDisjoint(with: [.read, .named]) }

    // MARK: - One file

    func take(
        _ input: inout Input, _ file: borrowing Descriptor, _ facts: FileFacts, keeps: Bool
    ) throws(InputStore.Fault) {
        do {
            if try FileFacts(of: file).isSame(facts) {
                input.reason = try content(&input, file, facts, keeps: keeps)
            } else {
                input.reason = .changed
            }
        } catch {
            if let fault = error as? InputStore.Fault, case .target = fault { throw fault }
            input.reason = .unreadable
        }
    }

    /// Why it isn't kept, or has no digest.
    private func content(
        _ input: inout Input, _ file: borrowing Descriptor, _ facts: FileFacts, keeps: Bool
    ) throws -> Input.Reason? {
        guard keeps, let store else { return try digest(&input, file, facts) }
        switch try store.keep(file, facts) {
        case .kept(let digest):
            (input.digest, input.isKept) = (digest, true)
            return nil
        case .refused(.bytes):
            found.cut.insert(.bytes)
            // Its digest is wanted all the same, where it was read.
            return try mattered(input) ? digest(&input, file, facts) ?? .bytes : .bytes
        case .refused(let reason): return reason
        }
    }

    private func digest(
        _ input: inout Input, _ file: borrowing Descriptor, _ facts: FileFacts
    ) throws(SystemError) -> Input.Reason? {
        if facts.size > digestsLeft {
            found.cut.insert(.bytes)
            return .bytes
        }
        if Clock.monotonic() > deadline {
            found.cut.insert(.time)
            return .time
        }
        digestsLeft -= facts.size
        var search = ground.redactor.map { SecretSearch($0) }
        let content = try file.digest { search?.feed($0) }
        if search?.found == true { return .secret }
        let now = try FileFacts(of: file)
        if content.bytes != facts.size || !now.isSame(facts) { return .changed }
        input.digest = content.digest
        return nil
    }

    // MARK: - What is known of a path

    func input(_ path: Bytes, _ facts: FileFacts) -> Input {
        var input = Input(path, Input.Kind(facts))
        input.mode = facts.permissions & 0o1777
        input.modified = facts.modified
        if input.kind == .file { input.size = facts.size }
        if facts.changed >= ground.began { input.reason = .changed }
        return input
    }

    private func uses(_ path: Bytes) -> Set<Input.Use> {
        ground.uses[path.isEmpty ? ground.workspace : Path.join(ground.workspace, path)] ?? []
    }

    private func note(_ path: Bytes, _ reason: Input.Reason) {
        if let index = list.inputs.lastIndex(where: { $0.path == path }) { list.inputs[index].reason = reason }
    }

    /// It or a directory above it is masked, or named by `files.deny`.
    func isDenied(_ path: Bytes) -> Bool {
        if !ground.hidden.isEmpty {
            var at = path
            while at.count > 1 {
                if ground.hidden.contains(at) { return true }
                at = Path.parent(at)
            }
        }
        if ground.denied.isEmpty { return false }
        let names = Path.components(path)
        return names.indices.contains { last in ground.denied.contains { $0.matches(names: Array(names[...last])) } }
    }

    /// nil: it isn't there.
    static func relative(_ path: Bytes, to top: Bytes) -> Bytes? {
        if path == top { return [] }
        if top == [Path.slash] { return Bytes(path.dropFirst()) }
        return Path.contains(top, path) ? Bytes(path.dropFirst(top.count + 1)) : nil
    }
}
