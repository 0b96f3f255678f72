"""H: apply on the host. What a command, or somebody beside it, does so that the taking of its changes goes astray."""

import base64
import hashlib
import json
import os
import random
import re
import signal
import stat
import subprocess
import time
import zlib

from harness import KERNEL, Skip, alone, tree
from review import GIT, git, script


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


def changes(t):
    """path → change, of the newest run."""
    listed = t.record_of(sorted(t.run_ids())[-1])["changes"]
    return {c["path"] if isinstance(c["path"], str) else os.fsdecode(base64.b64decode(c["path"]["base64"])): c for c in listed}


def h5a(t):
    """an enormous sparse file, a 10,000-deep tree, odd names in a layer: bounded, listed exactly, applied or refused"""
    t.only_aegix()
    odd = {b"new\nline": "a", b"\xff\xfe": "b", b"-rf": "c", b"tab\there": "d", b" ": "e", b"\x1b[31m": "f", b"a" * 255: "g", "ü\u202e".encode(): "h"}
    script = ("import os\nfor n,t in %r.items():\n    open(n,'w').write(t)\nf=open('huge','wb'); f.truncate(1<<42); f.seek(1<<41); f.write(b'x')" % odd)
    t.ran(t.run("/usr/bin/python3", "-c", script, policy="[limits]\ndisk = \"none\"\n"))
    listed = changes(t)
    t.check(set(map(os.fsencode, listed)) == set(odd) | {b"huge"}, f"not exactly what was made: {sorted(listed)}")
    t.check(listed["huge"]["after"]["size"] == 1 << 42 and listed["huge"]["flags"] == ["undigested"], f"the huge file: {listed['huge']}")
    began = time.monotonic()
    shown = t.aegix("review", "last", "--state-dir", t.state)
    t.check(shown.code == 0 and b"\x1b" not in shown.out and time.monotonic() - began < 10, f"review: {shown}")
    # What wasn't read isn't applied; the others are.
    took = t.aegix("apply", "last", "--only", "tab*", "--only=-rf", "--only", "new*", "--state-dir", t.state)
    t.check(took.code == 0 and sorted(os.listdir(t.workspace)) == ["-rf", "new\nline", "tab\there"], f"chosen by name: {took}")
    take(t, "reset", 0)
    took = take(t, "apply", 0)
    t.check(b"huge" in took.err + took.out, f"apply says nothing of the huge file: {took}")
    t.check(set(os.listdir(os.fsencode(t.workspace))) == set(odd), f"applied: {os.listdir(t.workspace)}")

    deep = "import os\nfor i in range(10000):\n    os.mkdir('d'); os.chdir('d')\n"
    t.ran(t.run("/usr/bin/python3", "-c", deep))
    last = t.record_of(sorted(t.run_ids())[-1])
    flagged = [c for c in last["changes"] if "deeper" in c["flags"]]
    t.check(len(flagged) == 1 and len(last["changes"]) <= 300, f"a deep tree: {len(last['changes'])} changes, {len(flagged)} flagged")
    took = t.aegix("apply", "last", "--state-dir", t.state)
    t.check(took.code == 1 and b"depth" in took.err, f"a list that was cut is applied: {took}")
    t.check(not os.path.exists(f"{t.workspace}/d"), "half of it was applied")
    dropped = t.aegix("discard", "last", "--state-dir", t.state)
    t.check(dropped.code == 0, f"a deep layer can't be dropped: {dropped}")


