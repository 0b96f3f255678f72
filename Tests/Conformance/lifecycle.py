"""R: the end of things. Nothing survives, nothing stays behind, the record is closed."""

import hashlib
import json
import os
import random
import signal
import subprocess
import time

from harness import KERNEL, alone, cgroups, descendants, end_tree, mounts, reap, wait_until

# What may lie in a state directory and in a run's: anything else is a temporary file that somebody forgot.
RUN_FILES = {"audit.json", "events.jsonl", "stdout.log", "stderr.log", "policy.toml", "layer", "artifacts", "manifest.json",
             "changes.jsonl"}
STATE_FILES = {"runs", "sandboxes", "ledger.jsonl", "keys", "cache", "live", "trust"}
LIMITS = '[limits]\nmemory = "256MiB"\npids = 64\ndisk = "64MiB"\ncpus = 1.5\ncpu_time = "30s"\n'


@alone
def r2(t):
    """double fork, setsid, ignored SIGTERM, stopped: all gone at the deadline, stdout ends"""
    probe = t.probe("survivors")
    for argv, deadline, code in (([probe, "straggler"], 1, 124), ([probe, "leave", "straggler"], None, 0)):
        started = time.monotonic()
        result = t.run(*argv, timeout=deadline, deadline=20)
        took = time.monotonic() - started
        t.check(result.code == code, f"{argv[1]}: {result}")
        t.check("ready" in result.text, f"{argv[1]}: the stragglers weren't made: {result}")
        t.check(took < 4, f"{argv[1]}: stdout reached its end after {took:.1f} s")
        if t.box.name == "aegix":
            t.check(result.status == ("timed_out" if deadline else "exited"), f"{argv[1]}: outcome {result.status}")
            if deadline:
                t.check(result.record["outcome"].get("limit") == "wall", f"the limit isn't named: {result.record['outcome']}")
    if t.box.name != "aegix":
        return
    # SIGTERM first where there is grace; over by wall + grace all the same.
    text = '[limits]\nwall = "500ms"\ngrace = "700ms"\n'
    result = t.sh("trap 'echo heard; exit 0' TERM; echo up; while :; do sleep 0.05; done", policy=text, deadline=10)
    t.check(result.code == 124 and "heard" in result.text, f"with grace SIGTERM should be heard: {result}")
    result = t.sh("trap '' TERM; echo up; while :; do sleep 0.05; done", policy=text, deadline=10)
    t.check(result.code == 124 and 1.0 < result.seconds < 3, f"deaf to SIGTERM, with grace: {result}, {result.seconds:.2f} s")
    # Stopped itself: the supervisor's deadline holds, and so does pid 1's when the supervisor is stopped.
    result = t.sh("kill -STOP $$", timeout=1, deadline=10)
    t.check(result.code == 124, f"a stopped command: {result}")
    child = t.box.spawn(["/bin/sh", "-c", "echo up; exec sleep 30"], t, timeout=1)
    child.stdout.readline()
    os.kill(child.pid, signal.SIGSTOP)
    inner = [pid for pid, (state, _) in below(child.pid).items() if state != "Z"]
    t.check(inner, "no process of the sandbox found")
    gone = wait_until(lambda: all(s == "Z" for s, _ in below(child.pid).values()), 4)
    t.check(gone, f"with the supervisor stopped the sandbox outlives its deadline: {below(child.pid)}")
    os.kill(child.pid, signal.SIGCONT)
    child.communicate(timeout=10)
    t.check(child.returncode == 124, f"a supervisor that was stopped over the deadline: exit {child.returncode}")


def below(pid):
    """The descendants of one process."""
    found, all_of_them, queue = {}, descendants(), [pid]
    while queue:
        try:
            with open(f"/proc/{queue[0]}/task/{queue[0]}/children") as f:
                children = [int(c) for c in f.read().split()]
        except OSError:
            children = []
        found.update({c: all_of_them[c] for c in children if c in all_of_them})
        queue = queue[1:] + children
    return found


