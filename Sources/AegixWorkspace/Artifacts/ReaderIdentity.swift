// Side effects: changes who this process is for the kernel, and changes it back.

import AegixSystem
import CAegix
import Glibc

/// What is copied out of a sandbox is read as its command could have read it: as the workspace's owner where root calls, and without
/// a power. The kernel then decides, by modes and ACLs alike.
public struct ReaderIdentity: Sendable {
    private let uid: uid_t
    private let gid: gid_t
    private let changes: Bool

    /// The caller's own ids and groups, which the command has, too.
    public static var caller: ReaderIdentity { ReaderIdentity(uid: 0, gid: 0, changes: false) }

    /// Root's command is the workspace's owner, in none of root's groups.
    public static func owner(uid: uid_t, gid: gid_t) -> ReaderIdentity {
        ReaderIdentity(uid: uid, gid: gid, changes: true)
    }

    func reading<R: ~Copyable>(_ body: () throws(SystemError) -> R) throws(SystemError) -> R {
        var powers: UInt64 = 0
        if aegix_effective_powers(&powers) < 0 { throw SystemError.last("capget") }
        if !changes, powers == 0 { return try body() }
        let groups = try enter()
        defer { leave(groups, powers) }
        return try body()
    }

    private func enter() throws(SystemError) -> [gid_t] {
        var groups: [gid_t] = []
        if changes {
            groups = [gid_t](repeating: 0, count: max(0, Int(getgroups(0, nil))))
            let count = getgroups(Int32(groups.count), &groups)
            if count < 0 || aegix_become(uid, gid) < 0 {
                let error = SystemError.last("setresuid")
                // Where groups can't be changed at all, they haven't been.
                if aegix_become_root_again(groups, groups.count) < 0, error.errno != EPERM || geteuid() != 0 {
                    fatalError("can't become root again")
                }
                throw error
            }
        }
        // For an owner who is root: ids alone take nothing away.
        if aegix_set_effective_powers(0) < 0 {
            let error = SystemError.last("capset")
            if changes, aegix_become_root_again(groups, groups.count) < 0 { fatalError("can't become root again") }
            throw error
        }
        return groups
    }

    /// Powers first, since it takes one to have the ids back, and last, since the ids' return changes them.
    private func leave(_ groups: [gid_t], _ powers: UInt64) {
        if aegix_set_effective_powers(powers) < 0 { fatalError("can't have the powers back") }
        if !changes { return }
        if aegix_become_root_again(groups, groups.count) < 0 || aegix_set_effective_powers(powers) < 0 {
            fatalError("can't become root again")
        }
    }
}
