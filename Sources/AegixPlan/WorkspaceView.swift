// Pure. How the workspace and the policy's paths appear, and what is hidden in them.

import AegixPolicy
import AegixSystem
import AegixWorkspace

/// A mount of the host's that a privileged supervisor prepares, before the child may go on.
public struct PreparedTree: Equatable, Sendable {
    public var path: Bytes
    public var device: UInt64
    public var inode: UInt64
    /// Through the id map, so that the owner's files are the command's; else as anybody else sees them.
    public var isMapped: Bool
    /// An overlay over it, whose layer lies here on the host; nil: the tree itself.
    public var layer: Bytes?
    /// The overlay is never synced to the disk.
    public var isVolatile = false

    public init(
        path: Bytes, device: UInt64, inode: UInt64, isMapped: Bool, layer: Bytes? = nil, isVolatile: Bool = false
    ) {
        self.path = path
        self.device = device
        self.inode = inode
        self.isMapped = isMapped
        self.layer = layer
        self.isVolatile = isVolatile
    }
}

/// Where the run keeps the layer, on the host. Absolute, canonical.
public struct LayerPlace: Equatable, Sendable {
    /// Holds `upper/` and `work/`.
    public var directory: Bytes
    /// Of a named sandbox: directories of the host that are the home and /tmp inside; nil: private and empty.
    public var home: Bytes?
    public var tmp: Bytes?

    public init(directory: Bytes, home: Bytes? = nil, tmp: Bytes? = nil) {
        self.directory = directory
        self.home = home
        self.tmp = tmp
    }
}

struct WorkspaceView {
    var steps: [Step] = []
    var trees: [PreparedTree] = []
    /// Mount points that the command may write to.
    var writable: [Bytes] = []

    private var ancestors = Ancestors()
    private var staged = 0
    private var pinned: Set<Bytes> = []
    private let shifted: Bool

    /// `shifted`: root calls, so views of the owner's files go through an id map.
    init(shifted: Bool) { self.shifted = shifted }

    /// - durable: without it overlayfs doesn't sync the layer, which at the end of a run would sync the host's whole disk.
    mutating func add(
        workspace: PathFact, mode: Policy.Workspace.Mode, layer: LayerPlace?, durable: Bool
    ) throws(Failure) {
        switch mode {
        case .direct:
            target(workspace)
            bind(workspace, at: workspace.path, flags: [], owned: true)
            writable.append(workspace.path)
        case .readOnly:
            overlayReadOnly(workspace, owned: true)
        case .layer, .apply:
            guard let layer else { throw Failure("plan.layer", "a layer needs a run directory to keep it in") }
            writable.append(workspace.path)
            if shifted {
                // Mounted by root, who may do what a user's overlay can't: see `Layer.Style`.
                target(workspace)
                steps.append(.attach(workspace.path, tree: trees.count, flags: []))
                trees.append(
                    PreparedTree(
                        path: workspace.host, device: workspace.device, inode: workspace.inode, isMapped: true,
                        layer: layer.directory, isVolatile: !durable))
                return
            }
            let lower = stage(workspace, owned: true)
            let kept = Staging.place("layer")
            steps.append(.directory(kept, mode: 0o700))
            steps.append(.bind(kept, source: .host(layer.directory, device: 0, inode: 0), flags: []))
            target(workspace)
            let text = { (path: Bytes) in String(decoding: path, as: UTF8.self) }
            let options =
                "lowerdir=\(text(lower)),upperdir=\(text(kept))/upper,workdir=\(text(kept))/work,userxattr"
                + (durable ? "" : ",volatile")
            steps.append(.overlay(workspace.path, options: options, flags: []))
        }
    }

    /// A copy of the workspace, at the workspace's own path. It isn't there yet when the plan is made.
    mutating func add(copy: WorkspaceCopy, of workspace: PathFact) {
        var made = workspace
        (made.device, made.inode) = (0, 0)
        made.source = copy.destination
        target(workspace)
        bind(made, at: workspace.path, flags: [], owned: copy.shift == nil)
        writable.append(workspace.path)
    }

    /// What lives on with a named sandbox, in the place of an empty directory that is there already.
    mutating func keep(_ host: Bytes, at path: Bytes) {
        let fact = PathFact(
            path: host, kind: .directory, device: 0, inode: 0, uid: 0, gid: 0, mode: 0, origin: "sandbox")
        bind(fact, at: path, flags: [], owned: true)
    }

    /// `files.read`: an overlay for a directory, so that no live socket or FIFO of the host can be reached through it.
    mutating func add(read fact: PathFact) {
        switch fact.kind {
        case .directory: overlayReadOnly(fact, owned: false)
        case .file:
            target(fact)
            bind(fact, at: fact.path, flags: .readOnly, owned: false)
        }
    }

    mutating func add(write fact: PathFact) {
        target(fact)
        bind(fact, at: fact.path, flags: [], owned: true)
        writable.append(fact.path)
    }

    /// Mounts each directory between a writable root and what lies masked or mounted beneath it onto itself: a mount point
    /// can't be renamed, so the next run finds the path where the policy says it is.
    mutating func pin(_ path: Bytes, beneath root: Bytes) {
        var missing: [Bytes] = []
        var place = Path.parent(path)
        while place != root, Path.contains(root, place), pinned.insert(place).inserted {
            missing.append(place)
            place = Path.parent(place)
        }
        for directory in missing.reversed() {
            steps.append(.bind(directory, source: .inside(directory), flags: []))
        }
    }

    mutating func hide(_ path: Bytes, isDirectory: Bool) {
        let source = isDirectory ? Staging.deniedDirectory : Staging.deniedFile
        steps.append(.bind(path, source: .inside(source), flags: [.readOnly, .noExec]))
    }

    /// A file of the caller's word, out of every view: its bytes, at its own path.
    mutating func add(script: Invocation.Script) {
        ancestors.make(script.path, in: &steps)
        steps.append(.file(script.path, content: script.content, mode: 0o555))
    }

    private mutating func target(_ fact: PathFact) {
        ancestors.make(fact.path, in: &steps)
        switch fact.kind {
        case .directory: steps.append(.directory(fact.path, mode: 0o755))
        case .file: steps.append(.file(fact.path, content: [], mode: 0o444))
        }
    }

    private mutating func bind(_ fact: PathFact, at path: Bytes, flags: MountFlags, owned: Bool) {
        if shifted {
            // Opened by the supervisor: the command's user may be unable to pass the directories on the way.
            steps.append(.attach(path, tree: trees.count, flags: flags))
            trees.append(PreparedTree(path: fact.host, device: fact.device, inode: fact.inode, isMapped: owned))
        } else {
            steps.append(
                .bind(path, source: .host(fact.host, device: fact.device, inode: fact.inode), flags: flags))
        }
    }

    /// A short name without odd characters, for overlay's options.
    private mutating func stage(_ fact: PathFact, owned: Bool) -> Bytes {
        let place = Staging.place("view\(staged)")
        staged += 1
        steps.append(.directory(place, mode: 0o700))
        bind(fact, at: place, flags: .readOnly, owned: owned)
        return place
    }

    private mutating func overlayReadOnly(_ fact: PathFact, owned: Bool) {
        let lower = stage(fact, owned: owned)
        target(fact)
        let text = { (path: Bytes) in String(decoding: path, as: UTF8.self) }
        steps.append(
            .overlay(fact.path, options: "lowerdir=\(text(lower)):\(text(Staging.empty)),userxattr", flags: .readOnly))
    }
}
