#!/usr/bin/env python3
"""aegix against bubblewrap: wall time by hyperfine, peak memory, the cost of a large workspace and of limits; then limits.py
and layers.py.

    Tests/Bench/bench.py --aegix dist/aegix [--only NAME[,NAME]] [--rounds N]

The candidates run in alternating batches, so that a machine that gets slower or faster in the meantime does so for all.
Started by root it measures as root and as an ordinary user. Exits 1 when a limit is missed. The record is on.
"""

import argparse
import json
import os
import pathlib
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BWRAP = ("bwrap --unshare-all --ro-bind / / --tmpfs /tmp --proc /proc --dev /dev --die-with-parent"
         " --cap-drop ALL --new-session --").split()
LOOP = "i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i+1)); done"
PYTHON = "/usr/bin/python3"
MEGABYTE = 1_000_000
LIMITS = 'version = 1\nname = "bench"\n[limits]\nmemory = "512MiB"\npids = 256\ncpus = 1.5\ndisk = "1GiB"\nopen_files = 512\n'


RULES = 'version = 1\nname = "rules"\n' + "".join(
    f'[[commands.rule]]\nargv = [{words}]\ndecision = "deny"\n' for words in (
        '"git", "push", "**"', '"curl", "**"', '["wget", "nc"], "**"', '"ssh", "**"', '"rm", "-rf", "/"', '"sudo", "**"',
        '"python3", "-c", "*"', '"/usr/sbin/*", "**"', '"npm", "publish", "**"', '"docker", "**"'))


class Bench:
    """One benchmark: what each candidate runs, how often, and the most that the ratio may be."""

    def __init__(self, name, title, command, limit=None, batch=20, batches=10, wrap=None, output="null"):
        self.name, self.title, self.command, self.limit = name, title, command, limit
        self.batch, self.batches, self.wrap, self.output = batch, batches, wrap, output


BENCHES = [
    Bench("true", "/bin/true", ["/bin/true"], limit=0.75, batch=30),
    Bench("python", "python3 -c pass", [PYTHON, "-c", "pass"], batch=15),
    Bench("loop", "500 execs in a shell loop", ["sh", "-c", LOOP], limit=1.08, batch=3, batches=8),
    Bench("stdout", "100 MiB of stdout to /dev/null", ["head", "-c", "104857600", "/dev/zero"], limit=2.5, batch=4),
    # A pipe that somebody reads: both tools' output is moved by the kernel once more.
    Bench("pipe", "100 MiB of stdout to a reader", ["head", "-c", "104857600", "/dev/zero"], limit=2.5, batch=4,
          output="pipe"),
    # A user can't read all of /usr, and find says so by 1.
    Bench("find", "find /usr", ["sh", "-c", "find /usr 2>/dev/null || [ $? = 1 ]"], batch=2, batches=8),
    Bench("parallel", "200 runs, 8 at a time", ["/bin/true"], limit=0.75, batch=2, batches=8,
          wrap="seq 200 | xargs -P 8 -I{{}} {command}"),
]


def hyperfine(commands, runs, output="null", warmup=1, cwd=None):
    """Seconds of each run, by command."""
    with tempfile.NamedTemporaryFile(suffix=".json") as export:
        call = ["hyperfine", "-N", "--style", "none", "--warmup", str(warmup), "--runs", str(runs), "--output", output,
                "--export-json", export.name, *commands]
        done = subprocess.run(call, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True, cwd=cwd)
        if done.returncode != 0:
            failure = subprocess.run(shlex.split(commands[0]), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, text=True, cwd=cwd)
            sys.exit(f"hyperfine failed: {done.stderr.strip()}\n{failure.stderr.strip()}")
        return [result["times"] for result in json.load(open(export.name))["results"]]


def interleaved(commands, batch, batches, output="null", cwd=None):
    """Seconds of each run, by command: batches of all candidates in turn, each time in the other order."""
    times = [[] for _ in commands]
    for number in range(batches):
        order = list(range(len(commands)))
        if number % 2:
            order.reverse()
        for index, found in zip(order, hyperfine([commands[i] for i in order], batch, output, cwd=cwd)):
            times[index] += found
    return times


