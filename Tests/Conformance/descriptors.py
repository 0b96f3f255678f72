"""D: descriptors, the host's files behind them, and the programs of the host that read what came out."""

import fcntl
import hashlib
import os
import pwd
import socket
import subprocess
import threading
import time

from harness import KERNEL, Terminal, hang_up, raised, serve, tree, wait_until

NOTHING = ("EBADF", "EACCES", "EPERM", "ENOTDIR", "ENOTSOCK", "EINVAL", "ENOTCONN", "ENXIO", "ENOENT", "EROFS", "ELOOP",
           "EDESTADDRREQ", "EOPNOTSUPP", "ESPIPE")


def d1(t):
    """stdin as directory, O_RDWR file, socket, tty, pipe: nothing of the host opens by it"""
    probe = t.probe("descriptors")
    directory(t, probe)
    regular_file(t, probe)
    host_socket(t, probe)
    pipe(t, probe)
    loops(t)
    terminal(t, probe)
    flags(t)


def directory(t, probe):
    hidden = t.mkdir("hidden")
    t.file("hidden/secret", "host\n")
    for how in (os.O_RDONLY, os.O_PATH):
        fd = os.open(hidden, how)
        bare = t.outside(probe, "secret", stdin=fd)
        t.works_outside(bare, "openat(stdin)", "fchdir(stdin)", "openat(stdin, ..)")
        inside = t.run(probe, "secret", stdin=fd)
        os.close(fd)
        if refused_at_start(t, inside, "a directory as stdin"):
            continue
        t.check(inside.attempts.get("stdin") != "directory", "the host's directory is fd 0 inside")
        for name in ("openat(stdin)", "openat(stdin, ..)", "fchdir(stdin)", "through /proc/self/fd/0"):
            t.verdict(inside, name, *NOTHING)


def refused_at_start(t, result, what):
    """aegix may refuse what can't be passed on, if it says why."""
    if t.box.name == "aegix" and result.code == 125:
        t.check(b"stdin" in result.err or b"standard input" in result.err, f"{what}: refused without saying why: {result}")
        return True
    t.ran(result)
    return False


def regular_file(t, probe):
    path = t.file("input", "first line\nsecond line\nthird line\n")
    text = t.read(path)
    for flags in (os.O_RDWR, os.O_RDWR | os.O_APPEND, os.O_RDONLY):
        fd = os.open(path, flags)
        inside = t.run(probe, stdin=fd)
        os.close(fd)
        t.ran(inside)
        for name in ("write(stdin)", "reopen stdin for writing", "reopen stdin for both", "reopen stdin truncating"):
            # A relayed file is a pipe of aegix's own: what is written there comes back to the command alone.
            if inside.attempts.get("stdin") != "pipe":
                t.verdict(inside, name, *NOTHING)
        t.check(t.read(path) == text, f"the caller's file was changed through fd 0 (opened with {flags:#o}): {t.read(path)!r}")
        t.check(os.stat(path).st_mode & 0o777 == 0o644, "the caller's file has another mode")
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o644)
    bare = os.open(path, os.O_RDWR)
    t.works_outside(t.outside(probe, stdin=bare), "write(stdin)", "reopen stdin for writing", "ftruncate(stdin)", "fchmod(stdin)")
    os.close(bare)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o644)

    # The whole of it, and as much of it as was asked for: the caller goes on where the command stopped.
    for script, consumed, shown in (("cat", len(text), text), ("read a; echo \"$a\"", 11, "first line\n"), (":", 0, ""),
                                    ("read a; read a; echo $a", 23, "second line\n")):
        fd = os.open(path, os.O_RDONLY)
        result = t.sh(script, stdin=fd)
        offset = os.lseek(fd, 0, os.SEEK_CUR)
        os.close(fd)
        t.check(result.text == shown, f"`{script}` of a file: {result}")
        if t.box.name == "aegix":
            t.check(offset == consumed, f"`{script}` of a file leaves the caller's offset at {offset}, not {consumed}")


