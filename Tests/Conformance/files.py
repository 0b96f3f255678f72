"""H: files. Denies that hold over every way to a file, writes that fail instead of landing nowhere, planted configuration."""

import os
import socket
import tempfile

from harness import tree

DENIED = ("EROFS", "EACCES", "EPERM")


def pairs(verb, *paths):
    return sum(([verb, path] for path in paths), [])


def h4(t):
    """hard link to a read-only file, then write: the original unchanged"""
    files = t.probe("files")
    given = t.mkdir("given")
    kept = t.file("given/original", "original\n")
    t.file("workspace/mine", "mine\n")
    # A name in the workspace for a file outside of it: writing there must not write here.
    os.link(kept, f"{t.workspace}/alias")
    t.file("workspace/twin", "twin\n")
    os.link(f"{t.workspace}/twin", f"{t.workspace}/twin2")
    bare = t.outside(files, "link", kept, f"{t.dir}/spare", "write", f"{t.dir}/spare")
    t.works_outside(bare, f"link {t.dir}/spare", f"write {t.dir}/spare")
    t.check(t.read(kept) == "original\n!", "the probe is blunt: writing through a hard link changes nothing outside")
    os.unlink(f"{t.dir}/spare")
    with open(kept, "w") as f:
        f.write("original\n")

    def unchanged(what):
        t.check(t.read(kept) == "original\n", f"{what}: the original now holds {t.read(kept)!r}")
        with open(kept, "w") as f:
            f.write("original\n")

    before = tree(t.workspace)
    inside = t.run(files, "link", kept, "stolen", "write", "stolen", "link", "/usr/bin/env", "env", "write", "env",
                   "link", "/etc/passwd", "passwd", "link", f"/proc/self/root{kept}", "again",
                   "link", "mine", "own", "write", "own", "write", "alias", "write", "twin", read=[given])
    t.ran(inside)
    for name in ("link own", "write own", "write twin"):
        t.verdict(inside, name, "ok")
    for name in ("link stolen", "link env", "link passwd", "link again"):
        t.verdict(inside, name, "EXDEV", *DENIED, "ENOENT")
    if t.box.name == "aegix":  # a peer's workspace is bound: its writes are meant to arrive
        unchanged("a write in the layer")
        t.check(tree(t.workspace) == before, "the workspace changed under a layer")
        t.check(t.read(f"{t.workspace}/mine") == "mine\n" and t.read(f"{t.workspace}/twin2") == "twin\n", "the workspace's files changed under a layer")
        for mode in ("read-only",):
            inside = t.run(files, "link", kept, "stolen", "link", "mine", "own2", "write", "mine", "write", "alias", mode=mode, read=[given])
            for name in inside.attempts:
                t.verdict(inside, name, *DENIED, "EXDEV")
            unchanged(mode)
        inside = t.run(files, "link", kept, "stolen", "link", f"{given}/original", "stolen2", "write", "mine", mode="direct", read=[given])
        if inside.code != 125:
            t.verdict(inside, "link stolen", "EXDEV", *DENIED)
            t.verdict(inside, "link stolen2", "EXDEV", *DENIED)
            t.verdict(inside, "write mine", "ok")
        unchanged("direct")


