// Pure. Which id of the host stands for which of a disk, where root calls.

/// Ids 0…65535 keep their order from `base` on; one higher id, the owner's, follows them. All others stay.
public struct OwnerShift: Equatable, Sendable {
    public let base: UInt32
    /// Above 65535; nil: no such id is moved.
    public let high: UInt32?
    private static let span: UInt32 = 65536

    public init(base: UInt32, for owner: UInt32) {
        self.base = base
        high = owner < OwnerShift.span ? nil : owner
    }

    public func outside(_ id: UInt32) -> UInt32 {
        if id < OwnerShift.span { return base + id }
        return id == high ? base + OwnerShift.span : id
    }

    /// The other way.
    public func onDisk(_ id: UInt32) -> UInt32 {
        if id >= base, id - base < OwnerShift.span { return id - base }
        return id == base + OwnerShift.span ? high ?? id : id
    }

    /// As an id map of a user namespace.
    public var map: String {
        let range = "0 \(base) \(OwnerShift.span)"
        return high.map { range + "\n\($0) \(base + OwnerShift.span) 1" } ?? range
    }
}

/// Of users and of groups.
public struct OwnerShifts: Equatable, Sendable {
    public let users: OwnerShift
    public let groups: OwnerShift

    public init(users: OwnerShift, groups: OwnerShift) {
        self.users = users
        self.groups = groups
    }
}
