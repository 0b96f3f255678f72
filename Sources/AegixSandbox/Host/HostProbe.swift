// Side effects: forks a child for each probe, reads /proc and /sys, makes and removes a scratch directory and a cgroup.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// What this host lets aegix do, tried for real: a version number says nothing about a container's filters.
public enum HostProbe {
    /// One capability of the host.
    public struct Capability: Equatable, Sendable {
        /// Stable, for JSON: `user_namespace`.
        public var id: String
        /// For a person: `user namespaces`.
        public var name: String
        public var have: Bool
        /// What was found, or how it failed.
        public var detail: String
        public var need: Need
        /// What is lost without it.
        public var cost: String
        /// The command that fixes it; empty where there is nothing to fix, or where another entry's remedy fixes both.
        public var remedy: String
    }

    /// What needs a capability.
    public enum Need: String, Sendable {
        /// The tier `isolated`, without which no run is started.
        case isolated
        /// The tier `confined`, where there are no namespaces.
        case confined
        /// The preset `default`: a layer, kept in the state directory.
        case defaultPolicy = "default"
        /// A run by root.
        case root
        /// The tier `sealed`.
        case sealed
        /// `network.mode` `allow` and `guarded`.
        case network
    }

    public struct Report: Equatable, Sendable {
        public var kernel: String
        public var uid: UInt32
        public var capabilities: [Capability]

        /// Whether the tier `isolated` is within reach.
        public var isolated: Bool { lacking(.isolated).isEmpty && (uid != 0 || lacking(.root).isEmpty) }
        /// The strongest within reach.
        public var tier: String? {
            if isolated { return lacking(.sealed).isEmpty ? "sealed" : "isolated" }
            return confined ? "confined" : nil
        }
        /// Whether the tier `confined` is: what isolated needs, but for namespaces.
        public var confined: Bool {
            lacking(.confined).isEmpty
                && ["seccomp", "seccomp_notification", "pidfd", "openat2", "close_range"].allSatisfy { id in
                    capabilities.contains { $0.id == id && $0.have }
                }
        }
        /// Whether a run with the default policy would work.
        public var works: Bool { isolated && lacking(.defaultPolicy).isEmpty }

        public func lacking(_ need: Need) -> [Capability] { capabilities.filter { $0.need == need && !$0.have } }
    }

    /// How long one probe may take.
    static let milliseconds: Int32 = 2000

    /// Stages: the namespaces, first the one that gives the power for the others; the calls; what needs a file system;
    /// cgroups. What isn't done here: nothing is changed, and no tier is chosen.
    public static func examine(stateDirectory: Bytes) -> Report {
        let user = attempt(Int(AEGIX_PROBE_USER_NAMESPACE))
        var capabilities: [Capability] = []
        for probe in table where probe.kind != Int(AEGIX_PROBE_OVERLAY) && probe.kind != Int(AEGIX_PROBE_IDMAPPED) {
            let result = probe.needsUser && !user.held ? nil : attempt(probe.kind)
            capabilities.append(capability(probe, result))
        }
        capabilities.append(scopes())
        // Before anything is made: an interrupted doctor leaves nothing.
        let signals = BlockedSignals()
        defer { withExtendedLifetime(signals) {} }
        capabilities += examineState(stateDirectory, haveUser: user.held)
        capabilities.append(cgroup())
        return Report(kernel: ProbeFiles.text("/proc/sys/kernel/osrelease"), uid: geteuid(), capabilities: capabilities)
    }

    /// Why a sandbox can't be made here, in one sentence, and the command that helps. For a run whose clone failed.
    public static func userNamespaceDiagnosis() -> (reason: String, remedy: String) {
        for kind in [AEGIX_PROBE_USER_NAMESPACE, AEGIX_PROBE_MOUNT_NAMESPACE] {
            let result = attempt(Int(kind))
            if !result.held { return UserNamespaceFacts(result).diagnosis }
        }
        for probe in table where probe.needsUser && probe.need == .isolated {
            let result = attempt(probe.kind)
            if !result.held { return ("\(probe.name): \(result.words)", probe.remedy(result)) }
        }
        return ("user namespaces work here, so the cause lies in this run", "aegix doctor")
    }