def h12(t):
    """deny rule for a child under an allowed parent: deny wins"""
    t.only_aegix()
    files = t.probe("files")
    given = t.mkdir("given")
    for name in ("given/inner", "given/inner/secret", "workspace/app", "workspace/app/keys"):
        t.mkdir(name)
    for name in ("given/open", "given/inner/token.key", "given/inner/secret/deep", "workspace/app/.env", "workspace/.env",
                 "workspace/app/open", "workspace/app/keys/private", "workspace/a b.key"):
        t.file(name)
    os.link(f"{t.workspace}/app/.env", f"{t.workspace}/app/by-hard-link")
    os.symlink("app/.env", f"{t.workspace}/by-symlink")
    os.symlink(f"{given}/inner/secret", f"{t.workspace}/to-secret")
    denied = [f"{given}/inner/token.key", f"{given}/inner/secret/deep", f"{t.workspace}/app/.env", f"{t.workspace}/.env",
              f"{t.workspace}/app/keys/private", f"{t.workspace}/a b.key"]
    ways = ["app/by-hard-link", "by-symlink", "to-secret/deep", "/proc/self/cwd/app/.env", f"/proc/self/root{t.workspace}/app/.env",
            "app/../app/.env", "app/keys/../keys/private", f"{given}/./inner//token.key"]
    allowed = [f"{given}/open", "app/open"]
    policy = f'[files]\ndeny = ["**/.env", "{given}/inner/secret", "**/*.key", "app/keys"]\n'
    bare = t.outside(files, *pairs("read", *denied, *ways))
    t.works_outside(bare, *bare.attempts)
    for mode in ("layer", "read-only", "direct"):
        for how in ({"read": [given]}, {"read": [given, f"{given}/inner/token.key", f"{given}/inner/secret"]}, {"write": [given]}):
            if mode == "direct" and how != {"read": [given]}:
                continue
            inside = t.run(files, *pairs("read", *allowed, *denied, *ways), *pairs("path", *denied), *pairs("write", *denied),
                           *pairs("truncate", *denied), "list", f"{given}/inner/secret", "list", "app/keys", policy=policy, mode=mode, **how)
            what = f"{mode}, {'write' if 'write' in how else len(how['read'])}"
            if inside.code == 125 and b"deny" in inside.err:
                t.note(f"{what}: refused: {inside.err.decode().strip()[:200]}")  # the contract allows a refusal where a deny can't hold
                continue
            t.ran(inside)
            for name in pairs_names("read", allowed):
                t.verdict(inside, name, "ok")
            for name, verdict in inside.attempts.items():
                if name not in pairs_names("read", allowed):
                    t.check(verdict in ("EACCES", "EROFS") if name.split()[0] in ("write", "truncate") else verdict == "EACCES",
                            f"{what}: {name}: expected EACCES, got {verdict}")
    # Around the deny: another name for its directory, another place for the file.
    for mode in ("layer", "direct"):
        inside = t.run(files, "rename", "app", "moved", "read", "moved/.env", "read", "moved/keys/private", "rename", "moved/.env", "free", "read", "free",
                       "rename", "app/.env", "free2", "read", "free2", "link", "app/.env", "free3", "read", "free3", "link", ".env", "free4", "read", "free4",
                       "unlink", "app/.env", "read", "app/open", "read", "moved/open", policy=policy, mode=mode)
        if inside.code == 125 and b"deny" in inside.err:
            continue
        t.ran(inside)
        t.check("ok" in (inside.attempts.get("read app/open"), inside.attempts.get("read moved/open")), f"{mode}: the allowed file is gone: {inside}")
        for name, verdict in inside.attempts.items():
            if name.startswith("read ") and not name.endswith("/open"):
                t.check(verdict != "ok", f"{mode}: after a rename or a link: {name} works")
    # Written in place the directory may have moved; what is denied in it moved along, untouched.
    for name in ("app/.env", ".env", "app/keys/private"):
        places = {f"{t.workspace}/{p}" for p in (name, name.replace("app/", "moved/", 1))}
        t.check([t.read(p) for p in places if os.path.exists(p)] == ["text\n"], f"{name} was changed or removed on the host")


def h12b(t):
    """a deny in a named sandbox: what one run moves around it, the next one can't read"""
    t.only_aegix()
    for name, text in (("secret/key", "TOP\n"), ("secret/deep/key", "TOP\n"), ("open/file", "open\n")):
        t.mkdir(os.path.dirname(f"workspace/{name}"))
        t.file(f"workspace/{name}", text)
    moves = ("mv secret other", "mkdir -p a; mv secret a/b", "cp -al secret linked", "mv secret/deep shallow", "mv open else; ln -s secret there")
    for backing in ("overlay", "copy"):
        policy = f'[workspace]\nbacking = "{backing}"\n[files]\ndeny = ["secret/key", "**/deep"]\n'
        for number, move in enumerate(moves):
            # A copy goes with its run: nothing lives on.
            named = ["--name", f"n{number}"] if backing == "overlay" else []
            first = t.sh(f"{move}; mkdir -p secret/deep; echo mine >secret/key; find . -type f -exec cat {{}} + ; true", policy=policy, options=named)
            second = t.sh("find . -type f -exec cat {} + ; true", policy=policy, options=named)
            for result in (first, second):
                t.ran(result)
                t.check(b"open\n" in result.out, f"the control: what isn't denied can't be read: {result}")
                t.check(b"TOP" not in result.out, f"{backing}, {move}: denied text is shown: {result}")


def pairs_names(verb, paths):
    return [f"{verb} {path}" for path in paths]


