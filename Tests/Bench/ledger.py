#!/usr/bin/python3
"""What the ledger costs: 100,000 entries verified and searched, and what an append and a record add to a run.

Fails where a limit is missed: verify in 1 s, history in 100 ms, append and record in 0.1 ms.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def run_id(number):
    value, digits = (1_760_000_000_000 + number) << 64 | hash_of(number), ""
    for _ in range(23):
        digits = ALPHABET[value & 31] + digits
        value >>= 5
    return digits


def hash_of(number):
    return int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:8], "big") >> 1


def make(path, runs):
    """A ledger of so many runs, each with a start and an end; canonical, since all is ASCII."""
    prev, seq = "0" * 64, 0
    with open(path, "wb") as f:
        os.fchmod(f.fileno(), 0o600)
        for number in range(runs):
            common = {"run": run_id(number), "workspace": f"/home/user/projects/{number % 97}", "labels": {"job": f"build-{number}"},
                      "command": f"python3 -m pytest tests/test_{number % 1000}.py -k 'not slow'"}
            end = {"status": "failed" if number % 1000 == 7 else "exited", "exit_code": number % 3, "duration_ns": str(10**9 + number),
                   "audit": f"{hash_of(number):064x}", "manifest": f"{hash_of(number + 1):064x}"}
            for kind, more in (("start", {}), ("finish", end)):
                seq += 1
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_760_000_000 + number)) + f".{number % 10**9:09d}Z"
                line = json.dumps({**common, **more, "kind": kind, "seq": seq, "prev": prev, "time": stamp}, sort_keys=True,
                                  separators=(",", ":")).encode()
                prev = hashlib.sha256(line).hexdigest()
                f.write(line + b"\n")


def best(command, times, wanted=0):
    least = float("inf")
    for _ in range(times):
        began = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        least = min(least, time.monotonic() - began)
        if done.returncode != wanted:
            raise SystemExit(f"{command}: exit {done.returncode}: {done.stderr[-300:]!r}")
    return least, done.stdout


def searches(aegix, state, limits):
    """Each filter alone and with others, such as match one, many or none; and the longest list there is."""
    failed, exited, running = ["--status", "failed"], ["--status", "exited"], ["--status", "running"]
    one, none, since = ["--label", "job=build-11"], ["--label", "job=none"], ["--since", "2025-10-09"]
    queries = {"newest 20": [], "newest 1": ["--limit", "1"], "status failed": [*failed, "--limit", "10000"], "status running (none)": running,
               "one label": one, "no such label": none, "since": since, "since then, none": ["--since", "2030-01-01"],
               "status and since": [*failed, *since], "status and label": [*exited, *one], "status and no such label": [*exited, *none],
               "running and label": [*running, *one], "all filters": [*exited, *one, *since, "--limit", "10000"],
               "all filters, none": [*failed, *none, "--since", "1970-01-01"], "10,000 of them": ["--limit", "10000"],
               "10,000 of them, as JSON": ["--limit", "10000", "--json"], "10,000 of a status": [*exited, "--limit", "10000", "--json"]}
    for name, options in queries.items():
        seconds, _ = best([aegix, "history", "--state-dir", state, *options], 7)
        limits(f"history, {name}", seconds, 0.1)


def make_runs(state, runs):
    """Directories as of so many runs: their sizes are told by `history`, too."""
    os.mkdir(os.path.join(state, "runs"), 0o700)
    for number in range(runs):
        path = os.path.join(state, "runs", run_id(number))
        os.mkdir(path, 0o700)
        if number % 100 == 0:
            for name in ("audit.json", "events.jsonl", "manifest.json"):
                with open(os.path.join(path, name), "w") as f:
                    f.write("{}")


def record_cost(aegix, scratch, limits):
    """By the system calls between a run's first and last on its record: the time in them, and how many, as strace tells them."""
    state, log = os.path.join(scratch, "traced"), os.path.join(scratch, "trace")
    command = [aegix, "--state-dir", state, "--workspace", os.path.join(scratch, "ws"), "--", "/bin/true"]
    os.makedirs(os.path.join(scratch, "ws"), exist_ok=True)
    for _ in range(3):
        best(command, 1)
    files = re.compile(r"ledger\.jsonl|audit\.json|manifest\.json")
    least, calls = float("inf"), 0
    for _ in range(15):
        subprocess.run(["strace", "-T", "-yy", "-o", log, *command], check=True, stdout=subprocess.DEVNULL)
        spent, count = 0.0, 0
        with open(log) as f:
            for line in f:
                if files.search(line) and (timed := re.search(r"<(\d+\.\d+)>$", line.strip())):
                    spent, count = spent + float(timed[1]), count + 1
        if spent < least:
            least, calls = spent, count
    # strace adds some 20 µs of its own to what it shows of each call, so this is no more than a bound.
    limits(f"ledger, record and manifest: {calls} system calls (under strace)", least, None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--aegix", default="dist/aegix")
    aegix = os.path.abspath(parser.parse_args().aegix)
    missed = []

    def limits(name, seconds, most):
        late = most is not None and seconds > most
        print(f"{name:<60} {seconds * 1000:8.2f} ms" + (f"   limit {most * 1000:g} ms{' MISSED' if late else ''}" if most else ""))
        if late:
            missed.append(name)

    scratch = tempfile.mkdtemp(prefix="aegix-ledger-")
    try:
        state = os.path.join(scratch, "state")
        os.mkdir(state, 0o700)
        make(os.path.join(state, "ledger.jsonl"), 50_000)
        print(f"{'100,000 entries':<60} {os.path.getsize(os.path.join(state, 'ledger.jsonl')) / 2**20:8.1f} MiB")
        seconds, told = best([aegix, "verify", "--ledger", "--json", "--state-dir", state], 3)
        if int(json.loads(told)["entries"]) != 100_000:
            raise SystemExit(f"the ledger that was made isn't one: {told[:300]!r}")
        limits("verify --ledger", seconds, 1)
        make_runs(state, 50_000)
        searches(aegix, state, limits)
        record_cost(aegix, scratch, limits)
    finally:
        shutil.rmtree(scratch)
    if missed:
        raise SystemExit(f"missed: {', '.join(missed)}")


main()
