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
            switch look(path, isUnit: isUnit) {
            case .usable: return .place(CgroupPlace(parent: path, how: .delegated))
            case .aside: if aside == nil { aside = CgroupPlace(parent: path, how: .delegated) }
            case .occupied: note(occupied(path))
            case .lacks(let controllers): note(lacking(controllers, path, isRoot: start.isRoot))
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
        return .lack(lack ?? notDelegated(start.mount))
    }

    private static func look(_ path: Bytes, isUnit: Bool) -> Step {
        do throws(SystemError) {
            let directory = try Descriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            if CgroupFile.isHierarchyTop(directory.raw) { return .top }
            for name in [".", "cgroup.procs", "cgroup.subtree_control"] where aegix_may_write(directory.raw, name) < 0 {
                throw SystemError.last("access", path)
            }
            // systemd may switch controllers off in what it manages, and with them the limits of a run in there.
            if isUnit, aegix_is_delegated(directory.raw) == 0 { return .managed }
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
            if !missing.isEmpty { return .lack(lacking(missing, mount, isRoot: true)) }
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
            reason:
                "\(path.shown) could hold runs, but other processes are in it, and controllers are handed down only "
                + "by a cgroup without any",
            remedy: "in the shell that calls aegix, and so for each process in there: "
                + "mkdir -p \(own) && echo $$ > \(own)/cgroup.procs")
    }

    private static func lacking(_ controllers: [Bytes], _ path: Bytes, isRoot: Bool) -> CgroupLack {
        let names = controllers.map(\.shown).joined(separator: ", ")
        if path == Bytes("/sys/fs/cgroup/unified") || controllers.count == CgroupControllers.needed.count, isRoot {
            return CgroupLack(
                reason: "\(path.shown) has no \(names): cgroup v1 holds them",
                remedy: "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all")
        }
        let list = CgroupControllers.needed.map(\.shown).joined(separator: " ")
        return CgroupLack(
            reason: "\(path.shown) has no \(names): a cgroup above doesn't hand it down",
            remedy:
                "sudo mkdir -p \(dropIn) && printf '[Service]\\nDelegate=\(list)\\n' | sudo tee \(dropIn)/aegix.conf, "
                + "then log in anew; where systemd isn't in use, write +\(controllers[0].shown) to "
                + "cgroup.subtree_control of the cgroups above, as root")
    }

    private static func refused(_ path: Bytes, _ error: SystemError) -> CgroupLack {
        if error.errno == EROFS {
            return CgroupLack(reason: "\(path.shown) is read-only, as in a container", remedy: container)
        }
        return CgroupLack(reason: "\(path.shown) isn't ours to use: \(error.reason)", remedy: scope)
    }

    private static func notDelegated(_ path: Bytes) -> CgroupLack {
        CgroupLack(reason: "\(path.shown) is systemd's, and not delegated", remedy: scope)
    }
}