def host_socket(t, probe):
    ours, theirs = socket.socketpair()
    bare = t.outside(probe, stdin=theirs.fileno())
    t.works_outside(bare, "send(stdin)", "getpeername(stdin)")
    t.check(b"INJECTED" in ours.recv(4096), "the probe is blunt: nothing came through the socket")
    inside = t.run(probe, stdin=theirs.fileno())
    ours.setblocking(False)
    try:
        got = ours.recv(4096)
    except BlockingIOError:
        got = b""
    t.check(not got, f"through a socket as stdin the sandbox told the host {got!r}")
    if not refused_at_start(t, inside, "a socket as stdin"):
        t.check(inside.attempts.get("stdin") != "socket", "the host's socket is fd 0 inside")
        for name in ("send(stdin)", "getpeername(stdin)", "connect(stdin, AF_UNSPEC)"):
            t.verdict(inside, name, *NOTHING)
    ours.close()
    theirs.close()


def pipe(t, probe):
    # A pipe can be reopened for writing through /proc: what is put in there would be the caller's next input.
    for box in (t.unboxed_box, t.box):
        read_end, write_end = os.pipe()
        if os.geteuid() == 0:
            os.fchown(read_end, t.identity.uid, t.identity.gid)  # as if the caller had made it
        os.write(write_end, b"the caller's\n")
        inside = box.run([probe], t, stdin=read_end)
        t.ran(inside)
        os.set_blocking(read_end, False)
        left = os.read(read_end, 4096)
        os.close(read_end)
        os.close(write_end)
        if box is t.unboxed_box:
            t.check(b"INJECTED" in left, f"the probe is blunt: {inside}")
        else:
            t.check(left == b"the caller's\n", f"a pipe as stdin, of which nothing was read, now holds {left!r}")


def loops(t):
    """`while read` in the caller's shell keeps its lines, from a pipe and from a file."""
    if t.box.name != "aegix":
        return
    line = t.box.command(["/bin/sh", "-c", "exit 0"], t)
    takes = t.box.command(["/bin/sh", "-c", "read x; echo took $x"], t)
    quoted = lambda words: " ".join("'" + w.replace("'", "'\\''") + "'" for w in words)
    for source in ("printf '1\\n2\\n3\\n' |", "<"):
        body = f"while read l; do {quoted(line)}; echo line $l; done"
        script = f"{source} {body}" if source != "<" else f"{body} < {t.file('lines', '1' + chr(10) + '2' + chr(10) + '3' + chr(10))}"
        result = t.outside("/bin/sh", "-c", script, bare=True)
        t.check(result.text.split() == ["line", "1", "line", "2", "line", "3"], f"{script[:30]}…: {result}")
        body = f"read l; {quoted(takes)}; read l; echo then $l"
        script = f"printf '1\\n2\\n3\\n' | {{ {body}; }}" if source != "<" else f"{{ {body}; }} < {t.dir}/lines"
        result = t.outside("/bin/sh", "-c", script, bare=True)
        t.check(result.text.split() == ["took", "2", "then", "3"], f"{script[:30]}…: {result}")


def terminal(t, probe):
    tty = Terminal()
    inside = tty.run(t.box, [probe], t)
    t.ran(inside)
    t.check(tty.settings_kept(), "the caller's termios isn't as before")
    t.check(not fcntl.fcntl(tty.slave, fcntl.F_GETFL) & os.O_NONBLOCK, "the caller's terminal was left non-blocking")
    t.check(not tty.waiting(), "the caller's terminal has something typed")
    tty.close()
    if t.box.name != "aegix":
        return
    tty = Terminal()
    told = tty.run(t.box, ["/bin/sh", "-c", "test -t 0 && test -t 1 && test -t 2 && echo all; tty; stat -Lc %t:%T /proc/self/fd/0;"
                           "stty raw -echo 2>/dev/null; test -c /dev/tty && echo own > /dev/tty; ls /dev/pts"], t)
    t.check("all" in told.text, f"not a terminal inside: {told}")
    t.check("/dev/pts/0" in told.text and "own" in told.text, f"the sandbox's devpts isn't its own: {told}")
    t.check(tty.settings_kept(), "stty inside reached the caller's terminal")
    # An answer typed by the user arrives; Ctrl-C ends the command, not the shell that called.
    told = tty.run(t.box, ["/bin/sh", "-c", "read answer; echo got $answer"], t, typed=b"yes\n")
    t.check("got yes" in told.text, f"typed text doesn't arrive: {told}")
    t.check(tty.settings_kept(), "the caller's termios isn't as before, after input")
    tty.close()


