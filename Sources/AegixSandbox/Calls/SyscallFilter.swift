// Side effects: libseccomp's memory; reads and writes the cache of compiled filters.

import AegixPlan
import AegixSystem
import CAegix
import CSeccomp
import Glibc

/// The plan's system calls as a BPF program. libseccomp needs 2 ms for it, most of a run's time, so programs are kept in
/// the state directory, under this build's id, or, without one, the digest of everything that
/// shapes them.
public enum SyscallFilter {
    public static func program(_ set: SyscallSet, cache: CacheDirectory) throws(Failure) -> Bytes {
        let key = "filter-" + (BuildID.current.map { "\(set.key)-\($0)" } ?? fingerprint(set.plan))
        if let stored = cache.read(key, limit: 1 << 16), let program = unseal(stored) { return program }
        let program = try compile(set.plan)
        cache.write(key, Bytes(SHA256.hex(program)) + program)
        return program
    }

    /// A stored program that was cut or changed is compiled again.
    private static func unseal(_ stored: Bytes) -> Bytes? {
        let program = Bytes(stored.dropFirst(64))
        guard !program.isEmpty, program.count % MemoryLayout<sock_filter>.size == 0 else { return nil }
        return Bytes(SHA256.hex(program)) == Bytes(stored.prefix(64)) ? program : nil
    }

    /// Of the tables, the library's version and the processor: another of any is another program.
    private static func fingerprint(_ plan: SyscallPlan) -> String {
        var text = Bytes()
        text.reserveCapacity(16384)
        func add(_ names: [String]) {
            for name in names {
                text += name.utf8
                text.append(0)
            }
            text.append(1)
        }
        func add(_ number: UInt64) {
            withUnsafeBytes(of: number) { text += $0 }
        }
        add(plan.allowed)
        add(plan.absent)
        add(plan.watched)
        add(plan.unsupported)
        for number in plan.allowedNumbers + [-1] + plan.absentNumbers { add(UInt64(UInt32(bitPattern: number))) }
        for rule in plan.conditional {
            text += rule.call.utf8
            for tests in rule.alternatives {
                for test in tests {
                    add(UInt64(test.argument))
                    add(test.mask)
                    add(test.value)
                    add(test.isAtMost ? 1 : 0)
                }
                text.append(2)
            }
        }
        add(UInt64(seccomp_arch_native()))
        if let version = seccomp_version() {
            add(
                UInt64(version.pointee.major) << 32 | UInt64(version.pointee.minor) << 16
                    | UInt64(version.pointee.micro))
        }
        return SHA256.hex(text)
    }

    /// Default: the supervisor answers, with a refusal. Without a supervisor the kernel itself answers ENOSYS.
    static func compile(_ plan: SyscallPlan) throws(Failure) -> Bytes {
        guard let context = seccomp_init(aegix_action_notify()) else {
            throw Failure("seccomp.compile", "can't prepare the system-call filter: libseccomp refused to start")
        }
        defer { seccomp_release(context) }
        try check(seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2))
        try check(seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, aegix_action_kill()))
        let allow = aegix_action_allow()
        for name in plan.allowed { try add(context, allow, name) }
        for number in plan.allowedNumbers { try check(seccomp_rule_add_array(context, allow, number, 0, nil)) }
        let absent = aegix_action_errno(ENOSYS)
        for name in plan.absent { try add(context, absent, name) }
        for number in plan.absentNumbers { try check(seccomp_rule_add_array(context, absent, number, 0, nil)) }
        let unsupported = aegix_action_errno(EOPNOTSUPP)
        for name in plan.unsupported { try add(context, unsupported, name) }
        for rule in plan.conditional {
            for tests in rule.alternatives {
                let compared = tests.map {
                    $0.isAtMost
                        ? scmp_arg_cmp(arg: $0.argument, op: SCMP_CMP_LE, datum_a: $0.value, datum_b: 0)
                        : scmp_arg_cmp(arg: $0.argument, op: SCMP_CMP_MASKED_EQ, datum_a: $0.mask, datum_b: $0.value)
                }
                try add(context, allow, rule.call, compared)
            }
        }
        // `watched` isn't in any rule: the default reaches the supervisor.
        return try export(context)
    }

    private static func add(
        _ context: scmp_filter_ctx, _ action: UInt32, _ name: String, _ tests: [scmp_arg_cmp] = []
    ) throws(Failure) {
        let number = seccomp_syscall_resolve_name(name)
        if number < 0 { return }  // not on this processor, or newer than the library: it stays refused
        try check(
            tests.withUnsafeBufferPointer {
                seccomp_rule_add_array(context, action, number, UInt32(tests.count), $0.baseAddress)
            })
    }

    private static func check(_ code: Int32) throws(Failure) {
        if code < 0 {
            throw Failure(
                "seccomp.compile", "can't compile the system-call filter: \(Errno.words(-code))", errno: -code)
        }
    }

    private static func export(_ context: scmp_filter_ctx) throws(Failure) -> Bytes {
        do {
            let file = try Descriptor.anonymousFile(Bytes("filter"))
            try check(seccomp_export_bpf(context, file.raw))
            lseek(file.raw, 0, SEEK_SET)
            return try file.readAll(limit: 1 << 16)
        } catch let error as SystemError {
            throw Failure("seccomp.compile", "can't compile the system-call filter", error)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("seccomp.compile", "can't compile the system-call filter: \(error)")
        }
    }

    /// `mount`, or the number of a call that the library doesn't know.
    static func name(of call: Int32) -> String {
        guard let name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), call) else { return "call \(call)" }
        defer { free(name) }
        return String(cString: name)
    }
}
