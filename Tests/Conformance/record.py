"""E: the record. What it must never hold, and how much."""

import json
import os
import subprocess

SECRETS = {"GITHUB_TOKEN": "ghp-conformance-31337", "AWS_SECRET_ACCESS_KEY": "aws/conformance/hush", "MY_VAR": "plain-name-hush",
           "LD_PRELOAD_X": "preload-hush", "AEGIX_FOO": "own-prefix-hush", "BASH_FUNC_x%%": "() { echo function-hush; }",
           "MULTI": "first-hush\nsecond-hush"}


def e1(t):
    """the caller's secrets in the environment: not inside, not in record, logs, plan"""
    bare = t.outside("/usr/bin/env", env=SECRETS)
    t.check(all(word in bare.text for word in words()), "the probe is blunt: a secret isn't in a plain child's environment")
    told = t.sh("env; cat /proc/self/environ /proc/1/environ 2>/dev/null | tr '\\0' '\\n'; /usr/bin/python3 -c 'import os; print(os.environb)'",
                env={**SECRETS, "LANG": "C.UTF-8", "TERM": "xterm-conformance"})
    t.ran(told)
    for word in words():
        t.check(word not in told.text, f"{word} is inside")
    if t.box.name != "aegix":
        return
    t.check("xterm-conformance" in told.text, f"TERM, which the default policy passes, isn't inside: {told}")
    passed = t.sh("echo $MY_VAR $GIVEN", env=SECRETS, options=["--pass-env", "MY_VAR", "--env", "GIVEN=by-option"])
    t.check(passed.text == "plain-name-hush by-option\n", f"--pass-env and --env: {passed}")
    # A run that fails, one that is killed and one that is refused write records too.
    t.sh("exit 3", env=SECRETS)
    t.sh("kill -9 $$", env=SECRETS)
    t.run("/nonexistent/program", env=SECRETS)
    t.run("/bin/true", env=SECRETS, options=["--require", "sealed"])
    t.sh("sleep 5", env=SECRETS, timeout=1)
    t.check(len(t.run_ids()) >= 6, f"runs without a record: {t.run_ids()}")
    for command in (["plan", "--workspace", t.workspace, "--json", "--", "/bin/true"], ["show", "last", "--json"], ["show", "last"], ["history", "--json"]):
        result = t.aegix(command[0], "--state-dir", t.state, *command[1:], env=SECRETS)
        t.check(result.code == 0, f"aegix {' '.join(command)}: {result}")
        for word in words() - {"plain-name-hush"}:
            t.check(word.encode() not in result.out + result.err, f"{word} is in the output of aegix {command[0]}")
    for parent, _, names in os.walk(t.state):
        for name in names:
            with open(os.path.join(parent, name), "rb") as f:
                text = f.read()
            for word in words() - {"plain-name-hush"}:
                t.check(word.encode() not in text, f"{word} is in {os.path.relpath(os.path.join(parent, name), t.state)}")
    for parent, directories, names in os.walk(t.state):
        if "layer" in parent:
            continue
        for name in directories + names:
            mode = os.lstat(os.path.join(parent, name)).st_mode & 0o777
            t.check(not mode & 0o077, f"{name} in the state directory can be read by others: {mode:o}")


def words():
    return {"ghp-conformance-31337", "aws/conformance/hush", "plain-name-hush", "preload-hush", "own-prefix-hush", "function-hush",
            "first-hush", "second-hush"}


# The peak of a program's memory and of its children's, from a process that is small itself: a peak outlives an exec.
PEAK = """
import os, sys
pid = os.fork()
if not pid:
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
sys.stderr.write(f"\\n{usage.ru_maxrss}\\n")
sys.exit(os.waitstatus_to_exitcode(status))
"""


def e7(t):
    """12,000 execs with 64 KiB of arguments each: events, record and supervisor stay small"""
    t.only_aegix()
    probe = t.probe("execs")
    control = t.run(probe, "10", "1")
    t.ran(control)
    record = control.record or {}
    whole = [p for p in record.get("processes", []) if len(p["argv"]) == 4 and len(p["argv"][2]) == 1024 and not p["argv_cut"]]
    t.check(len(whole) == 10 and record.get("cut") == {}, f"the control: {len(whole)} of 10 execs are recorded whole, cut: {record.get('cut')}")
    before = t.run_ids()
    line = t.box.command([probe, "12000", "64"], t, policy='[limits]\nexecs = "none"\nwall = "5m"\n')
    done = subprocess.run(["/usr/bin/python3", "-S", "-c", PEAK, *line], cwd=t.workspace, env=t.box.environment(None), stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=400, **t.identity.options())
    t.check(done.returncode == 0 and done.stdout == b"done\t12000\n", f"exit {done.returncode}, {done.stdout!r}, {done.stderr[-300:]!r}")
    peak = int(done.stderr.split()[-1])
    t.note(f"the supervisor's peak: {peak >> 10} MiB")
    t.check(peak < 64 << 10, f"aegix needed {peak >> 10} MiB")
    fresh = t.run_ids() - before
    if not t.check(len(fresh) == 1, f"recorded runs: {fresh}"):
        return
    directory = os.path.join(t.state, "runs", fresh.pop())
    record = t.record_of(os.path.basename(directory)) or {}
    sizes = {name: os.path.getsize(os.path.join(directory, name)) for name in ("audit.json", "events.jsonl")}
    t.check(sizes["audit.json"] < 12 << 20, f"audit.json has {sizes['audit.json']} bytes")
    t.check(sizes["events.jsonl"] < 9 << 20, f"events.jsonl has {sizes['events.jsonl']} bytes")
    t.check(record.get("usage", {}).get("execs") == 12001, f"of 12,001 execs {record.get('usage', {}).get('execs')} were counted")
    cut = record.get("cut", {}).get("processes", {})
    kept = record.get("processes", [])
    t.check(cut == {"kept": len(kept), "of": 12001} and 100 < len(kept) <= 10000, f"{len(kept)} execs are in the record, cut: {cut}")
    long = [p for p in kept if not p["argv_cut"] and p["argv"][1:2] == ["leaf"] or sum(len(a) for a in p["argv"]) > 4200]
    t.check(not long, f"{len(long)} execs don't say that their arguments are cut, or aren't")
    with open(os.path.join(directory, "events.jsonl"), "rb") as f:
        lines = f.read().splitlines()
    kinds = [json.loads(line)["event"] for line in lines]
    t.check(len(lines) <= 12_001 and kinds[-1] == "outcome" and kinds.count("cut") == 1, f"events.jsonl has {len(lines)} lines, the last are {kinds[-3:]}")
