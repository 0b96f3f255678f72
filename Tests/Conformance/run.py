#!/usr/bin/python3
"""The conformance runner: attacks that the sandbox must survive, one numbered case a line.

    run.py [--aegix PATH] [--as root|user|both] [--user NAME] [--peer bwrap] [--only K1,D3]

Each case runs for each identity, beside another identity's but where it is `harness.alone`. Behind each verdict are the seconds that
it took. A peer's column is for comparison: its failures don't fail the run. The last line is alone: `N passed, N failed, N skipped`.
Exit 1 if anything failed, 2 if nothing could be run.
"""

import argparse
import fcntl
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness  # noqa: E402
import apply  # noqa: E402
import artifacts  # noqa: E402
import bundle  # noqa: E402
import clients  # noqa: E402
import commands  # noqa: E402
import descriptors  # noqa: E402
import evidence  # noqa: E402
import files  # noqa: E402
import kernel  # noqa: E402
import learn  # noqa: E402
import lifecycle  # noqa: E402
import limits  # noqa: E402
import network  # noqa: E402
import record  # noqa: E402
import replay  # noqa: E402
import review  # noqa: E402
import secrets  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(harness.HERE))


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aegix", metavar="PATH", help="the binary (default: dist/aegix, else .build/dist/release/aegix)")
    parser.add_argument("--as", dest="identity", choices=["root", "user", "both"],
                        help="who calls (default: both when run by root, else user)")
    parser.add_argument("--user", metavar="NAME", help="the ordinary user (default: aegix-test if there, else made and removed)")
    parser.add_argument("--peer", choices=["bwrap"], help="run the same cases against another sandbox, for comparison")
    parser.add_argument("--only", metavar="CASES", help="these cases, separated by commas; R1 is all of R1a, R1b, …")
    parser.add_argument("--explain", action="store_true", help="say of the peer, too, why it fails")
    parser.add_argument("--in-turn", action="store_true", help="one identity after the other, no case beside another")
    parser.add_argument("--list", action="store_true", help="print the cases and end")
    return parser.parse_args()


def cases():
    """(number, title, function), in the order of their numbers: the first line of each function's text is `K1  title`."""
    found = []
    for module in (apply, artifacts, bundle, clients, commands, descriptors, evidence, files, kernel, learn, limits, lifecycle, network, record,
                   replay, review, secrets):
        for name in vars(module):
            if re.fullmatch(r"[a-z]\d+[a-z]?", name):
                function = getattr(module, name)
                found.append((name[0].upper() + name[1:], function.__doc__.splitlines()[0], function))
    order = "HKDNRECL"
    return sorted(found, key=lambda c: (order.index(c[0][0]), int(family(c[0])[1:]), c[0]))


def family(number):
    """R1 of R1a: the line of the list of attacks that a case belongs to."""
    return number.rstrip("abcdefghijklmnopqrstuvwxyz")


def binary(given):
    for path in [given] if given else [f"{ROOT}/dist/aegix", f"{ROOT}/.build/dist/release/aegix"]:
        if os.access(path, os.X_OK):
            return path
    sys.exit(f"conformance: no binary at {given or 'dist/aegix or .build/dist/release/aegix'}; `make release` builds it")


class OrdinaryUser:
    """--user, or aegix-test, or one made for this run and removed after it."""

    def __init__(self, name):
        self.made = False
        if os.geteuid() != 0:
            self.name, self.ids = "user", (os.getuid(), os.getgid())
            return
        self.name = name or "aegix-test"
        self.ids = harness.find_user(self.name)
        if self.ids is None and name:
            sys.exit(f"conformance: no user named {name}")
        if self.ids is None:
            self.name = "aegix-conformance"
            if harness.find_user(self.name) is None:
                subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", self.name], check=True)
                self.made = True
            self.ids = harness.find_user(self.name)

    def close(self):
        if self.made:
            subprocess.run(["userdel", self.name], check=False, capture_output=True)


def identities(wanted, world, ordinary):
    wanted = wanted or ("both" if os.geteuid() == 0 else "user")
    if wanted != "user" and os.geteuid() != 0:
        sys.exit("conformance: --as root needs root")
    found = []
    if wanted in ("root", "both"):
        found.append(harness.Identity("root", 0, 0, os.path.join(world.base, "home-root")))
    if ordinary:
        found.append(harness.Identity(ordinary.name, *ordinary.ids, os.path.join(world.base, "home-user")))
    for one in found:
        os.mkdir(one.home, 0o755)
        if os.geteuid() == 0:
            os.chown(one.home, one.uid, one.gid)
    return found


def run_one(world, identity, box, number, function):
    """('ok' | 'FAILED' | 'skipped' | '-', what to say)"""
    case = harness.Case(world, identity, box, number)
    try:
        function(case)
    except harness.Skip as skip:
        if harness.MUST_WORK and not skip.excused:
            return "FAILED", [f"skipped where it must work: {skip}"]
        # What was tried before the skip still counts.
        if not case.failures:
            return "skipped", [str(skip)]
    except harness.NotForPeers:
        return "-", []
    except Exception:  # a broken case is a failed case
        case.failures.append(traceback.format_exc(limit=-3).strip())
    finally:
        case.finish()
    return ("FAILED" if case.failures else "ok"), case.failures + case.notes