@alone
def r3(t):
    """aegix killed with SIGKILL at every stage: nothing left, the record closed afterwards"""
    script = "echo some > file; mkdir -p a/b; (setsid sleep 60 &) ; echo tmp > /tmp/file; sleep 0.07; echo out; exec sleep 0.02"
    # All limits are on, so that whatever holds them is there to be left behind.
    held = {"policy": LIMITS} if t.box.name == "aegix" else {}
    # The fastest of three: a machine that was busy for a moment would put most of the moments after the end.
    whole = min((t.sh(script, **held) for _ in range(3)), key=lambda run: run.seconds)
    t.ran(whole)
    known, mounted, groups = set(descendants()), mounts(), cgroups()
    survivors, caught, rng = [], 0, random.Random(int(os.environ.get("AEGIX_SEED", "7")))
    moments = sorted(rng.uniform(0, whole.seconds * 1.05) for _ in range(50))
    for moment in moments:
        child = t.box.spawn(["/bin/sh", "-c", script], t, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **held)
        time.sleep(moment)
        child.kill()
        child.wait()
        caught += bool(t.box.name == "aegix" and [r for r in t.run_ids() if t.record_of(r) is None])
        gone = wait_until(lambda: (reap(known), not {p for p, (s, _) in descendants().items() if p not in known and s != "Z"})[1], 3, 0.002)
        if not gone:
            survivors.append((round(moment * 1000, 1), {p: (d, where(p)) for p, d in descendants().items() if p not in known}))
            end_all(known)
            wait_until(lambda: (reap(known), not set(descendants()) - known)[1], 3)
    reap(known)
    t.check(not survivors, f"alive after SIGKILL, by milliseconds: {survivors[:5]}")
    t.check(mounts() == mounted, f"mounts left behind: {sorted(set(mounts()) - set(mounted))}")
    t.check(not os.listdir(t.world.scratch_of(t.identity)), "temporary files left behind")
    if t.box.name != "aegix":
        return
    # Each run closed the one before it: what is open now is what the last one left.
    t.check(caught >= 10, f"only {caught} of {len(moments)} runs were caught open: the moments were too early or too late")
    open_ones = [r for r in t.run_ids() if t.record_of(r) is None]
    listed = t.aegix("history", "--state-dir", t.state, "--json", "--limit", "200")
    t.check(listed.code == 0, f"history after the kills: {listed}")
    wait_until(lambda: cgroups() <= groups, 1)
    t.check(cgroups() <= groups, f"cgroups left behind after the next command: {sorted(cgroups() - groups)}")
    states = {r: (t.record_of(r) or {}).get("outcome", {}).get("status") for r in t.run_ids()}
    # One that was killed before its first event has run nothing and is cleared away; the ledger's check below covers it.
    interrupted = list(states.values()).count("interrupted")
    t.check(interrupted >= 10, f"of {caught} open runs only {interrupted} are closed as interrupted")
    wrong = {r: s for r, s in states.items() if s not in ("interrupted", "exited")}
    t.check(not wrong, f"records not closed: {list(wrong.items())[:5]} of {len(states)}")
    t.check(all(states[r] == "interrupted" for r in open_ones), "a run that was killed is closed as something else")
    left = set(os.listdir(t.state)) - STATE_FILES
    t.check(not left, f"in the state directory: {left}")
    t.check(not os.path.isdir(f"{t.state}/live") or not os.listdir(f"{t.state}/live"), "closed runs still count as alive")
    for run_id in t.run_ids():
        left = set(os.listdir(os.path.join(t.state, "runs", run_id))) - RUN_FILES
        t.check(not left, f"in {run_id}: {left}")
        t.check(os.path.exists(os.path.join(t.state, "runs", run_id, "manifest.json")), f"{run_id} was closed without a manifest")
    with open(os.path.join(t.state, "ledger.jsonl")) as f:
        lines = [json.loads(line) for line in f]
    # A run that was killed before its start entry has run nothing; its closing entry is there all the same.
    started = {line["run"] for line in lines if line["kind"] == "start"}
    closed = {line["run"] for line in lines if line["kind"] != "start"}
    t.check(closed >= set(states), f"the ledger doesn't close {set(states) - closed}")
    ran = {r for r in states if (t.record_of(r) or {}).get("processes")}
    t.check(ran <= started, f"ran without a start entry: {ran - started}")
    t.ran(t.sh("true"))


def where(pid):
    """Where a process waits, for the message."""
    told = []
    for name in ("wchan", "syscall"):
        try:
            with open(f"/proc/{pid}/{name}") as f:
                told.append(f.read().split("\n")[0])
        except OSError:
            pass
    return told


def end_all(known):
    for pid in descendants():
        if pid not in known:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