def flags(t):
    """O_NONBLOCK on the caller's descriptors: as it was, during the run and after it."""
    for blocking in (True, False):
        ends = [os.pipe() for _ in range(3)]
        for end in (ends[0][0], ends[1][1], ends[2][1]):
            os.set_blocking(end, blocking)
        script = "echo ready; python3 -c 'import fcntl,os\nfor f in 0, 1, 2: fcntl.fcntl(f, fcntl.F_SETFL, fcntl.fcntl(f, fcntl.F_GETFL) ^ os.O_NONBLOCK)'; sleep 0.1"
        child = t.box.spawn(["/bin/sh", "-c", script], t, stdin=ends[0][0], stdout=ends[1][1], stderr=ends[2][1])
        changed = []
        while child.poll() is None:
            changed += [n for n, end in enumerate((ends[0][0], ends[1][1], ends[2][1])) if os.get_blocking(end) != blocking]
            time.sleep(0.002)
        changed += [n for n, end in enumerate((ends[0][0], ends[1][1], ends[2][1])) if os.get_blocking(end) != blocking]
        if t.box.name == "aegix":
            t.check(not changed, f"O_NONBLOCK changed on the caller's descriptors {sorted(set(changed))} (blocking: {blocking})")
            t.check(child.returncode == 0, f"with descriptors that are {'' if blocking else 'non-'}blocking: exit {child.returncode}, {os.read(ends[2][0], 500)!r}" if child.returncode else "")
        for pair in ends:
            for end in pair:
                os.close(end)


def d2(t):
    """vmsplice, splice from a file that is then changed: terminal, log and digest agree"""
    probe = t.probe("pipes")
    t.only_aegix()
    for how in (["vmsplice"], ["splice", "pages"]):
        read_end, write_end = os.pipe()
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 1 << 20)  # room for all, so that the reader can come late
        bare = t.unboxed_box.spawn([probe, *how], t, stdout=write_end)
        os.close(write_end)
        bare.wait(timeout=10)
        with os.fdopen(read_end, "rb") as f:
            t.check(b"B" in f.read(), f"the probe is blunt: {how[0]} shows no change to a late reader")
        inside = t.run(probe, *how)
        if inside.code == 5:  # refused: nothing to agree on
            t.note(f"{how[0]}: {inside.err.decode().strip()}")
            continue
        t.ran(inside)
        agree(t, inside, how[0])
        t.check(len(inside.out) == 64 * 4096, f"{how[0]}: {len(inside.out)} bytes came out")


def agree(t, result, what):
    """The caller's bytes, the log and every digest of it are one text."""
    with open(f"{result.run_dir}/stdout.log", "rb") as f:
        log = f.read()
    t.check(log == result.out, f"{what}: the log isn't what the caller got")
    digest = hashlib.sha256(log).hexdigest()
    t.check(digest in t.read(f"{result.run_dir}/audit.json"), f"{what}: the record has another digest than the log's")
    t.check(digest in t.read(f"{result.run_dir}/manifest.json"), f"{what}: the manifest has another digest than the log's")


def d3(t):
    """32-bit arguments with high bits set: refused as without them"""
    probe = t.probe("widths")
    bare = t.outside(probe)
    t.works_outside(bare, "clone(user + high)", "chmod(setuid + high)", "chmod(setuid + bit 16)", "fchmod(setgid + top)")
    if t.identity.root:
        t.works_outside(bare, "socket(packet + top)", "socket(inet, raw + high)")
    for name in os.listdir(t.workspace):
        os.unlink(f"{t.workspace}/{name}")
    inside = t.run(probe)
    t.ran(inside)
    for name in ("control: socket(inet)", "control: clone", "control: create"):
        t.verdict(inside, name, "ok")
    for name, verdict in inside.attempts.items():
        if name.startswith(("control", "mode")):
            continue
        call = name.split("(")[0]
        if "FIONREAD" in name:
            t.check(verdict in ("ok", "EPERM"), f"{name}: {verdict}")
        elif call == "unshare" and verdict == "EINVAL":
            pass  # the kernel itself takes 64 bits here, and refuses
        else:
            t.refused(inside, name, "EPERM", call={"openat": "open"}.get(call, call))
    t.check(inside.attempts.get("mode") == "plain", "a mode with high bits got through")


