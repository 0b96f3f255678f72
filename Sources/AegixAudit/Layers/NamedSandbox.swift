// Side effects: makes and keeps `<state>/sandboxes/<name>/`.

import AegixPolicy
import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// A sandbox that lives on from call to call: its layer, and where the policy says so its home and /tmp. One run at a time:
/// whoever has the object has the lock.
public final class NamedSandbox {
    public let name: String
    public let path: Bytes
    public internal(set) var about: About
    let directory: Descriptor
    private let lock: Descriptor

    /// `about.json`.
    public struct About: Equatable, Sendable {
        public var workspace: Bytes
        public var device: UInt64
        public var inode: UInt64
        public var style: Layer.Style
        /// Nanoseconds since 1970.
        public var created: UInt64
        /// The newest run that finished in it.
        public var lastRun: RunID?
        /// A run in it was given secrets, or a network: what it left there may carry the one to the other.
        public var hadSecrets = false
        public var hadNetwork = false
        /// What `files.deny` of any of its runs named, from the root, since the sandbox was last empty.
        public internal(set) var denied: [PathPattern] = []
        /// The run that began last, until what it changed is noted.
        public internal(set) var unfinished: RunID?

        public init(workspace: Bytes, device: UInt64, inode: UInt64, style: Layer.Style, created: UInt64) {
            self.workspace = workspace
            self.device = device
            self.inode = inode
            self.style = style
            self.created = created
        }
    }

    private init(name: String, path: Bytes, about: About, directory: consuming Descriptor, lock: consuming Descriptor) {
        self.name = name
        self.path = path
        self.about = about
        self.directory = directory
        self.lock = lock
    }

    static let parent = "sandboxes"
    private static let aboutName = "about.json"
    private static let longestAbout = 32 << 20
    static let changesName = "changes.jsonl"