@alone
def r4(t):
    """10,000 orphans: reaped"""
    policy = '[limits]\nexecs = 100\n' if t.box.name == "aegix" else None
    result = t.run(t.probe("survivors"), "orphans", "10000", policy=policy, deadline=60)
    t.ran(result)
    t.check(result.attempts.get("made") == "10000", f"not all were made: {result}")
    t.check(result.attempts.get("zombies") == "0", f"zombies in view: {result.attempts.get('zombies')}")
    t.check(result.seconds < 40, f"10,000 orphans took {result.seconds:.0f} s")


def r5(t):
    """cgroup creation from inside: denied"""
    files, calls = t.probe("files"), t.probe("namespaces")
    spots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/systemd"]
    if t.identity.root and os.path.ismount("/sys/fs/cgroup"):
        real = next((s for s in spots[1:] + spots[:1] if os.path.exists(f"{s}/cgroup.procs")), None)
        if real:
            bare = t.outside(files, "mkdir", f"{real}/aegix-probe-{os.getpid()}")
            try:
                os.rmdir(f"{real}/aegix-probe-{os.getpid()}")
            except OSError:
                pass
            t.works_outside(bare, f"mkdir {real}/aegix-probe-{os.getpid()}")
    inside = t.run(files, "mkdir", "control", *sum((["mkdir", f"{s}/aegix-probe", "reach", f"{s}/cgroup.procs", "reach", f"{s}/cgroup.subtree_control"] for s in spots), []))
    t.ran(inside)
    t.verdict(inside, "mkdir control", "ok")
    for name, verdict in inside.attempts.items():
        if name != "mkdir control":
            t.check(verdict in ("ENOENT", "EROFS", "EACCES", "EPERM"), f"{name}: {verdict}")
    inside = t.run(calls, "safe")
    t.refused(inside, "unshare(user+cgroup)", "EPERM", call="unshare")
    t.refused(inside, "mount(tmpfs)", "EPERM", call="mount")
    t.check("aegix-probe" not in t.sh("cat /proc/self/cgroup").text, "the sandbox's cgroup isn't its own")


def r6(t):
    """SIGCHLD ignored, closed stdio, deleted cwd, full disk, read-only state directory"""
    t.only_aegix()
    line = t.box.command(["/bin/sh", "-c", "cat; echo out; echo err >&2; exit 5"], t)

    def direct(preexec=None, **how):
        known = set(descendants())
        child = subprocess.Popen(how.pop("line", line), env=how.pop("env", t.box.environment(None)), cwd=how.pop("cwd", t.workspace), preexec_fn=preexec,
                                 stdin=how.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 start_new_session=True, **how, **t.identity.options())
        try:
            out, err = child.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            end_tree(child, known)
            out = err = b"(hung)"
        left = {p: d for p, d in descendants().items() if p not in known}
        t.check(not left, f"left behind: {left}")
        reap(known)
        return child.returncode, out, err

    # Signals as a careless caller leaves them: ignored, or all blocked.
    for name, how in (("SIGCHLD ignored", lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)),
                      ("SIGPIPE ignored", lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN)),
                      ("all ignored", lambda: [signal.signal(s, signal.SIG_IGN) for s in range(1, 32) if s not in (9, 19)]),
                      ("all blocked", lambda: signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()))):
        told = direct(how)
        t.check(told == (5, b"out\n", b"err\n"), f"{name}: {told}")
    told = direct(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()), line=t.box.command(["/bin/sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status"], t))
    t.check(told[1].split()[1:4:2] == [b"0" * 16] * 2, f"the command inherits the caller's signal mask: {told}")

    # Descriptors closed, one by one and all: a correct run, and no file of aegix's taken for stdout.
    for closed in ((0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)):
        before = t.run_ids()
        code, out, err = direct(lambda: [os.close(fd) for fd in closed])
        t.check(code in (5, 125), f"without {closed}: exit {code}, {out!r}, {err!r}")
        if code == 5:
            t.check(out == (b"" if 1 in closed else b"out\n"), f"without {closed}: stdout {out!r}")
            t.check(b"err\n" in err or 2 in closed, f"without {closed}: stderr {err!r}")
            fresh = sorted(t.run_ids() - before)
            record = t.record_of(fresh[-1]) if fresh else None
            t.check(record and record["outcome"]["exit_code"] == 5, f"without {closed}: the record is {record and record.get('outcome')}")
            for name in ("ledger.jsonl",):
                text = t.read(os.path.join(t.state, name))
                t.check("out\n" not in text.splitlines(), f"without {closed}: the command's output is in {name}")
        elif 2 not in closed:
            t.check(err.count(b"\n") == 1, f"without {closed}: not one clear line: {err!r}")

    # The working directory is gone: an error that says so, or a run where it doesn't matter.
    def deleted(given):
        gone = os.path.join(t.dir, "gone")
        os.mkdir(gone)
        t.own(gone)
        words = " ".join(f"'{w}'" for w in given)
        return direct(line=["/bin/sh", "-c", f"cd '{gone}' && rmdir '{gone}' && exec {words}"], cwd="/")
    code, out, err = deleted([t.world.aegix, "run", "--state-dir", t.state, "--", "/bin/true"])
    t.check(code == 125 and err.count(b"\n") == 1, f"in a deleted directory: {code}, {err!r}")
    code, out, err = deleted([t.world.aegix, "run", "--state-dir", t.state, "--workspace", t.workspace, "--", "/bin/echo", "hi"])
    t.check((code, out) == (0, b"hi\n") or code == 125 and err.count(b"\n") == 1, f"in a deleted directory, with --workspace: {code}, {out!r}, {err!r}")

    # A state directory that can't be written, or doesn't fit.
    crowded(t)
    code, out, err = direct(line=[t.world.aegix, "run", "--state-dir", "/proc/nowhere", "--", "/bin/echo", "hi"])
    t.check(code == 125 and not out and err.count(b"\n") == 1, f"a state directory in /proc: {code}, {out!r}, {err!r}")
    code, out, err = direct(line=[t.world.aegix, "run", "--state-dir", t.file("plain"), "--", "/bin/echo", "hi"])
    t.check(code == 125 and not out and err.count(b"\n") == 1, f"a file as state directory: {code}, {out!r}, {err!r}")


