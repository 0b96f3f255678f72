#!/usr/bin/env python3
"""What layers cost: changes in a large workspace against a small one, review, apply and reset of 10,000 files, the reset of a name.

    Tests/Bench/layers.py --aegix dist/aegix [--rounds N]

Started by root it measures as root and as an ordinary user. Exits 1 when a limit is missed.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TEN = "for i in 0 1 2 3 4 5 6 7 8 9; do echo changed >$i.txt; done"
MANY = ("import os\nfor d in range(100):\n  os.makedirs(f'd{d}', exist_ok=True)\n"
        "  for i in range(100): open(f'd{d}/{i}.txt', 'w').write(f'{WORD} {d} {i}\\n' * 20)\n")
LARGE = 100_000
PYTHON = "/usr/bin/python3"


class Bench:
    def __init__(self, aegix, scratch, rounds):
        self.aegix, self.scratch, self.rounds, self.missed = aegix, scratch, rounds, False
        self.state = scratch / "state"

    def run(self, *words, cwd):
        """Seconds. What it prints isn't read by anyone."""
        began = time.monotonic()
        done = subprocess.run([self.aegix, *words[:1], "--state-dir", str(self.state), *words[1:]], cwd=cwd, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        seconds = time.monotonic() - began
        if done.returncode != 0:
            sys.exit(f"{' '.join(words[:3])}: exit {done.returncode}: {done.stderr}")
        return seconds

    def row(self, title, figure, limit, unit, worst=None):
        missed = figure > limit
        self.missed |= missed
        extra = f"  at worst {worst:.1f}" if worst is not None else ""
        print(f"  {title:58} {figure:8.2f} {unit:5} limit {limit:6.2f}{extra}{'  MISSED' if missed else ''}")
        sys.stdout.flush()

    def small_and_large(self):
        """Ten files of 100 and of 100,000, in turn."""
        places = {}
        for files in (100, LARGE):
            place = self.scratch / f"files-{files}"
            for i in range(files):
                part = place if i < 100 else place / f"{i // 1000}"
                part.mkdir(parents=True, exist_ok=True)
                (part / f"{i}.txt").touch()
            places[files] = place
        times = {files: [] for files in places}
        for number in range(self.rounds * 10):
            for files in sorted(places, reverse=number % 2 == 1):
                times[files].append(self.run("run", "--quiet", "--cmd", TEN, cwd=places[files]))
        small, large = (statistics.median(times[files]) for files in (100, LARGE))
        self.row(f"10 changes among {LARGE:,} files / among 100 ({small * 1e3:.1f} ms)", large / small, 1.10, "")
        shutil.rmtree(places[LARGE])

    def many(self):
        """10,000 files that were there and are all changed."""
        seconds = {"review": [], "apply": [], "reset": []}
        for number in range(max(3, self.rounds)):
            # A new one each time: ext4 without a journal looks at every inode that was freed in the last minutes for each it hands out.
            workspace = self.scratch / f"many-{number}"
            workspace.mkdir()
            subprocess.run([PYTHON, "-c", MANY.replace("WORD", "1")], cwd=workspace, check=True)
            self.run("run", "--quiet", "--python", MANY.replace("WORD", "2"), cwd=workspace)
            for verb in seconds:
                seconds[verb].append(self.run(verb, "last", cwd=workspace))
        for verb, found in seconds.items():
            self.row(f"{verb} of 10,000 changed files", statistics.median(found), 2.0, "s", max(found))

    def named(self):
        """A name whose layer holds 10,000 files, and one with none."""
        workspace = self.scratch / "named"
        workspace.mkdir()
        for title, script in (("nothing", "true"), ("10,000 files", None)):
            found = []
            for number in range(max(3, self.rounds)):
                how = ["--cmd", script] if script else ["--python", MANY.replace("WORD", "3")]
                self.run("run", "--quiet", "--name", f"n{number}", *how, cwd=workspace)
                found.append(self.run("reset", f"n{number}", cwd=workspace) * 1e3)
            self.row(f"reset of a sandbox with {title}", statistics.median(found), 50, "ms", max(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--aegix", default="dist/aegix")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aegix-bench.") as scratch:
        bench = Bench(os.path.abspath(arguments.aegix), pathlib.Path(scratch), arguments.rounds)
        print(f"\nlayers, as {'root' if os.geteuid() == 0 else 'an ordinary user'}")
        bench.small_and_large()
        bench.many()
        bench.named()
    missed = bench.missed
    if os.geteuid() == 0:
        with tempfile.TemporaryDirectory() as copies:
            os.chmod(copies, 0o755)
            binary, script = (shutil.copy(path, copies) for path in (arguments.aegix, __file__))
            words = [str(HERE.parent / "as-user.sh"), PYTHON, script, "--aegix", binary, "--rounds", str(arguments.rounds)]
            missed |= subprocess.run(words, stdin=subprocess.DEVNULL, cwd=copies, check=False).returncode != 0
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