    /// Whether the namespaces of tier isolated can be had, by making them. Root's sandbox needs the workspace through an id
    /// map as well.
    static func namespaces(workspace: Bytes) -> HostFacts.Namespaces {
        if !attempt(Int(AEGIX_PROBE_ISOLATED)).held {
            let found = userNamespaceDiagnosis()
            return .refused(reason: found.reason, remedy: found.remedy)
        }
        if geteuid() != 0 { return .available }
        do throws(SystemError) {
            let raw = aegix_map_namespace("0 \(probeID) 1", "0 \(probeID) 1")
            if raw < 0 { throw SystemError.last("clone") }
            let map = Descriptor(owning: raw)
            let top = try Descriptor.open(workspace, Descriptor.pathOnly)
            let tree = aegix_detached_tree(top.raw, map.raw)
            if tree < 0 { throw SystemError.last("mount_setattr", workspace) }
            close(tree)
            return .available
        } catch {
            return .refused(
                reason: "the workspace can't be mounted through an id map, which a run by root needs: \(error.reason)",
                remedy: "put the workspace on ext4, xfs or btrfs")
        }
    }

    private static let probeID = 1_900_000_000

    // MARK: - One probe

    /// What a child reported.
    struct Result: Equatable {
        var stage: Int
        var errno: Int32
        var value: Int64 = 0

        var held: Bool { stage == Int(AEGIX_PROBE_HELD) }

        /// How it failed.
        var words: String {
            // ENOSPC from unshare isn't a full disk.
            let full = errno == ENOSPC && stage != Int(AEGIX_PROBE_AT_EFFECT)
            let cause = errno == 0 ? "" : full ? ": its limit is reached" : ": \(Errno.words(errno))"
            switch stage {
            case Int(AEGIX_PROBE_AT_USER): return "can't make a user namespace" + cause
            case Int(AEGIX_PROBE_AT_MAP): return "can't map ids into the namespace" + cause
            case Int(AEGIX_PROBE_AT_NAMESPACE): return "can't make the namespace" + cause
            case Int(AEGIX_PROBE_AT_MOUNT): return "can't change mounts in the namespace" + cause
            case Int(AEGIX_PROBE_AT_EFFECT): return "it is there and doesn't do what it should" + cause
            case Int(AEGIX_PROBE_AT_TIME): return "no answer within \(HostProbe.milliseconds) ms"
            case Int(AEGIX_PROBE_AT_DEATH): return "the try was killed by signal \(value)"
            default: return "refused" + cause
            }
        }
    }

    static func attempt(_ kind: Int, directory: Int32 = -1, milliseconds: Int32 = HostProbe.milliseconds) -> Result {
        var result = aegix_probe_result()
        if aegix_probe(Int32(kind), directory, milliseconds, &result) < 0 {
            let code = Glibc.errno
            return Result(stage: Int(AEGIX_PROBE_AT_CALL), errno: code)
        }
        return Result(stage: Int(result.stage), errno: result.error, value: result.value)
    }

    /// `result` is nil where the probe wasn't run because user namespaces are missing.
    static func capability(_ probe: Probe, _ result: Result?) -> Capability {
        var found = Capability(
            id: probe.id, name: probe.name, have: false, detail: "", need: probe.need, cost: probe.cost, remedy: "")
        guard let result else {
            found.detail = "not tried: it needs user namespaces"
            return found
        }
        found.have = result.held
        found.detail = result.held ? probe.detail(result) : probe.failure(result)
        if !result.held { found.remedy = probe.remedy(result) }
        return found
    }

    // MARK: - What needs a place