def h8(t):
    """setuid bits, whiteouts, opaque directories, xattrs of overlayfs's own: stripped or carried right"""
    t.only_aegix()
    for name in ("gone", "dir/old", "dir/kept", "full/a", "full/b/c"):
        t.mkdir(os.path.dirname(f"workspace/{name}"))
        t.file(f"workspace/{name}", f"{name}\n")
    t.own(f"{t.workspace}/full/b")
    os.chmod(f"{t.workspace}/dir/kept", 0o4755)
    script = """
import os
os.remove("gone"); os.remove("dir/old"); open("dir/kept", "a").write("more\\n")
import shutil
shutil.rmtree("full"); os.mkdir("full"); open("full/new", "w").write("new\\n")
open("attr", "w").write("x\\n"); os.setxattr("attr", "user.note", b"kept")
for name in ("user.overlay.opaque", "user.overlay.redirect", "user.overlay.whiteout", "trusted.overlay.opaque", "trusted.overlay.redirect", "security.capability"):
    os.makedirs("marked", exist_ok=True)
    open("marked/f", "w").write("f\\n")
    for at in ("marked", "marked/f"):
        try:
            os.setxattr(at, name, b"/../../etc" if "redirect" in name else b"y")
        except OSError as error:
            print(name, at, os.strerror(error.errno))
for mode in (0o4755, 0o2755, 0o6777):
    try:
        os.chmod("attr", mode); print("chmod", oct(mode))
    except PermissionError:
        pass
try:
    os.mknod("null", 0o600 | 0o020000, 0)
    print("whiteout made")
except PermissionError:
    pass
"""
    result = t.run("/usr/bin/python3", "-c", script)
    t.ran(result)
    t.check("chmod" not in result.text and "whiteout" not in result.text, f"refused things worked: {result.text}")
    kinds = {path: change["kind"] for path, change in changes(t).items()}
    for path, kind in {"gone": "deleted", "dir/old": "deleted", "dir/kept": "modified", "full/a": "deleted", "full/b": "deleted",
                       "full/b/c": "deleted", "full/new": "added", "attr": "added", "marked/f": "added"}.items():
        t.check(kinds.get(path) == kind, f"{path}: expected {kind}, listed {kinds.get(path)}")
    t.check("null" not in kinds, "a device is listed")
    take(t, "apply", 0)
    now = {path for path in tree(t.workspace)}
    t.check(sorted(os.listdir(t.workspace)) == ["attr", "dir", "full", "marked"], f"after apply: {sorted(now)}")
    t.check(os.listdir(f"{t.workspace}/full") == ["new"] and os.listdir(f"{t.workspace}/dir") == ["kept"], "whiteout or opaque directory not carried out")
    t.check(stat.S_IMODE(os.stat(f"{t.workspace}/dir/kept").st_mode) == 0o755, "a setuid file that was written to keeps its bit")
    t.check(t.read(f"{t.workspace}/marked/f") == "f\n" and os.listdir(f"{t.workspace}/marked") == ["f"], "a forged mark had an effect")
    for at in ("attr", "marked", "marked/f", "full", "dir"):
        names = os.listxattr(f"{t.workspace}/{at}")
        t.check(not [n for n in names if "overlay" in n or n.startswith(("trusted", "security.cap"))], f"{at} carries {names}")
    if "user.note" in result.text:
        t.note("no user xattrs here")
    else:
        t.check(os.getxattr(f"{t.workspace}/attr", "user.note") == b"kept", "a user xattr is lost")


