// Side effects: makes the sandbox. Plan ─► running pid 1.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// Where the command's 0, 1 and 2 go: a descriptor, the sandbox's terminal, or nothing.
enum StandardStream {
    case descriptor(Int32)
    case terminal
    case null

    var code: Int32 {
        switch self {
        case .descriptor(let raw): raw
        case .terminal: -2
        case .null: -1
        }
    }
}

/// A started sandbox: pid 1 runs and puts its own walls up. Ends with the descriptor's owner: pid 1 dies with us.
final class Sandbox {
    let pid: pid_t
    let pidfd: Descriptor
    let control: Descriptor
    let page: UnsafeMutablePointer<aegix_page>
    let deadline: UInt64
    let isConfined: Bool

    private init(
        pid: pid_t, pidfd: consuming Descriptor, control: consuming Descriptor,
        page: UnsafeMutablePointer<aegix_page>, deadline: UInt64, isConfined: Bool
    ) {
        self.pid = pid
        self.pidfd = pidfd
        self.control = control
        self.page = page
        self.deadline = deadline
        self.isConfined = isConfined
    }

    /// - cgroup: what the sandbox is born in; nil leaves it in aegix's own.
    /// - deadline: CLOCK_MONOTONIC nanoseconds at which pid 1 ends everything by itself; 0 for never.
    static func start(
        _ plan: Plan, filter: Bytes, streams: (StandardStream, StandardStream, StandardStream),
        size: (rows: UInt16, columns: UInt16), rawOutput: Bool, deadline: UInt64,
        cgroup: RunCgroup? = nil
    ) throws(Failure) -> Sandbox {
        let memory = LaunchMemory()
        guard let page = aegix_page_map() else {
            throw Failure("launch.memory", "can't share a page with the sandbox", SystemError.last("mmap"))
        }
        var ends: [Int32] = [-1, -1]
        if aegix_socketpair(&ends) < 0 {
            throw Failure("launch.socket", "can't make a socket pair", SystemError.last("socketpair"))
        }
        let control = Descriptor(owning: ends[0])
        let theirs = Descriptor(owning: ends[1])

        var launch = aegix_launch(
            page: page, control: theirs.raw, peer: control.raw, cgroup: cgroup?.directory.raw ?? -1, uid_map: nil,
            gid_map: nil,
            uid: plan.identity.insideUID,
            gid: plan.identity.insideGID, own_network: plan.network.mode == .host ? 0 : 1,
            relayed: plan.network.mode.isRelayed ? 1 : 0,
            // The host's own sockets would be counted for the run's.
            watch_sockets: plan.limitPlan.watch.memory == nil || plan.network.mode == .host ? 0 : 1,
            trees: UInt32(plan.trees.count),
            hostname: memory.string(Bytes(plan.determinism.hostname)),
            root_options: memory.string(Bytes(rootOptions(plan))),
            steps: memory.array(plan.steps.map(memory.step)),
            step_count: plan.steps.count, handled_fs: plan.landlock.handled, handled_scope: plan.landlock.scoped,
            rules: memory.array(
                plan.landlock.rules.map { aegix_landlock_rule(path: memory.string($0.path), access: $0.access) }),
            rule_count: plan.landlock.rules.count, limits: memory.array(ProcessLimits.make(plan.limitPlan.resources)),
            limit_count: plan.limitPlan.resources.count, processors: UInt32(plan.limitPlan.processors ?? 0),
            first_processor: plan.determinism.takesFirstProcessors ? 0 : UInt32(getpid()),
            umask: plan.determinism.umask, plain_addresses: plan.determinism.hasRandomAddresses ? 0 : 1,
            held: plan.determinism.hidesVDSO ? 1 : 0, keep: CapabilityBits.bits(plan.capabilities),
            filter: UnsafeRawPointer(memory.array(filter)).assumingMemoryBound(to: sock_filter.self),
            filter_length: UInt16(filter.count / MemoryLayout<sock_filter>.size),
            stdio: (streams.0.code, streams.1.code, streams.2.code), rows: size.rows, columns: size.columns,
            raw_output: rawOutput ? 1 : 0, deadline: deadline, confined: plan.tier == .confined ? 1 : 0,
            handled_net: plan.landlock.handledNetwork, cwd: memory.string(plan.cwd),
            candidates: memory.strings(plan.command.candidates), argv: memory.strings(plan.command.argv),
            environment: memory.strings(plan.environment.map { $0.name + [UInt8(ascii: "=")] + $0.value }))
        if plan.identity.selfMapped {
            launch.uid_map = memory.string(Bytes(plan.identity.uidMap))
            launch.gid_map = memory.string(Bytes(plan.identity.gidMap))
        }
        var pidfd: Int32 = -1
        let pid = aegix_spawn(&launch, &pidfd)
        if pid < 0 {
            let error = SystemError.last("clone3")
            aegix_page_unmap(page)
            if plan.tier == .confined { throw Failure("launch.fork", "can't make a process", error) }
            throw LaunchFailure.clone(error, intoCgroup: cgroup != nil)
        }
        return Sandbox(
            pid: pid, pidfd: Descriptor(owning: pidfd), control: control, page: page, deadline: deadline,
            isConfined: plan.tier == .confined)
    }

