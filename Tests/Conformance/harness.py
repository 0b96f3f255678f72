"""What every case stands on: identities, the boxes that a probe can run in, and what is looked for after each run.

A box is aegix, bubblewrap (`--peer bwrap`) or none at all. The same probe runs in the box and without one: an attack that
doesn't work outside proves nothing by failing inside.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import pty
import pwd
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import termios
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MUST_WORK = os.environ.get("AEGIX_MUST_WORK") == "1"
# The peer's flags are those of docs/benchmarks: everything it has, as its own manual recommends.
BWRAP = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev",
         "--die-with-parent", "--cap-drop", "ALL", "--new-session"]


# A case may ask for what an old kernel doesn't have.
KERNEL = tuple(int(number) for number in os.uname().release.split("-")[0].split(".")[:2])


class Skip(Exception):
    """A case that can't run here. `excused`: this machine lacks what it needs, and no installation would give it."""

    def __init__(self, reason, excused=False):
        super().__init__(reason)
        self.excused = excused


class NotForPeers(Exception):
    """The case asks for something that only aegix has."""


def become_subreaper():
    """Orphans of a run come to us instead of to the machine's init, so that none can hide."""
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)


def end_with(parent):
    """When it ends, so do we."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)


def alone(case):
    """A case that measures time, races, bombs, or uses what the machine has once: no other runs beside it."""
    case.alone = True
    return case


def descendants():
    """pid → (state, name) of everything below this process. A zombie counts: someone forgot to wait for it."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as f:
                    head, _, tail = f.read().rpartition(")")
            except OSError:
                continue
            fields = tail.split()
            parents[int(name)] = (int(fields[1]), fields[0], head.partition("(")[2])
    found = {}
    for pid in parents:
        at = pid
        while at in parents and at != os.getpid():
            at = parents[at][0]
        if at == os.getpid() and pid != at:
            found[pid] = parents[pid][1:]
    return found


def reap(known=()):
    """Takes in the zombies that came to us as their reaper. Popen's own children are left to Popen."""
    for pid, (state, _) in descendants().items():
        if state == "Z" and pid not in known:
            try:
                os.waitpid(pid, os.WNOHANG)
            except OSError:
                pass


def mounts():
    with open("/proc/self/mountinfo") as f:
        return sorted(line.split(" - ")[0].split()[4] for line in f)


def cgroups():
    """The control groups that carry the tool's name. Those of other runs on this machine come and go."""
    return {at for at, _, _ in os.walk("/sys/fs/cgroup") if "aegix" in os.path.basename(at)}


def wait_until(condition, seconds=5.0, step=0.01):
    """The condition's value as soon as it is true, or what it was when time ran out."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(step)


class Identity:
    """Who calls: root, or an ordinary user."""

    def __init__(self, name, uid, gid, home):
        self.name, self.uid, self.gid, self.home = name, uid, gid, home

    @property
    def root(self):
        return self.uid == 0

    def options(self):
        """For subprocess: become it, with no other group."""
        if os.geteuid() != 0 or self.root:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


class Result:
    """What a run came to."""

    def __init__(self, code, out, err, seconds, record=None, run_dir=None):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds
        self.record, self.run_dir = record, run_dir

    @property
    def text(self):
        return self.out.decode("utf-8", "replace")

    @property
    def attempts(self):
        """name → verdict of a probe's lines."""
        lines = (line.split("\t", 1) for line in self.text.replace("\r", "").splitlines() if "\t" in line)
        return {name: verdict for name, verdict in lines}

    @property
    def status(self):
        return (self.record or {}).get("outcome", {}).get("status")

    @property
    def outcome(self):
        return (self.record or {}).get("outcome", {})

    def violation(self, word, control="seccomp"):
        """How often the record says that this was refused."""
        total = 0
        for entry in (self.record or {}).get("violations", []):
            if entry.get("control") == control and word in str(entry.get("rule", "")):
                total += int(entry.get("count", 1))
        return total

    def __repr__(self):
        return f"exit {self.code}, stdout {self.out[-300:]!r}, stderr {self.err[-600:]!r}"