class Turn:
    """Who runs now: any number of cases, or one that is to be alone. Who waits to be alone isn't overtaken for ever."""

    def __init__(self, base):
        self.door, self.room = (open(os.path.join(base, name), "w") for name in ("door", "room"))

    def take(self, alone):
        fcntl.flock(self.door, fcntl.LOCK_EX)
        fcntl.flock(self.room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self.door, fcntl.LOCK_UN)

    def give(self):
        fcntl.flock(self.room, fcntl.LOCK_UN)


def run_column(world, identity, box, chosen, tell):
    """All cases of one column, in their order; tells of each what came of it."""
    turn = Turn(world.base)
    for index, (number, _, function) in enumerate(chosen):
        turn.take(getattr(function, "alone", False))
        started = time.monotonic()
        try:
            verdict, said = run_one(world, identity, box, number, function)
        finally:
            turn.give()
        tell({"index": index, "verdict": verdict, "said": said, "seconds": time.monotonic() - started})


def start_column(world, identity, box, chosen):
    """The same in a process of its own: what a case leaves behind is looked for among its own descendants."""
    ours, theirs = os.pipe()
    sys.stdout.flush()
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(ours)
            harness.end_with(parent)
            harness.become_subreaper()
            with open(theirs, "w") as out:
                run_column(world, identity, box, chosen, lambda told: (out.write(json.dumps(told) + "\n"), out.flush()))
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(theirs)
    return pid, open(ours, "rb", buffering=0)


def results(world, columns, chosen, in_turn):
    """(column, what it tells) as it comes, of all columns at once or of one case after the other."""
    if in_turn or len(columns) == 1:
        for index, case in enumerate(chosen):
            for column, (identity, box) in enumerate(columns):
                told = []
                run_column(world, identity, box, [case], told.append)
                yield column, {**told[0], "index": index}
        return
    at_work = selectors.DefaultSelector()
    pids = []
    try:
        for column, (identity, box) in enumerate(columns):
            pid, pipe = start_column(world, identity, box, chosen)
            pids.append(pid)
            at_work.register(pipe, selectors.EVENT_READ, column)
        while at_work.get_map():
            for key, _ in at_work.select():
                # A line is one write, so there is a whole one, or the end.
                line = key.fileobj.readline()
                if line:
                    yield key.data, json.loads(line)
                else:
                    at_work.unregister(key.fileobj)
    finally:
        for pid in pids:
            if at_work.get_map():
                os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)


def show(case, told, columns, heads, explain):
    number, title, _ = case
    print(f"{number:<4} {title + ' ':.<86}" + "".join(f" {t['verdict']:<7} {t['seconds']:5.1f} " for t in told).rstrip())
    for one, (_, box), head in zip(told, columns, heads):
        if box.name == "aegix" or explain:
            for line in (line for text in one["said"] for line in text.splitlines()):
                print(f"       {head}: {line}")
    sys.stdout.flush()


def main():
    asked = options()
    if asked.list:
        for number, title, _ in cases():
            print(f"{number:<4} {title}")
        return 0
    chosen = cases()
    if asked.only:
        names = {name[:1].upper() + name[1:].lower() for name in asked.only.split(",")}
        unknown = names - {c[0] for c in chosen} - {family(c[0]) for c in chosen}
        if unknown:
            sys.exit(f"conformance: no such case: {', '.join(sorted(unknown))}")
        chosen = [c for c in chosen if c[0] in names or family(c[0]) in names]
    if asked.peer and not shutil.which("bwrap"):
        sys.exit("conformance: --peer bwrap needs bubblewrap: apt-get install bubblewrap")

    # Ended from outside, too, it takes its user and its files along.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    # A caller in the background ignores these, and what we start would go on doing so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    harness.become_subreaper()
    world = harness.World(binary(asked.aegix))
    user_wanted = asked.identity in (None, "user", "both")
    ordinary = OrdinaryUser(asked.user) if user_wanted else None
    count = {"ok": 0, "FAILED": 0, "skipped": 0, "-": 0}
    try:
        world.compile()
        who = identities(asked.identity, world, ordinary)
        columns = [(i, kind(world, i)) for kind in ([harness.Aegix] + ([harness.Bubblewrap] if asked.peer else [])) for i in who]
        heads = ["root" if i.root else "user" for i, _ in columns]
        if asked.peer:
            heads = [("" if b.name == "aegix" else f"{b.name} ") + h for (_, b), h in zip(columns, heads)]
        print(f"{'':<4} {'':<86}" + "".join(f" {h:<14}" for h in heads))
        waiting, shown = [{} for _ in chosen], 0
        for column, told in results(world, columns, chosen, asked.in_turn):
            waiting[told["index"]][column] = told
            if columns[column][1].name == "aegix":
                count[told["verdict"]] += 1
            while shown < len(chosen) and len(waiting[shown]) == len(columns):
                show(chosen[shown], [waiting[shown][c] for c in range(len(columns))], columns, heads, asked.explain)
                shown += 1
        for number, _, _ in chosen[shown:]:
            print(f"{number:<4} didn't come to its end FAILED")
            count["FAILED"] += 1
    finally:
        world.close()
        if ordinary:
            ordinary.close()
    print(f"{count['ok']} passed, {count['FAILED']} failed, {count['skipped']} skipped")
    return 1 if count["FAILED"] or not count["ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
