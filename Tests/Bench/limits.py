#!/usr/bin/env python3
"""How closely limits hold: memory seen by a sampler from outside, the end at the wall, the watchdog's cost while nothing happens.

    Tests/Bench/limits.py --aegix dist/aegix [--rounds N]

The worst of all rounds counts. Exits 1 when a figure is missed. Started by root it measures as root and as an ordinary user.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BOMBS = HERE.parent / "Conformance" / "probes" / "bombs.c"
PYTHON = "/usr/bin/python3"
MIB = 1 << 20
MEMORY = 64 * MIB
# Of a process that the kernel refuses more, RSS holds a little besides: its stack, its libraries' data.
ONE, MANY, OVER, WALL, IDLE = 68.0, 160.0, 60.0, 100.0, 1.0


class Figures:
    def __init__(self):
        self.missed = False

    def show(self, title, value, unit, limit=None, note=""):
        wrong = limit is not None and value > limit
        self.missed |= wrong
        told = "" if limit is None else f"{limit:8.1f}"
        print(f"  {title:62} {value:8.2f} {unit:4} {told:>8}{'  MISSED' if wrong else ''}{note and '  ' + note}")

    def fault(self, text):
        self.missed = True
        print(f"  {text}  MISSED")


class Bench:
    def __init__(self, aegix, scratch, rounds):
        self.scratch, self.rounds = scratch, rounds
        self.workspace = scratch / "workspace"
        self.workspace.mkdir()
        self.state = scratch / "state"
        self.aegix = [aegix, "--quiet", "--state-dir", str(self.state), "--workspace", str(self.workspace), "--read", str(scratch / "bombs")]
        for source, target in ((HERE / "sampler.c", "sampler"), (BOMBS, "bombs")):
            subprocess.run(["gcc", "-O1", "-w", "-pthread", "-o", str(scratch / target), str(source)], check=True)

    def policy(self, text):
        path = self.scratch / "policy.toml"
        path.write_text(f'version = 1\nname = "bench"\n[limits]\n{text}')
        return ["--policy", str(path)]

    def sampled(self, policy, *command, limit=MEMORY):
        line = [str(self.scratch / "sampler"), str(limit), *self.aegix, *self.policy(policy), "--", *command]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              cwd=self.workspace, timeout=60)
        return json.loads(done.stdout.splitlines()[-1])

    def outcome(self):
        newest = sorted((self.state / "runs").iterdir())[-1]
        return json.loads((newest / "audit.json").read_text())["outcome"]


def memory(bench, figures):
    """Each bomb takes what it can up to 512 MiB; the first kinds in one process, the others in many."""
    bombs = str(bench.scratch / "bombs")
    for kind, words, many in (("one process, step by step", ["anon", "512"], False), ("one process, at once", ["giant", "512"], False),
                              ("one process, its heap", ["heap", "512"], False),
                              ("many processes of 4 MiB, one after the other", ["small", "512"], True),
                              ("8 processes at once", ["crowd", "8"], True), ("64 processes at once", ["crowd", "64"], True),
                              ("shared anonymous memory", ["shared", "512"], True), ("8 processes after 3 idle seconds", ["crowd", "8", "3000"], True)):
        hold = "500"
        command = [bombs, *words[:2], hold, *words[2:]]
        seen = []
        for _ in range(bench.rounds):
            seen.append(bench.sampled('memory = "64MiB"\nwall = "30s"\n', *command))
            outcome = bench.outcome()
            if outcome["limit"] != "memory":
                figures.fault(f"{kind}: the limit in the record is {outcome['limit']}, exit {seen[-1]['exit']}")
        worst = max(one["longest_gap_ms"] for one in seen)
        late = sum(one["late"] for one in seen) / sum(one["samples"] for one in seen)
        note = f"sampled every ms; {late:.1%} later than 2 ms, at worst {worst:.1f} ms"
        if many:
            figures.show(f"{kind}: most together", max(one["most_all"] for one in seen) / MIB, "MiB", MANY, note)
            figures.show(f"{kind}: from passing the limit until all are gone", max(one["over_to_gone_ms"] for one in seen), "ms", OVER)
        else:
            figures.show(f"{kind}: most of one", max(one["most_one"] for one in seen) / MIB, "MiB", ONE, note)
    # The controls: without a limit the sampler sees all of it, and what fits isn't stopped.
    free = bench.sampled('wall = "30s"\n', bombs, "anon", "256", "100")
    if not 250 < free["most_one"] / MIB < 270 or free["exit"] != 0:
        figures.fault(f"the control: without a limit the sampler sees {free['most_one'] / MIB:.0f} of 256 MiB, exit {free['exit']}")
    fitting = bench.sampled('memory = "64MiB"\nwall = "30s"\n', bombs, "anon", "56", "100")
    if not 54 < fitting["most_one"] / MIB < 62 or fitting["exit"] != 0:
        figures.fault(f"the control: of 56 MiB under 64 MiB there were {fitting['most_one'] / MIB:.0f}, exit {fitting['exit']}")


def wall(bench, figures):
    for title, policy, script, end in (
            ("wall = 300 ms, no grace", 'wall = "300ms"\n', "while :; do :; done", 300),
            ("wall = 300 ms, grace = 300 ms, deaf to SIGTERM", 'wall = "300ms"\ngrace = "300ms"\n', "trap '' TERM; while :; do :; done", 600),
            ("wall = 300 ms, 100 processes, memory = 64 MiB, pids = 200", 'wall = "300ms"\nmemory = "64MiB"\npids = 200\n',
             "i=0; while [ $i -lt 100 ]; do sleep 60 & i=$((i+1)); done; wait", 300)):
        line = [*bench.aegix, *bench.policy(policy), "--cmd", script]
        late = []
        for _ in range(bench.rounds):
            started = time.monotonic()
            done = subprocess.run(line, stdin=subprocess.DEVNULL, cwd=bench.workspace, timeout=30)
            late.append((time.monotonic() - started) * 1000 - end)
            if done.returncode != 124 or late[-1] < -1:
                figures.fault(f"{title}: exit {done.returncode} after {end + late[-1]:.0f} ms")
        figures.show(f"{title}: over after", max(late), "ms", WALL)


def idle(bench, figures):
    """CPU time of the supervisor and of pid 1 while the command sleeps for ten seconds."""
    def used(pid):
        # user and system together, in nanoseconds; schedstat counts a process' first thread, and there is one
        return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])

    for title, policy in (("no limits", ""), ("memory, pids, disk", 'memory = "64MiB"\npids = 64\ndisk = "64MiB"\n'),
                          ("memory, pids, disk, cpus, cpu_time, open_files", 'memory = "64MiB"\npids = 64\ndisk = "64MiB"\ncpus = 0.5\ncpu_time = "5s"\nopen_files = 64\n')):
        line = [*bench.aegix, *bench.policy(policy), "--cmd", "echo up; exec sleep 10"]
        child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=bench.workspace)
        child.stdout.readline()
        began, before = time.monotonic(), used(child.pid)
        inner = pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        first = used(inner[0]) if inner else 0
        while time.monotonic() - began < 9.5 and child.poll() is None:
            time.sleep(0.1)
        passed = (time.monotonic() - began) * 1e9
        share = (used(child.pid) - before) / passed * 100
        inside = (used(inner[0]) - first) / passed * 100 if inner else 0
        if child.wait(timeout=20) != 0:
            figures.fault(f"sleep 10 with {title}: exit {child.returncode}")
        figures.show(f"the supervisor during `sleep 10`, {title}", share, "%", IDLE, f"pid 1: {inside:.3f} %")


def as_user(arguments):
    """The same as an ordinary user, on copies that it can read."""
    with tempfile.TemporaryDirectory() as copies:
        os.chmod(copies, 0o755)
        root = pathlib.Path(copies)
        (root / "Bench").mkdir()
        (root / "Conformance" / "probes").mkdir(parents=True)
        for name in ("limits.py", "sampler.c"):
            shutil.copy(HERE / name, root / "Bench")
        for source in (BOMBS, BOMBS.parent / "probe.h"):
            shutil.copy(source, root / "Conformance" / "probes")
        binary = shutil.copy(arguments.aegix, root / "aegix")
        words = [str(HERE.parent / "as-user.sh"), PYTHON, str(root / "Bench" / "limits.py"), *sys.argv[1:], "--aegix", str(binary)]
        return subprocess.run(words, stdin=subprocess.DEVNULL, cwd=copies).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--aegix", default="dist/aegix", help="the binary to measure")
    parser.add_argument("--rounds", type=int, default=10, help="runs of each")
    parser.add_argument("--only", default="", help="memory, wall, idle")
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(",")))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    root, figures = os.geteuid() == 0, Figures()
    # Not under /tmp, which every sandbox has of its own.
    with tempfile.TemporaryDirectory(prefix="aegix-limits.", dir="/var/tmp") as scratch:
        bench = Bench(os.path.abspath(arguments.aegix), pathlib.Path(scratch), arguments.rounds)
        print(f"\nlimits as {'root' if root else 'an ordinary user'}: the worst of {arguments.rounds}\n  {'':62} {'':8} {'':4} {'limit':>8}")
        for part in (memory, wall, idle):
            if not only or part.__name__ in only:
                part(bench, figures)
                sys.stdout.flush()
    if root and as_user(arguments) != 0:
        figures.missed = True
    return 1 if figures.missed else 0


if __name__ == "__main__":
    sys.exit(main())