class Box:
    """Runs programs for one identity. Subclasses say how the command line is made."""

    name = ""

    def __init__(self, world, identity):
        self.world, self.identity = world, identity

    def environment(self, extra):
        base = {"PATH": PATH, "HOME": self.identity.home, "LANG": "C.UTF-8", "USER": self.identity.name,
                "TMPDIR": self.world.scratch_of(self.identity)}
        base.update(extra or {})
        return {k: v for k, v in base.items() if v is not None}

    def command(self, argv, case, **how):
        raise NotImplementedError

    def spawn(self, argv, case, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=None,
              cwd=None, pass_fds=(), preexec=None, new_session=True, **how):
        workspace = how.get("workspace") or case.workspace
        return subprocess.Popen(
            self.command(argv, case, **how), stdin=stdin, stdout=stdout, stderr=stderr, env=self.environment(env),
            cwd=cwd or workspace, pass_fds=pass_fds, preexec_fn=preexec, start_new_session=new_session,
            **self.identity.options())

    def run(self, argv, case, input=None, deadline=60, stdin=None, leaks=True, **how):
        before, groups = mounts(), cgroups() if self.name == "aegix" else None
        known = set(descendants())
        started = time.monotonic()
        if self.name == "bwrap":
            deadline = min(deadline, 15)  # where a peer hangs, the comparison needn't
        if input is not None:
            stdin = subprocess.PIPE
        child = self.spawn(argv, case, stdin=subprocess.DEVNULL if stdin is None else stdin, **how)
        try:
            out, err = child.communicate(input, timeout=deadline)
        except subprocess.TimeoutExpired:
            left = {pid: told for pid, told in descendants().items() if pid not in known}
            end_tree(child, known)
            case.check(False, f"{self.name} was still running, or held stdout open, after {deadline} s: {left}")
            out, err = b"", b""
        seconds = time.monotonic() - started
        result = Result(child.returncode, out or b"", err or b"", seconds)
        if leaks:
            case.no_leaks(known, before, groups)
        return result


def end_tree(child, known):
    """Ends what one run started, by pid, so that a hanging case can't hang the others."""
    for pid in descendants():
        if pid not in known:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
    try:
        child.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        child.stdout and child.stdout.close()
    reap()


class Unboxed(Box):
    """No sandbox. For root in mount, uts and ipc namespaces of its own, so that an attack that works stays harmless."""

    name = "no sandbox"

    def command(self, argv, case, **how):
        if self.identity.root and not how.get("bare"):
            return ["unshare", "--mount", "--uts", "--ipc", "--propagation", "private", "--", *argv]
        return list(argv)


class Bubblewrap(Box):
    name = "bwrap"

    def command(self, argv, case, policy=None, options=(), read=(), write=(), workspace=None, mode=None, timeout=None, **how):
        if policy or options:
            raise NotForPeers
        workspace = workspace or case.workspace
        bind = "--ro-bind" if mode == "read-only" else "--bind"
        views = [bind, workspace, workspace, "--ro-bind", self.world.probes, self.world.probes]
        for path in read:
            views += ["--ro-bind", path, path]
        for path in write:
            views += ["--bind", path, path]
        limit = ["timeout", "-k", "0", str(timeout)] if timeout else []
        return [*limit, *BWRAP, *views, "--chdir", workspace, "--", *argv]


class Aegix(Box):
    name = "aegix"

    def command(self, argv, case, policy=None, options=(), read=(), write=(), workspace=None, mode=None, timeout=None,
                raw=False, **how):
        if raw:  # the command line is the case's own
            return [self.world.aegix, *argv]
        line = [self.world.aegix, "run", "--state-dir", case.state, "--workspace", workspace or case.workspace,
                "--read", self.world.probes]
        for path in read:
            line += ["--read", path]
        for path in write:
            line += ["--write", path]
        if timeout:
            line += ["--timeout", f"{timeout}s"]
        text = policy if policy is not None else ""
        if mode and "[workspace]" not in text:
            text += f'\n[workspace]\nmode = "{mode}"\n'
        if text:
            line += ["--policy", case.policy_file(text)]
        return [*line, *options, "--", *argv]

    def run(self, argv, case, **how):
        before = case.run_ids()
        result = super().run(argv, case, **how)
        fresh = sorted(case.run_ids() - before)
        if fresh:
            result.run_dir = os.path.join(case.state, "runs", fresh[-1])
            result.record = case.record_of(fresh[-1])
        return result