def crowded(t):
    """A read-only state directory; a disk that is full at the start, and one that fills during the run."""
    small = t.mkdir("small")
    # In a mount namespace of its own, as root, or as root of a user namespace; the last word becomes the caller again.
    owner = t.identity
    if os.geteuid() == 0:
        outer = ["unshare", "--mount", "--propagation", "private", "--"]
        caller = "" if owner.root else f"setpriv --reuid {owner.uid} --regid {owner.gid} --clear-groups -- "
        mounting = f"mount -t tmpfs -o size=%s,mode=700,uid={owner.uid},gid={owner.gid} none '{small}' && %s"
    else:
        outer = ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private", "--"]
        caller = f"unshare --user --map-user={owner.uid} --map-group={owner.gid} -- "
        mounting = f"mount -t tmpfs -o size=%s,mode=700 none '{small}' && %s"

    def private(script):
        known = set(descendants())
        child = subprocess.Popen([*outer, "/bin/sh", "-c", script], cwd=t.workspace, env=t.box.environment(None),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            end_tree(child, known)
            out = err = b"(hung)"
        left = {p: d for p, d in descendants().items() if p not in known}
        t.check(not left, f"left behind: {left}")
        return child.returncode, out, err

    def run(*command, workspace=t.workspace):
        line = (t.world.aegix, "run", "--state-dir", f"{small}/state", "--workspace", workspace, "--", *command)
        return caller + " ".join(f"'{w}'" for w in line)
    code, out, err = private(mounting % ("1m", run("/bin/echo", "fits")))
    if owner.root and KERNEL < (6, 3) and code == 125 and b"id-mapped mounts" in err:
        t.note("this kernel's tmpfs has no id-mapped mounts, which root needs: no full disk was tried")
        return
    t.check((code, out) == (0, b"fits\n"), f"the control: a small disk that suffices: {code}, {out!r}, {err!r}")
    if code != 0:
        return
    code, out, err = private(mounting % ("1m", f"mount -o remount,bind,ro '{small}' && " + run("/bin/echo", "hi")))
    t.check(code == 125 and not out and b"read-only" in err.lower() and err.count(b"\n") == 1, f"a read-only state directory: {code}, {out!r}, {err!r}")
    code, out, err = private(mounting % ("64k", f"cat /dev/zero > '{small}/filler' 2>/dev/null; chmod 777 '{small}'; " + run("/bin/echo", "hi")))
    t.check(code == 125 and not out and b"space" in err and err.count(b"\n") == 1, f"a full disk at the start: {code}, {out!r}, {err!r}")
    # During the run: the caller gets every byte; what couldn't be recorded is said, with 123.
    code, out, err = private(mounting % ("256k", run("/usr/bin/head", "-c", "1000000", "/dev/zero")))
    t.check(code == 123 and len(out) == 1000000 and b"space" in err, f"a disk that fills during the run: {code}, {len(out)} bytes, {err!r}")
    # The command fills it by way of its layer: that is the command's error, ENOSPC; aegix keeps its word, or says with 123 that it can't.
    filling = "head -c 4000000 /dev/zero > big; echo told $?; rm -f big; echo after > small; cat small"
    code, out, err = private(mounting % ("1m", run("/bin/sh", "-c", filling) + f"; code=$?; cat '{small}'/state/runs/*/audit.json; exit $code"))
    t.check(code in (0, 123) and out.startswith(b"told 1\nafter\n") and b"No space left" in err, f"a layer that fills the disk: {code}, {out[:200]!r}, {err!r}")
    t.check(b'"status":"exited"' in out or code == 123 and b"space" in err, f"a layer that fills the disk: {code}, no record: {out[:200]!r}, {err!r}")


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@alone
def r7(t):
    """SIGINT, SIGTERM, SIGHUP, SIGQUIT: the sandbox ends first, the record is complete, signal told"""
    t.only_aegix()
    for number in ENDING:
        for script in ("echo up; sleep 60", "trap '' INT TERM HUP QUIT; echo up; (setsid sleep 60 &); while :; do sleep 0.1; done"):
            before, known, mounted = t.run_ids(), set(descendants()), mounts()
            child = t.box.spawn(["/bin/sh", "-c", script], t, policy=LIMITS)
            child.stdout.readline()
            started = time.monotonic()
            child.send_signal(number)
            try:
                child.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                t.check(False, f"{number.name}: still running after 10 s")
                end_tree(child, known)
                continue
            took = time.monotonic() - started
            left = {p: d for p, d in descendants().items() if p not in known}
            t.check(not left, f"{number.name}: the sandbox didn't end first: {left}")
            reap(known)
            t.check(mounts() == mounted, f"{number.name}: mounts left behind")
            t.check(child.returncode in (128 + number, -number), f"{number.name}: exit {child.returncode}, not {128 + number}")
            t.check(took < 3, f"{number.name}: the end took {took:.1f} s")
            fresh = sorted(t.run_ids() - before)
            outcome = (t.record_of(fresh[-1]) or {}).get("outcome", {}) if fresh else {}
            t.check(outcome.get("status") == "interrupted" and outcome.get("signal") in (int(number), number.name, str(int(number))),
                    f"{number.name}: the record says {outcome}")
            if fresh:
                t.check(os.path.exists(os.path.join(t.state, "runs", fresh[-1], "manifest.json")), f"{number.name}: no manifest")
                t.check(t.read(os.path.join(t.state, "runs", fresh[-1], "stdout.log")) == "up\n", f"{number.name}: the log lacks what was shown")
    interrupted_twice(t)
    interrupted_early(t)


def interrupted_twice(t):
    """With grace the first signal is passed on; the second means now. Whichever comes second, the first is the one that is told."""
    for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGQUIT)):
        before, known = t.run_ids(), set(descendants())
        child = t.box.spawn(["/bin/sh", "-c", "trap 'echo heard' INT TERM HUP QUIT; echo up; while :; do sleep 0.05; done"], t,
                            policy=LIMITS + 'grace = "1500ms"\n')
        child.stdout.readline()
        started = time.monotonic()
        child.send_signal(first)
        child.stdout.readline()
        child.send_signal(second)
        try:
            child.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            t.check(False, f"{first.name}, {second.name}: still running after 10 s")
            end_tree(child, known)
            continue
        took = time.monotonic() - started
        left = {p: d for p, d in descendants().items() if p not in known}
        t.check(not left, f"{first.name}, {second.name}: left behind: {left}")
        t.check(took < 3, f"{first.name}, {second.name}: the end took {took:.1f} s")
        t.check(child.returncode == 128 + first, f"{first.name}, {second.name}: exit {child.returncode}")
        fresh = sorted(t.run_ids() - before)
        outcome = (t.record_of(fresh[-1]) or {}).get("outcome", {}) if fresh else {}
        t.check(outcome.get("status") == "interrupted" and outcome.get("signal") == int(first), f"{first.name}, {second.name}: {outcome}")
    reap()