    /// Letters, digits, `.`, `_` and `-`, not first; nothing that a run's id or `last` could be.
    public static func isName(_ text: String) -> Bool {
        let bytes = Bytes(text)
        let plain = bytes.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || [0x2D, 0x2E, 0x5F].contains(byte)
        }
        guard plain, let first = bytes.first, first != 0x2D, first != 0x2E, bytes.count <= 64 else { return false }
        return text != "last" && RunID(text) == nil
    }

    /// Stages: the directory; its lock, for which another run may have to end; what it is about, which has to fit.
    ///
    /// - wait: seconds; 0 fails at once.
    public static func open(_ name: String, for wanted: About, in state: StateDirectory, wait: Int) throws(Failure)
        -> NamedSandbox
    {
        do throws(SystemError) {
            while true {
                try StateDirectory.makeIfMissing(parent, in: state.root)
                try StateDirectory.makeIfMissing("\(parent)/\(name)", in: state.root)
                let directory = try StateFile.openDirectory("\(parent)/\(name)", in: state.root)
                let lock = try StateFile.open("lock", in: directory, O_RDWR | O_CREAT)
                if wait == 0 {
                    if try !FileLock.attempt(lock) { throw SystemError("flock", errno: ETIMEDOUT) }
                } else {
                    try FileLock.exclusive(lock, seconds: wait)
                }
                // It may have been reset while we waited: then this one is on its way out.
                guard try isThere(name, directory, in: state) else { continue }
                let about = try read(directory) ?? wanted
                let sandbox = NamedSandbox(
                    name: name, path: path(name, in: state), about: about, directory: directory, lock: lock)
                try sandbox.write()
                if let failure = sandbox.mismatch(wanted) { throw failure.asSystemError }
                return sandbox
            }
        } catch {
            throw refusal(name, error, in: state, wanted)
        }
    }

    /// Why these two can't go together; nil: they can.
    private func mismatch(_ wanted: About) -> Mismatch? {
        if about.workspace != wanted.workspace { return .workspace }
        if about.device != wanted.device || about.inode != wanted.inode { return .replaced }
        return about.style == wanted.style ? nil : .style
    }

    private enum Mismatch: Int32 {
        case workspace = 1
        case replaced, style
        var asSystemError: SystemError { SystemError("sandbox", errno: -rawValue) }
    }

    private static func refusal(
        _ name: String, _ error: SystemError, in state: StateDirectory, _ wanted: About
    ) -> Failure {
        if error.call == "flock", error.errno == ETIMEDOUT {
            return Failure(
                "sandbox.busy",
                "another run goes on in the sandbox \(name). Wait for it with `--wait DURATION`, or use another name")
        }
        let place = path(name, in: state)
        switch error.call == "sandbox" ? Mismatch(rawValue: -error.errno) : nil {
        case .workspace:
            return Failure(
                "sandbox.workspace",
                "the sandbox \(name) belongs to another workspace than \(wanted.workspace.shown): `aegix sandboxes` says to "
                    + "which. Use another name, or drop it with `aegix reset \(name)`")
        case .replaced:
            return Failure(
                "sandbox.workspace",
                "\(wanted.workspace.shown) isn't the directory any more that the sandbox \(name) was made for. Look at what "
                    + "is in it with `aegix review \(name)`, or drop it with `aegix reset \(name)`")
        case .style:
            return Failure(
                "sandbox.workspace",
                "the sandbox \(name) was made by another kind of mount, as another user or in another tier. Use another "
                    + "name, or drop it with `aegix reset \(name)`")
        case nil:
            return Failure("sandbox.unusable", "can't use \(place.shown)", error)
        }
    }

    private static func path(_ name: String, in state: StateDirectory) -> Bytes {
        Path.join(state.path, Bytes("\(parent)/\(name)"))
    }

    private static func isThere(
        _ name: String, _ directory: borrowing Descriptor, in state: StateDirectory
    ) throws(SystemError) -> Bool {
        let ours = try StateFile.facts(directory)
        guard let named = try StateFile.facts(of: "\(parent)/\(name)", in: state.root) else { return false }
        return named.inode == ours.inode && named.device == ours.device
    }

    /// What a run in this sandbox is given, before it gets it. All that the runs of a sandbox were given comes together in it: one
    /// with a network leaves a program behind, and the next, which has the secret, runs it (rule 18).
    ///
    /// - allowed: the policy says that both may come together.
    public func admit(hasSecrets: Bool, hasNetwork: Bool, allowed: Bool) throws(Failure) {
        let (secrets, network) = (about.hadSecrets || hasSecrets, about.hadNetwork || hasNetwork)
        if secrets, network, !allowed, hasSecrets || hasNetwork {
            let (past, now) = hasNetwork ? ("secrets", "a network") : ("a network", "secrets")
            throw Failure(
                "sandbox.mixed",
                "runs in the sandbox \(name) had \(past), and this one would have \(now): what the one left behind could give "
                    + "the other away. Use another name, or drop it with `aegix reset \(name)`")
        }
        if secrets == about.hadSecrets, network == about.hadNetwork { return }
        (about.hadSecrets, about.hadNetwork) = (secrets, network)
        do throws(SystemError) {
            try write()
        } catch {
            throw Failure("sandbox.unusable", "can't note what the sandbox \(name) was given", error)
        }
    }

    // MARK: - The layer

    /// The layer, made on first use with the mode and owner of the workspace's top.
    public func makeLayer(mode: mode_t, owner: (uid: uid_t, gid: gid_t)?) throws(Failure) -> RunLayer.Paths {
        do throws(SystemError) {
            if try StateFile.facts(of: "layer", in: directory) == nil {
                try RunLayer.make(in: directory, mode: mode, owner: owner)
            } else {
                try RunLayer.prepareAgain(in: directory, owner: owner)
            }
            return RunLayer.Paths(upper: path + Bytes("/layer/upper"), work: path + Bytes("/layer/work"))
        } catch {
            throw Failure("sandbox.unusable", "can't use the layer of the sandbox \(name)", error)
        }
    }

    /// A directory that stands for `home` or `tmp` inside.
    public func keep(_ what: String, mode: mode_t, owner: (uid: uid_t, gid: gid_t)?) throws(Failure) -> Bytes {
        do throws(SystemError) {
            if try StateFile.facts(of: what, in: directory) == nil {
                try StateFile.makeDirectory(what, in: directory)
                if let owner, fchownat(directory.raw, what, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0 {
                    throw SystemError.last("chown", Bytes(what))
                }
                if aegix_fchmodat(directory.raw, what, mode) < 0 { throw SystemError.last("chmod", Bytes(what)) }
            }
            return Path.join(path, Bytes(what))
        } catch {
            throw Failure("sandbox.unusable", "can't keep \(what) in the sandbox \(name)", error)
        }
    }

    public func finishLayer() throws(Failure) -> RunLayer.State {
        do throws(SystemError) {
            return try RunLayer.finish(in: directory, mode: nil, keepsWork: true)
        } catch {
            throw Failure("layer.unclean", "can't clear the layer of the sandbox \(name)", error, exitCode: 123)
        }
    }

    /// What the runs before this one had changed, with the base as the first of them found it.
    public func previous() throws(Failure) -> ChangeList {
        do throws(SystemError) {
            guard try StateFile.facts(of: NamedSandbox.changesName, in: directory) != nil else { return ChangeList() }
            let bytes = try StateFile.read(NamedSandbox.changesName, in: directory, limit: 512 << 20)
            if let list = ChangeList.decode(bytes) { return list }
            throw SystemError("read", Bytes(NamedSandbox.changesName), errno: EUCLEAN)
        } catch {
            throw Failure(
                "sandbox.unusable", "can't read what the sandbox \(name) held before", error, exitCode: 123)
        }
    }

    /// The run is the newest now.
    public func finish(_ run: RunID, _ list: ChangeList) throws(Failure) {
        about.lastRun = run
        about.unfinished = nil
        do throws(SystemError) {
            try StateFile.replace(list.encode(), at: NamedSandbox.changesName, in: directory)
            try write()
        } catch {
            throw Failure("sandbox.unusable", "can't note what the sandbox \(name) holds", error, exitCode: 123)
        }
    }

    // MARK: - about.json

    func write() throws(SystemError) {
        let json: JSON = [
            "created": .big(about.created), "denied": .array(about.denied.map { .bytes($0.text) }),
            "device": .big(about.device), "had_network": .bool(about.hadNetwork),
            "had_secrets": .bool(about.hadSecrets), "inode": .big(about.inode),
            "last_run": about.lastRun.map { .string($0.description) } ?? .null, "name": .string(name),
            "schema": "aegix.sandbox/v1", "style": .string(about.style.rawValue),
            "unfinished": about.unfinished.map { .string($0.description) } ?? .null,
            "workspace": .bytes(about.workspace),
        ]
        let bytes = json.canonical
        if try NamedSandbox.read(directory) == about { return }
        try StateFile.replace(bytes, at: NamedSandbox.aboutName, in: directory)
    }

    static func read(_ directory: borrowing Descriptor) throws(SystemError) -> About? {
        if try StateFile.facts(of: aboutName, in: directory) == nil { return nil }
        let bytes = try StateFile.read(aboutName, in: directory, limit: longestAbout)
        guard let json = parsed(bytes), let workspace = json["workspace"]?.bytesValue,
            let device = json["device"]?.string.flatMap({ UInt64($0) }),
            let inode = json["inode"]?.string.flatMap({ UInt64($0) }),
            let style = json["style"]?.string.flatMap(Layer.Style.init(rawValue:)),
            let created = json["created"]?.string.flatMap({ UInt64($0) })
        else { throw SystemError("read", Bytes(aboutName), errno: EUCLEAN) }
        var about = About(workspace: workspace, device: device, inode: inode, style: style, created: created)
        about.lastRun = json["last_run"]?.string.flatMap { RunID($0) }
        // An older aegix gave neither.
        about.hadSecrets = json["had_secrets"]?.bool == true
        about.hadNetwork = json["had_network"]?.bool == true
        about.unfinished = json["unfinished"]?.string.flatMap { RunID($0) }
        for text in json["denied"]?.array ?? [] {
            guard let pattern = text.bytesValue.flatMap(pattern) else {
                throw SystemError("read", Bytes(aboutName), errno: EUCLEAN)
            }
            about.denied.append(pattern)
        }
        return about
    }

    private static func pattern(_ text: Bytes) -> PathPattern? {
        do throws(PathPattern.Defect) { return try PathPattern(text) } catch { return nil }
    }

    private static func parsed(_ bytes: Bytes) -> JSON? {
        do throws(JSONError) { return try JSON.parse(bytes) } catch { return nil }
    }
}