def h13(t):
    """a denied write errors; it never "succeeds" into nowhere"""
    files = t.probe("files")
    given = t.mkdir("given")
    t.file("given/file")
    t.file("workspace/file")
    outside_paths = ["/probe", "/usr/probe", "/usr/local/bin/probe", "/etc/probe", "/home/probe", "/root/probe", "/var/probe", "/opt/probe",
                     "/run/probe", "/srv/probe", "/var/tmp/probe", "/proc/probe", "/sys/probe", "/boot/probe", f"{t.dir}/probe", f"{given}/probe",
                     f"{t.dir}/absent/probe", os.path.dirname(t.dir) + "/probe", f"{t.identity.home}/../probe", "/dev/probe"]
    existing = ["/etc/passwd", "/etc/hosts", "/etc/resolv.conf", "/etc/ld.so.cache", "/usr/bin/env", f"{given}/file"]
    home = f"{t.identity.home}/.bashrc"
    bare = t.outside(files, "create", f"{t.dir}/probe", "mkdir", f"{given}/probe")
    t.works_outside(bare, *bare.attempts)
    os.unlink(f"{t.dir}/probe")
    os.rmdir(f"{given}/probe")

    inside = t.run(files, "create", "made", "write", "file", "create", "/tmp/made", "create", "/dev/shm/made", *pairs("create", *outside_paths), *pairs("mkdir", *outside_paths),
                   *pairs("write", *existing), *pairs("truncate", *existing), *pairs("chmod", *existing), *pairs("unlink", *existing), read=[given])
    t.ran(inside)
    for name in ("create made", "write file", "create /tmp/made", "create /dev/shm/made"):
        t.verdict(inside, name, "ok")
    for name, verdict in inside.attempts.items():
        if name.split(" ", 1)[1] in outside_paths + existing and not (t.box.name != "aegix" and name.endswith(" /dev/probe")):
            t.check(verdict in (*DENIED, "ENOENT", "EBUSY", "ENOTDIR"), f"{name}: {verdict}")
            # ENOENT is an error too, but for what is in view it would be the wrong one.
            if name.startswith("create") and name.split(" ", 1)[1] in ("/probe", "/usr/probe", "/etc/probe"):
                t.verdict(inside, name, *DENIED)
    if t.box.name == "aegix":
        t.check(not os.path.exists(f"{t.workspace}/made"), "a write in the layer reached the workspace")
        t.check(inside.run_dir and os.path.exists(f"{inside.run_dir}/layer/upper/made"), "what was made isn't in the layer")
    inside = t.run(files, "read", "file", "create", "new", "write", "file", "mkdir", "dir", "unlink", "file", "truncate", "file", "chmod", "file",
                   "rename", "file", "file2", "symlink", "x", "y", "link", "file", "hard", "fifo", "fifo", "create", "/tmp/made", mode="read-only")
    t.ran(inside)
    t.verdict(inside, "read file", "ok")
    t.verdict(inside, "create /tmp/made", "ok")
    for name, verdict in inside.attempts.items():
        if name not in ("read file", "create /tmp/made"):
            t.check(verdict in DENIED, f"read-only workspace: {name}: {verdict}")
    t.check(os.listdir(t.workspace) == ["file"] or t.box.name != "aegix", f"the read-only workspace changed: {os.listdir(t.workspace)}")
    told = t.sh("echo x > /etc/motd && echo written; echo x >> file && echo written; : > .. ; echo x | tee new; python3 -c 'open(\"new\",\"w\")' 2>&1 | tail -1", mode="read-only")
    t.check("written" not in told.text and "Read-only" in told.text + told.err.decode(), f"a shell believes that its write worked: {told}")
    # Under /tmp the workspace is the host's, all else there is the sandbox's own.
    with tempfile.TemporaryDirectory(prefix="aegix-conformance-") as place:
        t.own(place)
        with open(f"{place}/file", "w") as f:
            f.write("in /tmp\n")
        os.chmod(f"{place}/file", 0o644)
        told = t.sh("cat file; ls /tmp; pwd", workspace=place, mode="read-only")
        t.check(told.text.split("\n") == ["in /tmp", os.path.basename(place), place, ""], f"a workspace in /tmp: {told}")
    # HOME is private and writable: what is written there is there, and not on the host.
    told = t.sh("echo mine > ~/.bashrc && cat ~/.bashrc")
    if t.box.name == "aegix":
        t.check(told.text == "mine\n", f"HOME isn't writable: {told}")
        t.check(not os.path.exists(home), "a file appeared in the caller's HOME")


LOOSE = {
    "network": '[network]\nmode = "host"\n',
    "files": '[files]\nread = ["{hidden}"]\nwrite = ["{hidden}"]\n',
    "direct": '[workspace]\nmode = "direct"\n',
    "limits": '[limits]\nwall = "none"\nexecs = 99999999\n',
    "env": '[env]\npass = ["CI_TOKEN"]\n',
    "secrets": '[secrets]\nX = "env:CI_TOKEN"\n',
    "approval": '[approval]\nvia = "command"\ncommand = ["./ask"]\n',
    "capabilities": '[capabilities]\nkeep = ["cap_net_raw"]\n',
    "extends": 'extends = "agent"\n',
    "require": 'require = "confined"\n',
}


