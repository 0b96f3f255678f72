// Side effects: reads a workspace after a run, and copies contents into the run directory.

import AegixPolicy
import AegixSystem
import Glibc

/// What of the inputs is asked for, and what has to be known of the run.
public struct InputGround: Sendable {
    public var workspace: Bytes
    /// Where it lies on the host, if elsewhere: a place of aegix's own, to which the way is closed for `identity`.
    public var source: Bytes?
    /// That the run had: another one may have come to its path since.
    public var directory: (device: UInt64, inode: UInt64)
    public var identity: ReaderIdentity
    /// By the clock that stamps files (`Clock.tick`): what has an older stamp is what it was.
    public var began: Int64
    /// What the command was seen to do, by canonical paths from the root.
    public var uses: [Bytes: Set<Input.Use>] = [:]
    /// Directories and files in view besides, whose files are told and not kept.
    public var views: [View] = []
    /// Masked in the run, from the root.
    public var hidden: Set<Bytes> = []
    /// `files.deny`, from the root: for what was made later.
    public var denied: [PathPattern] = []
    public var redactor: Redactor?

    public struct View: Sendable {
        public var path: Bytes
        public var isFile: Bool
        public var device: UInt64
        public var inode: UInt64

        public init(_ path: Bytes, isFile: Bool, device: UInt64, inode: UInt64) {
            (self.path, self.isFile, self.device, self.inode) = (path, isFile, device, inode)
        }
    }

    public init(
        workspace: Bytes, _ directory: (device: UInt64, inode: UInt64), identity: ReaderIdentity, began: Int64
    ) {
        (self.workspace, self.directory, self.identity, self.began) = (workspace, directory, identity, began)
    }

    func top() throws(SystemError) -> Tree {
        if let source { return try Tree(at: source) }
        return try identity.reading { () throws(SystemError) in try Tree(at: workspace) }
    }
}

/// What came of it.
public struct InputFindings: Sendable {
    /// nil: nothing was to be kept, or couldn't be.
    public var list: InputList?
    /// What was read or kept: the record's array, in the order of the paths' bytes.
    public var told: [Input] = []
    /// Digests of files in view, whether they are told or not, by their paths from the root.
    public var digests: [Bytes: String] = [:]
    public var cut: Set<InputList.Bound> = []
    /// Contents that were kept, and their bytes.
    public var contents = 0
    public var bytes: UInt64 = 0
    /// Names that hold a secret and aren't listed.
    public var nameless = 0
    /// Why nothing was kept, or not all.
    public var error: String?
    /// It is a failure, and not what was to be expected.
    public var isFailed = false

    public init() {}
}

