"""R1: bombs. Each takes more and more of one thing; it is stopped in time, and the record names the limit.

Every bomb has two controls: less of the same under the same limit, and as much of it under a limit where it fits, both end
with 0 and no limit in the record. A bomb may be killed (137), or be refused what it asks for until it gives up (9).
"""

import os

from harness import alone

# The probe gives up three seconds after the first refusal.
WITHIN = 6


def policy(limits):
    return "[limits]\n" + "".join(f"{key} = {value if isinstance(value, (int, float)) else repr(value)}\n" for key, value in limits.items()).replace("'", '"')


def stopped(t, result, expected, what, within=WITHIN, codes=(137, 9)):
    """The bomb went off and was stopped: in time, with the limit in the record and a line on stderr."""
    if "disk" in expected:
        codes += (153,)  # SIGXFSZ: the kernel's answer to a file that is larger than all may be together
    outcome, limit = result.outcome, result.outcome.get("limit")
    wrong = [message for right, message in (
        (result.record is not None, "there is no record"),
        (limit in expected, f"the limit isn't {' or '.join(expected)}"),
        (outcome.get("rule") == f"limits.{limit}", "the rule isn't that limit's"),
        (result.code in codes, f"the exit code isn't {' or '.join(map(str, codes))}"),
        (outcome.get("exit_code") == result.code, "the record has another exit code"),
        (result.code != 137 or result.status == "limit_exceeded", "it was killed, and the status isn't limit_exceeded"),
        (result.seconds < within, f"it wasn't over within {within} s"),
        (f"limits.{limit}".encode() in result.err, "stderr doesn't name it")) if not right]
    t.check(not wrong, f"{what}: {'; '.join(wrong)}: {outcome}, {result}, {result.seconds:.1f} s")


def fits(t, result, what):
    t.check(result.code == 0 and result.status == "exited" and result.outcome.get("limit") is None and "all" in result.attempts,
            f"the control, {what}: {result.outcome}, {result}, {result.seconds:.1f} s")


def bomb(t, kind, limits, expected, much, little, wide, place=".", hold=200, codes=(137, 9), within=WITHIN):
    """The bomb under its limits, and both controls."""
    t.only_aegix()
    probe = t.probe("bombs")
    where = f"{kind} in {place}" if place != "." else kind

    def run(amount, limits, **how):
        return t.run(probe, kind, str(amount), str(hold), place, policy=policy(limits), deadline=30, **how)
    stopped(t, run(much, limits), expected, where, within, codes)
    fits(t, run(little, limits), f"{where}: {little} under the same limit")
    fits(t, run(much, wide), f"{where}: {much} under a limit that it fits in")


PIDS, WIDE_PIDS = {"pids": 32}, {"pids": 400}
MEMORY, WIDE_MEMORY = {"memory": "64MiB"}, {"memory": "1GiB"}
DISK, WIDE_DISK = {"disk": "64MiB"}, {"disk": "1GiB"}


def home(t):
    """The private home, as the command sees it."""
    return t.sh("echo $HOME").text.strip()


@alone
def r1a(t):
    """fork bomb, each child a bomb: stopped, the record names pids"""
    bomb(t, "fork", PIDS, ["pids"], 200, 20, WIDE_PIDS)


@alone
def r1b(t):
    """thread bomb: stopped, the record names pids"""
    bomb(t, "thread", PIDS, ["pids"], 200, 20, WIDE_PIDS)


@alone
def r1c(t):
    """memory of one process, growing step by step, however it is got: stopped, memory"""
    for kind in ("anon", "late", "heap", "copies"):
        bomb(t, kind, MEMORY, ["memory"], 200, 40, WIDE_MEMORY)
    # The main stack, which no mapping and no break shows in advance; the kernel leaves it some 120 MiB of room.
    bomb(t, "stack", MEMORY, ["memory"], 100, 40, WIDE_MEMORY)


@alone
def r1d(t):
    """memory in one giant allocation, written or populated by the kernel: stopped, memory"""
    for kind in ("giant", "populate"):
        bomb(t, kind, MEMORY, ["memory"], 512, 40, WIDE_MEMORY)


@alone
def r1e(t):
    """memory in many small processes, 4 MiB each; also where /proc shows but a dead leader: stopped, memory"""
    for kind in ("small", "headless"):
        bomb(t, kind, MEMORY, ["memory"], 256, 40, WIDE_MEMORY)


@alone
def r1f(t):
    """memory files: never mapped, held by one thread alone, or by a socket's queue: stopped, memory"""
    for kind in ("memfd", "hidden", "flight"):
        bomb(t, kind, MEMORY, ["memory"], 256, 32, WIDE_MEMORY)