def h14(t):
    """aegix.toml, approval command, preset or tool planted in the workspace: not believed"""
    t.only_aegix()
    hidden = t.mkdir("hidden")
    t.file("hidden/secret", "host\n")
    marker = os.path.join(t.mkdir("markers", 0o777), "ran")
    os.chmod(os.path.dirname(marker), 0o777)
    files = t.probe("files")
    planted = f"{t.workspace}/aegix.toml"
    tool = f"#!/bin/sh\necho $0 >> {marker}\n"
    for name in ("ask", "git", "sh", "python3", "id", "newuidmap", "newgidmap", "aegix", "diff", "true", "default", "strict", "agent"):
        t.file(f"workspace/{name}", tool, 0o755)
    env = {"CI_TOKEN": "planted-case-hush", "PATH": f".:{t.workspace}:/usr/bin:/bin"}
    attack = [files, "read", f"{hidden}/secret", "create", f"{hidden}/new", "create", "in-workspace"]
    clean = t.run(*attack, env=env)
    t.ran(clean)
    t.verdict(clean, f"read {hidden}/secret", "ENOENT", "EACCES")

    for name, text in LOOSE.items():
        with open(planted, "w") as f:
            f.write("version = 1\n" + (text.format(hidden=hidden) if name == "files" else text))
        t.own(planted)
        result = t.run(*attack, env=env)
        if result.code == 125:
            t.check(b"aegix.toml" in result.err, f"{name}: refused without the file's name: {result}")
        else:
            t.ran(result)
            t.check(name in ("limits", "require", "extends", "env", "direct"), f"{name}: accepted from the workspace: {result}")
            t.check("planted-case-hush" not in t.read(f"{result.run_dir}/audit.json") if result.run_dir else True, f"{name}: the token is in the record")
            if name == "limits":
                t.check(False, f"limits: a planted aegix.toml that lifts the wall limit isn't refused: {result}")
        t.check(not os.path.exists(f"{t.workspace}/in-workspace"), f"{name}: the run wrote into the workspace")
        t.check(not os.path.exists(f"{hidden}/new"), f"{name}: the run wrote into the host")
        told = t.sh("echo $CI_TOKEN", env=env)
        t.check("hush" not in told.text, f"{name}: the token is inside")
    # What narrows is taken: the planted file counts, in that direction only.
    with open(planted, "w") as f:
        f.write('version = 1\n[limits]\nwall = "1s"\n')
    result = t.run("/bin/sleep", "30", deadline=20)
    t.check(result.code == 124, f"a narrowing aegix.toml isn't heeded: {result}")

    # What isn't a policy: refused at once, never waited for, never quoted.
    def as_fifo():
        os.mkfifo(planted)

    def as_link():
        os.symlink("/etc/shadow" if t.identity.root else "/etc/passwd", planted)

    def as_socket():
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(planted)

    def as_directory():
        os.mkdir(planted)

    def as_flood():
        with open(planted, "w") as f:
            f.write("# " + "x" * (3 << 20))

    def as_garbage():
        with open(planted, "w") as f:
            f.write("token-quoted-hush: -----BEGIN PRIVATE KEY-----\n\0\xff")

    for shape in (as_fifo, as_link, as_socket, as_directory, as_flood, as_garbage):
        if os.path.isdir(planted):
            os.rmdir(planted)
        elif os.path.lexists(planted):
            os.unlink(planted)
        shape()
        result = t.run("/usr/bin/true", deadline=10)
        t.check(result.code == 125 and b"aegix.toml" in result.err, f"aegix.toml {shape.__name__[3:]}: expected 125 and its name: {result}")
        t.check(b"root:" not in result.err and b"hush" not in result.err and b"PRIVATE" not in result.err, f"{shape.__name__[3:]}: quoted: {result.err!r}")
    os.unlink(planted)

    # A preset's name is the preset, also where a file of that name lies; tools of the workspace are run inside, never on the host.
    with open(f"{t.workspace}/strict", "w") as f:
        f.write('version = 1\n[workspace]\nmode = "direct"\n')
    result = t.run(files, "create", "through-preset", options=["--policy", "strict"])
    t.check(result.code in (0, 125), f"{result}")
    t.check(not os.path.exists(f"{t.workspace}/through-preset"), "--policy strict took the workspace's file")
    for argv in (["/usr/bin/env", "git", "status"], ["/bin/sh", "-c", "id; true; diff; newuidmap; aegix"]):
        result = t.run(*argv, env=env)
        t.check(result.code not in (125,), f"{argv}: {result}")
    for command in (["plan"], ["doctor"], ["history"], ["policy", "list"]):
        t.aegix(*command, *(["--workspace", t.workspace, "--", "git"] if command == ["plan"] else []), env={**env, "AEGIX_STATE": t.state})
    t.check(not os.path.exists(marker), f"run on the host: {t.read(marker) if os.path.exists(marker) else ''}")
    t.check(os.path.isdir(os.path.dirname(marker)), "the directory for the marker is gone")
    t.outside(f"{t.workspace}/git")
    t.check(os.path.exists(marker), "the probe is blunt: a planted tool leaves no marker outside")