/// Stages: the walk, where something is to be kept: every name is listed, and nothing but regular files is opened; then what was read and isn't
/// listed. Nothing is followed, no mount is entered, what is denied isn't opened.
public final class InputSurvey {
    private let ground: InputGround
    private let bounds: InputBounds
    private let deadline: UInt64
    private let mode: InputList.Mode?
    private let above: [Bytes]
    private var store: InputStore?
    private var digestsLeft: UInt64
    private var found = InputFindings()
    private var list: InputList
    private var names = 0
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
            try directory(top, [], depth: 0)
        } catch {
            guard case .target(let error) = error else { return }
            // The record has to find room, too.
            found.error = "can't keep inputs: \(error); what was kept is removed"
            for index in list.inputs.indices { list.inputs[index].isKept = false }
            store = nil
            do { try TreeRemoval.remove(place) } catch { found.error = "can't keep inputs: \(error)" }
        }
    }

    private func directory(_ tree: Tree, _ path: Bytes, depth: Int) throws(InputStore.Fault) {
        let entries: [DirectoryEntry]
        do throws(SystemError) {
            entries = try ground.identity.reading { () throws(SystemError) in try tree.entries() }
        } catch {
            return note(path, .unreadable)
        }
        for entry in entries {
            if Clock.monotonic() > deadline { found.cut.insert(.time) }
            if list.inputs.count >= bounds.count || names > bounds.names { found.cut.insert(.count) }
            if found.cut.contains(.time) || found.cut.contains(.count) { return }
            let place = LayerWalk.under(path, entry.name)
            if ground.redactor?.finds(in: place) == true {
                found.nameless += 1
                continue
            }
            let facts: FileFacts?
            do throws(SystemError) {
                facts = try ground.identity.reading { () throws(SystemError) in try tree.facts(name: entry.name) }
            } catch {
                facts = nil
            }
            guard let facts else { continue }
            names += place.count
            try item(entry.name, facts, in: tree, place, depth: depth)
        }
    }

    private func item(
        _ name: Bytes, _ facts: FileFacts, in tree: Tree, _ path: Bytes, depth: Int
    ) throws(InputStore.Fault) {
        if isDenied(Path.join(ground.workspace, path)) {
            var input = Input(path, Input.Kind(facts))
            input.reason = .denied
            return list.inputs.append(input)
        }
        var input = self.input(path, facts)
        input.uses = uses(path)
        switch input.kind {
        case .directory:
            list.inputs.append(input)
            if depth + 1 >= bounds.depth {
                found.cut.insert(.depth)
                return note(path, .depth)
            }
            let inner: Tree
            do throws(SystemError) {
                inner = try ground.identity.reading { () throws(SystemError) in try tree.directory(name) }
            } catch {
                return note(path, error.errno == EXDEV ? .mount : .unreadable)
            }
            return try directory(inner, path, depth: depth + 1)
        case .file: try take(&input, name, facts, in: tree, keeps: isWanted(input))
        case .symlink:
            if input.reason == nil {
                do throws(SystemError) {
                    let target = try tree.link(name)
                    if ground.redactor?.finds(in: target) == true {
                        input.reason = .secret
                    } else {
                        input.target = target
                    }
                } catch {
                    input.reason = .unreadable
                }
            }
        case .other: input.reason = .special
        }
        list.inputs.append(input)
    }

    private func isWanted(_ input: Input) -> Bool {
        mode == .all || mode == .read && (mattered(input) || moved.contains { Path.contains($0, input.path) })
    }

    /// A symlink or a directory that was only listed has nothing that would be read.
    private func mattered(_ input: Input) -> Bool { !input.uses.isDisjoint(with: [.read, .named]) }

    // MARK: - One file

    private func take(
        _ input: inout Input, _ name: Bytes, _ facts: FileFacts, in tree: Tree, keeps: Bool
    ) throws(InputStore.Fault) {
        if input.reason != nil || !keeps && !mattered(input) { return }
        do {
            let file = try ground.identity.reading { () throws(SystemError) in try tree.file(name) }
            if try FileFacts(of: file).isSame(facts) {
                input.reason = try content(&input, file, facts, keeps: keeps)
            } else {
                input.reason = .changed
            }
        } catch {
            switch error {
            case let fault as InputStore.Fault:
                if case .target = fault { throw fault }
                input.reason = .unreadable
            case let error as SystemError: input.reason = error.errno == EXDEV ? .mount : .unreadable
            default: input.reason = .unreadable
            }
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

    // MARK: - What was read and isn't listed

    private func tellRest(_ top: Tree) {
        let listed = Set(list.inputs.map(\.path))
        for (path, uses) in ground.uses.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            if let place = InputSurvey.relative(path, to: ground.workspace) {
                if listed.contains(place) { continue }
                // A name that was left out of a list is in none.
                if mode != nil, ground.redactor?.finds(in: place) == true { continue }
                tell(place, uses, path, in: top, place)
            } else if let view = view(of: path) {
                tell(in: view, path, uses)
            }
        }
        for input in list.inputs + found.told {
            guard let digest = input.digest else { continue }
            found.digests[Path.isAbsolute(input.path) ? input.path : Path.join(ground.workspace, input.path)] = digest
        }
    }

    /// The innermost one.
    private func view(of path: Bytes) -> InputGround.View? {
        ground.views.filter { Path.contains($0.path, path) }.max { $0.path.count < $1.path.count }
    }

    private func tell(in view: InputGround.View, _ path: Bytes, _ uses: Set<Input.Use>) {
        do throws(SystemError) {
            let place = view.isFile ? Path.parent(view.path) : view.path
            let tree = try ground.identity.reading { () throws(SystemError) in try Tree(at: place) }
            let facts = try tree.facts(name: view.isFile ? Path.name(view.path) : Bytes("."))
            if facts?.device != view.device || facts?.inode != view.inode {
                throw SystemError("open", view.path, errno: ESTALE)
            }
            let inside = view.isFile ? Path.name(view.path) : InputSurvey.relative(path, to: view.path) ?? []
            tell(path, uses, path, in: tree, inside)
        } catch {
            var input = Input(path, .other)
            (input.uses, input.reason) = (uses, .unreadable)
            found.told.append(input)
        }
    }

    /// - name: what it is called in the record.
    /// - path: from the root.
    private func tell(_ name: Bytes, _ uses: Set<Input.Use>, _ path: Bytes, in tree: Tree, _ inside: Bytes) {
        var input = Input(name, .file)
        input.uses = uses
        defer { found.told.append(input) }
        input.reason = isDenied(path) ? .denied : nil
        if input.reason != nil { return }
        do {
            let (parent, facts) = try ground.identity.reading { () throws(SystemError) in
                try InputSurvey.look(inside, in: tree)
            }
            guard let facts else {
                input.reason = .made
                return
            }
            input = self.input(name, facts)
            input.uses = uses
            if input.kind == .other { input.reason = .special }
            if input.kind == .file { try take(&input, Path.name(inside), facts, in: parent, keeps: false) }
        } catch let error as SystemError {
            let isGone = [ENOENT, ENOTDIR].contains(error.errno)
            input.reason = isGone ? .made : error.errno == EXDEV ? .mount : .unreadable
        } catch {
            input.reason = .unreadable
        }
    }

    private static func look(_ path: Bytes, in tree: Tree) throws(SystemError) -> (Tree, FileFacts?) {
        let parent = try tree.parent(of: path)
        return (parent, try parent.facts(name: path.isEmpty ? Bytes(".") : Path.name(path)))
    }

    // MARK: - What is known of a path

    private func input(_ path: Bytes, _ facts: FileFacts) -> Input {
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
    private func isDenied(_ path: Bytes) -> Bool {
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
    private static func relative(_ path: Bytes, to top: Bytes) -> Bytes? {
        if path == top { return [] }
        if top == [Path.slash] { return Bytes(path.dropFirst()) }
        return Path.contains(top, path) ? Bytes(path.dropFirst(top.count + 1)) : nil
    }
}