def interrupted_early(t):
    """While the sandbox is being made: the same, or nothing has happened at all."""
    known, mounted, groups = set(descendants()), mounts(), cgroups()
    control = t.sh("echo ran; sleep 0.02", policy=LIMITS)
    t.ran(control)
    rng, told = random.Random(int(os.environ.get("AEGIX_SEED", "7"))), []
    for turn in range(40):
        before, number = t.run_ids(), ENDING[turn % len(ENDING)]
        child = t.box.spawn(["/bin/sh", "-c", "echo ran; sleep 0.02"], t, policy=LIMITS)
        moment = rng.uniform(0, control.seconds * 0.8)
        time.sleep(moment)
        child.send_signal(number)
        if turn % 3 == 0:
            child.send_signal(number)
        try:
            child.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            t.check(False, f"{number.name} after {moment * 1000:.1f} ms: still running after 10 s")
            end_tree(child, known)
            continue
        left = {p: d for p, d in descendants().items() if p not in known}
        t.check(not left, f"{number.name} after {moment * 1000:.1f} ms: left behind: {left}")
        reap(known)
        states = [(t.record_of(r) or {}).get("outcome") for r in sorted(t.run_ids() - before)]
        state = states[-1] if states else None
        told.append(state and state["status"])
        if child.returncode == -number:  # before aegix took its signals in hand: nothing ran, the next command closes the record
            t.check(state is None, f"{number.name} after {moment * 1000:.1f} ms: died of it, and the record says {state}")
            continue
        ended = child.returncode == 0 and state and state["status"] == "exited"
        t.check(ended or child.returncode == 128 + number and state and (state["status"], state["signal"]) == ("interrupted", int(number)),
                f"{number.name} after {moment * 1000:.1f} ms: exit {child.returncode}, the record says {state}")
    t.check(told.count("interrupted") >= 10, f"too few were caught at work: {told}")
    t.check(mounts() == mounted, "mounts left behind")
    closing = t.aegix("history", "--state-dir", t.state, "--json", "--limit", "1")
    t.check(closing.code == 0, f"history afterwards: {closing}")
    t.check(all((t.record_of(r) or {}).get("outcome", {}).get("status") in ("interrupted", "exited") for r in t.run_ids()), "a record isn't closed")
    wait_until(lambda: cgroups() <= groups, 1)
    t.check(cgroups() <= groups, f"cgroups left behind: {sorted(cgroups() - groups)}")
    t.check(not os.path.isdir(f"{t.state}/live") or not os.listdir(f"{t.state}/live"), "closed runs still count as alive")


