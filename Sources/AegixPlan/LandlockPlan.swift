// Pure. Landlock's rules over the finished root.

import AegixSystem

public struct LandlockPlan: Equatable, Sendable {
    /// 0: the host has none.
    public var abi: Int
    public var handled: UInt64
    public var scoped: UInt64
    /// TCP that only a rule would allow, of which there are none.
    public var handledNetwork: UInt64 = 0
    public var rules: [Rule]

    public struct Rule: Equatable, Sendable {
        public var path: Bytes
        public var access: UInt64
    }

    /// The kernel's bits, by the ABI that brought them.
    enum Access {
        static let execute: UInt64 = 1 << 0
        static let writeFile: UInt64 = 1 << 1
        static let readFile: UInt64 = 1 << 2
        static let readDirectory: UInt64 = 1 << 3
        static let makeCharacterDevice: UInt64 = 1 << 6
        static let makeBlockDevice: UInt64 = 1 << 11
        static let refer: UInt64 = 1 << 13
        static let truncate: UInt64 = 1 << 14
        static let deviceControl: UInt64 = 1 << 15

        static func handled(abi: Int) -> UInt64 {
            switch abi {
            case ..<1: 0
            case 1: (1 << 13) - 1
            case 2: (1 << 14) - 1
            case 3, 4: (1 << 15) - 1
            default: (1 << 16) - 1
            }
        }
    }

    /// - judges: nobody writes to a process by its /proc/PID/mem, or its words would be others after they were judged.
    static func make(abi: Int, writable: [Bytes], judges: Bool = false) -> LandlockPlan {
        let all = Access.handled(abi: abi)
        let look = Access.execute | Access.readFile | Access.readDirectory
        let overwrite = Access.writeFile | Access.truncate | Access.deviceControl
        let devices = Access.makeCharacterDevice | Access.makeBlockDevice
        var rules = [
            Rule(path: Bytes("/"), access: look & all), Rule(path: Bytes("/dev"), access: overwrite & all),
        ]
        // /proc/sys is a read-only mount; threads name each other through /proc/self.
        if !judges { rules.append(Rule(path: Bytes("/proc"), access: (Access.writeFile | Access.truncate) & all)) }
        rules += writable.map { Rule(path: $0, access: all & ~devices) }
        // Signals and abstract sockets stay inside (ABI 6).
        return LandlockPlan(abi: abi, handled: all, scoped: abi >= 6 ? 3 : 0, rules: abi > 0 ? rules : [])
    }
}
