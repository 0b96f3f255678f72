// Pure data. The allowlist where there are no namespaces: what a namespace made harmless is refused by call.

extension SyscallPlan {
    /// No socket is made, so none has to be held: a path or an abstract name reaches the host's services, and Landlock
    /// stops neither UDP nor Unix sockets. System V IPC and message queues are the host's own.
    public static let refusedConfined: Set<String> = [
        "connect", "bind", "listen", "accept", "accept4", "shmget", "shmat", "shmctl", "shmdt", "semget", "semop",
        "semctl",
        "semtimedop", "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive",
        "mq_notify", "mq_getsetattr", "inotify_add_watch",
    ]

    /// What Landlock doesn't restrict: modes, owners, times and attributes of every file that the user owns. The supervisor
    /// does these itself, where the file may be written.
    public static let emulated: Set<String> = [
        "chmod", "fchmod", "fchmodat", "chown", "lchown", "fchown", "fchownat", "utime", "utimes", "futimesat",
        "utimensat", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr",
    ]

    /// How other processes of the user are scheduled isn't the command's to say. The supervisor lets those of the run
    /// through: the number comes by value and can't be changed after it was looked at.
    public static let scheduling: Set<String> = [
        "sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr", "setpriority", "ioprio_set",
    ]

    static let confined: SyscallPlan = {
        var plan = SyscallPlan.standard
        let handled = refusedConfined.union(emulated).union(scheduling)
        plan.allowed.removeAll { handled.contains($0) }
        plan.conditional.removeAll { handled.contains($0.call) || $0.call == "socket" || $0.call == "socketpair" }
        // Connected for good: a datagram pair could be sent anywhere.
        plan.conditional.append(
            .init(
                call: "socketpair",
                alternatives: [1, 5].map { [.int(0, 1), .init(argument: 1, mask: 0xf, value: $0)] }))
        for call in ["sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr"] {
            plan.conditional.append(.init(call: call, alternatives: [[.int(0, 0)]]))
        }
        // The caller or its group, not the user.
        plan.conditional.append(.init(call: "setpriority", alternatives: [0, 1].map { [.int(0, $0), .int(1, 0)] }))
        plan.conditional.append(.init(call: "ioprio_set", alternatives: [1, 2].map { [.int(0, $0), .int(1, 0)] }))
        plan.watched += emulated.sorted() + scheduling.sorted()
        return plan
    }()
}