extension StateDirectory {
    /// The newest run that finished in it; nil: there is no such sandbox.
    func lastRun(inSandbox name: String) throws -> RunID? {
        guard NamedSandbox.isName(name) else { return nil }
        let directory: Descriptor
        do throws(SystemError) {
            directory = try StateFile.openDirectory("\(NamedSandbox.parent)/\(name)", in: root)
        } catch {
            if error.errno == ENOENT || error.isNoDirectory { return nil }
            throw error
        }
        if let id = try NamedSandbox.read(directory)?.lastRun { return id }
        throw Failure("run.unknown", "no run has finished in the sandbox \(name) yet")
    }

    /// What `aegix sandboxes` lists, in the order of their names.
    public func sandboxes() throws(Failure) -> [(name: String, path: Bytes, about: NamedSandbox.About, isBusy: Bool)] {
        do throws(SystemError) {
            guard try StateFile.facts(of: NamedSandbox.parent, in: root) != nil else { return [] }
            let parent = try StateFile.openDirectory(NamedSandbox.parent, in: root)
            let tree = Tree(owning: try StateFile.openDirectory(".", in: parent))
            var found: [(name: String, path: Bytes, about: NamedSandbox.About, isBusy: Bool)] = []
            for entry in try tree.entries() where try tree.isDirectory(entry) {
                guard let name = entry.name.text, NamedSandbox.isName(name) else { continue }
                let directory = try StateFile.openDirectory(name, in: parent)
                // One that is just being made has none yet.
                guard let about = try NamedSandbox.read(directory) else { continue }
                let lock = try StateFile.open("lock", in: directory, O_RDWR)
                let isBusy = try !FileLock.attempt(lock)
                let path = Path.join(path, Bytes("\(NamedSandbox.parent)/\(name)"))
                found.append((name, path, about, isBusy))
            }
            return found.sorted { $0.name < $1.name }
        } catch {
            throw failure(error)
        }
    }

    /// Takes the sandbox away, whatever is in it; it still has to be removed (`clearAway`). False: there is none of that name.
    public func dropSandbox(_ name: String) throws(Failure) -> Bool {
        do throws(SystemError) {
            let place = "\(NamedSandbox.parent)/\(name)"
            guard try StateFile.facts(of: place, in: root) != nil else { return false }
            let directory = try StateFile.openDirectory(place, in: root)
            let lock = try StateFile.open("lock", in: directory, O_RDWR | O_CREAT)
            guard try FileLock.attempt(lock) else { throw SystemError("flock", Bytes(name), errno: EBUSY) }
            try StateDirectory.makeIfMissing(StateDirectory.away, in: root)
            let away = "\(StateDirectory.away)/\(try RunID.make())"
            if aegix_renameat(root.raw, place, away) < 0 { throw SystemError.last("rename", Bytes(place)) }
            return true
        } catch {
            if error.errno == EBUSY, error.call == "flock" {
                throw Failure("sandbox.busy", "a run goes on in the sandbox \(name). End it, or wait for it")
            }
            throw failure(error)
        }
    }
}
