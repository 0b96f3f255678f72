// Pure. What is pinned by which step of a plan, and what a replay varies.

import AegixSystem
import Testing

@testable import AegixPlan
@testable import AegixPolicy

struct DeterminismPlanTests {
    private func pinned(_ change: (inout Policy.Determinism) -> Void = { _ in }) -> Policy {
        var made = policy(identity: .nobody, pass: ["LANG", "LC_*", "TZ", "TERM"])
        made.determinism.hostname = "box"
        made.determinism.seed = 1 << 32 | 5
        made.determinism.aslr = false
        made.determinism.env = true
        made.determinism.clock = "2035-01-01T00:00:00Z"
        change(&made.determinism)
        return made
    }

    private func make(_ policy: Policy, _ variation: Variation = Variation(), processors: Int = 4) throws -> Plan {
        var host = Host()
        host.environment += [("LC_TIME", "de_DE"), ("LANGUAGE", "de"), ("TZ", "Europe/Berlin"), ("TERM", "xterm")]
        var facts = host.facts
        facts.processors = processors
        return try Plan.make(
            policy: policy, facts: facts, invocation: truth, layer: layerPlace, variation: variation)
    }

    private func pin(_ plan: Plan, _ name: String) -> DeterminismPlan.Pin? {
        plan.determinism.pins.first { $0.name == name }
    }

    @Test func namesAndOrderAreFixed() throws {
        let names = [
            "hostname", "uid", "umask", "timezone", "locale", "home", "python_hash_seed", "source_date_epoch",
            "addresses", "cpus", "clock", "random",
        ]
        #expect(try make(policy()).determinism.pins.map(\.name) == names)
        #expect(try make(pinned()).determinism.pins.map(\.name) == names)
    }

    @Test func withoutATableNothingIsPinnedButWhatAlwaysIs() throws {
        let made = try make(policy())
        #expect(made.determinism.pins.filter(\.isPinned).map(\.name) == ["hostname", "umask"])
        #expect(!made.syscalls.seedsRandomness && !made.syscalls.stopsClock && !made.syscalls.judgesExecs)
        #expect(!made.determinism.hidesVDSO && made.determinism.hasRandomAddresses)
        #expect(!made.syscalls.plan.watched.contains("getrandom"))
        #expect(made.syscalls.plan.allowed.contains("clock_gettime"))
    }

