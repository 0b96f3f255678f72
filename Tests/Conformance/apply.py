"""H: apply on the host. What a command, or somebody beside it, does so that the taking of its changes goes astray."""

import os

from harness import tree


def take(t, verb, code, run="last"):
    ended = t.aegix(verb, run, "--state-dir", t.state)
    t.check(ended.code == code, f"{verb}: expected exit {code}: {ended}")
    return ended


def h2(t):
    """a symlink in an ancestor during apply: refused, the file outside never written"""
    t.only_aegix()
    outside = t.mkdir("outside")
    t.file("outside/victim", "victim\n")
    t.mkdir("workspace/sub")
    t.file("workspace/sub/victim", "mine\n")
    t.ran(t.sh("echo taken >sub/victim; echo new >sub/new"))
    os.rename(f"{t.workspace}/sub", f"{t.workspace}/away")
    os.symlink(outside, f"{t.workspace}/sub")
    ended = take(t, "apply", 1)
    t.check(b"sub/victim" in ended.err and b"sub/new" in ended.err, f"the paths aren't named: {ended}")
    t.check(t.read(f"{outside}/victim") == "victim\n" and os.listdir(outside) == ["victim"], "written through a symlink")
    t.check(sorted(os.listdir(t.workspace)) == ["away", "sub"], f"left behind: {os.listdir(t.workspace)}")
    # The control: without the symlink it is applied.
    os.unlink(f"{t.workspace}/sub")
    os.rename(f"{t.workspace}/away", f"{t.workspace}/sub")
    take(t, "apply", 0)
    t.check(t.read(f"{t.workspace}/sub/victim") == "taken\n", "a plain apply changes nothing")


def h6(t):
    """apply fails half-way: the workspace as before, the layer kept"""
    t.only_aegix()
    for name in "abcde":
        t.file(f"workspace/{name}", f"{name}\n")
    t.mkdir("workspace/closed")
    t.file("workspace/closed/f", "f\n")
    t.ran(t.sh("for i in a b c d e closed/f; do echo more >>$i; done; rm b; mkdir new; echo x >new/x"))
    before = tree(t.workspace)
    if os.geteuid() == 0:
        os.chown(f"{t.workspace}/closed", 0, 0)
    if t.identity.root:
        if os.system(f"chattr +i '{t.workspace}/d' 2>/dev/null"):
            t.note("no chattr on this file system: the failure half-way isn't tried")
            return
    elif os.geteuid() != 0:
        t.note("a failure half-way needs root to be made")
        return
    took = t.aegix("apply", "last", "--state-dir", t.state)
    os.system(f"chattr -i '{t.workspace}/d' 2>/dev/null")
    t.check(took.code == 1, f"expected exit 1: {took}")
    t.check({k: v for k, v in tree(t.workspace).items()} == before, "the workspace isn't as it was")
    if os.geteuid() == 0:
        t.own(f"{t.workspace}/closed")
    take(t, "apply", 0)
    t.check(t.read(f"{t.workspace}/closed/f") == "f\nmore\n" and not os.path.exists(f"{t.workspace}/b"), "the control: nothing is applied")
    take(t, "reset", 0)
    t.check(tree(t.workspace) == before, "reset doesn't give back what was there")


def h7(t):
    """base changed since the run, or by another run: conflict, nothing overwritten"""
    t.only_aegix()
    t.file("workspace/f", "base\n")
    t.file("workspace/g", "base\n")
    t.ran(t.sh("echo one >>f; echo one >>g"))
    first = sorted(t.run_ids())[-1]
    t.ran(t.sh("echo two >>f"))
    second = sorted(t.run_ids())[-1]
    with open(f"{t.workspace}/g", "a") as f:
        f.write("theirs\n")
    take(t, "apply", 1, first)
    t.check((t.read(f"{t.workspace}/f"), t.read(f"{t.workspace}/g")) == ("base\n", "base\ntheirs\n"), "something was overwritten")
    take(t, "apply", 0, second)
    take(t, "apply", 1, first)
    t.check(t.read(f"{t.workspace}/f") == "base\ntwo\n", "the second run's file was overwritten")
    take(t, "reset", 0, second)
    t.check(t.read(f"{t.workspace}/f") == "base\n", "reset doesn't give back what was there")