def h9(t):
    """a protected or denied path that wasn't there at the start is made inside: flagged, never applied silently"""
    t.only_aegix()
    t.file("workspace/plain", "plain\n")
    t.mkdir("workspace/sub")
    policy = '[workspace]\nprotect = ["secrets/**", "deploy.sh"]\n[files]\ndeny = ["**/.env", "**/*.pem"]\n'
    made = t.sh("set -e; mkdir -p secrets sub/.git/hooks; echo x >secrets/key; echo x >deploy.sh; echo x >sub/.git/hooks/post-checkout;"
                "echo more >>plain; for i in .env sub/.env a.pem; do echo x >$i || :; done; mv deploy.sh tmp; mv tmp deploy.sh; ln secrets/key alias", policy=policy)
    t.ran(made)
    listed = changes(t)
    for path in ("secrets/key", "deploy.sh", "sub/.git/hooks/post-checkout"):
        t.check("protected" in listed[path]["flags"], f"{path} isn't flagged: {listed[path]['flags']}")
    denied = [path for path in (".env", "sub/.env", "a.pem") if path in listed]
    for path in denied:
        t.check("denied" in listed[path]["flags"], f"{path}, denied by the policy, was made and isn't flagged: {listed[path]['flags']}")
    t.check(denied, "nothing of what is denied was made, so nothing was tried")
    t.check(b"3 denied" in made.err, f"the run's line doesn't say what is denied: {made}")
    t.check(made.err.count(b"protected"), f"the run's line doesn't say it: {made}")
    took = take(t, "apply", 0)
    t.check(b"deploy.sh" in took.err + took.out, f"what was left out isn't named: {took}")
    there = [path for path in ("secrets/key", "deploy.sh", "sub/.git", ".env", "sub/.env", "a.pem", "alias") if os.path.exists(f"{t.workspace}/{path}")]
    t.check(not there, f"applied without being asked for: {there}")
    t.check(t.read(f"{t.workspace}/plain") == "plain\nmore\n", "the control: the rest is applied")
    take(t, "reset", 0)
    # Asked for by name it is the caller's word; what the policy denies stays out.
    took = t.aegix("apply", "last", "--include-protected", "--state-dir", t.state)
    t.check(took.code == 0 and os.path.exists(f"{t.workspace}/secrets/key"), f"--include-protected applies nothing: {took}")
    there = [path for path in (".env", "sub/.env", "a.pem") if os.path.exists(f"{t.workspace}/{path}")]
    t.check(not there, f"denied, and applied with --include-protected: {there}")


def h15(t):
    """no overlay to be had (state on an overlay): a copy, which the record says, or refused by policy; never in place"""
    t.only_aegix()
    t.file("workspace/a", "a\n")
    for name in ("gone", "dir/old", "dir/kept", "away/x"):
        t.mkdir(os.path.dirname(f"workspace/{name}"))
        t.file(f"workspace/{name}", f"{name}\n")
    for name in ("lower", "upper", "work", "mnt"):
        t.mkdir(name)
    policies = {how: t.policy_file(f'[workspace]\nbacking = "{how}"\n') for how in ("auto", "overlay")}
    script = f"""
mount -t overlay overlay -o lowerdir={t.dir}/lower,upperdir={t.dir}/upper,workdir={t.dir}/work{'' if t.identity.root else ',userxattr'} {t.dir}/mnt || exit 99
cd {t.workspace}
for how in {policies['auto']} {policies['overlay']}; do
    printf 'in\n' | {'' if t.identity.root else 'setpriv --ambient-caps=-all --inh-caps=-all '}{t.world.aegix} run --state-dir {t.dir}/mnt/state --policy $how --artifact '**' --cmd 'cat; echo b >>a; echo n >n; rm gone; rm -r dir; mkdir dir; echo k >dir/kept; mv away moved'
    echo code $?
done
cat {t.dir}/mnt/state/runs/*/audit.json >{t.dir}/records
(cd {t.workspace}; find . | sort; cat a) >{t.dir}/before
first=$(ls {t.dir}/mnt/state/runs | head -n 1)
(cd {t.dir}/mnt/state/runs/$first/artifacts; find . -type f | sort) >{t.dir}/collected
{t.world.aegix} apply --state-dir {t.dir}/mnt/state $first && (cd {t.workspace}; find . | sort; cat a; stat -c %a .) >{t.dir}/after
{t.world.aegix} reset --state-dir {t.dir}/mnt/state $first && (cd {t.workspace}; find . | sort; cat a) >{t.dir}/again
"""
    wrap = ["unshare", "-m"] if t.identity.root else ["unshare", "-U", "--map-current-user", "--keep-caps", "-m"]
    child = subprocess.run([*wrap, "sh", "-c", script], capture_output=True, cwd=t.workspace, env=t.box.environment({}), timeout=60,
                           check=False, **t.identity.options())
    if child.returncode == 99:
        raise Skip(f"no overlay can be mounted to try it on: {child.stderr[-200:]}", excused=KERNEL < (5, 11))
    t.check(child.stdout.startswith(b"in\ncode 0\ncode 125\n"), f"expected a copy, then a refusal: {child}")
    before = t.read(f"{t.dir}/before")
    t.check(before.split() == [".", "./a", "./away", "./away/x", "./dir", "./dir/kept", "./dir/old", "./gone", "a"], f"the workspace was written in place: {before}")
    after = t.read(f"{t.dir}/after").split()
    t.check(after == [".", "./a", "./dir", "./dir/kept", "./moved", "./moved/x", "./n", "a", "b", "755"], f"applied: {after}; {child.stderr[-400:]}")
    t.check(t.read(f"{t.dir}/collected").split() == ["./a", "./dir/kept", "./moved/x", "./n"], f"artifacts: {t.read(t.dir + '/collected')}")
    t.check(t.read(f"{t.dir}/again") == before, "reset doesn't give back what was there")
    records = t.read(f"{t.dir}/records")
    t.check(": a copy in the run directory" in records and "no overlay" in records or "no id-mapped" in records, "the record doesn't say why")
    t.check('"path":"n"' in records, "the changes aren't listed")