PLAIN = ("0755", "1777")
RAISED = ("4755", "2755", "6711")
# mkdir's own mode never carries setuid in the kernel; the rule refuses it all the same.
MODE_CALLS = ("chmod", "fchmod", "fchmodat", "fchmodat2", "open", "openat", "creat", "tmpfile", "tmpfile-fchmod", "mknod",
              "mknodat", "mkdir", "mkdirat", "mkdir-chmod")


def d4(t):
    """setuid and setgid by every call that takes a mode, layer and direct: never on disk"""
    probe = t.probe("modes")
    trial = t.mkdir("trial")
    bare = t.outside(probe, cwd=trial)
    # fchmodat2 came with Linux 6.6; overlayfs's O_TMPFILE depends on the file system beneath, too.
    old = ("fchmodat2",) if KERNEL < (6, 6) else ()
    lacks = ["EOPNOTSUPP"] if KERNEL < (6, 6) else []
    t.works_outside(bare, *(f"{call} 4755" for call in MODE_CALLS if call not in ("mkdir", "mkdirat", *old)))
    t.check(len(raised(trial)) > 20, "the probe is blunt: no file with a raised bit outside")
    for mode in ("layer", "direct"):
        ground = t.mkdir(f"ground-{mode}")
        inside = t.run(probe, workspace=ground, mode=mode)
        t.ran(inside)
        for call in MODE_CALLS:
            for tag in PLAIN:
                # ENOSYS makes the C library fall back on fchmodat.
                t.verdict(inside, f"{call} {tag}", "ok", *(["ENOSYS"] if call == "fchmodat2" else lacks if "tmpfile" in call else []))
            for tag in RAISED:
                name = f"{call} {tag}"
                if call == "fchmodat2":
                    t.verdict(inside, name, "EPERM", "ENOSYS")
                elif "tmpfile" in call and lacks:
                    t.verdict(inside, name, "EPERM", *lacks)
                else:
                    # The record may name the system call behind the C function.
                    t.refused(inside, name, "EPERM", call={"tmpfile": "open", "tmpfile-fchmod": "fchmod", "mkdir-chmod": "chmod",
                                                           "creat": "crea", "fchmodat": "chmod", "openat": "open"}.get(call, call))
        t.verdict(inside, "setxattr capability", "EPERM", "EOPNOTSUPP")
        for place in filter(None, (ground, inside.run_dir)):
            t.check(not raised(place), f"{mode}: on the disk with a raised bit: {raised(place)}")
        for command in ("cp --preserve=mode /usr/bin/su here", "install -m 4755 /usr/bin/env here2", "python3 -c 'import os; open(\"p\",\"w\"); os.chmod(\"p\", 0o6755)'",
                        "touch f && chmod u+s f", "cd /tmp && touch f && chmod g+s,g+x f"):
            inside = t.sh(command, workspace=ground, mode=mode)
            t.check(inside.code not in (125, 126, 127) and (inside.code or command.startswith("cp")), f"{mode}: `{command}` says it worked: {inside}")
            for place in filter(None, (ground, inside.run_dir)):
                t.check(not raised(place), f"{mode}: {command}: {raised(place)}")


