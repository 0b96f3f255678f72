#!/usr/bin/python3
"""Random trees and random edit scripts: run inside aegix and applied, and run on a plain copy. Both trees have to be equal
in content, type, mode and link structure; after `reset` the workspace has to be what it was, times of files included.

    property.py [--aegix PATH] [--seeds N] [--seed S] [--kill] [--base DIR]

A user's overlay has two limits: it breaks a hard link of the base when that is written to, and doesn't rename a directory of
the base, which mv then copies. So there are no links in the tree at the start but with --links, and no directory moves that
holds any.

--kill also ends apply and reset with SIGKILL at a random moment, again and again, until one comes through: the next command
of any kind has to leave the old workspace or the new one. A seed that fails is printed with what differs.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
NAMES = ["a", "b", "c", "d.txt", "e f", "-n", "ü", "new\nline"]


def picture(top, times=True, links=True):
    """path → all that has to be the same. Of directories no times: they follow from what is put in them."""
    found, names = {}, {}
    with Opened(top) as opened:
        look(top, times, links, opened.modes, found, names)
    for group in names.values():
        # A lone name: the other one is kept with what was there before an apply.
        for key in group * (len(group) > 1):
            found[key].append(sorted(group))
    return found


class Opened:
    """Directories that their owner has closed to himself are open for as long as this is looked at."""

    def __init__(self, top):
        self.top, self.modes = os.fsencode(top), {}

    def __enter__(self):
        self.open(self.top)
        return self

    def open(self, path):
        mode = os.lstat(path).st_mode
        if mode & 0o700 != 0o700 and os.geteuid() != 0:
            self.modes[path] = mode
            os.chmod(path, stat.S_IMODE(mode) | 0o700)
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                self.open(entry.path)

    def __exit__(self, *_):
        for path, mode in reversed(self.modes.items()):
            os.chmod(path, stat.S_IMODE(mode))


def look(top, times, links, modes, found, names):
    for at, directories, files in os.walk(os.fsencode(top)):
        for name in [b"."] * (at == os.fsencode(top)) + directories + files:
            path = os.path.join(at, name)
            facts = os.lstat(path)
            key = os.path.relpath(path, os.fsencode(top))
            kind = stat.S_IFMT(facts.st_mode)
            entry = [stat.filemode(modes.get(path, facts.st_mode))]
            if kind == stat.S_IFREG:
                entry += [digest(path, facts), facts.st_size, facts.st_mtime_ns if times else None]
                if links and facts.st_nlink > 1:
                    names.setdefault((facts.st_dev, facts.st_ino), []).append(key)
            elif kind == stat.S_IFLNK:
                entry = ["l", os.readlink(path)]
            if kind in (stat.S_IFREG, stat.S_IFDIR):
                entry.append(sorted((n, os.getxattr(path, n)) for n in os.listxattr(path) if n.startswith("user.")))
            found[key] = entry


def digest(path, facts):
    if os.geteuid() != 0 and not facts.st_mode & 0o400:
        os.chmod(path, facts.st_mode | 0o400)
        try:
            return hashlib.sha256(open(path, "rb").read()).hexdigest()
        finally:
            os.chmod(path, stat.S_IMODE(facts.st_mode))
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


class Script:
    """A tree and an edit script over it, from a seed."""

    def __init__(self, seed, workspace, links):
        self.links = links
        self.random = random.Random(seed)
        self.top = workspace
        self.grow(workspace, 0)

    def grow(self, directory, depth):
        choose = self.random
        for name in choose.sample(NAMES, choose.randint(1, 5)):
            path = os.path.join(directory, name)
            kind = choose.random()
            if kind < 0.4 and depth < 3:
                os.mkdir(path)
                self.grow(path, depth + 1)
                os.chmod(path, choose.choice([0o755, 0o755, 0o700, 0o775, 0o555]))
            elif kind < 0.5:
                os.symlink(choose.choice(["a", "../b", "/etc/passwd", "nowhere"]), path)
            elif kind < 0.6 and self.links:
                others = self.files()
                if others:
                    os.link(choose.choice(others), path, follow_symlinks=False)
            else:
                with open(path, "wb") as f:
                    f.write(choose.randbytes(choose.choice([0, 1, 10, 5000])))
                    if choose.random() < 0.05:
                        f.seek(300000)
                        f.write(b"end")
                if choose.random() < 0.2:
                    os.setxattr(path, "user.one", b"1")
                os.chmod(path, choose.choice([0o644, 0o755, 0o600, 0o444]))
                os.utime(path, ns=(0, choose.randrange(10**18, 16 * 10**17)))

    def files(self):
        return [os.path.join(at, n) for at, _, names in os.walk(self.top) for n in sorted(names)
                if not os.path.islink(os.path.join(at, n))]

    def edits(self):
        """A Python program. It asks what there is when it runs, by a generator of its own, so that it does the same to any
        tree that is the same."""
        return EDITS.replace("SEED", str(self.random.randrange(1 << 40)))


EDITS = r'''
import os, random, shutil, stat
r = random.Random(SEED)
closed = [os.path.join(at, d) for at, ds, _ in os.walk(".") for d in ds if not os.path.islink(os.path.join(at, d)) and os.lstat(os.path.join(at, d)).st_mode & 0o200 == 0]
for path in closed: os.chmod(path, 0o755)
NAMES = ["a", "b", "c", "d.txt", "e f", "-n", "g", "h"]
def walk():
    dirs, files = ["."], []
    for at, ds, fs in os.walk("."):
        ds.sort()
        dirs += [os.path.join(at, d) for d in ds if not os.path.islink(os.path.join(at, d))]
        files += [os.path.join(at, f) for f in sorted(fs)]
        files += [os.path.join(at, d) for d in ds if os.path.islink(os.path.join(at, d))]
    return sorted(dirs), sorted(files)
def plain(files): return [f for f in files if stat.S_ISREG(os.lstat(f).st_mode)]
def gone(path):
    if os.path.islink(path) or os.path.isfile(path): os.unlink(path)
    elif os.path.isdir(path): shutil.rmtree(path)
def stamp(path): os.utime(path, ns=(0, r.randrange(10**18, 16 * 10**17)))
def write(path, mode="wb"):
    if os.path.isfile(path) and not os.path.islink(path) and not os.lstat(path).st_mode & 0o200: os.chmod(path, 0o644)
    with open(path, mode) as f: f.write(r.randbytes(r.choice([0, 3, 4000, 200000])))
    stamp(path)
for _ in range(r.randint(1, 25)):
    dirs, files = walk()
    verb = r.choice("create write append rename link chmod delete symlink swap rmtree mkdir mvdir touch xattr move replace".split())
    place = os.path.join(r.choice(dirs), r.choice(NAMES))
    some = plain(files)
    try:
        if verb == "create": gone(place); write(place)
        elif verb == "mkdir":
            if not os.path.lexists(place):
                os.mkdir(place); write(os.path.join(place, "in")); os.chmod(place, r.choice([0o755, 0o700, 0o711]))
        elif verb == "symlink": gone(place); os.symlink(r.choice(["x", "../y", "/z"]), place)
        elif verb == "rmtree" and len(dirs) > 1: shutil.rmtree(r.choice(dirs[1:]))
        elif verb == "mvdir" and len(dirs) > 1:
            old = r.choice(dirs[1:])
            linked = any(os.lstat(os.path.join(at, f)).st_nlink > 1 for at, _, fs in os.walk(old) for f in fs)
            if (not linked or os.geteuid() == 0) and not (place + "/").startswith(old + "/") and not (old + "/").startswith(place + "/"):
                gone(place); shutil.move(old, place)
        elif verb == "swap":
            if some:
                path = r.choice(some); os.unlink(path); os.mkdir(path); write(os.path.join(path, "inner"))
        elif verb == "replace" and len(dirs) > 1:
            path = r.choice(dirs[1:]); shutil.rmtree(path); write(path)
        elif some:
            path = r.choice(some)
            if verb == "write": write(path)
            elif verb == "append": write(path, "ab")
            elif verb == "rename" or verb == "move":
                if path != place and not (path + "/").startswith(place + "/") : gone(place); os.rename(path, place)
            elif verb == "link":
                if not os.path.lexists(place): os.link(path, place)
            elif verb == "chmod": os.chmod(path, r.choice([0o600, 0o755, 0o400]))
            elif verb == "delete": os.unlink(path)
            elif verb == "touch": stamp(path)
            elif verb == "xattr": os.chmod(path, 0o644); os.setxattr(path, "user.two", r.randbytes(5))
    except PermissionError:
        pass  # a closed directory: the same everywhere
for path in reversed(closed):
    if os.path.isdir(path) and not os.path.islink(path): os.chmod(path, 0o555)
for path in reversed(walk()[0][1:]):
    if r.random() < 0.1: os.chmod(path, r.choice([0o500, 0o555]))
'''


class Fault(Exception):
    pass


class Trial:
    def __init__(self, aegix, base, seed, options):
        self.aegix, self.seed, self.options = aegix, seed, options
        self.dir = tempfile.mkdtemp(prefix=f"seed-{seed}-", dir=base)
        self.workspace, self.plain = os.path.join(self.dir, "ws"), os.path.join(self.dir, "plain")
        self.state = os.path.join(self.dir, "state")
        os.mkdir(self.workspace)
        self.environment = dict(os.environ, AEGIX_STATE=self.state)
        self.random = random.Random(seed)

    def call(self, *words, code=0):
        ended = subprocess.run([self.aegix, *words], cwd=self.workspace, env=self.environment, capture_output=True,
                               stdin=subprocess.DEVNULL)
        if code is not None and ended.returncode != code:
            raise Fault(f"aegix {' '.join(words)[:80]}: exit {ended.returncode}: {ended.stderr.decode(errors='replace')[-800:]}")
        return ended

    def run(self):
        script = Script(self.seed, self.workspace, self.options.links)
        edits = script.edits()
        subprocess.run(["cp", "-a", self.workspace, self.plain], check=True)
        before = picture(self.workspace)
        ended = subprocess.run(["/usr/bin/python3", "-c", edits], cwd=self.plain, capture_output=True)
        if ended.returncode:
            raise Fault(f"the script itself: {ended.stderr.decode()[-600:]}")
        self.call("--", "/usr/bin/python3", "-c", edits)
        self.same(picture(self.workspace), before, "the run changed the workspace")
        wanted = picture(self.plain)
        if wanted == before:
            return  # nothing that a layer holds
        for turn in range(2):
            self.transact("apply", before, wanted)
            self.same(picture(self.workspace), wanted, f"after apply {turn}")
            self.transact("reset", wanted, before)
            self.same(picture(self.workspace), before, f"after reset {turn}")
        left = [n for n in os.listdir(os.path.join(self.state, "live"))]
        if left:
            raise Fault(f"left in live/: {left}")

    def transact(self, verb, old, new):
        if not self.options.kill:
            self.call(verb, "last")
            return
        longest = 0.008  # an apply takes about 5 ms
        for _ in range(40):
            child = subprocess.Popen([self.aegix, verb, "last"], cwd=self.workspace, env=self.environment,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(self.random.random() * longest)
            child.send_signal(signal.SIGKILL)
            _, told = child.communicate()
            if child.returncode == 0:
                return
            if child.returncode != -signal.SIGKILL:
                raise Fault(f"{verb}: exit {child.returncode}: {told.decode(errors='replace')[-800:]}")
            self.kills = getattr(self, "kills", 0) + 1
            if self.random.random() < 0.3:  # also the one that clears up
                child = subprocess.Popen([self.aegix, "history"], cwd=self.workspace, env=self.environment,
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(self.random.random() * longest / 2)
                child.kill()
                child.wait()
            self.call("history")
            now = picture(self.workspace)
            if now == old:
                continue
            self.same(now, new, f"killed in {verb}: neither the old nor the new")
            self.call(verb, "last")
            return
        self.call(verb, "last")

    @staticmethod
    def same(got, wanted, what):
        if got == wanted:
            return
        lines = []
        for path in sorted(set(got) | set(wanted)):
            if got.get(path) != wanted.get(path):
                lines.append(f"  {path!r}: {got.get(path)} instead of {wanted.get(path)}")
        raise Fault(f"{what}:\n" + "\n".join(lines[:12]))

    def close(self):
        subprocess.run(["chmod", "-R", "u+rwx", self.dir], capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aegix", default=f"{ROOT}/dist/aegix")
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--seed", type=int, help="the first; default: by the clock")
    parser.add_argument("--kill", action="store_true", help="SIGKILL at random moments")
    parser.add_argument("--links", action="store_true", help="hard links in the tree at the start, which a user's overlay breaks")
    parser.add_argument("--base", help="where the workspaces are made; default: the temporary directory")
    options = parser.parse_args()
    first = options.seed if options.seed is not None else int(time.time())
    base = tempfile.mkdtemp(prefix="aegix-property-", dir=options.base)
    failed = kills = 0
    try:
        for seed in range(first, first + options.seeds):
            trial = Trial(os.path.abspath(options.aegix), base, seed, options)
            try:
                trial.run()
                trial.close()
            except Fault as fault:
                failed += 1
                print(f"seed {seed}: {fault}")
                if not os.environ.get("AEGIX_KEEP"):
                    trial.close()
            kills += getattr(trial, "kills", 0)
    finally:
        if not os.environ.get("AEGIX_KEEP"):
            shutil.rmtree(base, ignore_errors=True)
    print(f"{options.seeds - failed} of {options.seeds} seeds from {first} hold" + (f", {kills} kills" if options.kill else ""))
    print(f"{options.seeds - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