def state(path):
    """name → what it is, without the object's own number: a file that is put back may be another one."""
    found = {}
    for parent, directories, files in os.walk(path):
        for name in directories + files:
            full = os.path.join(parent, name)
            facts = os.lstat(full)
            place = os.path.relpath(full, path)
            content = None
            if stat.S_ISREG(facts.st_mode):
                with open(full, "rb") as f:
                    content = f.read()
            found[place] = (oct(facts.st_mode), content, facts.st_nlink if content is not None else 0)
    return found


@alone
def r3a(t):
    """SIGKILL at any moment of an apply or a reset: the old workspace or the new one after the next command, nothing left"""
    t.only_aegix()
    for i in range(60):
        t.mkdir(f"workspace/d{i % 7}")
        t.file(f"workspace/d{i % 7}/f{i}", f"{i}\n")
    t.ran(t.sh("for f in d*/f*; do echo more >>$f; done; rm -r d3; mkdir -p d3/x; for i in $(seq 40); do echo $i >d3/x/n$i; done; ln d0/f0 hard; mv d1/f1 moved"))
    old = state(t.workspace)
    take(t, "apply", 0)
    new = state(t.workspace)
    t.check(old != new, "the control: apply changes something")
    take(t, "reset", 0)
    t.check(state(t.workspace) == old, "the control: reset gives back what was there")
    kills, chance = {"apply": 0, "reset": 0}, random.Random(7)
    for verb, goal in (("apply", new), ("reset", old)) * 4:
        for _ in range(60):
            child = t.box.spawn([verb, "last", "--state-dir", t.state], t, raw=True)
            time.sleep(chance.random() * 0.03)
            child.send_signal(signal.SIGKILL)
            child.communicate()
            if child.returncode == 0:
                break
            kills[verb] += 1
            t.aegix("history", "--state-dir", t.state)
            now = state(t.workspace)
            if not t.check(now in (old, new), f"killed in {verb}: neither the old workspace nor the new: {set(now) ^ set(old)}"):
                return
            if now == goal:
                break
        else:
            take(t, verb, 0)
        t.check(state(t.workspace) == goal, f"{verb} isn't complete")
    t.check(kills["apply"] and kills["reset"], f"nothing was killed: {kills}")
    t.check(not [n for n in os.listdir(t.workspace) if n.startswith(".aegix")], f"left behind: {os.listdir(t.workspace)}")
    t.check(not os.listdir(f"{t.state}/live"), f"left behind in live/: {os.listdir(t.state + '/live')}")


WHO = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.org"))}


