// Pure. What a run pins, by which mechanism, and what it leaves to chance.

import AegixPolicy
import AegixSystem

/// What a replay changes on purpose, to find inputs that nobody named. It wins over the policy.
public struct Variation: Equatable, Sendable {
    /// As in TZ.
    public var timezone: String?
    public var umask: UInt32?
    public var processors: Int?
    /// One more, or another value.
    public var variable: HostFacts.Variable?
    /// Private and empty, as any.
    public var home: Bytes?
    /// The names of a directory come in the opposite order.
    public var reversesListings = false

    public init() {}
}

public struct DeterminismPlan: Equatable, Sendable {
    public var hostname = Plan.hostname
    public var umask: UInt32 = 0o022
    /// Else it is switched off before the exec, and the filter lets nobody inside switch it on again.
    public var hasRandomAddresses = true
    public var seed: UInt64?
    /// Nanoseconds since 1970 at which the wall clock stands.
    public var instant: UInt64?
    public var reversesListings = false
    /// From the first processor on, so that their numbers are the same each time.
    public var takesFirstProcessors = false
    public var pins: [Pin] = []

    /// The kernel's library in each process would answer by itself, unseen.
    public var hidesVDSO: Bool { seed != nil || instant != nil }

    /// A line of the record's `determinism`.
    public struct Pin: Equatable, Sendable {
        public var name: String
        /// nil: it isn't pinned, or its value isn't the record's to tell.
        public var value: String?
        public var isPinned: Bool
        /// nil: nobody asked for it.
        public var mechanism: String?

        public init(_ name: String, _ value: String?, isPinned: Bool, _ mechanism: String?) {
            self.name = name
            self.value = value
            self.isPinned = isPinned
            self.mechanism = mechanism
        }
    }

    /// A day that is a date for ZIP, too, and older than any tool that is in use: 2000-01-01T00:00:00Z.
    public static let sourceDateEpoch = 946_684_800

    /// The choices; what of them holds is said by `tell`, once the rest of the plan is known.
    static func make(_ wish: Policy.Determinism, _ variation: Variation, limits: inout LimitPlan, processors: Int)
        -> DeterminismPlan
    {
        var plan = DeterminismPlan()
        if !wish.hostname.isEmpty { plan.hostname = wish.hostname }
        if let umask = variation.umask { plan.umask = umask & 0o777 }
        plan.hasRandomAddresses = wish.aslr
        plan.seed = wish.seed
        plan.instant = wish.clock.isEmpty ? nil : Instant.parse(wish.clock)
        plan.reversesListings = variation.reversesListings
        if let wanted = variation.processors ?? wish.cpus.map({ Int(clamping: $0) }) {
            // What a limit or the host doesn't give, a wish can't.
            limits.processors = max(1, min(wanted, limits.processors ?? processors, processors))
            plan.takesFirstProcessors = true
        }
        return plan
    }

    func apply(to syscalls: inout SyscallSet) {
        syscalls.keepsAddresses = !hasRandomAddresses
        syscalls.seedsRandomness = seed != nil
        syscalls.stopsClock = instant != nil
        syscalls.reversesListings = reversesListings
        // Held at its exec, a process can't be another's to trace.
        if hidesVDSO { syscalls.judgesExecs = true }
    }

    /// The variables that are the same for every caller. Passed on ones of these kinds aren't.
    static func variables(_ wish: Policy.Determinism) -> [PlannedVariable] {
        guard wish.env else { return [] }
        let values = [
            ("TZ", "UTC"), ("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8"),
            // Python takes 32 bits.
            ("PYTHONHASHSEED", String((wish.seed ?? 0) & 0xffff_ffff)),
            ("SOURCE_DATE_EPOCH", String(sourceDateEpoch)),
        ]
        return values.map { .init(name: Bytes($0.0), value: Bytes($0.1), source: .base) }
    }

    /// Whether a caller's variable stays out for the sake of those.
    static func covers(_ name: Bytes) -> Bool { name == Bytes("LANGUAGE") || name.starts(with: Bytes("LC_")) }

