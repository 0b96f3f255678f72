// Pure. Who the command is, inside and outside.

import AegixPolicy
import AegixSystem
import AegixWorkspace

public struct IdentityPlan: Equatable, Sendable {
    public var insideUID: UInt32
    public var insideGID: UInt32
    /// As the host's kernel sees the processes.
    public var outsideUID: UInt32
    public var outsideGID: UInt32
    public var userName: Bytes
    /// `uid_map` and `gid_map` of the sandbox's user namespace.
    public var uidMap: String
    public var gidMap: String
    /// The child maps itself (an ordinary caller); else the supervisor writes the maps.
    public var selfMapped: Bool
    /// The id map that the workspace is mounted with, when root calls: on-disk owner ↔ outside. nil: the sandbox's own.
    public var treeUIDMap: String?
    public var treeGIDMap: String?

    /// First id of the range that stands in for the host's when root calls: above every range that distributions hand
    /// out (subordinate ids from 100000, systemd's containers up to 1879048191), so that no process or file of
    /// anybody else's has one of them.
    static let shifted: UInt32 = 1_900_000_000
    static let nobody: UInt32 = 65534

    /// The one place where identity is decided.
    static func make(_ wish: Policy.Identity, facts: HostFacts) -> IdentityPlan {
        if facts.uid != 0 {
            let inside = wish == .keep ? (facts.uid, facts.gid) : (nobody, nobody)
            return IdentityPlan(
                insideUID: inside.0, insideGID: inside.1, outsideUID: facts.uid, outsideGID: facts.gid,
                userName: wish == .keep ? facts.userName ?? Bytes("user") : Bytes("nobody"),
                uidMap: "\(inside.0) \(facts.uid) 1", gidMap: "\(inside.1) \(facts.gid) 1", selfMapped: true)
        }
        let owner = (facts.workspace.uid, facts.workspace.gid)
        let shifts = shifts(facts)
        let outside = (shifts.users.outside(owner.0), shifts.groups.outside(owner.1))
        if wish == .nobody {
            return IdentityPlan(
                insideUID: nobody, insideGID: nobody, outsideUID: outside.0, outsideGID: outside.1,
                userName: Bytes("nobody"), uidMap: "\(nobody) \(outside.0) 1", gidMap: "\(nobody) \(outside.1) 1",
                selfMapped: false, treeUIDMap: "\(owner.0) \(outside.0) 1", treeGIDMap: "\(owner.1) \(outside.1) 1")
        }
        return IdentityPlan(
            insideUID: owner.0, insideGID: owner.1, outsideUID: outside.0, outsideGID: outside.1,
            userName: owner.0 == 0 ? Bytes("root") : facts.userName ?? Bytes("user"),
            uidMap: shifts.users.map, gidMap: shifts.groups.map, selfMapped: false)
    }

    /// Every owner in the workspace looks as on disk.
    static func shifts(_ facts: HostFacts) -> OwnerShifts {
        OwnerShifts(
            users: OwnerShift(base: shifted, for: facts.workspace.uid),
            groups: OwnerShift(base: shifted, for: facts.workspace.gid))
    }
}
