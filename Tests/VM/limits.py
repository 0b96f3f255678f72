#!/usr/bin/python3
"""Limits and tiers where the kernel holds them: by cgroup v2, in the VM. One numbered case a line.

    limits.py [--aegix PATH] [--only L1,T2] [--list]

Each case runs as the one who calls: root, or the user of delegate.sh. The last line is alone: `N passed, N failed, N skipped`.
Exit 1 if anything failed. Every refusal has its control: the same with less, or with a wider limit, goes through.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "Conformance"))

import harness  # noqa: E402
import run as conformance  # noqa: E402
from harness import Skip, descendants, reap, wait_until  # noqa: E402

TOP = "/sys/fs/cgroup"
MIB = 1 << 20
SEALED = ["--require", "sealed"]
# The machine is emulated: what takes a second elsewhere takes up to half a minute here.
PATIENCE = 120

# Takes memory MiB by MiB, each written to, and holds it for a moment.
GROW = """
import sys, time
held = []
for _ in range(int(sys.argv[1])):
    held.append(b"x" * 1048576)
time.sleep(0.2)
print("all")
"""

# The same, shared out among processes that are there all at once.
MANY = """
import os, sys, time
total, each = int(sys.argv[1]), 4
ready, go = os.pipe(), os.pipe()
for _ in range(total // each):
    if os.fork() == 0:
        os.close(go[1])
        held = [b"x" * 1048576 for _ in range(each)]
        os.write(ready[1], b"r")
        os.read(go[0], 1)
        os._exit(0)
os.close(ready[1])
for _ in range(total // each):
    if not os.read(ready[0], 1):
        sys.exit("a child is gone")
print("all")
"""

# A memory file that no process maps.
MEMFD = """
import os, sys
f = os.memfd_create("x")
for _ in range(int(sys.argv[1])):
    os.write(f, b"x" * 1048576)
print("all")
"""

# As many children or threads as are asked for, all at once; says how many there were.
FORK = """
import os, sys, time
made = 0
for _ in range(int(sys.argv[1])):
    try:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    except BlockingIOError:
        break
    made += 1
print(made)
sys.stdout.flush()
time.sleep(0.5)
os._exit(0 if made == int(sys.argv[1]) else 9)
"""
THREAD = """
import os, sys, threading, time
made = 0
for _ in range(int(sys.argv[1])):
    try:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    except RuntimeError:
        break
    made += 1
print(made)
sys.stdout.flush()
time.sleep(0.5)
os._exit(0 if made == int(sys.argv[1]) else 9)
"""

# So many processes are busy for so many seconds; says how many processors they had between them.
BUSY = """
import os, sys, time
began = time.monotonic()
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        while time.monotonic() < began + float(sys.argv[2]): pass
        os._exit(0)
for _ in range(int(sys.argv[1])):
    os.wait()
times = os.times()
print((times.children_user + times.children_system) / (time.monotonic() - began))
"""


def cgroups():
    """The cgroups that bear aegix's name, but for the one that a user's runs are made in: empty, it stays for the next run."""
    shared = ("aegix", f"aegix-{os.geteuid()}")
    return {path for path, below, _ in os.walk(TOP) if "aegix" in os.path.basename(path)
            and (below or os.path.basename(path) not in shared)}


def policy(limits):
    lines = (f"{key} = {value}" if isinstance(value, (int, float)) else f'{key} = "{value}"' for key, value in limits.items())
    return "[limits]\n" + "\n".join(lines) + "\n"


def outcome(result):
    return (result.record or {}).get("outcome", {})


def usage(result, key):
    """A number of the record's usage; 64-bit ones are strings in there."""
    value = ((result.record or {}).get("usage") or {}).get(key)
    return None if value is None else int(value)


def tier(result):
    return ((result.record or {}).get("enforcement") or {}).get("tier")


def python(t, program, *arguments, limits=None, options=SEALED, **how):
    """A sealed run of a Python program, and nothing left of it under /sys/fs/cgroup."""
    before = cgroups()
    result = t.run("/usr/bin/python3", "-c", program, *map(str, arguments), policy=policy(limits) if limits else None,
                   options=options, deadline=PATIENCE, **how)
    nothing_left(t, before)
    return result


def nothing_left(t, before):
    left = cgroups() - before
    t.check(not left, f"cgroups left behind: {sorted(left)}")


def sealed(t, result):
    t.check(tier(result) == "sealed", f"the record's tier is {tier(result)}: {result}")


def fits(t, result, what):
    """The control: it went through, and no limit is named."""
    told = outcome(result)
    t.check(result.code == 0 and told.get("status") == "exited" and told.get("limit") is None, f"the control, {what}: {told}, {result}")
    sealed(t, result)


def stopped(t, result, limit, code, status, what):
    """The limit ended it, and record and stderr say which."""
    told = outcome(result)
    t.check(result.code == code, f"{what}: expected exit {code}: {result}, {told}")
    t.check(told.get("limit") == limit and told.get("status") == status and told.get("rule") == f"limits.{limit}",
            f"{what}: the record says {told}")
    t.check(told.get("exit_code") == result.code, f"{what}: exit {result.code}, the record says {told}")
    t.check(f"limits.{limit}".encode() in result.err, f"{what}: stderr doesn't name limits.{limit}: {result}")
    sealed(t, result)


def held_by_kernel(t, result, *names):
    """enforcement.controls[] names the cgroup as what holds these."""
    controls = {c["name"]: c for c in ((result.record or {}).get("enforcement") or {}).get("controls", [])}
    for name in names:
        control = controls.get(f"limits.{name}", {})
        t.check(control.get("held") is True and "cgroup" in control.get("mechanism", ""), f"limits.{name} is held by {control}")


# ---------------------------------------------------------------------------------------------------------------------
# Tiers

def t1(t):
    """sealed: the record says so, and the command's cgroup has the limits in the kernel's own files"""
    limits = {"memory": "64MiB", "pids": 32, "cpus": 0.5}
    before = cgroups()
    child = t.box.spawn(["/bin/sh", "-c", "echo up; read line; echo down"], t, stdin=subprocess.PIPE, policy=policy(limits), options=SEALED)
    try:
        t.check(child.stdout.readline() == b"up\n", "it didn't start")
        place = cgroup_of_inner(child.pid)
        if t.check(place and place not in (cgroup_of(os.getpid()), TOP), f"the command's cgroup is {place}, ours {cgroup_of(os.getpid())}"):
            for name, expected in (("memory.max", str(64 * MIB)), ("memory.swap.max", "0"), ("cpu.max", "50000 100000"), ("pids.max", "32 33")):
                try:
                    found = t.read(os.path.join(place, name)).strip()
                except FileNotFoundError:
                    found = None
                # pids: sandbox's pid 1 may be one of them. cpu: a half of any period.
                right = found in expected.split() if name == "pids.max" else found == expected or name == "cpu.max" and half(found)
                t.check(right, f"{name} of the command's cgroup is {found}, not {expected}")
    finally:
        _, err = child.communicate(b"\n", timeout=PATIENCE)
    t.check(child.returncode == 0, f"exit {child.returncode}, {err!r}")
    nothing_left(t, before)
    result = python(t, "print('all')", limits=limits)
    fits(t, result, "a small program")
    held_by_kernel(t, result, "memory", "pids", "cpus")
    t.check((usage(result, "memory_peak_bytes") or 0) > MIB, f"usage has no memory peak: {(result.record or {}).get('usage')}")
    t.check((usage(result, "user_ns") or 0) > 0, f"usage has no CPU time: {(result.record or {}).get('usage')}")


def half(text):
    words = (text or "").split()
    return len(words) == 2 and words[0].isdigit() and int(words[0]) * 2 == int(words[1])


def cgroup_of(pid):
    with open(f"/proc/{pid}/cgroup") as f:
        return TOP + f.read().strip().partition("::")[2]


def cgroup_of_inner(pid):
    """The cgroup of the processes in the sandbox that this aegix supervises."""
    for inner in descendants_of(pid):
        try:
            with open(f"/proc/{inner}/status") as f:
                nested = any(line.startswith("NSpid:") and len(line.split()) > 2 for line in f)
            if nested:
                return cgroup_of(inner)
        except OSError:
            pass
    return None


def descendants_of(pid):
    queue = [pid]
    while queue:
        try:
            with open(f"/proc/{queue[0]}/task/{queue[0]}/children") as f:
                children = [int(word) for word in f.read().split()]
        except OSError:
            children = []
        yield from children
        queue = queue[1:] + children


def t2(t):
    """sealed where no cgroup is to be had: refused, nothing ran; the tier isolated runs there"""
    if os.geteuid() != 0:
        raise Skip("root's run of this case takes the cgroups away from root and from a user", excused=True)
    aegix = [t.world.aegix, "run", "--workspace", t.workspace, "--state-dir", t.state]
    closed = "mount --bind /sys/fs/cgroup /sys/fs/cgroup && mount -o remount,bind,ro /sys/fs/cgroup && "
    alone = f"{TOP}/alone"
    os.makedirs(alone, exist_ok=True)
    t.cleanup.append(lambda: os.rmdir(alone))
    user = t.mkdir("user")
    os.chown(user, 1000, 1000)
    others = [t.world.aegix, "run", "--workspace", user, "--state-dir", f"{user}/state"]
    stranger = f"echo $$ > {alone}/cgroup.procs && exec setpriv --reuid 1000 --regid 1000 --clear-groups env HOME={user} "
    for what, way, line in (("read-only cgroups", closed + "exec ", aegix), ("a user without a subtree of his own", stranger, others)):
        words = lambda *more: way + " ".join([*line, *more])
        for named, asked, code in (("sealed", words("--require", "sealed", "--", "/bin/echo", "ran"), 125),
                                   ("isolated", words("--require", "isolated", "--", "/bin/echo", "ran"), 0)):
            done = subprocess.run(["unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c", asked], cwd=t.workspace,
                                  env=t.box.environment(None), capture_output=True, timeout=PATIENCE)
            told = f"{what}, {named}: exit {done.returncode}, {done.stdout!r}, {done.stderr!r}"
            t.check(done.returncode == code and (b"ran" in done.stdout) == (code == 0), told)
            t.check(code == 0 or done.stderr.count(b"\n") == 1 and b"cgroup" in done.stderr, f"{told}: not one line that names the cgroup")
    # What was refused is refused for want of a cgroup, and not by itself.
    fits(t, t.run("/bin/true", options=SEALED), "the same with cgroups")


# ---------------------------------------------------------------------------------------------------------------------
# Limits

def l1(t):
    """memory of one process: killed at the limit, exit 137, usage has the peak"""
    result = python(t, GROW, 200, limits={"memory": "64MiB"})
    stopped(t, result, "memory", 137, "limit_exceeded", "200 MiB of 64")
    held_by_kernel(t, result, "memory")
    peak = usage(result, "memory_peak_bytes")
    t.check(peak and 48 * MIB < peak <= 64 * MIB, f"usage.memory_peak_bytes is {peak}")
    t.check((usage(result, "oom_kills") or 0) > 0, f"usage.oom_kills is {usage(result, 'oom_kills')}")
    result = python(t, GROW, 32, limits={"memory": "64MiB"})
    fits(t, result, "32 MiB of 64")
    t.check(32 * MIB < (usage(result, "memory_peak_bytes") or 0) <= 64 * MIB, f"usage.memory_peak_bytes is {usage(result, 'memory_peak_bytes')}")
    fits(t, python(t, GROW, 200, limits={"memory": "512MiB"}), "200 MiB of 512")


def l2(t):
    """memory of many processes, each small: counts together, and all of them are killed"""
    stopped(t, python(t, MANY, 160, limits={"memory": "96MiB"}), "memory", 137, "limit_exceeded", "160 MiB of 96")
    fits(t, python(t, MANY, 32, limits={"memory": "96MiB"}), "32 MiB of 96")
    fits(t, python(t, MANY, 160, limits={"memory": "768MiB"}), "160 MiB of 768")


def l3(t):
    """memory in files: memfd that nobody maps, /dev/shm, /tmp"""
    stopped(t, python(t, MEMFD, 160, limits={"memory": "64MiB"}), "memory", 137, "limit_exceeded", "a memfd of 160 MiB of 64")
    fits(t, python(t, MEMFD, 24, limits={"memory": "64MiB"}), "a memfd of 24 MiB of 64")
    for place in ("/dev/shm", "/tmp"):
        # A tmpfs of the limit's size may be full before memory is.
        script = f"head -c $1 /dev/zero > {place}/file || exit 9; echo all"
        result = t.sh(script, str(160 * MIB), policy=policy({"memory": "64MiB"}), options=SEALED, deadline=PATIENCE)
        told = outcome(result)
        t.check(result.code in (137, 9) and told.get("limit") == "memory", f"160 MiB in {place}: {result}, {told}")
        fits(t, t.sh(script, str(24 * MIB), policy=policy({"memory": "64MiB"}), options=SEALED, deadline=PATIENCE), f"24 MiB in {place}")


def l4(t):
    """memory where the machine has swap: no way around the limit"""
    if not t.identity.root:
        raise Skip("only root can give the machine swap", excused=True)
    swap = os.path.join(t.dir, "swap")
    subprocess.run(["fallocate", "--length", str(256 * MIB), swap], check=True)
    os.chmod(swap, 0o600)
    subprocess.run(["mkswap", swap], check=True, capture_output=True)
    subprocess.run(["swapon", swap], check=True)
    t.cleanup.append(lambda: subprocess.run(["swapoff", swap], check=True))
    # The control: a cgroup that limits memory alone lets the same program end well, by way of the swap.
    plain = f"{TOP}/plain"
    os.makedirs(plain, exist_ok=True)
    t.cleanup.append(lambda: os.rmdir(plain))
    with open(f"{plain}/memory.max", "w") as f:
        f.write(str(64 * MIB))
    bare = subprocess.run(["/bin/sh", "-c", f"echo $$ > {plain}/cgroup.procs && exec /usr/bin/python3 -c \"$0\" 120", GROW],
                          capture_output=True, timeout=PATIENCE)
    t.check(bare.stdout == b"all\n", f"the attack is blunt: without memory.swap.max: {bare}")
    stopped(t, python(t, GROW, 120, limits={"memory": "64MiB"}), "memory", 137, "limit_exceeded", "120 MiB of 64, with swap")
    fits(t, python(t, GROW, 120, limits={"memory": "512MiB"}), "120 MiB of 512, with swap")


def l5(t):
    """pids: fork and pthread_create are refused at the limit, and the record names it"""
    for kind, program in (("fork", FORK), ("thread", THREAD)):
        result = python(t, program, 100, limits={"pids": 32})
        made = number(result)
        told = outcome(result)
        t.check(result.code == 9 and 24 <= made <= 31, f"{kind}: {made:.0f} of 100 under 32: {result}")
        t.check(told.get("limit") == "pids", f"{kind}: the record says {told}")
        t.check((usage(result, "pids_refused") or 0) > 0, f"{kind}: usage.pids_refused is {usage(result, 'pids_refused')}")
        sealed(t, result)
        held_by_kernel(t, result, "pids")
        fits(t, python(t, program, 20, limits={"pids": 32}), f"{kind}: 20 under 32")
        fits(t, python(t, program, 100, limits={"pids": 400}), f"{kind}: 100 under 400")


def l6(t):
    """cpus = 0.5: half a processor, by one process and by four; without it a whole one"""
    for processes in (1, 4):
        result = python(t, BUSY, processes, 4, limits={"cpus": 0.5})
        fits(t, result, f"{processes} busy at half a processor")
        held_by_kernel(t, result, "cpus")
        share = number(result)
        t.check(0.3 < share < 0.7, f"{processes} busy: {share:.2f} of a processor instead of 0.5")
        t.check((usage(result, "throttled_ns") or 0) > 0, f"usage.throttled_ns is {usage(result, 'throttled_ns')}")
    result = python(t, BUSY, 1, 4)
    fits(t, result, "one busy without a limit")
    t.check(number(result) > 0.8, f"the control had {number(result):.2f} of a processor")


def number(result):
    """What the program printed."""
    try:
        return float(result.text)
    except ValueError:
        return 0.0


def used(result):
    return ((usage(result, "user_ns") or 0) + (usage(result, "system_ns") or 0)) / 1e9


def l7(t):
    """cpu_time: ended at the limit, exit 124, also where children do the work"""
    for processes in (1, 3):
        result = python(t, BUSY, processes, 30, limits={"cpu_time": "3s"})
        stopped(t, result, "cpu_time", 124, "timed_out", f"{processes} busy")
        t.check(2.5 < used(result) < 4.5, f"{processes} busy: {used(result):.2f} s of CPU time at a limit of 3 s")
    fits(t, python(t, BUSY, 1, 1, limits={"cpu_time": "20s"}), "1 s of 20")


def l8(t):
    """disk: what is written to the layer and to /tmp ends at the limit"""
    script = "head -c $1 /dev/zero > $2/file || exit 9; echo all"
    for place in (".", "/tmp"):
        result = t.sh(script, str(200 * MIB), place, policy=policy({"disk": "64MiB"}), options=SEALED, deadline=PATIENCE)
        told = outcome(result)
        t.check(result.code in (137, 9) and told.get("limit") == "disk", f"200 MiB of 64 in {place}: {result}, {told}")
        sealed(t, result)
        fits(t, t.sh(script, str(16 * MIB), place, policy=policy({"disk": "64MiB"}), options=SEALED, deadline=PATIENCE), f"16 MiB of 64 in {place}")


def l9(t):
    """no cgroup is left: after a failure, a time limit, eight at once, and SIGKILL to aegix"""
    before = cgroups()
    for what, script, timeout, code in (("exit 3", "exit 3", None, 3), ("signal", "kill -9 $$", None, 137),
                                        ("time limit", "(setsid sleep 60 &); sleep 60", 2, 124)):
        result = t.sh(script, options=SEALED, timeout=timeout, deadline=PATIENCE)
        t.check(result.code == code, f"{what}: {result}")
        sealed(t, result)
        nothing_left(t, before)
    many = [t.box.spawn(["/bin/sh", "-c", "echo up; read line"], t, stdin=subprocess.PIPE, options=SEALED) for _ in range(8)]
    t.check(all(child.stdout.readline() == b"up\n" for child in many), "eight at once: one didn't start")
    t.check(len(cgroups() - before) >= 8, f"eight at once: the cgroups are {sorted(cgroups() - before)}")
    for child in many:
        child.communicate(b"\n", timeout=PATIENCE)
        t.check(child.returncode == 0, f"eight at once: exit {child.returncode}")
    nothing_left(t, before)

    # Killed, aegix can't clean up; the sandbox ends all the same, and the next command clears up after it.
    known = set(descendants())
    child = t.box.spawn(["/bin/sh", "-c", "(setsid sleep 600 &); echo up; sleep 600"], t, options=SEALED)
    child.stdout.readline()
    t.check(cgroups() - before, "the run has no cgroup that could be left")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    gone = wait_until(lambda: (reap(known), not set(descendants()) - known)[1], 20)
    t.check(gone, f"alive after SIGKILL to aegix: { {p: d for p, d in descendants().items() if p not in known} }")
    listed = t.aegix("history", "--state-dir", t.state)
    t.check(listed.code == 0 and b"interrupted" in listed.out, f"the command after it: {listed}")
    nothing_left(t, before)


# ---------------------------------------------------------------------------------------------------------------------
# Core dumps

def d7(t):
    """a core dump under a piped core_pattern: the host's handler isn't started"""
    if os.geteuid() != 0:
        raise Skip("root's run tries it, for root and for a user", excused=True)
    noted, handler = os.path.join(t.dir, "cores"), os.path.join(t.dir, "handler")
    with open(handler, "w") as f:
        f.write(f"#!/bin/sh\ncat >/dev/null\necho \"$1\" >> {noted}\n")
    os.chmod(handler, 0o755)
    pattern = t.read("/proc/sys/kernel/core_pattern").strip()
    t.cleanup.append(lambda: write("/proc/sys/kernel/core_pattern", pattern))
    write("/proc/sys/kernel/core_pattern", f"|{handler} %p")
    started = lambda: len(t.read(noted).split()) if os.path.exists(noted) else 0

    crashes = (["/bin/sh", "-c", "kill -SEGV $$"], ["/bin/sh", "-c", "sh -c 'kill -ABRT $$'; exit 5"],
               ["/bin/sh", "-c", "ulimit -c unlimited; ulimit -c 0; kill -SEGV $$"], ["/usr/bin/python3", "-c", "import os; os.abort()"])
    user = harness.Identity("user", 1000, 1000, t.mkdir("home"))
    os.chown(user.home, user.uid, user.gid)
    for identity in (t.identity, user):
        case = t if identity.root else harness.Case(t.world, identity, harness.Aegix(t.world, identity), "D7-user")
        expected = started()
        for argv in crashes:
            case.outside(*argv, bare=True, leaks=False)
            expected += 1
            t.check(wait_until(lambda: started() == expected, 20), f"the handler is blunt: outside, after {argv}, it ran {started()} times, not {expected}")
        for argv in crashes:
            inside = case.run(*argv, deadline=PATIENCE)
            t.check(inside.code in (5, 134, 139), f"{identity.name}: {argv} didn't crash: {inside}")
        time.sleep(3)
        t.check(started() == expected, f"{identity.name}: inside, the handler ran {started() - expected} times")
        if case is not t:
            t.failures += case.failures
            case.finish()


def d7b(t):
    """a core dump under a core_pattern that names a socket: nothing connects to it, or it is said"""
    if os.geteuid() != 0:
        raise Skip("root's run tries it", excused=True)
    release = os.uname().release
    if tuple(int(word) for word in release.split("-")[0].split(".")[:2]) < (6, 16):
        raise Skip(f"Linux {release} has no such core_pattern", excused=True)
    listener, seen = socket.socket(socket.AF_UNIX), []
    place = os.path.join(t.dir, "core.socket")
    listener.bind(place)
    listener.listen(8)
    harness.serve(listener, seen)
    t.cleanup.append(lambda: harness.hang_up(listener))
    pattern = t.read("/proc/sys/kernel/core_pattern").strip()
    t.cleanup.append(lambda: write("/proc/sys/kernel/core_pattern", pattern))
    write("/proc/sys/kernel/core_pattern", f"@{place}")
    t.outside("/bin/sh", "-c", "kill -SEGV $$", bare=True, leaks=False)
    t.check(wait_until(lambda: seen, 20), "the listener is blunt: a crash outside didn't connect to it")
    seen.clear()
    inside = t.run("/bin/sh", "-c", "kill -SEGV $$", deadline=PATIENCE)
    time.sleep(3)
    controls = ((inside.record or {}).get("enforcement") or {}).get("controls", [])
    said = [control for control in controls if "core" in control["name"] and not control["held"]]
    refused = inside.code == 125 and b"core_pattern" in inside.err
    t.check(refused or inside.code == 139, f"it didn't crash: {inside}")
    t.check(not seen or said or refused, "a crash inside connected to the host's socket, and the record says nothing of it")


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


# ---------------------------------------------------------------------------------------------------------------------

def cases():
    """(number, title, function): T, L, D."""
    found = [(name[0].upper() + name[1:], function.__doc__.splitlines()[0], function) for name, function in globals().items() if re.fullmatch(r"[tld]\d+[a-z]?", name)]
    return sorted(found, key=lambda case: ("TLD".index(case[0][0]), case[0]))


def lack(world, who, box):
    """Without the tier sealed there is nothing to try: the case that says so in place of each. None where it is there."""
    case = harness.Case(world, who, box, "sealed")
    result = case.run("/bin/true", options=SEALED, leaks=False)
    case.finish()
    if result.code != 125:
        return None

    def missing(t):
        raise Skip(result.err.decode("utf-8", "replace").strip())
    return missing


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aegix", metavar="PATH", help="the binary (default: dist/aegix)")
    parser.add_argument("--only", metavar="CASES", help="these cases, separated by commas")
    parser.add_argument("--list", action="store_true", help="print the cases and end")
    asked = parser.parse_args()
    if asked.list:
        for number, title, _ in cases():
            print(f"{number:<4} {title}")
        return 0
    chosen = cases()
    if asked.only:
        names = {name[:1].upper() + name[1:].lower() for name in asked.only.split(",")}
        unknown = names - {number for number, _, _ in chosen}
        if unknown:
            sys.exit(f"limits: no such case: {', '.join(sorted(unknown))}")
        chosen = [case for case in chosen if case[0] in names]

    harness.become_subreaper()
    world = harness.World(conformance.binary(asked.aegix))
    home = os.path.join(world.base, "home")
    os.mkdir(home)
    who = harness.Identity("root" if os.geteuid() == 0 else "user", os.geteuid(), os.getegid(), home)
    box = harness.Aegix(world, who)
    count = {"ok": 0, "FAILED": 0, "skipped": 0}
    try:
        without = lack(world, who, box)
        for number, title, function in chosen:
            started = time.monotonic()
            verdict, said = conformance.run_one(world, who, box, number, without if without and number[0] in "TL" else function)
            count[verdict] += 1
            print(f"{number:<4} {title + ' ':.<98} {verdict:<8} {time.monotonic() - started:5.1f} s")
            for line in (line for text in said for line in text.splitlines()):
                print(f"       {line}")
            sys.stdout.flush()
    finally:
        world.close()
    print(f"{count['ok']} passed, {count['FAILED']} failed, {count['skipped']} skipped")
    return 1 if count["FAILED"] or not count["ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