def whole_ledger(t):
    """The ledger's lines, each of which must carry the digest of the one before."""
    with open(os.path.join(t.state, "ledger.jsonl"), "rb") as f:
        lines = f.read().split(b"\n")
    t.check(lines.pop() == b"", "the ledger doesn't end with its last line")
    previous, entries = "0" * 64, [json.loads(line) for line in lines]
    for number, (line, entry) in enumerate(zip(lines, entries), 1):
        if not t.check(entry["seq"] == number and entry["prev"] == previous, f"line {number} of the ledger doesn't follow the one before"):
            break
        previous = hashlib.sha256(line).hexdigest()
    for entry in entries:
        if entry["kind"] == "finish":
            record = t.read(os.path.join(t.state, "runs", entry["run"], "audit.json"), "rb")
            t.check(hashlib.sha256(record).hexdigest() == entry["audit"], f"{entry['run']}: the ledger has another digest of the record")
    return entries


def settled(t, expected, known, mounted, groups):
    """After many runs: all recorded once, with their own output, and nothing of any kind left."""
    left = {p: d for p, d in descendants().items() if p not in known}
    t.check(not left, f"left behind: {left}")
    reap(known)
    t.check(mounts() == mounted, f"mounts left behind: {sorted(set(mounts()) - set(mounted))}")
    wait_until(lambda: cgroups() <= groups, 2)
    t.check(cgroups() <= groups, f"cgroups left behind: {sorted(cgroups() - groups)}")
    t.check(not os.listdir(t.world.scratch_of(t.identity)), "temporary files left behind")
    t.check(not os.listdir(t.workspace), f"in the workspace: {os.listdir(t.workspace)[:5]}")
    t.check(not set(os.listdir(t.state)) - STATE_FILES, f"in the state directory: {set(os.listdir(t.state)) - STATE_FILES}")
    t.check(not os.path.isdir(f"{t.state}/live") or not os.listdir(f"{t.state}/live"), "runs that are over still count as alive")
    ids = t.run_ids()
    t.check(len(ids) == expected, f"{len(ids)} of {expected} runs are recorded")
    entries = whole_ledger(t)
    for kind in ("start", "finish"):
        runs = [e["run"] for e in entries if e["kind"] == kind]
        t.check(sorted(runs) == sorted(ids), f"{len(runs)} {kind} entries for {len(ids)} runs")
    odd = set()
    for run_id in ids:
        record = t.record_of(run_id) or {}
        log = t.read(os.path.join(t.state, "runs", run_id, "stdout.log"))
        argv = (record.get("command") or {}).get("argv", [])
        if record.get("outcome", {}).get("status") != "exited" or not argv or log != f"{argv[-1]}\n":
            odd.add(run_id)
        odd |= {run_id for name in os.listdir(os.path.join(t.state, "runs", run_id)) if name not in RUN_FILES}
    t.check(not odd, f"{len(odd)} runs with a wrong record, log or file: {sorted(odd)[:3]}")


