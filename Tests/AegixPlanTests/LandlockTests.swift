// Pure. Landlock's rights by the kernel's ABI: only such as it knows, and never to make a device.

import AegixSystem
import Testing

@testable import AegixPlan
@testable import AegixPolicy

struct LandlockTests {
    /// As in linux/landlock.h, in the order of the bits.
    private static let names = [
        "execute", "write_file", "read_file", "read_dir", "remove_dir", "remove_file", "make_char", "make_dir",
        "make_reg", "make_sock", "make_fifo", "make_block", "make_sym", "refer", "truncate", "ioctl_dev",
    ]
    /// Bits that each ABI knows, from 0.
    private static let known = [0, 13, 14, 15, 15, 16, 16, 16]

    private func rights(_ access: UInt64) -> Set<String> {
        Set((0..<64).filter { access >> $0 & 1 == 1 }.map { $0 < Self.names.count ? Self.names[$0] : "bit \($0)" })
    }

    private func made(_ abi: Int) -> LandlockPlan { .make(abi: abi, writable: [Bytes("/tmp"), Bytes("/w")]) }

    @Test(arguments: 0...7)
    func handlesWhatTheKernelKnows(_ abi: Int) {
        #expect(rights(made(abi).handled) == Set(Self.names.prefix(Self.known[abi])))
        #expect(made(abi).abi == abi)
    }

    @Test(arguments: 0...7)
    func allowsNothingUnhandled(_ abi: Int) {
        let made = made(abi)
        for rule in made.rules {
            #expect(rule.access & ~made.handled == 0)
            #expect(rule.access != 0)
        }
        #expect(made.rules.isEmpty == (abi == 0))
    }

    @Test(arguments: 0...7)
    func nobodyMakesDevices(_ abi: Int) {
        for rule in made(abi).rules { #expect(rights(rule.access).isDisjoint(with: ["make_char", "make_block"])) }
    }

    @Test(arguments: 1...7)
    func theRootIsForReading(_ abi: Int) throws {
        let root = try #require(made(abi).rules.first { $0.path == Bytes("/") })
        #expect(rights(root.access) == ["execute", "read_file", "read_dir"])
    }

    @Test(arguments: 1...7)
    func systemFilesystemsAreOverwrittenOnly(_ abi: Int) throws {
        let devices = try #require(made(abi).rules.first { $0.path == Bytes("/dev") })
        let processes = try #require(made(abi).rules.first { $0.path == Bytes("/proc") })
        #expect(rights(devices.access).isSubset(of: ["write_file", "truncate", "ioctl_dev"]))
        #expect(rights(processes.access).isSubset(of: ["write_file", "truncate"]))
        #expect(rights(devices.access).contains("ioctl_dev") == (abi >= 5))
        #expect(rights(devices.access).contains("truncate") == (abi >= 3))
    }

    @Test(arguments: 1...7)
    func whatIsWritableIsButForDevices(_ abi: Int) throws {
        for path in ["/tmp", "/w"] {
            let rule = try #require(made(abi).rules.first { $0.path == Bytes(path) })
            #expect(
                rights(rule.access)
                    == Set(Self.names.prefix(Self.known[abi])).subtracting(["make_char", "make_block"]))
        }
    }

    @Test(arguments: 0...7)
    func signalsAndSocketsStayInsideFromSix(_ abi: Int) {
        #expect(made(abi).scoped == (abi >= 6 ? 3 : 0))
    }

    @Test func aNewerKernelIsHeldAsTheNewestKnown() {
        #expect(made(99).handled == made(7).handled)
        #expect(made(99).scoped == 3)
    }

    @Test func bitsAreAsTheKernelNumbersThem() {
        typealias Access = LandlockPlan.Access
        #expect(
            rights(Access.makeCharacterDevice | Access.makeBlockDevice | Access.refer | Access.truncate)
                == ["make_char", "make_block", "refer", "truncate"])
        #expect(
            rights(Access.execute | Access.writeFile | Access.readFile | Access.readDirectory | Access.deviceControl)
                == ["execute", "write_file", "read_file", "read_dir", "ioctl_dev"])
    }

    // MARK: - In a plan

    @Test(arguments: Policy.Workspace.Mode.allCases)
    func writablePlacesOfAPlan(_ mode: Policy.Workspace.Mode) throws {
        var host = Host()
        host.reads = [fact("/opt/x")]
        host.writes = [fact("/srv/out"), fact("/srv/log", .file)]
        let paths = try plan(host, policy(mode)).landlock.rules.map { text($0.path) }
        let workspace = mode == .readOnly ? [] : [host.workspace]
        #expect(
            paths.sorted()
                == (["/", "/dev", "/proc", "/tmp", "/dev/shm", "/home/ada", "/srv/out", "/srv/log"] + workspace)
                .sorted())
    }
}
