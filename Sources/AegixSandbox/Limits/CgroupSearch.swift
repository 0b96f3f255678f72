// Side effects: reads /proc and the cgroup hierarchy; changes nothing.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// Where a run's cgroup can be made, asked of the kernel's own files: what is mounted, what is ours to write, which
/// controllers there are to hand down.
///
/// Stages: the hierarchy; aegix's own cgroup and those above it, the nearest first; for root, right under the top.
/// Not done here: making anything, or moving anybody.
enum CgroupSearch {
    enum Found: Equatable {
        case place(CgroupPlace)
        case lack(CgroupLack)
    }

    /// What the search starts from; a test has its own.
    struct Start {
        var mount: Bytes
        /// Below the mount, as /proc/self/cgroup says: `/user.slice/…`.
        var own: Bytes
        var isRoot: Bool
    }

    static func find() -> Found {
        switch start() {
        case .success(let start): find(start)
        case .failure(let lack): .lack(lack.lack)
        }
    }

    /// For a run that requires tier sealed: the caller's systemd is asked as well. `enters` says that it may be done;
    /// else the answer is a place that is yet to be made, whose parent isn't known.
    static func find(enters: Bool) -> Found {
        let found = find()
        guard case .lack(var lack) = found, geteuid() != 0, UserScope.isThere else { return found }
        if !enters { return .place(CgroupPlace(parent: [], how: .scope)) }
        do throws(SystemError) {
            try UserScope.enter()
        } catch {
            lack.reason += "; and the user's systemd gives no scope: \(error.description)"
            return .lack(lack)
        }
        guard case .place(let place) = find() else { return find() }
        return .place(CgroupPlace(parent: place.parent, how: .scope))
    }

    struct NoStart: Error { var lack: CgroupLack }

    static func start() -> Result<Start, NoStart> {
        var mount = Bytes("/sys/fs/cgroup")
        if !isHierarchy(mount) { mount = Bytes("/sys/fs/cgroup/unified") }
        if !isHierarchy(mount) {
            guard let other = ProbeFiles.cgroupMount() else { return .failure(NoStart(lack: lackOfHierarchy)) }
            mount = other
        }
        var own = Bytes()
        for line in fileWords("/proc/self/cgroup") where line.starts(with: Bytes("0::")) {
            own = Bytes(line.dropFirst(3))
        }
        if !Path.isAbsolute(own) { return .failure(NoStart(lack: lackOfHierarchy)) }
        // Outside of what this namespace shows: nothing above is ours to see.
        if own.starts(with: Bytes("/..")) { own = [Path.slash] }
        return .success(Start(mount: mount, own: own, isRoot: geteuid() == 0))
    }

    private static func isHierarchy(_ path: Bytes) -> Bool { path.withCString { aegix_is_cgroup2($0) == 1 } }

    private static func fileWords(_ path: String) -> [Bytes] {
        do {
            return try CgroupFile.read(path, in: AT_FDCWD).split(separator: 0x0A).map(Bytes.init)
        } catch {
            return []
        }
    }

    // MARK: - Upwards

    /// One cgroup on the way up.
    private enum Step {
        case usable
        /// Once aegix has left it: nobody else is in it.
        case aside
        case occupied
        case lacks([Bytes])
        case refused(SystemError)
        /// systemd's own, to which nothing may be added.
        case managed
        case top
    }

    static func find(_ start: Start) -> Found {
        var lack: CgroupLack?
        func note(_ found: CgroupLack) { if lack == nil { lack = found } }
        var aside: CgroupPlace?
        var below = Path.normalized(start.own)
        walk: while true {
            let path = below == [Path.slash] ? start.mount : start.mount + below
            let isUnit = CgroupSearch.isUnit(Path.name(below))
            switch look(path, isUnit: isUnit, isRoot: start.isRoot) {
            case .usable: return .place(delegated(path))
            case .aside: if aside == nil { aside = delegated(path) }
            case .occupied: note(isUnit ? notDelegated(path) : occupied(path))
            case .lacks(let controllers): note(lacking(controllers, path, isTop: below == [Path.slash]))
            case .refused(let error):
                note(refused(path, error))
                break walk
            case .managed:
                note(notDelegated(path))
                break walk
            case .top: break walk
            }
            // What is above a unit is systemd's.
            if isUnit || below == [Path.slash] { break }
            below = Path.parent(below)
        }
        if let aside { return .place(aside) }
        if start.isRoot {
            switch slice(start.mount) {
            case .place(let place): return .place(place)
            case .lack(let found): note(found)
            }
        }
        return .lack(lack ?? atTop(start.mount))
    }

    /// One for each user, who may meet in what is delegated to a group of them.
    private static func delegated(_ base: Bytes) -> CgroupPlace {
        var name = Bytes("aegix-")
        name.append(decimal: UInt64(geteuid()))
        return CgroupPlace(parent: Path.join(base, name), how: .delegated)
    }