@alone
def r1g(t):
    """shared anonymous mapping: stopped, memory"""
    bomb(t, "shared", MEMORY, ["memory"], 256, 40, WIDE_MEMORY)


def r1h(t):
    """a memory bomb after ten idle seconds: the watch hasn't gone to sleep"""
    t.only_aegix()
    for kind in ("idle", "idle, then many"):
        result = t.run(t.probe("bombs"), kind, "256", "200", policy=policy(MEMORY), deadline=40)
        stopped(t, result, ["memory"], kind, within=10 + WITHIN)
        t.check(result.seconds >= 10, f"{kind}: it was stopped while idle: {result.seconds:.1f} s")


@alone
def r1i(t):
    """files in /tmp, /dev/shm and the private home: they are memory, and count as such"""
    for place in ("/tmp", "/dev/shm", home(t)):
        bomb(t, "file", MEMORY, ["memory"], 256, 32, WIDE_MEMORY, place)
    bomb(t, "file", {**MEMORY, **DISK}, ["memory", "disk"], 256, 32, {**WIDE_MEMORY, **WIDE_DISK}, "/tmp")


@alone
def r1j(t):
    """fallocate, in the layer and in /tmp: stopped, disk or memory"""
    bomb(t, "allocated", DISK, ["disk"], 256, 32, WIDE_DISK)
    bomb(t, "allocated", MEMORY, ["memory"], 256, 32, WIDE_MEMORY, "/tmp")


@alone
def r1k(t):
    """a file that is unlinked while open, in the layer and in /tmp: stopped, disk or memory"""
    bomb(t, "unlinked", DISK, ["disk"], 256, 32, WIDE_DISK)
    bomb(t, "unlinked in flight", DISK, ["disk"], 256, 32, WIDE_DISK)
    bomb(t, "unlinked", MEMORY, ["memory"], 256, 32, WIDE_MEMORY, "/tmp")


@alone
def r1l(t):
    """very many empty files, in the layer and in /tmp: stopped, disk or memory"""
    bomb(t, "empty", {"disk": "8MiB"}, ["disk"], 40000, 1000, WIDE_DISK, within=20)
    bomb(t, "empty", {"memory": "32MiB"}, ["memory"], 40000, 1000, WIDE_MEMORY, "/tmp", within=20)


@alone
def r1m(t):
    """open descriptors: refused or stopped, the record names open_files"""
    bomb(t, "descriptors", {"open_files": 64}, ["open_files"], 500, 40, {"open_files": 1024})


@alone
def r1n(t):
    """endless stdout and stderr with on_output = kill: stopped, output"""
    t.only_aegix()
    limits = policy({"output": "1MiB", "on_output": "kill"})
    for script in ("yes", "yes >&2", "while :; do yes | head -c 10000; done"):
        stopped(t, t.sh(script, policy=limits, deadline=30), ["output"], script, codes=(137,))
    control = t.sh("yes | head -c 1000000; yes | head -c 1000000 >&2; exit 0", policy=limits)
    t.check(control.code == 0 and len(control.out) == 1000000 and control.outcome.get("limit") is None, f"the control: {control.outcome}")


@alone
def r1o(t):
    """CPU time, of one process and of many short-lived ones, orphans among them: stopped, cpu_time"""
    t.only_aegix()
    probe = t.probe("bombs")
    for kind in ("time", "times"):
        told = t.run(probe, kind, "8000", "0", policy=policy({"cpu_time": "1s"}), deadline=30)
        stopped(t, told, ["cpu_time"], kind, within=20, codes=(124,))  # on a busy machine a second of it takes longer
        t.check(told.status == "timed_out", f"{kind}: {told.outcome}")
        used = sum(int((told.record or {}).get("usage", {}).get(key, 0)) for key in ("user_ns", "system_ns")) / 1e9
        t.check(0.8 < used < 1.5, f"{kind}: it had {used:.2f} s of CPU time at a limit of 1 s")
        fits(t, t.run(probe, kind, "400", "0", policy=policy({"cpu_time": "1s"})), f"{kind}: 0.4 s")
        fits(t, t.run(probe, kind, "1500", "0", policy=policy({"cpu_time": "10s"})), f"{kind}: 1.5 s of 10 s")