def measure(aegix, bench, rounds, workspace, reference):
    candidates = [aegix + bench.command, reference + bench.command]
    lines = [shlex.join(words) for words in candidates]
    if bench.wrap:
        lines = [shlex.join(["sh", "-c", bench.wrap.format(command=line)]) for line in lines]
    ours, theirs = interleaved(lines, bench.batch, rounds or bench.batches, bench.output, cwd=workspace)
    return compare(bench.name, bench.title, ours, theirs, bench.limit)


def compare(name, title, ours, theirs, limit):
    return {
        "name": name, "title": title, "limit": limit, "unit": "ms",
        "aegix": {"median": statistics.median(ours) * 1e3, "minimum": min(ours) * 1e3, "runs": len(ours)},
        "reference": {"median": statistics.median(theirs) * 1e3, "minimum": min(theirs) * 1e3, "runs": len(theirs)},
        "ratio": statistics.median(ours) / statistics.median(theirs),
    }


def peak_bytes(words, cwd):
    """The largest process of the run while 100 MiB pass through: the supervisor, as `head` needs 2 MB. By time(1), since
    a child of this interpreter would be charged with the interpreter's own size."""
    with tempfile.NamedTemporaryFile("r") as report:
        command = ["/usr/bin/time", "-o", report.name, "-f", "%M", *words, "head", "-c", "104857600", "/dev/zero"]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=cwd, check=True)
        return int(report.read().split()[-1]) * 1024


def memory(aegix, workspace, reference):
    ours = max(peak_bytes(aegix, workspace) for _ in range(3))
    theirs = max(peak_bytes(reference, workspace) for _ in range(3))
    return {"name": "memory", "title": "peak memory of the supervisor", "limit": 12.0, "unit": "MB",
            "aegix": {"median": ours / MEGABYTE}, "reference": {"median": theirs / MEGABYTE}, "ratio": ours / MEGABYTE}


def crowded(directory, files):
    for number in range(files):
        if number % 1000 == 0:
            part = directory / f"{number // 1000:03}"
            part.mkdir(parents=True)
        (part / f"{number}.txt").touch()
    return directory


def workspaces(aegix, scratch, rounds, files=100_000):
    """The same run in a workspace of 100,000 files and in an empty one: the cost must not follow the size."""
    empty = scratch / "empty"
    empty.mkdir()
    full = crowded(scratch / "full", files)
    full_times, empty_times = [], []
    for _ in range(rounds or 10):
        full_times += hyperfine([shlex.join(aegix + ["/bin/true"])], 20, cwd=full)[0]
        empty_times += hyperfine([shlex.join(aegix + ["/bin/true"])], 20, cwd=empty)[0]
    result = compare("workspace", f"workspace of {files:,} files / an empty one", full_times, empty_times, 1.10)
    shutil.rmtree(full)
    return result


def limited(aegix, scratch, rounds, workspace, reference):
    """What limits add to a run of /bin/true, as a share of bubblewrap's median in the same rounds."""
    policy = scratch / "limits.toml"
    policy.write_text(LIMITS)
    candidates = [aegix[:-1] + ["--policy", str(policy), "--"], aegix, reference]
    held, free, theirs = interleaved([shlex.join(words + ["/bin/true"]) for words in candidates], 30, rounds or 10, cwd=workspace)
    result = compare("limited", "/bin/true with limits / without", held, free, 0.15)
    result["ratio"] = (statistics.median(held) - statistics.median(free)) / statistics.median(theirs)
    return result


def judged(aegix, scratch, rounds, workspace, reference):
    """The loop of 500 execs with ten command rules, each exec held and compared."""
    policy = scratch / "rules.toml"
    policy.write_text(RULES)
    bench = next(b for b in BENCHES if b.name == "loop")
    lines = [shlex.join(words + bench.command) for words in (aegix[:-1] + ["--policy", str(policy), "--"], reference)]
    ours, theirs = interleaved(lines, bench.batch, rounds or bench.batches, cwd=workspace)
    return compare("judged", "500 execs, ten command rules", ours, theirs, 1.20)


