// Side effects: removes the cgroups of runs whose aegix is dead.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// What a killed aegix left.
public struct CgroupSweep: Sendable {
    /// Names of those removed.
    public var removed: [String] = []
    /// Left for the next command.
    public var failed: [(name: String, error: SystemError)] = []

    public init() {}

    /// Wherever a run of this caller's would have its cgroup now.
    public static func clear() -> CgroupSweep {
        guard case .place(let place) = CgroupSearch.find() else { return CgroupSweep() }
        return clear(place)
    }

    /// A run's cgroup is locked while its aegix is alive, so what can be locked is nobody's: also that of a run from
    /// another state directory. What is still in one gets killed; normally nothing is, since a sandbox dies with its
    /// aegix. With nothing left this is one look into a directory.
    public static func clear(_ place: CgroupPlace) -> CgroupSweep {
        var sweep = CgroupSweep()
        do throws(SystemError) {
            let parent = try Descriptor.open(place.parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            let again = try Descriptor.open(Bytes("."), O_RDONLY | O_DIRECTORY, at: parent.raw)
            for entry in try DirectoryListing.entries(again) where entry.type == UInt8(DT_DIR) {
                guard let name = entry.name.text, isOurs(name) else { continue }
                do throws(SystemError) {
                    if try remove(entry.name, in: parent.raw) { sweep.removed.append(name) }
                } catch {
                    // Gone by itself, or by another's sweep.
                    if error.errno != ENOENT, error.errno != ENODEV { sweep.failed.append((name, error)) }
                }
            }
        } catch {
            // No parent: nothing was ever left in it.
            if error.errno != ENOENT { sweep.failed.append((place.parent.shown, error)) }
        }
        return sweep
    }

    /// `aegix-<run id>`, and the one that aegix itself stepped aside to.
    private static func isOurs(_ name: String) -> Bool {
        guard name.hasPrefix(RunCgroup.prefix) else { return false }
        var id = name.dropFirst(RunCgroup.prefix.count)
        if id.hasSuffix(SteppedAside.suffix) { id = id.dropLast(SteppedAside.suffix.count) }
        return RunID(String(id)) != nil
    }

    private static func remove(_ name: Bytes, in parent: Int32) throws(SystemError) -> Bool {
        let directory = try Descriptor.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: parent)
        guard try FileLock.attempt(directory) else { return false }
        if name.withCString({ unlinkat(parent, $0, AT_REMOVEDIR) }) == 0 { return true }
        let refusal = SystemError.last("rmdir", name)
        if refusal.errno != EBUSY { throw refusal }
        try CgroupFile.write(Bytes("1"), to: "cgroup.kill", in: directory.raw)
        try RunCgroup.remove(name, directory.raw, in: parent, seconds: 1)
        return true
    }
}