    @Test func theEnvironmentIsTheSameForEveryCaller() throws {
        let made = try make(pinned())
        for word in [
            "TZ=UTC", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "PYTHONHASHSEED=5", "SOURCE_DATE_EPOCH=946684800",
            "HOME=/home/aegix", "USER=nobody",
        ] { #expect(made.words.contains(word), "\(word)") }
        #expect(made.variable("LC_TIME") == nil && made.variable("LANGUAGE") == nil)
        #expect(made.variable("TERM")?.source == .passed)
        #expect(pin(made, "timezone") == .init("timezone", "UTC", isPinned: true, "TZ"))
        #expect(pin(made, "uid") == .init("uid", "65534", isPinned: true, "user namespace"))
    }

    @Test func whatThePolicySetsWins() throws {
        var own = pinned()
        own.env.set = ["TZ": Bytes("Asia/Tokyo"), "PYTHONHASHSEED": Bytes("random")]
        let made = try make(own)
        #expect(made.variable("TZ")?.value == Bytes("Asia/Tokyo"))
        // The value may be an option's, and isn't the record's to tell.
        #expect(pin(made, "timezone") == .init("timezone", nil, isPinned: true, "TZ by env.set"))
    }

    @Test func theUserHasOneNameButRootAndNobody() throws {
        var own = pinned()
        own.identity = .keep
        #expect(try make(own).identity.userName == Bytes("aegix"))
        #expect(try pin(make(own), "uid")?.isPinned == false)
    }

    @Test func theHostsNameIsEverywhere() throws {
        let made = try make(pinned())
        let files = made.steps.compactMap { step -> String? in
            if case .file(let path, let content, _) = step, ["/etc/hostname", "/etc/hosts"].contains(text(path)) {
                return text(content)
            }
            return nil
        }
        #expect(files.count == 2 && files.allSatisfy { $0.contains("box") && !$0.contains("aegix") })
    }

    @Test(arguments: [(1, 4, "0\n", true), (3, 4, "0-2\n", true), (8, 4, "0-3\n", false)])
    func processors(_ asked: UInt64, _ there: Int, _ file: String, _ isPinned: Bool) throws {
        let made = try make(pinned { $0.cpus = asked }, processors: there)
        #expect(made.limitPlan.processors == min(Int(asked), there))
        #expect(made.syscalls.keepsProcessors && made.determinism.takesFirstProcessors)
        let online = Bytes("/sys/devices/system/cpu/online")
        #expect(made.steps.contains(.file(online, content: Bytes(file), mode: 0o444)))
        #expect(pin(made, "cpus")?.isPinned == isPinned)
    }

    /// Fewer by a limit than asked for is no pin.
    @Test func aLimitOnProcessorsStays() throws {
        var own = pinned { $0.cpus = 3 }
        own.limits.cpus = 1000
        let made = try make(own)
        #expect(made.limitPlan.processors == 1 && pin(made, "cpus")?.isPinned == false)
    }

    @Test func theClockIsAskedForAndNothingElse() throws {
        let made = try make(pinned { $0.seed = nil })
        let calls = made.syscalls.plan
        #expect(made.determinism.instant == 2_051_222_400_000_000_000 && made.determinism.hidesVDSO)
        for call in ["clock_gettime", "gettimeofday", "time"] {
            #expect(calls.watched.contains(call) && !calls.allowed.contains(call))
        }
        let clock = try #require(calls.conditional.first { $0.call == "clock_gettime" })
        func passes(_ id: UInt64) -> Bool {
            clock.alternatives.contains { tests in tests.allSatisfy { id & $0.mask == $0.value } }
        }
        #expect([1, 2, 3, 4, 6, 7, 9].allSatisfy(passes), "what measures goes on by itself")
        #expect(passes(UInt64(UInt32(bitPattern: -6))), "the clock of a process")
        #expect([0, 5, 8, 10, 11].allSatisfy { !passes($0) }, "what tells the time of day")
        #expect(!passes(0x1_0000_0000), "the kernel ignores the upper half")
        #expect(calls.allowed.contains("getrandom") && calls.allowed.contains("clock_nanosleep"))
        let futex = try #require(calls.conditional.first { $0.call == "futex" })
        func waits(_ operation: UInt64, _ time: UInt64) -> Bool {
            let words = [0, operation, 0, time]
            return futex.alternatives.contains { $0.allSatisfy { words[Int($0.argument)] & $0.mask == $0.value } }
        }
        #expect(waits(0x189, 0) && waits(0x89, 0x7fff_0000) && waits(1, 5), "without a time, or by another clock")
        #expect(!waits(0x189, 0x7fff_0000) && !waits(0x109, 1))
        #expect(!calls.allowed.contains("ptrace"), "a traced one couldn't be held")
    }

    @Test func theSeedIsAskedForAndNothingElse() throws {
        let calls = try make(pinned { $0.clock = "" }).syscalls.plan
        #expect(calls.watched.contains("getrandom") && !calls.allowed.contains("getrandom"))
        #expect(calls.allowed.contains("clock_gettime") && calls.allowed.contains("getdents64"))
    }

    @Test func addressesStayWhatTheyAre() throws {
        func taken(_ plan: Plan) -> [UInt64] {
            plan.syscalls.plan.conditional.filter { $0.call == "personality" }.flatMap(\.alternatives).map {
                $0[0].value
            }
        }
        #expect(taken(try make(pinned())) == [0xffff_ffff, 0x4_0000])
        #expect(taken(try make(policy())).contains(0))
    }

    @Test func eachSetHasAFilterOfItsOwn() throws {
        var keys: Set<String> = []
        for change: (inout Policy.Determinism) -> Void in [
            { $0.seed = nil }, { $0.clock = "" }, { _ in },
            {
                $0.seed = nil
                $0.clock = ""
            },
        ] { keys.insert(try make(pinned(change)).syscalls.key) }
        var variation = Variation()
        variation.reversesListings = true
        keys.insert(try make(pinned(), variation).syscalls.key)
        #expect(keys.count == 5)
    }

    // MARK: - A replay

    @Test func aVariationWins() throws {
        var variation = Variation()
        variation.timezone = "Asia/Tokyo"
        variation.umask = 0o077
        variation.processors = 2
        variation.variable = .init(name: Bytes("EXTRA"), value: Bytes("1"))
        variation.home = Bytes("/home/other")
        variation.reversesListings = true
        var own = pinned()
        own.env.set = ["TZ": Bytes("UTC"), "HOME": Bytes("/x")]
        let made = try make(own, variation)
        #expect(made.variable("TZ")?.value == Bytes("Asia/Tokyo"))
        #expect(made.variable("HOME")?.value == Bytes("/home/other") && made.home == Bytes("/home/other"))
        #expect(made.variable("EXTRA")?.value == Bytes("1"))
        #expect(made.determinism.umask == 0o077 && pin(made, "umask")?.value == "0077")
        #expect(made.limitPlan.processors == 2 && pin(made, "cpus")?.value == "2")
        #expect(made.syscalls.plan.watched.contains("getdents64"))
        #expect(made.steps.contains(.directory(Bytes("/home/other"), mode: 0o700)))
    }

    @Test func withoutOneThePlanIsTheSame() throws {
        #expect(try make(pinned(), Variation()) == make(pinned()))
    }

    @Test func whatListsIsWatchedOnlyThen() throws {
        var variation = Variation()
        #expect(try !make(policy(), variation).syscalls.plan.watched.contains("getdents64"))
        variation.reversesListings = true
        let made = try make(policy(), variation)
        #expect(made.syscalls.plan.watched.contains("getdents64") && !made.determinism.hidesVDSO)
    }
}