def show(results, who, reference_name):
    print(f"\nas {who}: {platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}")
    print(f"  {'':40} {'aegix':>17} {reference_name:>17} {'ratio':>7} {'limit':>6}")
    for result in results:
        def cell(side):
            if "minimum" not in side:
                return f"{side['median']:.1f}"
            return f"{side['median']:.2f} / {side['minimum']:.2f}"
        limit = f"{result['limit']:.2f}" if result["limit"] else ""
        missed = "  MISSED" if is_missed(result) else ""
        ratio = f"{result['ratio']:.2f}" if result["unit"] == "ms" else ""
        title = result["title"] + (" (MB)" if result["unit"] == "MB" else "")
        print(f"  {title:40} {cell(result['aegix']):>17} {cell(result['reference']):>17} {ratio:>7} {limit:>6}{missed}")
    print("  milliseconds, median / minimum; the ratio is of the medians; the second side of `workspace` and `with limits` is aegix, too;\n"
          "  the ratio of the latter is that of their difference to bubblewrap's median")


def is_missed(result):
    return bool(result["limit"]) and result["ratio"] > result["limit"]


def as_user(arguments):
    """The same as an ordinary user, on a copy of the binary that it can read."""
    with tempfile.TemporaryDirectory() as copies:
        os.chmod(copies, 0o755)
        binary = pathlib.Path(copies, "aegix")
        if not arguments.stand_in:
            shutil.copy(arguments.aegix, binary)
        script = shutil.copy(__file__, pathlib.Path(copies, "bench.py"))
        words = [str(HERE.parent / "as-user.sh"), PYTHON, str(script), *sys.argv[1:], "--aegix", str(binary)]
        return subprocess.run(words, stdin=subprocess.DEVNULL, cwd=copies).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--aegix", default="dist/aegix", help="the binary to measure")
    parser.add_argument("--only", default="", help="names of benchmarks: true,python,…,memory,limited,judged,workspace,limits,layers")
    parser.add_argument("--rounds", type=int, default=0, help="batches of each candidate")
    parser.add_argument("--reference", default=shlex.join(BWRAP), help="the words before the program to compare with")
    parser.add_argument("--stand-in", help="words to measure in place of aegix, to try this script itself")
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(",")))
    reference = shlex.split(arguments.reference)
    root = os.geteuid() == 0

    with tempfile.TemporaryDirectory(prefix="aegix-bench.") as scratch:
        scratch = pathlib.Path(scratch)
        workspace = scratch / "workspace"
        workspace.mkdir()
        aegix = [os.path.abspath(arguments.aegix), "--quiet", "--state-dir", str(scratch / "state"), "--"]
        if arguments.stand_in:
            aegix = shlex.split(arguments.stand_in)
        results = [measure(aegix, bench, arguments.rounds, workspace, reference) for bench in BENCHES
                   if not only or bench.name in only]
        if not only or "memory" in only:
            results.append(memory(aegix, workspace, reference))
        if (not only or "limited" in only) and not arguments.stand_in:
            results.append(limited(aegix, scratch, arguments.rounds, workspace, reference))
        if (not only or "judged" in only) and not arguments.stand_in:
            results.append(judged(aegix, scratch, arguments.rounds, workspace, reference))
        if not only or "workspace" in only:
            results.append(workspaces(aegix, scratch, arguments.rounds))
        show(results, "root" if root else "an ordinary user", os.path.basename(reference[0]))
        sys.stdout.flush()
        missed = any(is_missed(result) for result in results)

    if root and as_user(arguments) != 0:
        missed = True
    # They make themselves the user that they need, so root calls them for both.
    for part in ("limits", "layers"):
        if (not only or part in only) and not arguments.stand_in and (HERE / f"{part}.py").exists():
            missed |= subprocess.run([PYTHON, str(HERE / f"{part}.py"), "--aegix", arguments.aegix]).returncode != 0
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
