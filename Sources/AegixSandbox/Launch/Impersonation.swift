// Side effects: changes who this process is for the kernel, and changes it back.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// Root's aegix acts as the workspace's owner where it touches what is the command's: the kernel's own checks then decide
/// what may be read and whose a new file is. The owner's process may be looked into by the owner, which root in a container
/// often may not.
enum Impersonation {
    /// A nil owner is the caller itself.
    static func acting<R>(as owner: ConfinedPlan.Owner?, _ body: () throws(Failure) -> R) throws(Failure) -> R {
        guard let owner else { return try body() }
        let groups = try enter(owner)
        defer { leave(groups) }
        return try body()
    }

    private static func enter(_ owner: ConfinedPlan.Owner) throws(Failure) -> [gid_t] {
        var groups = [gid_t](repeating: 0, count: max(0, Int(getgroups(0, nil))))
        let count = getgroups(Int32(groups.count), &groups)
        if count < 0 || aegix_become(owner.uid, owner.gid) < 0 {
            let error = SystemError.last("setresuid")
            leave(groups)
            throw Failure("launch.identity", "can't act as the workspace's owner (uid \(owner.uid))", error)
        }
        return Array(groups.prefix(Int(count)))
    }

    /// Half a way back would be a process that nobody planned.
    private static func leave(_ groups: [gid_t]) {
        if aegix_become_root_again(groups, groups.count) < 0 { fatalError("can't become root again") }
    }
}