def d6(t):
    """a host's socket or FIFO in the workspace or in files.read: unreachable, or said"""
    probe, files = t.probe("sockets"), t.probe("files")
    views = {"workspace": t.workspace, "read": t.mkdir("given")}
    seen, heard, paths, pipes = [], [], {}, {}
    for view, place in views.items():
        os.makedirs(f"{place}/deep/er", exist_ok=True)
        for spot in (place, f"{place}/deep/er"):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(f"{spot}/s")
            os.chmod(f"{spot}/s", 0o777)
            listener.listen(8)
            serve(listener, seen)
            t.cleanup.append(lambda l=listener: hang_up(l))
            paths.setdefault(view, []).append(f"{spot}/s")
            os.mkfifo(f"{spot}/f", 0o666)
            os.chmod(f"{spot}/f", 0o666)
            reader = os.open(f"{spot}/f", os.O_RDONLY | os.O_NONBLOCK)
            t.cleanup.append(lambda fd=reader: os.close(fd))
            pipes.setdefault(view, []).append((f"{spot}/f", reader))
        with open(f"{place}/plain", "w") as f:
            f.write("plain\n")
    os.makedirs(f"{t.workspace}/deep/er", exist_ok=True)

    def received():
        got = b""
        for group in pipes.values():
            for _, reader in group:
                try:
                    got += os.read(reader, 4096)
                except BlockingIOError:
                    pass
        return got

    attacks = sum((["unix", p] for group in paths.values() for p in group), [])
    attacks += sum((["fifo", p] for group in pipes.values() for p, _ in group), [])
    bare = t.outside(probe, *attacks)
    t.works_outside(bare, *bare.attempts)
    t.check(b"attack" in received() and wait_until(lambda: len(seen) == 4), "the probe is blunt: the host noticed nothing")
    seen.clear()

    for mode in ("layer", "read-only"):
        inside = t.run(probe, "selftest", *attacks, mode=mode, read=[views["read"]])
        if refused_for_socket(t, inside):
            continue
        t.ran(inside)
        t.verdict(inside, "self: unix", "ok")
        for name, verdict in inside.attempts.items():
            if name.startswith("unix "):
                t.check(verdict in ("ECONNREFUSED", "EACCES", "ENOENT", "EPERM"), f"{mode}: {name}: {verdict}")
            if name.startswith("fifo "):
                # ENXIO: nobody reads that FIFO in there. That is the host's reader being out of reach.
                t.check(verdict in ("ENXIO", "EACCES", "ENOENT", "EROFS", "EPERM"), f"{mode}: {name}: {verdict}")
        t.check(not seen and not received(), f"{mode}: the host was reached through a socket or FIFO")
        inside = t.run(files, "read", f"{views['read']}/plain", "read", f"{t.workspace}/plain", mode=mode, read=[views["read"]])
        for name, verdict in inside.attempts.items():
            t.check(verdict == "ok", f"{mode}: {name}: {verdict}: a plain file beside the socket should be readable")
        # The socket itself as what is given.
        inside = t.run(probe, "unix", paths["read"][0], "fifo", pipes["read"][0][0], mode=mode, read=[paths["read"][0], pipes["read"][0][0]])
        t.check(inside.code == 125 or not seen and not received(), f"{mode}: a socket given by --read was reached: {inside}")
        seen.clear()
    if t.box.name != "aegix":
        return
    # Written in place there is no overlay between: refused while such things are there.
    clean = t.mkdir("clean")
    for how in ({"mode": "direct"}, {"workspace": clean, "write": [views["read"]]}):
        inside = t.run(probe, *attacks, **how)
        t.check(inside.code == 125 and not inside.attempts, f"{how}: a writable root with a socket in it isn't refused: {inside}")
        t.check(b"socket" in inside.err.lower() or b"fifo" in inside.err.lower(), f"{how}: the refusal doesn't say why: {inside}")
        t.check(not seen and not received(), f"{how}: the host was reached")
    inside = t.run(files, "create", "made", workspace=clean, mode="direct")
    t.ran(inside)
    t.verdict(inside, "create made", "ok")


def refused_for_socket(t, result):
    return t.box.name == "aegix" and result.code == 125 and t.check(
        False, f"a workspace with a socket in it should work as layer and read-only: {result}")