@alone
def r8(t):
    """200 runs at once: all recorded, nothing left, the ledger's chain is whole"""
    t.only_aegix()
    known, mounted, groups = set(descendants()), mounts(), cgroups()
    policy = t.policy_file(LIMITS)
    line = lambda n: t.box.command(["/bin/sh", "-c", "echo $1 > file; cat file; echo $1 >&2", "sh", f"run {n}"], t, options=["--policy", policy, "--quiet"])
    started = time.monotonic()
    children = [subprocess.Popen(line(n), cwd=t.workspace, env=t.box.environment(None), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, start_new_session=True, **t.identity.options()) for n in range(200)]
    wrong = []
    for n, child in enumerate(children):
        try:
            out, err = child.communicate(timeout=max(1, 90 - (time.monotonic() - started)))
        except subprocess.TimeoutExpired:
            end_tree(child, known)
            out = err = b"(hung)"
        if (child.returncode, out, err) != (0, f"run {n}\n".encode(), f"run {n}\n".encode()):
            wrong.append((n, child.returncode, out, err))
    t.check(not wrong, f"{len(wrong)} of 200 went wrong: {wrong[:3]}")
    t.note(f"{time.monotonic() - started:.1f} s")
    settled(t, 200, known, mounted, groups)


@alone
def r9(t):
    """1,000 runs in a row: all recorded, nothing left, and the next isn't slower than the first in an empty state"""
    t.only_aegix()
    known, mounted, groups = set(descendants()), mounts(), cgroups()
    policy = t.policy_file(LIMITS)
    wrong = []

    def once(n, state=t.state):
        line = t.box.command(["/bin/echo", f"run {n}"], t, options=["--policy", policy])
        started = time.monotonic()
        done = subprocess.run([state if word == t.state else word for word in line], cwd=t.workspace, env=t.box.environment(None),
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=30, **t.identity.options())
        if (done.returncode, done.stdout, done.stderr) != (0, f"run {n}\n".encode(), b""):
            wrong.append((n, done.returncode, done.stdout, done.stderr))
        return time.monotonic() - started

    for n in range(900):
        once(n)
    # By turns, and the fastest of each: what else the machine does is in the rest.
    empty = t.mkdir("empty", 0o700)
    pairs = [(once(900 + n), once(n, empty)) for n in range(100)]
    full, fresh = min(p[0] for p in pairs), min(p[1] for p in pairs)
    t.check(not wrong, f"{len(wrong)} of 1,100 went wrong: {wrong[:3]}")
    t.check(len(os.listdir(f"{empty}/runs")) == 100, "the runs in the other state aren't there")
    t.note(f"a run after 900 others took {full * 1000:.1f} ms, in an empty state {fresh * 1000:.1f} ms")
    t.check(full < fresh * 1.5, f"a run after 900 others took {full * 1000:.1f} ms, in an empty state {fresh * 1000:.1f} ms")
    settled(t, 1000, known, mounted, groups)