    /// What the C library counts processors by.
    static func processorFiles(_ count: Int) -> [Step] {
        var steps: [Step] = []
        var tree = Ancestors()
        let place = "/sys/devices/system/cpu/"
        tree.make(Bytes(place + "x"), in: &steps)
        for name in ["online", "possible", "present"] {
            let content = count == 1 ? "0\n" : "0-\(count - 1)\n"
            steps.append(.file(Bytes(place + name), content: Bytes(content), mode: 0o444))
        }
        return steps
    }
}

extension DeterminismPlan {
    /// For the record: each thing that differs between two runs of one command, in the order of docs/determinism.md.
    mutating func tell(
        _ policy: Policy, _ variation: Variation, identity: IdentityPlan, environment: [PlannedVariable], home: Bytes,
        processors: Int, isConfined: Bool
    ) {
        let wish = policy.determinism
        pins = [
            isConfined
                ? Pin(
                    "hostname", nil, isPinned: false, wish.hostname.isEmpty ? nil : "tier confined shows the host's own"
                )
                : Pin("hostname", hostname, isPinned: true, "uts namespace"),
            Pin(
                "uid", String(identity.insideUID), isPinned: policy.identity == .nobody,
                policy.identity == .nobody ? "user namespace" : nil),
            Pin("umask", DeterminismPlan.octal(umask), isPinned: true, "umask before the exec"),
            variable("timezone", "TZ", environment), variable("locale", "LC_ALL", environment),
            homePin(wish, variation, environment, home, isConfined: isConfined),
            variable("python_hash_seed", "PYTHONHASHSEED", environment),
            variable("source_date_epoch", "SOURCE_DATE_EPOCH", environment),
            hasRandomAddresses
                ? Pin("addresses", nil, isPinned: false, nil)
                : Pin("addresses", "not random", isPinned: true, "personality(ADDR_NO_RANDOMIZE)"),
            processorPin(wish, variation, processors, isConfined: isConfined),
            instant == nil
                ? Pin("clock", nil, isPinned: false, nil)
                : Pin(
                    "clock", wish.clock, isPinned: true,
                    "clock_gettime, gettimeofday and time answered by the supervisor, without vDSO; times of files go on"
                ),
            seed.map { seed in
                Pin(
                    "random",
                    "getrandom(2) and AT_RANDOM from seed \(seed); not /dev/random, /dev/urandom and the processor's own",
                    isPinned: true, "getrandom answered by the supervisor, without vDSO; AT_RANDOM written at each exec"
                )
            } ?? Pin("random", nil, isPinned: false, nil),
        ]
    }

    private func variable(_ pin: String, _ name: String, _ environment: [PlannedVariable]) -> Pin {
        let found = environment.first { $0.name.elementsEqual(name.utf8) }
        switch found?.source {
        case .base: return Pin(pin, found?.value.shown, isPinned: true, name)
        // The value may be an option's, which the record keeps to itself but for a few names.
        case .set: return Pin(pin, nil, isPinned: true, "\(name) by env.set")
        case .passed, .secret, nil: return Pin(pin, nil, isPinned: false, nil)
        }
    }

    private func homePin(
        _ wish: Policy.Determinism, _ variation: Variation, _ environment: [PlannedVariable], _ home: Bytes,
        isConfined: Bool
    ) -> Pin {
        let asked = wish.env || variation.home != nil
        if environment.contains(where: { $0.name == Bytes("HOME") && $0.source == .set }) {
            return Pin("home", nil, isPinned: true, "HOME by env.set")
        }
        if !isConfined, asked { return Pin("home", home.shown, isPinned: true, "HOME, a mount of the sandbox's own") }
        return Pin("home", nil, isPinned: false, asked ? "tier confined has it in the run's own directory" : nil)
    }

    private func processorPin(
        _ wish: Policy.Determinism, _ variation: Variation, _ count: Int, isConfined: Bool
    ) -> Pin {
        guard let wanted = variation.processors ?? wish.cpus.map({ Int(clamping: $0) }) else {
            return Pin("cpus", String(count), isPinned: false, nil)
        }
        if wanted != count {
            return Pin("cpus", String(count), isPinned: false, "host and limits.cpus give no more than \(count)")
        }
        return Pin(
            "cpus", String(count), isPinned: true,
            isConfined ? "affinity; /proc/stat is the host's" : "affinity, /sys/devices/system/cpu")
    }

    private static func octal(_ mode: UInt32) -> String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
