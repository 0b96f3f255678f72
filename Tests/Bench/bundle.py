#!/usr/bin/python3
"""What a bundle costs: export and verify of a 1 GiB layer, of random and of text-like data, in few files and in many.

Fails where a limit is missed: 300 MB/s of contents each way, 64 MiB of memory, and two exports that give the same bytes. On a
file system in memory where there is one: what a disk can take isn't aegix's.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import tempfile

MIB = 1 << 20


def text(dice, count):
    """Words, numbers and indentation, as sources and logs have them; no better to pack than those."""
    words = ["".join(dice.choice("etaoinshrdlucmfwypvbgk") for _ in range(dice.randrange(2, 11))) for _ in range(4000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    out, size = [], 0
    while size < count:
        line = " " * dice.choice((0, 0, 4, 4, 8, 12)) + " ".join(dice.choices(words, weights, k=dice.randrange(3, 14)))
        line += f" {dice.randrange(10**6)};\n"
        out.append(line)
        size += len(line)
    return "".join(out).encode()[:count]


def fill(directory, kind, files, total, dice):
    each = total // files
    base = text(dice, 8 * MIB) if kind == "text" else b""
    for number in range(files):
        inside = os.path.join(directory, f"d{number // 100}")
        os.makedirs(inside, exist_ok=True)
        with open(os.path.join(inside, f"f{number}"), "wb") as f:
            left = each
            while left:
                if kind == "text":
                    start = dice.randrange(len(base) // 2)
                    piece = f"{number} {left} {dice.random()}\n".encode() + base[start:start + MIB]
                else:
                    piece = os.urandom(min(left, MIB))
                f.write(piece[:left])
                left -= min(left, len(piece))


def timed(command):
    done = subprocess.run(["/usr/bin/time", "-v", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{command}: exit {done.returncode}: {done.stderr[:400]}")
    minutes, seconds = re.search(r"Elapsed.*?: (?:\d+:)?(\d+):([\d.]+)", done.stderr).groups()
    peak = int(re.search(r"Maximum resident set size \(kbytes\): (\d+)", done.stderr)[1])
    return int(minutes) * 60 + float(seconds), peak / 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--aegix", default="dist/aegix")
    parser.add_argument("--size", type=int, default=1024, help="MiB")
    given = parser.parse_args()
    aegix, total = os.path.abspath(given.aegix), given.size * MIB
    missed, dice = [], random.Random(6)
    room = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
    memory = "/dev/shm" if room and room.f_bavail * room.f_frsize > 4 * total else None
    scratch = tempfile.mkdtemp(prefix="aegix-bundle-", dir=memory)
    # No run sees /dev/shm of the host.
    disk = tempfile.mkdtemp(prefix="aegix-bundle-", dir="/var/tmp")
    print(f"in {'memory' if memory else scratch}")
    try:
        for kind, files in (("random", 8), ("text", 8), ("text", 20_000)):
            where = os.path.join(scratch, "run")
            state, workspace, source = os.path.join(where, "state"), os.path.join(disk, "workspace"), os.path.join(disk, "source")
            for directory in (where, workspace, source):
                os.makedirs(directory)
            fill(source, kind, files, total, dice)
            subprocess.run([aegix, "run", "--quiet", "--state-dir", state, "--workspace", workspace, "--read", source, "--timeout", "300s",
                            "--", "cp", "-r", "--reflink=never", source, "copied"], check=True)
            shutil.rmtree(source)
            run = os.listdir(os.path.join(state, "runs"))[0]
            bundle, again = os.path.join(where, "a.aegix"), os.path.join(where, "b.aegix")
            for name, command in (("export", [aegix, "export", run, "-o", bundle, "--state-dir", state]),
                                  ("verify", [aegix, "verify", bundle]), ("show", [aegix, "show", bundle])):
                best, peak = float("inf"), 0
                for _ in range(1 if name == "show" else 3):
                    if name == "export" and os.path.exists(bundle):
                        os.remove(bundle)
                    seconds, memory_used = timed(command)
                    best, peak = min(best, seconds), max(peak, memory_used)
                rate = total / 1e6 / best
                failed = [what for what, bad in (("rate", name != "show" and rate < 300), ("memory", peak > 64)) if bad]
                print(f"{name} of {given.size} MiB, {kind} in {files} files".ljust(48)
                      + f"{best:6.2f} s {rate:7.0f} MB/s {peak:6.1f} MiB   {' and '.join(failed) + ' MISSED' if failed else ''}")
                missed += [f"{name} ({kind}, {files})" for _ in failed]
            subprocess.run([aegix, "export", run, "-o", again, "--state-dir", state], check=True, stdout=subprocess.DEVNULL)
            same = subprocess.run(["cmp", bundle, again]).returncode == 0
            print(f"the file has {os.path.getsize(bundle) / MIB:.0f} MiB; exported again it {'is the same' if same else 'DIFFERS'}")
            if not same:
                missed.append("the same bytes")
            for directory in (where, workspace):
                shutil.rmtree(directory)
    finally:
        for directory in (scratch, disk):
            shutil.rmtree(directory, ignore_errors=True)
    if missed:
        raise SystemExit(f"missed: {', '.join(missed)}")


main()
