// Pure. When the tree's CPU time has to be looked at next, and what follows from it.

/// The limit on CPU time, and the share of the processors. Looks only when either could have been passed, so a command
/// far from its limits costs nothing.
struct CPUWatch {
    enum Verdict: Equatable {
        case fine
        case over
        /// Ahead of its share: to be stopped for this long.
        case ahead(UInt64)
    }

    private let limit: UInt64?
    /// Thousandths.
    private let share: UInt64?
    private let processors: UInt64
    private let began: UInt64
    /// Time that was given although it wasn't used, and is forgotten: a long sleep earns no burst.
    private var forgotten: UInt64 = 0
    private(set) var nextLook: UInt64

    /// A look costs some microseconds a process; closer looks than this gain nothing over the kernel's 10 ms ticks.
    private static let shortest: UInt64 = 10_000_000
    /// What may be used at once after a pause.
    private static let burst: UInt64 = 50_000_000
    private static let longestStop: UInt64 = 500_000_000

    init?(limit: UInt64?, share: UInt64?, processors: Int, now: UInt64) {
        if limit == nil && share == nil { return nil }
        self.limit = limit
        self.share = share
        self.processors = UInt64(max(1, processors))
        began = now
        nextLook = now
        plan(used: 0, now: now)
    }

    mutating func judge(used: UInt64, now: UInt64) -> Verdict {
        if let limit, used >= limit { return .over }
        var verdict = Verdict.fine
        if let share {
            let given = (now - began) * share / 1000
            let most = used + CPUWatch.burst
            if given - min(given, forgotten) > most { forgotten = given - most }
            let allowed = given - min(given, forgotten)
            if used > allowed {
                verdict = .ahead(min((used - allowed) * 1000 / share, CPUWatch.longestStop))
            }
        }
        plan(used: used, now: now)
        return verdict
    }

    private mutating func plan(used: UInt64, now: UInt64) {
        var wait = UInt64.max
        if let limit { wait = (limit - min(limit, used)) / processors }
        if let share {
            let given = (now - began) * share / 1000
            let allowed = given - min(given, forgotten)
            let credit = allowed - min(allowed, used) + CPUWatch.shortest
            wait = min(wait, credit * 1000 / max(1, processors * 1000 - min(share, processors * 1000 - 1)))
        }
        nextLook = now + max(wait, CPUWatch.shortest)
    }
}