class Case:
    """One case for one identity: its files, its runs, and what it found wrong."""

    def __init__(self, world, identity, box, number):
        self.world, self.identity, self.box, self.number = world, identity, box, number
        self.failures, self.notes, self.cleanup = [], [], []
        self.dir = tempfile.mkdtemp(prefix=f"{number}-", dir=world.base)
        os.chmod(self.dir, 0o755)
        self.own(self.dir)
        self.workspace = self.mkdir("workspace")
        self.state = os.path.join(self.dir, "state")
        self.unboxed_box = Unboxed(world, identity)
        self.policies = 0

    # Files, all owned by the identity unless said otherwise.
    def own(self, path, identity=None):
        who = identity or self.identity
        if os.geteuid() == 0:
            os.chown(path, who.uid, who.gid, follow_symlinks=False)
        return path

    def mkdir(self, name, mode=0o755):
        path = os.path.join(self.dir, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        return self.own(path)

    def file(self, name, text="text\n", mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return self.own(path)

    def policy_file(self, text):
        self.policies += 1
        return self.file(f"policy-{self.policies}.toml", f'version = 1\nname = "case"\n{text}')

    def read(self, path, mode="r"):
        with open(path, mode) as f:
            return f.read()

    # Runs.
    def run(self, *argv, **how):
        return self.box.run(list(argv), self, **how)

    def sh(self, script, *arguments, **how):
        return self.run("/bin/sh", "-c", script, "sh", *arguments, **how)

    def outside(self, *argv, **how):
        """The same without a sandbox."""
        return self.unboxed_box.run(list(argv), self, **how)

    def aegix(self, *argv, **how):
        """aegix with a command line of the case's own."""
        self.only_aegix()
        return self.box.run(list(argv), self, raw=True, **how)

    def probe(self, name):
        return self.world.probe(name)

    def only_aegix(self):
        if self.box.name != "aegix":
            raise NotForPeers

    def run_ids(self):
        try:
            return set(os.listdir(os.path.join(self.state, "runs")))
        except FileNotFoundError:
            return set()

    def record_of(self, run_id):
        try:
            return json.loads(self.read(os.path.join(self.state, "runs", run_id, "audit.json"), "rb"))
        except (OSError, ValueError):
            return None

    # Verdicts.
    def check(self, condition, message):
        if not condition:
            self.failures.append(message)
        return bool(condition)

    def note(self, text):
        self.notes.append(text)

    def ran(self, result, code=0):
        """The positive half of every case: the run itself worked."""
        return self.check(result.code == code, f"expected exit {code}: {result}")

    def verdict(self, result, name, *allowed):
        got = result.attempts.get(name)
        return self.check(got in allowed, f"{name}: expected {' or '.join(allowed)}, got {got}" +
                          ("" if got else f" ({result})"))

    def refused(self, result, name, *allowed, call=None):
        """An attempt was refused with one of these; and, where aegix answers for the call, the record says so."""
        self.verdict(result, name, *allowed)
        if call and self.box.name == "aegix" and result.attempts.get(name) == "EPERM":
            self.check(result.violation(call), f"{name}: refused, but violations[] has no seccomp entry for {call}: "
                       f"{[v.get('rule') for v in (result.record or {}).get('violations', [])]}")

    def works_outside(self, result, *names):
        """The proof that the probe attacks at all."""
        for name in names:
            got = result.attempts.get(name)
            self.check(got == "ok", f"the probe is blunt: without a sandbox {name} gives {got}")

    def no_leaks(self, known, before, groups=None):
        left = {pid: told for pid, told in descendants().items() if pid not in known}
        if self.box.name != "aegix":
            # Peers may leave work to init; a moment's grace keeps the comparison fair.
            wait_until(lambda: (reap(known), not set(descendants()) - known)[1], 2)
            return
        self.check(not left, f"left behind at exit: {left}")
        if left:
            wait_until(lambda: (reap(known), not set(descendants()) - known)[1], 2)
        after = mounts()
        self.check(after == before, f"mounts left behind: {sorted(set(after) - set(before))}")
        if groups is not None:
            # Another case's runs, beside this one, have theirs, which go when they end.
            fresh = cgroups() - groups
            wait_until(lambda: not fresh & cgroups(), 30)
            self.check(not fresh & cgroups(), f"cgroups left behind: {sorted(fresh & cgroups())}")
        scratch = os.listdir(self.world.scratch_of(self.identity))
        self.check(not scratch, f"temporary files left behind: {scratch}")

    def finish(self):
        for action in reversed(self.cleanup):
            action()
        reap()
        if not os.environ.get("AEGIX_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)


class World:
    """What the cases share: the copied binary, the compiled probes, the scratch directories."""

    def __init__(self, aegix):
        # Not under /tmp, which every sandbox has of its own: a write beside the workspace would be lost there by design.
        self.base = tempfile.mkdtemp(prefix="aegix-conformance-", dir="/var/tmp" if os.access("/var/tmp", os.W_OK) else None)
        os.chmod(self.base, 0o755)
        self.probes = os.path.join(self.base, "probes")
        os.mkdir(self.probes)
        self.built = {}
        self.aegix = None
        if aegix:
            # A copy: the checkout may lie where the ordinary user can't look.
            self.aegix = os.path.join(self.base, "aegix")
            shutil.copy(aegix, self.aegix)
            os.chmod(self.aegix, 0o755)

    def compile(self):
        sources = [f for f in sorted(os.listdir(os.path.join(HERE, "probes"))) if f.endswith(".c")]
        compiler = shutil.which("gcc") or shutil.which("cc")
        if not compiler:
            raise SystemExit("conformance: no C compiler for the probes: apt-get install gcc libc6-dev")
        jobs = []
        for source in sources:
            target = os.path.join(self.probes, source[:-2])
            jobs.append(subprocess.Popen([compiler, "-O1", "-w", "-pthread", "-o", target,
                                          os.path.join(HERE, "probes", source)]))
            self.built[source[:-2]] = target
        if any(job.wait() for job in jobs):
            raise SystemExit("conformance: a probe doesn't compile")

    def probe(self, name):
        return self.built[name]

    @contextlib.contextmanager
    def building(self):
        """Alone among the processes that the cases run in."""
        with open(os.path.join(self.base, "building"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def scratch_of(self, identity):
        path = os.path.join(self.base, f"tmp-{identity.uid}")
        if not os.path.isdir(path):
            os.mkdir(path)
            if os.geteuid() == 0:
                os.chown(path, identity.uid, identity.gid)
        return path

    def close(self):
        if not os.environ.get("AEGIX_KEEP"):
            shutil.rmtree(self.base, ignore_errors=True)


class Terminal:
    """The caller on a terminal of its own: spawns with the slave as controlling tty, reads what comes out of the master."""

    def __init__(self, columns=97, rows=31):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, rows.to_bytes(2, "little") + columns.to_bytes(2, "little") + b"\0" * 4)
        self.before = termios.tcgetattr(self.slave)

    def preexec(self):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def run(self, box, argv, case, deadline=30, typed=b"", answer=None, **how):
        """Everything on the tty; returns what was shown. `answer`: what is typed, once, at what is shown so far."""
        if os.geteuid() == 0 and not case.identity.root:
            os.chown(os.ttyname(self.slave), case.identity.uid, case.identity.gid)
        before, known = case.run_ids(), set(descendants())
        mounted = mounts()
        child = box.spawn(argv, case, stdin=self.slave, stdout=self.slave, stderr=self.slave, preexec=self.preexec, **how)
        shown, end = b"", time.monotonic() + deadline
        if typed:
            os.write(self.master, typed)
        while time.monotonic() < end:
            if select.select([self.master], [], [], 0.02)[0]:
                shown += os.read(self.master, 65536)
                reply = answer(shown) if answer else None
                if reply:
                    os.write(self.master, reply)
                    answer = None
            elif child.poll() is not None:
                break
        if child.poll() is None:
            end_tree(child, known)
            case.check(False, f"on a terminal, {box.name} was still running after {deadline} s, having shown {shown[-300:]!r}")
        result = Result(child.returncode, shown, b"", 0)
        case.no_leaks(known, mounted)
        fresh = sorted(case.run_ids() - before)
        if fresh:
            result.run_dir = os.path.join(case.state, "runs", fresh[-1])
            result.record = case.record_of(fresh[-1])
        return result

    def waiting(self):
        """What would be read as typed: bytes that something stuffed into the terminal's input."""
        settings = termios.tcgetattr(self.slave)
        settings[3] &= ~(termios.ICANON | termios.ECHO)
        settings[6][termios.VMIN], settings[6][termios.VTIME] = 0, 0
        termios.tcsetattr(self.slave, termios.TCSANOW, settings)
        return os.read(self.slave, 4096)

    def settings_kept(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        os.close(self.master)
        os.close(self.slave)


def serve(listener, seen):
    """Accepts, and notes what arrives, until the listener is closed."""

    def loop():
        while True:
            try:
                end, _ = listener.accept()
            except OSError:
                return
            seen.append("connected")
            end.close()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    return thread


def hang_up(listener):
    """Closed for good: close() alone leaves the socket alive under a thread that waits in accept()."""
    try:
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    listener.close()


def tree(path):
    """name → (mode, size, inode) of everything under a directory: what must not have moved."""
    found = {}
    for parent, directories, files in os.walk(path):
        for name in directories + files:
            full = os.path.join(parent, name)
            status = os.lstat(full)
            found[os.path.relpath(full, path)] = (oct(status.st_mode), status.st_size, status.st_ino)
    return found


def raised(path):
    """Files under path with a setuid or setgid bit."""
    return [name for name, (mode, _, _) in tree(path).items()
            if int(mode, 8) & (stat.S_ISUID | stat.S_ISGID) and not stat.S_ISDIR(int(mode, 8))]


def find_user(name):
    try:
        entry = pwd.getpwnam(name)
        return entry.pw_uid, entry.pw_gid
    except KeyError:
        return None
