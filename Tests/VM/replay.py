#!/usr/bin/python3
"""Bundles that were recorded here, replayed under another kernel and on another distribution: each difference is named with its cause.

    Tests/VM/replay.py [--aegix dist/aegix] [--kernel 6.12] [--suite trixie]

Needs root, for debootstrap. The last line is a count of cases.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
POLICY = 'version = 1\nname = "moved"\nextends = "reproducible"\n[audit]\ninputs = "all"\ndetail = "files"\n'
PROJECT = {
    "calc.py": "def add(a, b):\n    return a + b\n",
    "test_calc.py": "import sys\nimport calc\n\ndef test_add():\n    assert calc.add(1, 2) == 3\n\ndef test_version():\n    print(sys.version)\n    assert False\n",
    "main.c": "#include <stdio.h>\nint main(void) { printf(\"%s\\n\", __VERSION__); return 0; }\n",
    "Makefile": "prog: main.c\n\t$(CC) -g -O2 -o $@ $<\n",
    "script.js": "console.log(process.version, process.arch)\n",
    "plain.sh": "echo the same everywhere\n",
}
# What runs, and what has to be named as the cause of what comes out differently; None: the same comes out.
RUNS = {
    "pytest": (["pytest-3", "-q"], "programs"),
    "make": (["sh", "-c", "make -s && ./prog"], "programs"),
    "node": (["node", "script.js"], "programs"),
    "plain": (["sh", "plain.sh"], None),
}


def record(aegix, work):
    """Bundles of all of them, made on this machine."""
    project = os.path.join(work, "project")
    os.mkdir(project)
    for name, text in PROJECT.items():
        with open(os.path.join(project, name), "w") as f:
            f.write(text)
    policy = os.path.join(work, "policy.toml")
    with open(policy, "w") as f:
        f.write(POLICY)
    state = os.path.join(work, "state")
    for name, (argv, _) in RUNS.items():
        subprocess.run([aegix, "run", "--quiet", "--state-dir", state, "--workspace", project, "--policy", policy, "--", *argv],
                       cwd=project, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        subprocess.run([aegix, "export", "last", "--state-dir", state, "-o", os.path.join(work, f"{name}.aegix")], cwd=project, check=True,
                       stdout=subprocess.DEVNULL)


def moved(aegix, work, kernel, system):
    """name → the report of its replay in the VM."""
    script = "; ".join(f"echo; echo == {name}; {aegix} replay --json --state-dir /root/state {work}/{name}.aegix; echo; echo exit $?"
                       for name in RUNS)
    done = subprocess.run([os.path.join(HERE, "vm.sh"), "--kernel", kernel, "--system", system, script], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True)
    reports = {}
    for part in done.stdout.split("\n== ")[1:]:
        name, _, rest = part.partition("\n")
        document = next((line for line in rest.splitlines() if line.startswith("{")), "{}")
        reports[name.strip()] = json.loads(document)
    return reports, done.stdout


def faults(name, report, expected):
    """What the report doesn't say and should, or says and shouldn't."""
    causes = {(cause["area"], str(cause["subject"])) for cause in report.get("causes", [])}
    for wanted in (("host", "kernel"), ("host", "distribution"), ("host", "cpu")):
        if wanted not in causes:
            yield f"{wanted} isn't named"
    outputs = report.get("outputs", [])
    if expected is None:
        if report.get("verdict") != "same":
            yield f"it came out differently: {outputs}"
        return
    if not any(area == "programs" for area, _ in causes):
        yield "no program and no library is named"
    if report.get("verdict") != "drift":
        yield f"verdict {report.get('verdict')}"
    for output in outputs:
        cause = output.get("cause")
        if not isinstance(cause, dict) or cause["area"] not in (expected, "inputs", "host", "environment"):
            yield f"{output['area']} {output['subject']}: cause {cause}"
    if not any(isinstance(output.get("cause"), dict) and output["cause"]["area"] == expected for output in outputs):
        yield f"nothing is laid to {expected}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aegix", default=os.path.join(ROOT, "dist/aegix"))
    parser.add_argument("--kernel", default="6.12")
    parser.add_argument("--suite", default="trixie")
    options = parser.parse_args()
    system = subprocess.run([os.path.join(HERE, "system.sh"), options.suite], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    place = os.path.join(ROOT, ".build")  # what the VM sees of this machine is the checkout
    os.makedirs(place, exist_ok=True)
    work = tempfile.mkdtemp(prefix="vm-replay-", dir=place)
    try:
        record(os.path.abspath(options.aegix), work)
        reports, said = moved(os.path.abspath(options.aegix), work, options.kernel, system)
    finally:
        shutil.rmtree(work)
    failed = 0
    for name, (_, expected) in RUNS.items():
        wrong = list(faults(name, reports[name], expected)) if reports.get(name) else [f"no report: {said[-2000:]}"]
        failed += bool(wrong)
        print(f"moved: {name}: " + ("ok" if not wrong else "FAILED: " + "; ".join(wrong)))
        for difference in reports.get(name, {}).get("causes", [])[:12] + reports.get(name, {}).get("outputs", [])[:6]:
            cause = difference.get("cause")
            cause = f" ← {cause['area']} {cause['subject']}" if isinstance(cause, dict) else f" ← {cause}" if cause else ""
            print(f"    {difference['area']:<12}{str(difference['subject'])[:60]}: {str(difference['before'])[:50]} → {str(difference['after'])[:50]}{cause}")
    print(f"{len(RUNS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