    /// Overlay and idmapped mounts depend on the file system that layers lie on, so they are tried there.
    private static func examineState(_ path: Bytes, haveUser: Bool) -> [Capability] {
        var state = Capability(
            id: "state_directory", name: "state directory", have: true, detail: path.shown, need: .defaultPolicy,
            cost: "No record can be kept, so nothing is run.", remedy: "")
        var found: [Capability] = []
        let places = table.filter { $0.kind == Int(AEGIX_PROBE_OVERLAY) || $0.kind == Int(AEGIX_PROBE_IDMAPPED) }
        do {
            let scratch = try ProbeScratch.make(near: path)
            for probe in places {
                if probe.need == .root, geteuid() != 0 {
                    found.append(onlyForRoot(probe))
                    continue
                }
                let tried = !probe.needsUser || haveUser
                found.append(capability(probe, tried ? attempt(probe.kind, directory: scratch.directory.raw) : nil))
            }
        } catch {
            state.have = false
            state.detail = "\(path.shown) can't be used: \(error.reason)"
            state.remedy = "export AEGIX_STATE=DIR, with a DIR that you can write"
            for probe in places {
                var missing = capability(probe, nil)
                missing.detail = "not tried: it needs the state directory"
                found.append(missing)
            }
        }
        return [state] + found
    }

    /// Without a pid namespace only Landlock keeps a command's signals inside.
    private static func scopes() -> Capability {
        let abi = Int(aegix_landlock_abi())
        return Capability(
            id: "landlock_scopes", name: "Landlock's scopes", have: abi >= TierPlan.leastABI, detail: "ABI \(abi)",
            need: .confined, cost: "The tier confined is out of reach, which does without namespaces.",
            remedy: abi >= TierPlan.leastABI ? "" : "use Linux 6.12 or later with landlock in the `lsm=` list")
    }

    private static func onlyForRoot(_ probe: Probe) -> Capability {
        var untried = capability(probe, nil)
        untried.detail = "not tried: it needs root, and only a run by root needs it"
        untried.remedy = "sudo aegix doctor"
        return untried
    }

    /// A run's cgroup is made as a run makes it, with a process born in it, and removed.
    private static func cgroup() -> Capability {
        var found = Capability(
            id: "cgroup_controllers", name: "cgroup v2 controllers", have: false, detail: "", need: .sealed,
            cost:
                "The kernel can't hold memory, processes and CPU of a run as a whole: the tier sealed is out of reach.",
            remedy: "")
        switch CgroupSearch.find(enters: true) {
        case .lack(let lack): (found.detail, found.remedy) = (lack.reason, lack.remedy)
        case .place(let place):
            do throws(Failure) {
                let result = try tryCgroup(place)
                found.have = result.held
                found.detail = "\(words(place.how)): \(place.parent.shown)"
                if !result.held {
                    found.detail += ", where no process can be started: \(result.words)"
                    found.remedy = "look into the kernel's log for the security module that refused: sudo dmesg"
                }
            } catch {
                found.detail = error.message
                found.remedy = "run aegix as root, or in a cgroup of its own: " + CgroupSearch.scope
            }
        }
        return found
    }

    private static func words(_ how: CgroupPlace.How) -> String {
        switch how {
        case .delegated: "a delegated subtree"
        case .slice: "root's own slice"
        case .scope: "a scope from systemd"
        }
    }

    private static func tryCgroup(_ place: CgroupPlace) throws(Failure) -> Result {
        let limits = CgroupLimits(memory: 64 << 20, pids: 16, cpus: 1000)
        let made = try RunCgroup.make(place, run: try probeRun(), limits: limits)
        let result = attempt(Int(AEGIX_PROBE_CGROUP), directory: made.directory.raw)
        do throws(SystemError) {
            try made.remove()
            try made.restore()
        } catch {
            throw Failure("tier.cgroup", "can't remove a cgroup from \(place.parent.shown)", error)
        }
        return result
    }

    private static func probeRun() throws(Failure) -> String {
        do throws(SystemError) {
            return try RunID.make().description
        } catch {
            throw Failure("record.id", "can't make a run id", error)
        }
    }
}
