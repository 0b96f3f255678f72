"""Host-side collecting of what a run left: only plain files of the view, private, and all else is told."""

import os
import stat
import subprocess

SECRET = "nobody may read this\n"


def collected(result):
    """path → bytes of what lies in artifacts/; paths are bytes."""
    found, top = {}, os.fsencode(os.path.join(result.run_dir, "artifacts"))
    for at, _, names in os.walk(top):
        for name in names:
            path = os.path.join(at, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                with open(path, "rb") as f:
                    found[os.path.relpath(path, top)] = f.read()
            else:
                found[os.path.relpath(path, top)] = None
    return found


def skipped(result):
    """path → reason, of those whose path is text."""
    entries = (result.record or {}).get("artifacts") or []
    return {e["path"]: e["skipped"] for e in entries if e["skipped"] and isinstance(e["path"], str)}


def options(*patterns):
    return [word for pattern in patterns for word in ("--artifact", pattern)]


def holds_no_secret(t, result, where=None):
    for path, content in collected(result).items():
        t.check(content is not None and SECRET.encode() not in content, f"{path} has got out: {content!r}")


def h1(t):
    """artifact is a symlink to a host file, a FIFO or a directory ⇒ refused, recorded, never opened"""
    t.only_aegix()
    host = t.mkdir("host")
    t.file("host/secret", SECRET)
    os.mkfifo(f"{host}/pipe")
    t.own(f"{host}/pipe")
    plant = f"""
        set -e
        mkdir out; ln -s /etc/passwd out/passwd; ln -s {host}/secret out/secret; ln -s ../../host/secret out/relative
        ln -s {host} out/directory; ln -s {host}/pipe out/pipe; ln -s {host}/secret report; echo mine >out/plain
        """
    run = t.sh(plant, options=options("out/**", "report"), deadline=20)
    t.ran(run)
    t.check(collected(run) == {b"out/plain": b"mine\n"}, f"collected: {collected(run)}")
    wanted = {f"out/{name}": "symlink" for name in ("passwd", "secret", "relative", "directory", "pipe")} | {"report": "symlink"}
    t.check(skipped(run) == wanted, f"the record has {skipped(run)}")
    t.check(run.record["collection"]["skipped"] == 6, f"{run.record['collection']}")
    # The control: whoever follows them gets the host's file.
    t.ran(t.outside("/bin/sh", "-c", f"{plant}\n cat out/secret out/directory/secret >seen", cwd=t.workspace))
    t.check(t.read(f"{t.workspace}/seen") == SECRET * 2, "the probe is blunt: the links lead nowhere")


def h2a(t):
    """a symlink in any ancestor during collection, and planted for --out ⇒ refused, nothing outside read or written"""
    t.only_aegix()
    host = t.mkdir("host")
    t.mkdir("host/b")
    t.file("host/b/f", SECRET)
    t.mkdir("workspace/a")
    t.mkdir("workspace/a/b")
    t.file("workspace/a/b/f", "mine\n")
    control = t.sh("true", options=options("a/b/f", "x/b/f"))
    t.ran(control)
    t.check(collected(control) == {b"a/b/f": b"mine\n"}, f"the control: {collected(control)}")
    run = t.sh(f"rm -r a && ln -s {host} a && ln -s {host} x", options=options("a/b/f", "x/*/f", "a/**"))
    t.ran(run)
    t.check(collected(run) == {} and skipped(run) == {"a": "symlink", "x": "symlink"}, f"{collected(run)}, {skipped(run)}")
    t.check(b"no artifact matches" in run.err, f"nothing is said: {run.err!r}")
    # --out in the workspace, where the previous run could plant.
    make = "mkdir -p d && echo new >d/f && echo new >g"
    plain = t.sh(make, options=[*options("d", "g"), "--out", "results/today"])
    t.ran(plain)
    t.check(t.read(f"{t.workspace}/results/today/d/f") == "new\n", "the control: --out isn't there")
    for name, code, plant in (
        ("way", 125, f"rm -r results; ln -s {host} results"),
        ("itself", 125, f"rm -r results; mkdir results; ln -s {host} results/today"),
        ("directory", 123, f"rm -r results; mkdir -p results/today; ln -s {host} results/today/d"),
        ("file", 0, f"rm -r results; mkdir -p results/today; echo old >{host}/g; ln -s {host}/g results/today/g"),
    ):
        t.ran(t.outside("/bin/sh", "-c", plant, cwd=t.workspace))
        run = t.sh(make, options=[*options("d", "g"), "--out", "results/today"])
        t.check(run.code == code, f"{name}: expected {code}: {run}")
        t.check(sorted(os.listdir(host)) == (["b", "g"] if name == "file" else ["b"]), f"{name}: {os.listdir(host)}")
    t.check(t.read(f"{host}/g") == "old\n" and t.read(f"{t.workspace}/results/today/g") == "new\n", "written through a symlink")


def h3(t):
    """FIFO, socket, device among outputs ⇒ skipped and recorded, no hang"""
    t.only_aegix()
    t.mkdir("workspace/out")
    wanted = {"out/pipe": "fifo", "out/socket": "socket"}
    if os.geteuid() == 0:
        os.mknod(f"{t.workspace}/out/zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        wanted["out/zero"] = "device"
    for backing in ("overlay", "copy"):
        policy = f'[workspace]\nbacking = "{backing}"\n[artifacts]\ncollect = ["out"]\n'
        run = t.run("/usr/bin/python3", "-c", "import os, socket\nos.mkfifo('out/pipe')\n"
                    "socket.socket(socket.AF_UNIX).bind('out/socket')\nopen('out/plain', 'w').write('mine')", policy=policy, deadline=20)
        t.ran(run)
        t.check(collected(run) == {b"out/plain": b"mine"}, f"{backing}: collected: {collected(run)}")
        t.check(skipped(run) == wanted, f"{backing}: the record has {skipped(run)}")


def h5(t):
    """huge sparse file, 10,000-deep tree, names with newlines or invalid UTF-8 ⇒ bounded, recorded exactly"""
    t.only_aegix()
    make = """if True:
        import os
        names = [b'new\\nline', b'\\xff\\xfe', b' ', b'tab\\t"quote"\\\\', 'ü'.encode(), b'x' * 255]
        os.mkdir('out')
        for name in names:
            open(b'out/' + name, 'wb').write(name)
        for power in range(50, 30, -1):
            try:
                os.truncate(os.open('out/sparse', os.O_CREAT | os.O_WRONLY), 1 << power)
                break
            except OSError:
                pass
        os.chdir('out')
        for level in range(10_000):
            os.mkdir('d')
            os.chdir('d')
            if level in (5, 120, 9_000):
                open('here', 'w').write(str(level))
    """
    # Too deep for Python's own.
    t.cleanup.append(lambda: subprocess.run(["rm", "-rf", t.state], check=False))
    run = t.run("/usr/bin/python3", "-c", make, policy='[artifacts]\ncollect = ["out/**"]\nmax_bytes = "1MiB"\n', deadline=60)
    t.ran(run)
    names = [b"new\nline", b"\xff\xfe", b" ", b"tab\t\"quote\"\\", "ü".encode(), b"x" * 255]
    wanted = {b"out/" + name: name for name in names}
    wanted |= {b"out/" + b"d/" * (level + 1) + b"here": str(level).encode() for level in (5, 120)}
    t.check(collected(run) == wanted, f"collected: {[p[:60] for p in collected(run)]}")
    collection = run.record["collection"]
    t.check(collection["bounds"] == ["depth", "max_bytes"], f"bounds: {collection}")
    left = skipped(run)
    deep = [path for path, reason in left.items() if reason == "depth"]
    t.check(left.get("out/sparse") == "max_bytes" and [p.count("/") for p in deep] == [127], f"skipped: {[p[:60] for p in left]}")
    sparse = next((e for e in run.record["artifacts"] if e["path"] == "out/sparse"), {})
    t.check(sparse.get("size", 0) >= 1 << 31, f"its size isn't told: {sparse}")
    import base64
    import hashlib
    import json
    for source in (run.record["artifacts"], json.loads(t.read(f"{run.run_dir}/manifest.json"))["artifacts"]):
        got = {}
        for entry in source:
            path = entry["path"]
            got[base64.b64decode(path["base64"]) if isinstance(path, dict) else path.encode()] = entry["sha256"]
        got = {path: digest for path, digest in got.items() if digest}
        t.check(got == {path: hashlib.sha256(content).hexdigest() for path, content in wanted.items()}, "paths or digests aren't exact")
    t.check(b"cut short" in run.err, f"nothing is said: {run.err!r}")


def h8a(t):
    """setuid and setgid files among artifacts ⇒ private copies without either bit, in artifacts/ and in --out"""
    t.only_aegix()
    os.chmod(t.file("workspace/tool", "#!/bin/sh\n"), 0o6755)
    out = os.path.join(t.dir, "out")
    mask = os.umask(0)
    try:
        run = t.sh("cp tool made; chmod 777 made", options=[*options("tool", "made"), "--out", out])
    finally:
        os.umask(mask)
    t.ran(run)
    t.check(os.stat(f"{t.workspace}/tool").st_mode & 0o7777 == 0o6755, "the control: the workspace's file has lost its bits")
    for place in (f"{run.run_dir}/artifacts", out):
        t.check(stat.S_IMODE(os.stat(place).st_mode) == 0o700, f"{place} isn't private")
        for name in ("tool", "made"):
            mode = stat.S_IMODE(os.stat(f"{place}/{name}").st_mode)
            t.check(mode == 0o600, f"{place}/{name} is {mode:o}")
    modes = {e["path"]: e["mode"] for e in run.record["artifacts"]}
    t.check(modes == {"tool": "06755", "made": "0777"}, f"the record has {modes}")


def h8b(t):
    """what the command may not read isn't collected for it: another's 0600 file and 0700 directory, also renamed or linked by the run"""
    t.only_aegix()
    if not t.identity.root:
        return h8b_as_user(t)
    # The workspace is an ordinary user's, and root calls.
    os.chown(t.workspace, 12345, 12345)
    for name in ("secret", "moved", "linked"):
        path = t.file(f"workspace/{name}", SECRET, 0o600)
        os.chown(path, 0, 0)
    closed = t.mkdir("workspace/closed", 0o700)
    t.file("workspace/closed/secret", SECRET)
    open_one = t.file("workspace/public", "anyone\n", 0o644)
    own = t.file("workspace/own", "mine\n", 0o600)
    os.chown(own, 12345, 12345)
    t.check(os.stat(closed).st_uid == 0 and os.stat(open_one).st_uid == 0, "the files aren't root's")
    for backing in ("overlay", "copy"):
        run = t.sh("mkdir out; mv moved out/; ln linked out/; cat secret >out/secret; cat closed/secret >>out/secret; "
                   "echo written >out/written; chmod 0 out/written; exit 0",
                   policy=f'[workspace]\nbacking = "{backing}"\n[artifacts]\ncollect = ["**"]\n')
        t.ran(run)
        holds_no_secret(t, run)
        got = collected(run)
        t.check(got.get(b"own") == b"mine\n" and got.get(b"public") == b"anyone\n", f"{backing}: the control: {list(got)}")
        t.check(got.get(b"out/written") == b"written\n", f"{backing}: what the run closed of its own isn't there: {list(got)}")
        left = skipped(run)
        for path in ("secret", "closed", "out/moved"):
            t.check(left.get(path) == "unreadable", f"{backing}: {path}: {left}")
    t.check(os.geteuid() == 0, "who we are has changed")


def h8b_as_user(t):
    closed = t.file("workspace/closed", SECRET, 0)
    run = t.sh("echo written >made; chmod 0 made", options=options("**"))
    t.ran(run)
    t.check(collected(run) == {b"made": b"written\n"} and skipped(run) == {"closed": "unreadable"}, f"{collected(run)}, {skipped(run)}")
    t.check(stat.S_IMODE(os.stat(closed).st_mode) == 0, "the workspace's own file was opened up")


def h12a(t):
    """files.deny among artifacts ⇒ never collected: masked, made later, renamed with the directory above, beneath a denied directory"""
    t.only_aegix()
    t.mkdir("workspace/keys")
    t.mkdir("workspace/keys/inner")
    t.file("workspace/keys/inner/key", SECRET)
    t.file("workspace/keys/inner/public", "public\n")
    t.mkdir("workspace/vault")
    t.file("workspace/vault/x", SECRET)
    t.file("workspace/.env", SECRET)
    policy = '[files]\ndeny = ["keys/inner/key", "vault", "**/.env"]\n[artifacts]\ncollect = ["**"]\n'
    # Only root's overlay can rename a directory of the workspace; a user's mv copies, and can't read.
    for script in ("mkdir -p out && echo made >out/.env && echo made >out/plain", "mv keys other; mv other/inner deep; ls -R >list; true"):
        run = t.sh(script, policy=policy)
        t.ran(run)
        holds_no_secret(t, run)
        got, left = collected(run), skipped(run)
        t.check(b"out/.env" not in got and left.get("vault") == left.get(".env") == "denied", f"{list(got)}, {left}")
        t.check(any(path.endswith(b"public") for path in got), f"the control: {list(got)}")
    control = t.sh("true", options=options("**"))
    t.ran(control)
    t.check(collected(control).get(b"vault/x") == SECRET.encode(), "the control: without deny it isn't there")
    for pattern in ("vault/x", "a/.env", "keys/inner/key"):
        refused = t.sh("true", policy=policy.replace('collect = ["**"]', f'collect = ["{pattern}"]'))
        t.check(refused.code == 125 and b"can match nothing" in refused.err, f"{pattern}: {refused}")