@alone
def r1p(t):
    """files in the layer: stopped, disk; what no limit can reach is said"""
    bomb(t, "file", DISK, ["disk"], 256, 32, WIDE_DISK)
    # Changed in place there is no layer to measure: held all the same, or said.
    result = t.run(t.probe("bombs"), "file", "256", "200", ".", policy=policy(DISK), mode="direct", deadline=30)
    if result.outcome.get("limit") is None:
        controls = (result.record or {}).get("enforcement", {}).get("controls", [])
        held = [c.get("held") for c in controls if c.get("name") == "limits.disk"]
        t.check(result.code == 125 or held == [False], f"in place: neither held, nor refused, nor said: {result.outcome}, {held}")
    else:
        stopped(t, result, ["disk"], "in place")


@alone
def r1q(t):
    """full pipes and sockets that nobody reads: stopped, memory"""
    for kind in ("pipes", "sockets"):
        bomb(t, kind, {"memory": "16MiB"}, ["memory"], 48, 4, {"memory": "256MiB"})


@alone
def r1r(t):
    """page tables of mappings that only read zeros, so that no process grows: stopped, memory"""
    bomb(t, "tables", MEMORY, ["memory"], 256, 8, WIDE_MEMORY)


@alone
def r1s(t):
    """what several processes share counts once: 40 MiB of it fit into 64 MiB"""
    t.only_aegix()
    for kind, place in (("vforks", "."), ("family", "."), ("mapped file", "."), ("twins", "."), ("named", "/tmp")):
        fits(t, t.run(t.probe("bombs"), kind, "40", "300", place, policy=policy(MEMORY)), kind)
        # Not for want of looking. A mapped file that finds no room is SIGBUS.
        stopped(t, t.run(t.probe("bombs"), kind, "80", "300", place, policy=policy(MEMORY)), ["memory"], f"80 MiB, {kind}", codes=(137, 9, 135))


@alone
def r1t(t):
    """what was refused is named; nothing else is: of a program that gives up at once, and of one that has exactly what it may"""
    t.only_aegix()
    probe = t.probe("bombs")
    for kind, limits, expected, much, exactly, place in (
            ("fork alone", PIDS, "pids", 200, 31, "."), ("thread", PIDS, "pids", 200, 31, "."),
            ("descriptors", {"open_files": 64}, "open_files", 500, 61, "."), ("anon", MEMORY, "memory", 200, None, "."),
            ("giant", MEMORY, "memory", 200, None, "."), ("file", MEMORY, "memory", 200, None, "/tmp")):
        outcomes = []
        for _ in range(8):
            told = t.run(probe, kind, str(much), "0", place, "once", policy=policy(limits), deadline=30)
            t.check(told.code in (9, 137) and told.seconds < WITHIN, f"{kind}: {told}")
            outcomes.append(told.outcome.get("limit"))
        # What only a look can see may be over before there was one (docs/limits.md); never is another limit named.
        seen = kind in ("giant", "file")
        t.check(outcomes == [expected] * 8 if seen else set(outcomes) <= {expected, None},
                f"{kind}: of eight runs that {expected} stopped the record names it in {outcomes.count(expected)}: {outcomes}")
        if exactly:
            fits(t, t.run(probe, kind, str(exactly), "100", place, policy=policy(limits)), f"{kind}: exactly as many as it may have")


def d7(t):
    """RLIMIT_CORE is 1, so that no handler of the host starts, and can't be changed inside"""
    probe = t.probe("cores")
    bare = t.outside(probe)
    t.works_outside(bare, "setrlimit 0", "prlimit 0", "prlimit of a child 0", "setrlimit 0 with high bits", "control: RLIMIT_NOFILE")
    t.check(bare.attempts.get("at the end") == "0 0", f"the probe is blunt: {bare.attempts}")
    inside = t.run(probe)
    t.ran(inside)
    t.verdict(inside, "control: RLIMIT_NOFILE", "ok")
    for name in ("at the start", "at the end", "in a child", "after exec"):
        t.check(inside.attempts.get(name) == "1 1", f"RLIMIT_CORE {name}: {inside.attempts.get(name)}")
    for name in ("setrlimit 0", "setrlimit unlimited", "prlimit 0", "prlimit of a child 0", "setrlimit 0 with high bits", "prlimit 0 with high bits"):
        t.refused(inside, name, "EPERM")
    # A limit of 1 byte is a limit: nothing is dumped.
    result = t.sh("kill -SEGV $$")
    t.check(result.code == 139 and result.outcome.get("signal") in (11, "SIGSEGV"), f"a crash: {result}, {result.outcome}")
    layer = os.path.join(result.run_dir or t.dir, "layer", "upper")
    left = os.listdir(layer) if os.path.isdir(layer) else []
    t.check(not left and not os.listdir(t.workspace), f"the crash left {left}")
