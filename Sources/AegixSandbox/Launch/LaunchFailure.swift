// Pure. From the stage where the child stopped to one sentence that helps.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// What stopped a run before the command began. Decided by stage and errno, never by text.
enum LaunchFailure {
    static func clone(_ error: SystemError, intoCgroup: Bool) -> Failure {
        if intoCgroup, cgroupErrors.contains(error.errno) {
            return Failure(
                "tier.cgroup",
                "can't start the sandbox in its cgroup: \(error.reason). `aegix doctor` shows what cgroups allow here",
                errno: error.errno)
        }
        let found = HostProbe.userNamespaceDiagnosis()
        return Failure(
            "tier.namespaces",
            "can't make the sandbox's namespaces: \(found.reason). \(found.remedy). Or accept the next tier, which does "
                + "without them, with `--require confined`",
            errno: error.errno)
    }

    /// What only a cgroup answers: it was removed, has become a threaded one, or its own or a parent's count of processes
    /// is reached. No namespace is refused with these.
    private static let cgroupErrors: [Int32] = [ENODEV, ENOENT, EBUSY, EOPNOTSUPP, EAGAIN, EACCES, EBADF]

    static func child(stage: UInt32, index: Int, errno code: Int32, plan: Plan) -> Failure {
        let reason = Errno.words(code)
        switch aegix_stage(rawValue: stage) {
        case AEGIX_STAGE_EXEC: return exec(code, plan)
        case AEGIX_STAGE_MOUNT: return mount(index, code, plan)
        case AEGIX_STAGE_CGROUP:
            return Failure("launch.cgroup", "can't make a cgroup namespace: \(reason)", errno: code)
        case AEGIX_STAGE_IDENTITY:
            return Failure("launch.identity", "can't take the sandbox's identity: \(reason)", errno: code)
        case AEGIX_STAGE_HOST:
            return Failure("launch.host", "can't set up host name and loopback: \(reason)", errno: code)
        case AEGIX_STAGE_ROOT, AEGIX_STAGE_SEAL_ROOT:
            let diagnosis = HostProbe.userNamespaceDiagnosis()
            let hint = code == EPERM || code == EACCES ? ": \(diagnosis.reason). \(diagnosis.remedy)" : ": \(reason)"
            return Failure("launch.root", "can't assemble the sandbox's root\(hint)", errno: code)
        case AEGIX_STAGE_TERMINAL: return Failure("launch.terminal", "can't make a terminal: \(reason)", errno: code)
        case AEGIX_STAGE_LIMITS: return Failure("launch.limits", "can't set the limits: \(reason)", errno: code)
        case AEGIX_STAGE_ADDRESSES:
            return Failure(
                "launch.addresses",
                "can't do without random addresses (determinism.aslr = false): \(reason). A container's filter may refuse "
                    + "personality(2); leave the key out there", errno: code)
        case AEGIX_STAGE_PRIVILEGES:
            return Failure("launch.privileges", "can't drop privileges: \(reason)", errno: code)
        case AEGIX_STAGE_LANDLOCK:
            let path =
                plan.landlock.rules.indices.contains(index) ? " for \(plan.landlock.rules[index].path.shown)" : ""
            return Failure("launch.landlock", "can't apply Landlock\(path): \(reason)", errno: code)
        case AEGIX_STAGE_SECCOMP:
            return Failure("launch.seccomp", "can't load the system-call filter: \(reason)", errno: code)
        case AEGIX_STAGE_CWD:
            return Failure("launch.cwd", "can't enter \(plan.cwd.shown) inside: \(reason)", errno: code)
        default: return Failure("launch.failed", "can't start the sandbox (stage \(stage)): \(reason)", errno: code)
        }
    }

    private static func exec(_ code: Int32, _ plan: Plan) -> Failure {
        let name = plan.command.argv.first?.shown ?? ""
        switch code {
        case ENOENT, ENOTDIR:
            return Failure(
                "command.missing", "no such program: \(name)\(outsideHint(plan))", errno: code, exitCode: 127)
        case EACCES:
            return Failure("command.refused", "\(name) isn't executable", errno: code, exitCode: 126)
        default:
            return Failure("command.refused", "can't run \(name): \(Errno.words(code))", errno: code, exitCode: 126)
        }
    }

    /// On the host, but not in view: say so, and how to take it in.
    private static func outsideHint(_ plan: Plan) -> String {
        guard let name = plan.command.argv.first else { return "" }
        var places = plan.command.candidates
        if !name.contains(Path.slash) {
            let path = HostSurvey.variable("PATH") ?? []
            places += path.split(separator: UInt8(ascii: ":")).map { Path.join(Bytes($0), name) }
        }
        for place in places where Path.isAbsolute(place) {
            let found = place.withCString { access($0, X_OK) == 0 }
            if !found
                || (plan.views + BaseView.rootPaths).contains(where: { Path.contains($0, Path.normalized(place)) })
            {
                continue
            }
            let directory = Path.parent(place)
            return ". It is on the host at \(place.shown), but not in view: `--read \(directory.shown)` would show it"
        }
        return ""
    }

    private static func mount(_ index: Int, _ code: Int32, _ plan: Plan) -> Failure {
        guard plan.steps.indices.contains(index) else {
            return Failure("launch.mount", "can't assemble the root: \(Errno.words(code))", errno: code)
        }
        let step = plan.steps[index]
        let path = step.path.shown
        switch (step, code) {
        case (_, ESTALE):
            return Failure("launch.changed", "\(path) changed while the sandbox was being made: run again", errno: code)
        case (_, ELOOP):
            return Failure("launch.changed", "a symlink came into the way of \(path): run again", errno: code)
        case (.overlay, EINVAL):
            return Failure(
                Plan.noOverlay,
                "can't overlay \(path): it holds mount points, or its file system can't be a layer's base. Use another "
                    + "workspace, or `mode = \"direct\"` in [workspace] to write in place", errno: code)
        case (.overlay, _):
            return Failure(
                Plan.noOverlay,
                "can't overlay \(path): \(Errno.words(code)) (`aegix doctor` shows whether this host "
                    + "has overlay in user namespaces)", errno: code)
        case (.proc, EPERM):
            return Failure(
                "launch.proc",
                "can't mount a fresh /proc: an outer container masks its own. Run aegix outside it, or "
                    + "with an unmasked /proc", errno: code)
        case (.bind(_, .host(let source, _, _), _), _):
            return Failure("launch.mount", "can't mount \(source.shown) inside: \(Errno.words(code))", errno: code)
        default: return Failure("launch.mount", "can't make \(path) inside: \(Errno.words(code))", errno: code)
        }
    }
}