def repository(t):
    """A workspace with one commit, whose git directory is the identity's own."""
    git(t, "init", "-q", "-b", "main", ".", cwd=t.workspace)
    t.file("workspace/text", "one\n")
    git(t, "add", "text", cwd=t.workspace)
    git(t, "commit", "-qm", "first", cwd=t.workspace)


def d5b(t):
    """apply --commit with hooks, fsmonitor, filters, gpg.program, core.editor, hooksPath, aliases, poisoned objects planted ⇒ runs none of it, commits what was reviewed"""
    t.only_aegix()
    repository(t)
    marker = f"{t.dir}/marker"
    tool = script(t, "tool", marker)
    for name in ("git", "gpg", "sh", "editor", "pager"):
        script(t, f"workspace/{name}", marker)
    git(t, "add", ".", cwd=t.workspace)
    git(t, "commit", "-qm", "second", cwd=t.workspace)
    run = t.sh("echo two >>text; printf 'benign\\n' >new")
    t.ran(run)
    # Now, after the run: an attribute would already be obeyed by the git that makes the base.
    for where in (".git/hooks", "hooks"):
        t.mkdir(f"workspace/{where}")
        for hook in ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "reference-transaction", "post-index-change", "pre-auto-gc",
                     "fsmonitor-watchman", "post-checkout", "post-rewrite"):
            script(t, f"workspace/{where}/{hook}", marker)
    settings = {"core.fsmonitor": tool, "core.editor": tool, "core.pager": tool, "core.sshCommand": tool, "core.hooksPath": "hooks", "gpg.program": tool,
                "gpg.ssh.program": tool, "commit.gpgSign": "true", "filter.evil.clean": tool, "filter.evil.smudge": tool, "filter.evil.process": tool,
                "filter.evil.required": "true", "diff.evil.textconv": tool, "diff.external": tool, "merge.evil.driver": tool, "trailer.x.command": tool,
                "alias.commit-tree": f"!{tool}", "alias.write-tree": f"!{tool}", "credential.helper": tool, "core.alternateRefsCommand": tool}
    for name, value in settings.items():
        git(t, "config", name, value, cwd=t.workspace)
    t.mkdir("workspace/.git/info")
    t.file("workspace/.git/info/attributes", "* filter=evil diff=evil merge=evil\n")
    # Under the ids of what the run left there is something else: zlib of `blob 7`, EVIL.
    for body in (b"benign\n", b"one\ntwo\n"):
        name = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
        t.mkdir(f"workspace/.git/objects/{name[:2]}")
        with open(f"{t.workspace}/.git/objects/{name[:2]}/{name[2:]}", "wb") as f:
            f.write(zlib.compress(b"blob %d\0" % len(body) + b"EVIL!!!!"[:len(body) - 1] + b"\n"))
        t.own(f"{t.workspace}/.git/objects/{name[:2]}/{name[2:]}")
    if os.path.exists(marker):
        os.unlink(marker)
    env = {**WHO, "PATH": f".:{t.workspace}::/usr/bin:/bin", "AEGIX_STATE": t.state}
    command = ["apply", "last", "--commit", "Reviewed", "--json"]
    if os.access("/usr/bin/strace", os.X_OK):
        took = t.outside("/usr/bin/strace", "-f", "-e", "trace=execve,execveat", t.world.aegix, *command, env=env)
        t.check(len(re.findall(rb"execve(?:at)?\(", took.err)) == 1, f"apply --commit started programs: {took.err[:600]!r}")
    else:
        took = t.aegix(*command, env=env)
    t.check(took.code == 0, f"apply --commit: {took}")
    t.check(not os.path.exists(marker), f"apply --commit ran {t.read(marker) if os.path.exists(marker) else ''}")
    # What was reviewed, by a git that obeys nothing of the repository.
    bare = {"GIT_DIR": f"{t.dir}/clean", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    git(t, "init", "-q", "--bare", f"{t.dir}/clean", cwd=t.dir)
    t.file("clean/objects/info/alternates", f"{t.workspace}/.git/objects\n")
    commit = json.loads(took.out)["commit"] if took.code == 0 else "HEAD"

    def seen(*words):
        return subprocess.run([GIT, "-c", "safe.directory=*", *words], cwd=t.dir, env={**os.environ, **bare}, capture_output=True, check=False,
                              **t.identity.options()).stdout
    t.check(seen("cat-file", "blob", f"{commit}:new") == b"benign\n", f"committed as new: {seen('cat-file', 'blob', f'{commit}:new')!r}")
    t.check(seen("cat-file", "blob", f"{commit}:text") == b"one\ntwo\n", f"committed as text: {seen('cat-file', 'blob', f'{commit}:text')!r}")
    t.check(seen("diff-tree", "-r", "--name-only", f"{commit}~", commit) == b"new\ntext\n", "something else is in the commit")
    checked = subprocess.run([GIT, "fsck", "--strict", commit], cwd=t.dir, env={**os.environ, **bare}, capture_output=True, check=False, **t.identity.options())
    t.check(checked.returncode == 0, f"git fsck: {checked.stdout} {checked.stderr}")
    # The control: the host's git, asked to commit the same, falls for it.
    subprocess.run([GIT, "-c", "safe.directory=*", "commit", "-qam", "x", "--allow-empty"], cwd=t.workspace, stdin=subprocess.DEVNULL, capture_output=True,
                   env={**os.environ, **WHO}, check=False, **t.identity.options())
    t.check(os.path.exists(marker), "the probe is blunt: git itself ran nothing")


@alone
def r3f(t):
    """SIGKILL at each rename of an apply --commit: the old workspace or the new one, a repository that git finds whole, at worst a stale .lock"""
    t.only_aegix()
    if not os.access("/usr/bin/strace", os.X_OK):
        raise Skip("no strace to kill at a rename", excused=True)
    repository(t)
    t.ran(t.sh("echo two >>text; mkdir d; echo new >d/new; ln -s new d/link"))

    def files():
        return {name: facts for name, facts in state(t.workspace).items() if name.split("/")[0] != ".git"}

    def ask(*words):
        return git(t, *words, cwd=t.workspace).out.decode().strip()

    base, old, new, kills = ask("rev-parse", "HEAD"), files(), None, []
    env = {**WHO, "AEGIX_STATE": t.state}
    # The n-th of a call, until it is made n - 1 times.
    turns, place = ["rename", "renameat", "renameat2"], 0
    while turns:
        place += 1
        took = t.outside("/usr/bin/strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={turns[0]}", "-e", f"inject={turns[0]}:signal=KILL:when={place}",
                         t.world.aegix, "apply", "last", "--commit", "Change", env=env)
        t.aegix("history", env=env)
        now, head = files(), ask("rev-parse", "HEAD")
        ask("fsck", "--strict")
        left = {os.path.relpath(os.path.join(parent, name), t.workspace) for parent, _, names in os.walk(t.workspace) for name in names if name.endswith(".lock")}
        at = f"killed at {turns[0]} {place}"
        t.check(left <= {".git/index.lock", ".git/refs/heads/main.lock"}, f"{at}: left {left}")
        for name in left:
            os.unlink(f"{t.workspace}/{name}")
        if took.code == 0:
            t.check(not left and head != base and ask("status", "--porcelain") == "", f"not killed, yet: {left} {head}")
            turns, place = turns[1:], 0
        else:
            kills.append(at)
        if now != old:
            new = new or now
            t.check(now == new and t.read(f"{t.workspace}/d/new") == "new\n", f"{at}: neither the old workspace nor the new")
        t.check(head == base or now != old, f"{at}: committed and not applied")
        # Back to the start, for the next place.
        ask("reset", "-q", "--soft", base)
        ask("read-tree", base)
        if now != old:
            take(t, "reset", 0)
        t.check(files() == old, f"{at}: reset doesn't give back what was there")
        if t.failures:
            return
    t.check(len(kills) > 4 and new, f"hardly killed: {kills}")