    private static func look(_ path: Bytes, isUnit: Bool, isRoot: Bool) -> Step {
        do throws(SystemError) {
            let directory = try Descriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            if CgroupFile.isHierarchyTop(directory.raw) {
                let missing = CgroupControllers.missing(try CgroupFile.words("cgroup.controllers", in: directory.raw))
                return missing.isEmpty ? .top : .lacks(missing)
            }
            for name in [".", "cgroup.procs", "cgroup.subtree_control"] where aegix_may_write(directory.raw, name) < 0 {
                throw SystemError.last("access", path)
            }
            // A user's own systemd marks nothing, so a scope or service in which aegix is alone counts as given to it: its
            // processes would be in there beside it otherwise. The system's marks what it delegates.
            if isUnit, aegix_is_delegated(directory.raw) == 0, isRoot || isSlice(Path.name(path)) { return .managed }
            let on = try CgroupFile.words("cgroup.subtree_control", in: directory.raw)
            if CgroupControllers.missing(on).isEmpty { return .usable }
            let missing = CgroupControllers.missing(try CgroupFile.words("cgroup.controllers", in: directory.raw))
            if !missing.isEmpty { return .lacks(missing) }
            if try !CgroupFile.hasProcesses(directory.raw) { return .usable }
            return try CgroupFile.holdsOnlyUs(directory.raw) ? .aside : .occupied
        } catch {
            return .refused(error)
        }
    }

    /// For root. A container's top isn't exempt from the rule that processes and controllers aren't together.
    private static func slice(_ mount: Bytes) -> Found {
        do throws(SystemError) {
            let top = try Descriptor.open(mount, O_RDONLY | O_DIRECTORY)
            for name in [".", "cgroup.subtree_control"] where aegix_may_write(top.raw, name) < 0 {
                throw SystemError.last("access", mount)
            }
            let missing = CgroupControllers.missing(try CgroupFile.words("cgroup.controllers", in: top.raw))
            if !missing.isEmpty { return .lack(lacking(missing, mount, isTop: true)) }
            let on = try CgroupFile.words("cgroup.subtree_control", in: top.raw)
            if !CgroupControllers.missing(on).isEmpty, !CgroupFile.isHierarchyTop(top.raw),
                try CgroupFile.hasProcesses(top.raw)
            {
                return .lack(occupied(mount))
            }
            return .place(CgroupPlace(parent: Path.join(mount, Bytes("aegix")), how: .slice))
        } catch {
            return .lack(refused(mount, error))
        }
    }

    /// A name that systemd gives.
    static func isUnit(_ name: Bytes) -> Bool {
        [".slice", ".scope", ".service", ".socket", ".mount", ".swap"].contains { suffix in
            name.count > suffix.utf8.count && name.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
        }
    }

    /// A slice holds units, never processes.
    private static func isSlice(_ name: Bytes) -> Bool { name.suffix(6).elementsEqual(".slice".utf8) }

    // MARK: - What is missing, in words

    private static let container =
        "docker run --cgroupns=private --security-opt writable-cgroups=true …, "
        + "podman run --cgroupns=private --security-opt unmask=/sys/fs/cgroup …"

    static let scope = "systemd-run --user --scope -p Delegate=yes aegix …"

    private static let dropIn = "/etc/systemd/system/user@.service.d"

    private static var lackOfHierarchy: CgroupLack {
        CgroupLack(
            reason: "no cgroup v2 hierarchy is in view",
            remedy: "boot with systemd.unified_cgroup_hierarchy=1; in a container: " + container)
    }

    private static func occupied(_ path: Bytes) -> CgroupLack {
        let own = Path.join(path, Bytes("shell")).shown
        return CgroupLack(
            reason: "\(path.shown) could hold runs if no process were in it beside aegix: a shell can move itself",
            remedy: "mkdir -p \(own) && echo $$ > \(own)/cgroup.procs")
    }

    private static func lacking(_ controllers: [Bytes], _ path: Bytes, isTop: Bool) -> CgroupLack {
        let names = controllers.map(\.shown).joined(separator: ", ")
        if isTop {
            return CgroupLack(
                reason: "\(path.shown) has no \(names): cgroup v1 holds them, or what is around this container",
                remedy: "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all")
        }
        let list = CgroupControllers.needed.map(\.shown).joined(separator: " ")
        return CgroupLack(
            reason: "\(path.shown) has no \(names): a cgroup above doesn't hand it down",
            remedy: "\(scope); if that doesn't hand them down: sudo mkdir -p \(dropIn) && "
                + "printf '[Service]\\nDelegate=\(list)\\n' | sudo tee \(dropIn)/aegix.conf, and log in anew")
    }

    private static func refused(_ path: Bytes, _ error: SystemError) -> CgroupLack {
        if error.errno == EROFS {
            return CgroupLack(reason: "\(path.shown) is read-only, as in a container", remedy: container)
        }
        return CgroupLack(reason: "\(path.shown) isn't ours to use: \(error.reason)", remedy: scope)
    }

    private static func atTop(_ path: Bytes) -> CgroupLack {
        CgroupLack(reason: "no part of \(path.shown) above aegix is the caller's to use", remedy: scope)
    }

    private static func notDelegated(_ path: Bytes) -> CgroupLack {
        CgroupLack(reason: "\(path.shown) is systemd's, and not delegated", remedy: scope)
    }
}