def d8(t):
    """workspace / or $HOME, state in the workspace and the reverse, another's state"""
    t.only_aegix()
    files = t.probe("files")
    result = t.run("/bin/true", workspace="/")
    t.check(result.code == 125 and b"/" in result.err, f"workspace / isn't refused: {result}")
    result = t.run("/bin/true")
    t.ran(result)

    # $HOME as the workspace: what aegix keeps there isn't in view; what the user keeps there is.
    home = t.mkdir("home")
    for name in (".config/aegix", ".local/state/aegix", "project"):
        t.mkdir(f"home/{name}")
    for name in (".config", ".local", ".local/state"):
        t.own(f"{home}/{name}")
    t.file("home/.config/aegix/notes.toml", "hidden = 1\n")
    t.file("home/project/file", "seen\n")
    env = {"HOME": home}
    line = ["run", "--workspace", home, "--read", t.world.probes, "--"]
    for state in (None, f"{home}/.local/state/aegix", f"{home}/elsewhere/state"):
        before = tree(f"{home}/.config")
        chosen = ["--state-dir", state] if state else []
        result = t.aegix(*line[:1], *chosen, *line[1:], files, "read", f"{home}/project/file", "create", f"{home}/new",
                         "read", f"{home}/.config/aegix/notes.toml", "create", f"{home}/.config/aegix/policy.toml",
                         "list", f"{state or home + '/.local/state/aegix'}/runs", "create", f"{state or home + '/.local/state/aegix'}/planted",
                         "create", f"{state or home + '/.local/state/aegix'}/ledger.jsonl",
                         "rename", f"{home}/.config", f"{home}/.config2", "read", f"{home}/.config2/aegix/notes.toml",
                         env=env, cwd=home)
        if result.code == 125 and state:
            t.check(b"state" in result.err, f"state directory {state} in the workspace, refused without saying why: {result}")
            continue
        if result.code == 125:
            t.check(b"state" in result.err, f"$HOME as the workspace, refused without saying why: {result}")
            continue
        t.ran(result)
        t.verdict(result, f"read {home}/project/file", "ok")
        for name, verdict in result.attempts.items():
            if name.split(" ", 1)[1].removeprefix(home).startswith(("/.config2/", "/.config/aegix", (state or f"{home}/.local/state/aegix").removeprefix(home))):
                t.check(verdict != "ok", f"$HOME as workspace, state {state}: {name}: {verdict}")
        t.check(tree(f"{home}/.config") == before, "the configuration directory was changed")

    # The workspace inside the state directory, and the state directory itself.
    result = t.aegix("run", "--state-dir", t.state, "--workspace", t.state, "--", "/bin/true")
    t.check(result.code == 125, f"the state directory as the workspace isn't refused: {result}")
    inner = os.path.join(t.state, "sandboxes", "inner")
    os.makedirs(inner, exist_ok=True)
    for path in (os.path.dirname(inner), inner):
        t.own(path)
    result = t.aegix("run", "--state-dir", t.state, "--workspace", inner, "--", "/bin/true")
    t.check(result.code == 125, f"a workspace inside the state directory isn't refused: {result}")
    for given in ("--read", "--write"):
        result = t.run(files, "list", f"{t.state}/runs", "read", f"{t.state}/ledger.jsonl", options=[given, t.state])
        t.check(result.code == 125 or all(v != "ok" for v in result.attempts.values()) and result.attempts,
                f"{given} STATE shows the state directory: {result}")

    # A state directory that isn't the caller's, or that others can write.
    if os.geteuid() == 0:
        foreign = t.mkdir("foreign", 0o777)
        owner = pwd.getpwnam("nobody").pw_uid if t.identity.root else 0
        os.chown(foreign, owner, -1)
        result = t.aegix("run", "--state-dir", foreign, "--workspace", t.workspace, "--", "/bin/true")
        t.check(result.code == 125 and b"belongs" in result.err, f"another's state directory isn't refused: {result}")
        t.check(not os.listdir(foreign), f"something was written into another's state directory: {os.listdir(foreign)}")
    loose = t.mkdir("loose", 0o777)
    result = t.aegix("run", "--state-dir", loose, "--workspace", t.workspace, "--", "/bin/true")
    t.check(result.code == 125 or os.stat(loose).st_mode & 0o022 == 0,
            f"a state directory that others can write is used as it is: {result}")
    link = os.path.join(t.dir, "link")
    os.symlink(t.workspace, link)
    result = t.aegix("run", "--state-dir", f"{link}/inside", "--workspace", t.workspace, "--read", t.world.probes, "--",
                     files, "list", f"{t.workspace}/inside", "list", f"{t.workspace}/inside/runs")
    t.check(result.code == 125 or all(v != "ok" for n, v in result.attempts.items() if n.endswith("runs")),
            f"a state directory inside the workspace by a symbolic link is in view: {result}")
    # The binary and the copy of it in the workspace: never changed from inside.
    result = t.run(files, "write", t.world.aegix, "read", t.world.aegix, read=[os.path.dirname(t.world.aegix)])
    if result.code == 0:
        t.verdict(result, f"write {t.world.aegix}", "EACCES", "EROFS", "EPERM", "ENOENT")