    /// Ends pid 1, and with it the rest. Without a namespace the rest has to be ended by its init first: killed outright it
    /// would leave that to us.
    func end() {
        let hasInit = isConfined && page.pointee.sealed != 0
        _ = aegix_pidfd_signal(pidfd.raw, hasInit ? Int32(AEGIX_END_ALL) : SIGKILL)
    }

    private static func rootOptions(_ plan: Plan) -> String {
        guard let scratch = plan.limitPlan.scratch else { return "mode=0755" }
        return "mode=0755,size=\(scratch.bytes),nr_inodes=\(scratch.files)"
    }

    /// A privileged caller's part: the id maps, and the trees that carry the owner's files through them. The child
    /// waits for it.
    func release(_ plan: Plan) throws(Failure) {
        if plan.identity.selfMapped { return }
        let identity = plan.identity
        for (file, map) in [("uid_map", identity.uidMap), ("gid_map", identity.gidMap)] {
            let rc = Bytes(map).withCString { text in Bytes(file).withCString { aegix_write_map(pid, $0, text) } }
            if rc < 0 { throw Failure("launch.identity", "can't write \(file) of the sandbox", SystemError.last(file)) }
        }
        if plan.trees.count > Int(AEGIX_TREES) {
            throw Failure(
                "launch.paths", "a run by root can have at most \(AEGIX_TREES - 2) paths in view beside its workspace")
        }
        let namespace = try mapNamespace(identity)
        var trees: [Int32] = []
        defer { for tree in trees { close(tree) } }
        for prepared in plan.trees { trees.append(try tree(prepared, namespace, identity)) }
        if aegix_send_release(page, control.raw, trees, UInt32(trees.count)) < 0 {
            let error = SystemError.last("sendmsg")
            if error.errno != EPIPE { throw Failure("launch.release", "can't release the sandbox", error) }
        }
    }

    /// The sandbox's own namespace serves, unless on-disk owner and inside uid differ.
    private func mapNamespace(_ identity: IdentityPlan) throws(Failure) -> Descriptor {
        do throws(SystemError) {
            guard let uidMap = identity.treeUIDMap, let gidMap = identity.treeGIDMap else {
                return try Descriptor.open(Bytes("/proc/\(pid)/ns/user"), O_RDONLY)
            }
            let raw = Bytes(uidMap).withCString { uids in
                Bytes(gidMap).withCString { aegix_map_namespace(uids, $0) }
            }
            if raw < 0 { throw SystemError.last("clone") }
            return Descriptor(owning: raw)
        } catch {
            throw Failure("launch.identity", "can't make an id map for the workspace", error)
        }
    }

    private func tree(
        _ tree: PreparedTree, _ namespace: borrowing Descriptor, _ identity: IdentityPlan
    ) throws(Failure) -> Int32 {
        let lower = Descriptor(owning: try mappedTree(tree, namespace.raw))
        guard let place = tree.layer else { return lower.release() }
        let layer = Descriptor(
            owning: try mappedTree(PreparedTree(path: place, device: 0, inode: 0, isMapped: true), namespace.raw))
        let raw = tree.path.withCString { lowerPlace in
            place.withCString { layerPlace in
                var overlay = aegix_overlay(
                    pid: pid, lower: lower.raw, layer: layer.raw, lower_place: lowerPlace, layer_place: layerPlace,
                    uid: identity.outsideUID, gid: identity.outsideGID, is_volatile: tree.isVolatile ? 1 : 0)
                return aegix_overlay(&overlay)
            }
        }
        if raw < 0 {
            throw Failure(
                Plan.noOverlay, "can't lay the run's layer over \(tree.path.shown)", SystemError.last("overlay"))
        }
        return raw
    }

    private func mappedTree(_ tree: PreparedTree, _ namespace: Int32) throws(Failure) -> Int32 {
        do throws(SystemError) {
            let root = try Descriptor.open([Path.slash], Descriptor.pathOnly)
            let source = try Descriptor.openBeneath(root.raw, Bytes(tree.path.dropFirst()), Descriptor.pathOnly)
            var facts = stat()
            if fstat(source.raw, &facts) < 0 { throw SystemError.last("fstat", tree.path) }
            if tree.inode != 0, tree.inode != UInt64(facts.st_ino) || tree.device != UInt64(facts.st_dev) {
                throw SystemError("open", tree.path, errno: ESTALE)
            }
            let raw = aegix_detached_tree(source.raw, tree.isMapped ? namespace : -1)
            if raw < 0 { throw SystemError.last("mount_setattr", tree.path) }
            return raw
        } catch {
            let hint =
                error.errno == EINVAL
                ? ": its file system has no id-mapped mounts, which a run by root needs so that the command never holds "
                    + "the host's uid 0. Put the workspace on ext4, xfs or btrfs, or run aegix as the workspace's owner"
                : ": \(error.reason)"
            throw Failure(Plan.noOwnerMap, "can't mount \(tree.path.shown) for the sandbox\(hint)", errno: error.errno)
        }
    }
}
