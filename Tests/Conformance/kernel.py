"""K: the kernel's surface. What must be refused, with which errno, and that the record says so."""

import hashlib
import os
import shutil
import socket
import stat
import struct
import subprocess

from harness import Skip, Terminal, hang_up, serve, wait_until

REFUSED = ("EPERM", "EACCES")
CLOSED = ("EPERM", "EACCES", "ENOENT", "ESRCH")
SECRET = "kernel-case-secret-5f1c0d"


def k1(t):
    """TIOCSTI, TIOCLINUX on an inherited tty"""
    probe = t.probe("terminal")
    mine = Terminal()
    bare = mine.run(t.unboxed_box, [probe], t, bare=True)
    t.check(mine.waiting(), "the probe is blunt: without a sandbox TIOCSTI stuffed nothing into the terminal") \
        if stuffable() else t.note("this kernel has legacy TIOCSTI off: no proof outside")
    mine.close()

    # On a terminal, and with only one of the three descriptors on it.
    tty = Terminal()
    inside = tty.run(t.box, [probe], t)
    t.ran(inside)
    t.verdict(inside, "control: window size", "ok")
    t.check(inside.attempts.get("size") == "97x31", f"the window's size isn't the caller's: {inside.attempts.get('size')}")
    names = [n for n in inside.attempts if n.startswith("TIOC")]
    t.check(len(names) >= 8, f"too few attempts: {names}")
    for name in names:
        t.refused(inside, name, *REFUSED, *(() if "on own" in name or t.box.name == "aegix" else ("ENOTTY", "EIO", "EINVAL")), call="ioctl")
    t.check(not tty.waiting(), "something was typed into the caller's terminal")
    tty.close()

    tty = Terminal()
    mixed = t.run(probe, stdin=tty.slave, new_session=True)
    for name in [n for n in mixed.attempts if n.startswith("TIOC")]:
        t.check(mixed.attempts[name] in (*REFUSED, "ENOTTY"), f"{name}: {mixed.attempts[name]}")
    t.check(not tty.waiting(), "with stdin alone on the terminal: something was typed into it")
    tty.close()


def stuffable():
    try:
        with open("/proc/sys/dev/tty/legacy_tiocsti") as f:
            return f.read().strip() == "1" or os.geteuid() == 0
    except OSError:
        return True


def k2(t):
    """inherited descriptors, /proc/self/fd/N as cwd: none but 0, 1, 2"""
    hidden = t.mkdir("hidden")
    t.file("hidden/secret", "host\n")
    probe = t.probe("descriptors")
    ends = socket.socketpair()
    held = [os.open(hidden, os.O_RDONLY), os.open(hidden, os.O_PATH), os.open(f"{hidden}/secret", os.O_RDONLY),
            ends[0].fileno(), os.memfd_create("x", 0), os.pidfd_open(os.getpid())]
    high = [os.dup2(held[0], n, inheritable=True) for n in (201, 500, 1000)]
    try:
        bare = t.outside(probe, "secret", pass_fds=held + high)
        t.check(int(bare.attempts.get("files reached through descriptors", 0)) >= 4, f"the probe is blunt: {bare}")
        inside = t.run(probe, "secret", pass_fds=held + high)
        t.ran(inside)
        t.check(inside.attempts.get("open") in ("0,1,2", "1,0,2"), f"open inside: {inside.attempts.get('open')}")
        t.check(inside.attempts.get("files reached through descriptors") == "0", "the host's directory was read through a descriptor")

        # The caller stands in a directory that it reached by descriptor; the sandbox must stand in the workspace.
        t.file("workspace/here", "inside\n")
        for cwd in (f"/proc/self/fd/{held[0]}", f"/proc/{os.getpid()}/fd/{high[1]}"):
            told = t.run("/bin/sh", "-c", "pwd; cat here; cat secret ../secret ../hidden/secret ../../../../etc/shadow; ls -d /proc/self/cwd/..",
                         pass_fds=held + high, cwd=cwd)
            t.check(told.text.splitlines()[:2] == [t.workspace, "inside"], f"cwd {cwd}: {told}")
            t.check("host" not in told.text, f"cwd {cwd}: read a host's file: {told.text!r}")
        if t.box.name == "aegix":
            # As the workspace itself: it has to be seen under its own path, not under a magic link.
            ground = os.open(t.workspace, os.O_RDONLY)
            told = t.run("/bin/sh", "-c", "pwd; cat here", workspace=f"/proc/self/fd/{ground}", cwd="/", pass_fds=[ground])
            t.check(told.code == 125 or told.text.split() == [t.workspace, "inside"], f"--workspace /proc/self/fd/N: {told}")
            os.close(ground)
    finally:
        for fd in held[:3] + held[4:] + high:
            os.close(fd)
        for end in ends:
            end.close()


def k3(t):
    """/proc/self/exe and /proc/1/exe overwrite"""
    files = t.probe("files")
    before = [digest(p) for p in (t.world.aegix, files) if p]
    named = ["reach", "/proc/self/exe", "path-write", "/proc/self/exe", "truncate", "/proc/self/exe", "chmod", "/proc/self/exe",
             "reach", "/proc/1/exe", "path-write", "/proc/1/exe", "truncate", "/proc/1/exe", "read", "/proc/1/exe",
             "write", files, "unlink", files]
    shutil.copy(files, f"{t.workspace}/own")
    t.own(f"{t.workspace}/own")
    os.chmod(f"{t.workspace}/own", 0o755)
    bare = t.outside(f"{t.workspace}/own", "chmod", "/proc/self/exe", "unlink", f"{t.workspace}/own")
    t.works_outside(bare, "chmod /proc/self/exe")

    inside = t.run(files, "create", f"{t.workspace}/control", *named)
    t.ran(inside)
    t.verdict(inside, f"create {t.workspace}/control", "ok")
    for name, verdict in inside.attempts.items():
        if not name.startswith("create"):
            t.check(verdict in (*REFUSED, "EROFS", "ETXTBSY", "ENOENT"), f"{name}: {verdict}")
    # A script that names /proc/self/exe as its interpreter makes the loader open the program that runs it.
    inside = t.sh("printf '#!/proc/self/exe\\n' > again && chmod +x again && ./again; for n in 0 1 2; do true > /proc/1/fd/$n; done;"
                  "cat < /proc/1/exe > stolen; test ! -s stolen && echo kept")
    t.check("kept" in inside.text, f"/proc/1/exe could be read: {inside}")
    t.check(before == [digest(p) for p in (t.world.aegix, files) if p], "a host's program was changed")


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def k4(t):
    """/proc/self/root, /proc/1/root, ld.so FILE, memfd + execveat: the same policy"""
    t.file("workspace/open", "allowed\n")
    t.file("workspace/.env", "denied\n")
    host = t.file("host-only", "host\n")
    files, loader = t.probe("files"), dynamic_loader()
    ways = {"plain": "", "self/root": "/proc/self/root", "thread": "/proc/thread-self/root", "self/cwd": None}
    inside_ws = lambda prefix, name: f"/proc/self/cwd/{name}" if prefix is None else f"{prefix}{t.workspace}/{name}"
    bare = t.outside(files, *sum((["read", inside_ws(p, ".env")] for p in ways.values()), []), "read", f"/proc/self/root{host}")
    t.works_outside(bare, *bare.attempts)

    policy = '[files]\ndeny = ["**/.env"]\n' if t.box.name == "aegix" else None
    arguments = []
    for prefix in ways.values():
        arguments += ["read", inside_ws(prefix, "open"), "read", inside_ws(prefix, ".env"), "path", inside_ws(prefix, ".env")]
        arguments += ["read", (prefix or "/proc/self/cwd/../../..") + host]
    arguments += ["read", f"/proc/1/root{host}", "read", f"/proc/1/root{t.workspace}/.env", "read", f"/proc/1/cwd/{t.workspace}/open"]
    shape = "import os,sys\nf=os.memfd_create('p',0)\nos.write(f,open(sys.argv[1],'rb').read())\nos.execve(f,['probe']+sys.argv[2:],os.environ)"
    for way, line in {"exec": [files], "ld.so": [loader, files], "memfd": ["/usr/bin/python3", "-c", shape, files]}.items():
        result = t.run(*line, *arguments, policy=policy)
        t.ran(result)
        for name, verdict in result.attempts.items():
            if name.endswith("/open") and "/proc/1/" not in name:
                t.check(verdict == "ok", f"{way}: {name} should work: {verdict}")
            elif name.endswith(".env") and "/proc/1/" not in name:
                if policy:
                    t.check(verdict == "EACCES", f"{way}: {name}: expected EACCES, got {verdict}")
            else:
                t.check(verdict in CLOSED, f"{way}: {name} should be closed: {verdict}")
    # The filter holds for a program that never was a file, and for one started by the loader.
    calls = t.probe("namespaces")
    for way, line in {"ld.so": [loader, calls], "memfd": ["/usr/bin/python3", "-c", shape, calls]}.items():
        result = t.run(*line, "safe")
        t.verdict(result, "control: fork", "ok")
        t.refused(result, "unshare(user)", "EPERM", call="unshare")


def dynamic_loader():
    with open("/proc/self/maps") as f:
        for line in f:
            path = line.split()[-1]
            if "/ld-" in path or path.endswith("ld.so.2"):
                return path
    raise Skip("no dynamic loader in /proc/self/maps", excused=True)


def k5(t):
    """writes to /proc/sys, /proc/sysrq-trigger, core_pattern, /sys"""
    files = t.probe("files")
    danger = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches",
              "/proc/sys/kernel/modprobe", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/fs/suid_dumpable", "/proc/kcore",
              "/proc/kmsg", "/proc/bus/pci/devices", "/proc/irq/default_smp_affinity", "/proc/timer_list", "/proc/scsi/scsi",
              "/proc/1/oom_score_adj", "/sys/kernel/uevent_helper", "/sys/power/state", "/sys/fs/cgroup/cgroup.procs"]
    maps = [f"/proc/self/{name}" for name in ("uid_map", "gid_map", "setgroups", "projid_map")]
    if t.identity.root:
        there = [p for p in danger[:5] if os.path.exists(p)]
        bare = t.outside(files, *sum((["reach", p] for p in there), []))
        t.works_outside(bare, *(f"reach {p}" for p in there))
    inside = t.run(files, "write", "/proc/self/comm", *sum((["reach", p, "path-write", p] for p in danger), []),
                   *sum((["write", p] for p in maps), []), "read", "/proc/kcore", "read", "/proc/kmsg")
    t.ran(inside)
    t.verdict(inside, "write /proc/self/comm", "ok")
    for name, verdict in inside.attempts.items():
        if name != "write /proc/self/comm":
            # EINVAL: the probe's one byte isn't a map, says the kernel; a real one is tried below.
            t.check(verdict in (*CLOSED, "EROFS", "EIO", "ENOTDIR", *(["EINVAL"] if name.endswith("_map") else [])), f"{name}: {verdict}")
    told = t.sh("for f in uid_map gid_map; do echo '0 0 4294967295' > /proc/self/$f && echo written; done; echo allow > /proc/self/setgroups && echo written; cat /proc/self/uid_map")
    t.check("written" not in told.text and told.text.split()[1::3] not in ([], *([["0"]] if t.identity.root else [])), f"the id map holds host root, or was changed: {told}")


def k6(t):
    """host processes, their environ and memory: invisible"""
    marker = f"aegix-marker-{os.path.basename(t.dir)}"
    bystander = subprocess.Popen(["/bin/bash", "-c", f"exec -a {marker} sleep 300"],
                                 env={"PATH": "/usr/bin:/bin", "KEY": SECRET}, start_new_session=True, **t.identity.options())
    t.cleanup.append(lambda: end_group(bystander))
    wait_until(lambda: t.read(f"/proc/{bystander.pid}/cmdline").startswith(marker))
    probe = t.probe("processes")
    bare = t.outside(probe, str(bystander.pid), marker[::-1], SECRET[::-1])
    t.check(int(bare.attempts.get("processes showing the marker", 0)) > 0, f"the probe is blunt: {bare}")
    t.check(int(bare.attempts.get("processes showing the secret", 0)) > 0, "the probe is blunt: no secret found outside")
    t.works_outside(bare, "host kill 0", "host pidfd_open", "host environ", "host maps", "host cwd")

    inside = t.run(probe, str(bystander.pid), marker[::-1], SECRET[::-1])
    t.ran(inside)
    t.verdict(inside, "control: kill own child", "ok")
    for what in ("marker", "secret"):
        t.check(inside.attempts.get(f"processes showing the {what}") == "0", f"a host's process shows the {what}")
    told = t.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo; ls -d /proc/[0-9]* | wc -l")
    t.check(marker not in told.text, f"the host's processes are in view: {told}")
    t.check(0 < int((told.text.split() or ["0"])[-1]) < 10, f"too many processes in view, or none: {told}")
    for name, verdict in inside.attempts.items():
        if name.startswith("host ") and bystander.pid > 64:
            # process_vm_* may be refused by the filter before the pid is looked at.
            t.check(verdict in CLOSED, f"{name}: {verdict}")
    # To everybody in reach: the sandbox may hit itself, never the host.
    t.sh("trap '' TERM HUP; kill -TERM -1; kill -HUP -1; kill -CONT -1; :")
    t.check(bystander.poll() is None, "a signal to everybody reached a process of the host")


def end_group(child):
    try:
        os.killpg(child.pid, 9)
    except OSError:
        pass
    child.wait()


def k7(t):
    """io_uring, i386 and x32 system calls: blocked"""
    probe = t.probe("foreign")
    bare = t.outside(probe)
    t.works_outside(bare, "control: getpid")
    inside = t.run(probe)
    t.ran(inside)
    t.verdict(inside, "control: getpid", "ok")
    for name in bare.attempts:
        if name.startswith(("i386", "x32")):
            t.verdict(inside, name, "SIGSYS")
        elif not name.startswith("control"):
            t.verdict(inside, name, "ENOSYS")
    if os.uname().machine == "x86_64" and bare.attempts.get("i386: getpid") != "ok":
        t.note("this kernel has no i386 calls: nothing to prove outside")


FAMILIES = ("vsock", "alg", "packet", "packet dgram", "raw", "raw6", "bluetooth", "can", "xdp", "key", "tipc", "rds",
            "appletalk", "x25", "nfc", "kcm", "qipcrtr", "smc", "sctp", "netlink: netfilter")


def k8(t):
    """AF_VSOCK, AF_ALG, AF_PACKET, keyrings, SysV IPC, POSIX mq, /dev/shm: no channel"""
    probe = t.probe("channels")
    if t.identity.root:
        t.works_outside(t.outside(probe, "families", bare=True), "socket(packet)", "socket(raw)", "add_key", "keyctl")
    inside = t.run(probe, "families")
    t.ran(inside)
    for name in ("unix", "inet", "inet6"):
        t.verdict(inside, f"control: {name}", "ok")
    for name in FAMILIES:
        t.refused(inside, f"socket({name})", "EPERM", call="socket")
        t.verdict(inside, f"socketpair({name})", "EPERM", "EOPNOTSUPP", "EAFNOSUPPORT", "EPROTONOSUPPORT")
    for name in ("add_key", "keyctl", "request_key"):
        t.verdict(inside, name, "EPERM", "ENOSYS")

    # Objects of the host, and of an earlier run, looked for by name.
    key = str(0xAE000000 - (1 << 32) + (os.getpid() << 4 & 0xfffff0) + (1 if t.identity.root else 2))
    made = t.outside(probe, "leave", key, bare=True)
    t.cleanup.append(lambda: forget(key))
    t.works_outside(made, "shm", "sem", "msg", "shm_open")
    again = t.outside(probe, "find", key, bare=True)
    t.works_outside(again, "shm", "sem", "msg", "shm_open")
    closed = ("ENOENT", "EPERM", "ENOSYS", "EACCES")
    for name, verdict in t.run(probe, "find", key).attempts.items():
        t.check(verdict in closed, f"the host's {name} was found: {verdict}")
    other = str(int(key) + 4)
    first = t.run(probe, "leave", other)
    for name in ("shm", "sem", "msg", "shm_open"):
        t.verdict(first, name, "ok")
    for name, verdict in t.run(probe, "find", other).attempts.items():
        t.check(verdict in closed, f"an earlier run's {name} was found: {verdict}")
    for name, verdict in t.outside(probe, "find", other, bare=True).attempts.items():
        t.check(verdict == "ENOENT", f"a run's {name} stands on the host: {verdict}")
    t.check(not os.path.exists(f"/dev/shm/aegix-{other}"), "a run's file stands in the host's /dev/shm")
    # While both are alive, which namespaces that end with the run wouldn't show.
    holder = t.box.spawn(["/bin/sh", "-c", f"{probe} leave {other} >/dev/null; echo up; sleep 30"], t)
    t.cleanup.append(lambda: stop(holder))
    holder.stdout.readline()
    for name, verdict in t.run(probe, "find", other, leaks=False).attempts.items():
        t.check(verdict in closed, f"a neighbour's {name} was found: {verdict}")


def forget(key):
    for kind in "MSQ":
        subprocess.run(["ipcrm", f"-{kind}", hex(int(key) & 0xffffffff)], capture_output=True)
    for path in (f"/dev/shm/aegix-{key}",):
        if os.path.exists(path):
            os.unlink(path)
    queue = f"/dev/mqueue/aegix-{key}"
    if os.path.exists(queue):
        os.unlink(queue)
    else:
        import ctypes
        ctypes.CDLL(None).mq_unlink(f"/aegix-{key}".encode())


def stop(child):
    child.terminate()
    try:
        child.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()


# Calls that aegix answers itself, so that the record names them; for the rest an errno is enough.
RECORDED = {"unshare": "unshare", "clone": "clone", "mount": "mount", "setns": "setns", "bpf": "bpf"}


def k9(t):
    """clone, unshare, setns, mounts, bpf, perf, ptrace of pid 1 …: EPERM or ENOSYS"""
    probe = t.probe("namespaces")
    bare = t.outside(probe, "safe")
    t.works_outside(bare, "control: fork", "control: thread", "unshare(user)", "clone(user)", "clone3(user)", "unshare(user+net)")
    if t.identity.root:
        t.works_outside(bare, "mount(tmpfs)", "mount(bind)", "fsopen", "open_tree", "chroot", "bpf", "unshare(mnt)", "setns(mnt)")
    inside = t.run(probe)
    t.ran(inside)
    for name in ("control: fork", "control: thread", "control: mmap"):
        t.verdict(inside, name, "ok")
    names = [n for n in inside.attempts if not n.startswith(("control", "traces"))]
    t.check(len(names) > 55, f"too few attempts: {len(names)}: {inside}")
    for name in names:
        call = name.split("(")[0]
        if call == "clone3":
            t.verdict(inside, name, "ENOSYS")
        elif call in ("unshare", "setns", "clone"):
            t.refused(inside, name, "EPERM", call=RECORDED[call])
        elif call in ("ptrace", "process_vm_readv", "process_vm_writev"):
            t.verdict(inside, name, "EPERM", "ENOSYS", "ESRCH" if "readv" in call or "writev" in call else "EPERM")
        else:
            t.refused(inside, name, "EPERM", "ENOSYS", call=RECORDED.get(call))


def k10(t):
    """docker, tmux, D-Bus, snapd, X11, ssh-agent sockets: unreachable"""
    probe = t.probe("sockets")
    seen, paths = [], []
    hidden = t.mkdir("run")
    for name in ("docker.sock", "agent.1", "X0"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{hidden}/{name}")
        listener.listen(8)
        t.own(f"{hidden}/{name}")
        serve(listener, seen)
        t.cleanup.append(lambda l=listener: hang_up(l))
        paths.append(f"{hidden}/{name}")
    real = [p for p in ("/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/snapd.socket",
                        "/tmp/.X11-unix/X0", "/run/systemd/private", "/run/containerd/containerd.sock") if os.path.exists(p)]
    env = {"DOCKER_HOST": f"unix://{paths[0]}", "SSH_AUTH_SOCK": paths[1], "DISPLAY": ":0", "TMUX": f"{paths[0]},1,0",
           "DBUS_SESSION_BUS_ADDRESS": f"unix:path={paths[1]}", "XDG_RUNTIME_DIR": hidden}
    bare = t.outside(probe, *sum((["unix", p] for p in paths), []))
    t.works_outside(bare, *(f"unix {p}" for p in paths))
    wait_until(lambda: len(seen) == 3)
    t.check(len(seen) == 3, "the listeners didn't notice the control")
    seen.clear()

    # Out of view; and in view through --read, where a read-only bind wouldn't stop connect.
    for view in ((), (hidden,)):
        inside = t.run(probe, "selftest", *sum((["unix", p] for p in paths + real), []), env=env, read=view)
        t.ran(inside)
        t.verdict(inside, "self: unix", "ok")
        for path in paths + real:
            t.verdict(inside, f"unix {path}", "ENOENT", "EACCES", "ECONNREFUSED", "EPERM")
    t.check(not seen, "a host's socket was reached")
    told = t.sh("env", env=env)
    for name in env:
        t.check(f"{name}=" not in told.text, f"{name} is in the environment inside")


def k11(t):
    """abstract sockets of the host: unreachable"""
    probe = t.probe("sockets")
    name = f"aegix-abstract-{os.path.basename(t.dir)}"
    seen = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0{name}")
    listener.listen(4)
    serve(listener, seen)
    t.cleanup.append(lambda l=listener: hang_up(l))
    t.works_outside(t.outside(probe, "abstract", name), f"abstract {name}")
    wait_until(lambda: seen)
    seen.clear()
    inside = t.run(probe, "selftest", "abstract", name)
    t.ran(inside)
    t.verdict(inside, "self: abstract", "ok")
    t.verdict(inside, f"abstract {name}", "ECONNREFUSED", "EPERM")
    t.check(not seen, "the host's abstract socket was reached")
    listed = t.sh("cat /proc/net/unix")
    t.check(name not in listed.text, "the host's sockets are listed in /proc/net/unix")

    # Between two runs at once.
    neighbour = t.box.spawn([probe, "serve-abstract", f"{name}-run"], t)
    t.cleanup.append(lambda: stop(neighbour))
    t.check(neighbour.stdout.readline() == b"listening\n", "the neighbour doesn't listen")
    inside = t.run(probe, "abstract", f"{name}-run", leaks=False)
    t.verdict(inside, f"abstract {name}-run", "ECONNREFUSED", "EPERM")


def k12(t):
    """setuid binaries, file capabilities, mknod, remount rw: no effect"""
    privileges = t.probe("privileges")
    files = t.probe("files")
    plain = t.run(privileges)
    t.ran(plain)
    own = plain.attempts.get("uid euid")
    t.check(own and len(set(own.split())) == 1, f"uid and euid differ: {own}")
    for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        if t.box.name == "aegix" or key == "CapEff":
            t.check(set(plain.attempts.get(key, "-")) == {"0"}, f"{key} inside: {plain.attempts.get(key)}")
    t.check(plain.attempts.get("NoNewPrivs") == "1", "no_new_privs isn't set")
    if t.box.name == "aegix":
        t.check(plain.attempts.get("Seccomp") == "2", "no seccomp filter")
    for name in ("setuid(0)", "capset", "chown away"):
        t.verdict(plain, name, "EPERM", "EINVAL")
    t.verdict(plain, "setgroups", "EPERM", "ENOSYS")

    if os.geteuid() == 0:
        # A program with root's setuid bit and one with capabilities, in a place given by --read and in the workspace.
        extra = t.mkdir("extra")
        powers = struct.pack("<IIIII", 0x02000001, 1 << 13 | 1 << 1, 0, 0, 0)  # cap_net_raw, cap_dac_override, effective
        for place in (extra, t.workspace):
            for name in ("suid", "caps"):
                shutil.copy(privileges, f"{place}/{name}")
                os.chown(f"{place}/{name}", 0, 0)
            os.chmod(f"{place}/suid", 0o6755)
            os.chmod(f"{place}/caps", 0o755)
            try:
                os.setxattr(f"{place}/caps", "security.capability", powers)
            except OSError:
                t.note("this file system keeps no file capabilities")
            if not t.identity.root:
                outside = t.outside(f"{place}/suid")
                t.check(outside.attempts.get("uid euid", "").endswith(" 0"), f"the probe is blunt: {outside}")
                outside = t.outside(f"{place}/caps")
                t.check(set(outside.attempts.get("CapEff", "0")) != {"0"}, f"the probe is blunt: {outside}")
            for mode in ("layer", "read-only"):
                for name in ("suid", "caps"):
                    inside = t.run(f"{place}/{name}", read=[extra], mode=mode)
                    t.ran(inside)
                    t.check(inside.attempts.get("uid euid") == own, f"{name} in {place}: {inside.attempts.get('uid euid')}, not {own}")
                    t.check(set(inside.attempts.get("CapEff", "-")) == {"0"}, f"{name} in {place}: CapEff {inside.attempts.get('CapEff')}")
    inside = t.run(files, "fifo", "fifo", "chrdev", "chr", "blkdev", "blk", "chrdev", "/tmp/chr", "chrdev", "/dev/chr", "blkdev", "/dev/shm/blk",
                   "create", "/usr/aegix-probe", "create", "/etc/aegix-probe", "reach", "/usr/bin/env")
    t.verdict(inside, "fifo fifo", "ok")
    for name in ("chrdev chr", "blkdev blk", "chrdev /tmp/chr", "blkdev /dev/shm/blk"):
        t.verdict(inside, name, "EPERM")
    t.verdict(inside, "chrdev /dev/chr", "EPERM", "EROFS", "EACCES")
    for name in ("create /usr/aegix-probe", "create /etc/aegix-probe", "reach /usr/bin/env"):
        t.verdict(inside, name, "EROFS", "EACCES", "EPERM")
    inside = t.run(t.probe("namespaces"), "safe")
    t.refused(inside, "mount(remount)", "EPERM", call="mount")
    t.verdict(inside, "mount_setattr", "EPERM", "ENOSYS")


def k13(t):
    """run by root: root's 0600 files unreadable, nothing made inside is host root's"""
    if not t.identity.root:
        raise Skip("only root has host root's files to lose", excused=True)
    other = t.mkdir("other")
    t.file("other/secret", "root only\n", 0o600)
    t.file("other/plain", "for all\n", 0o644)
    files = t.probe("files")
    paths = [f"{other}/secret", "/etc/shadow", "/etc/gshadow", "/root/.profile", "/root/.ssh/id_ed25519"]
    t.works_outside(t.outside(files, "read", paths[0], "read", "/etc/shadow"), f"read {paths[0]}", "read /etc/shadow")
    inside = t.run(files, "read", f"{other}/plain", *sum((["read", p, "path", p] for p in paths), []), read=[other])
    t.ran(inside)
    t.verdict(inside, f"read {other}/plain", "ok")
    for path in paths:
        t.verdict(inside, f"read {path}", "EACCES", "ENOENT", "EPERM")
        t.verdict(inside, f"path {path}", "EACCES", "ENOENT", "EPERM")
    t.verdict(inside, f"read {paths[0]}", "EACCES", "EPERM")

    # Files in the workspace belong to its owner, on the disk and in the sandbox's eyes; root's and an ordinary user's workspace.
    for owner in (0, 12345):
        place = t.mkdir(f"ground-{owner}")
        os.chown(place, owner, owner)
        with open(f"{place}/private", "w") as f:
            f.write("kept\n")
        os.chown(f"{place}/private", owner, owner)
        os.chmod(f"{place}/private", 0o600)
        for mode in ("direct", "layer"):
            inside = t.sh("id -u; stat -c %u . private; cat private; echo new > made && mkdir dir && echo deep > dir/made && stat -c %u made dir/made",
                          workspace=place, mode=mode)
            t.ran(inside)
            t.check(inside.text.split() == [str(owner)] * 3 + ["kept"] + [str(owner)] * 2, f"{mode}, owned by {owner}: {inside}")
            roots = [f"{place}/made", f"{place}/dir/made"] if mode == "direct" else []
            for path in roots:
                t.check(os.path.exists(path) and os.lstat(path).st_uid == owner, f"{mode}: {path} on the disk isn't {owner}'s")
            for path in roots:
                os.unlink(path)
            if roots:
                os.rmdir(f"{place}/dir")
    # Outside, while it runs: neither the processes nor what they make in memory belong to host root.
    child = t.box.spawn(["/bin/sh", "-c", "exec 3>/tmp/mine 4>/dev/shm/mine; id -u; sleep 20; :"], t)
    try:
        child.stdout.readline()
        inner = [p for p in nested(child.pid)]
        t.check(inner, "no process of the sandbox found from outside")
        for pid in inner:
            with open(f"/proc/{pid}/status") as f:
                uids = next(line for line in f if line.startswith("Uid:")).split()[1:]
            if t.box.name == "aegix":
                t.check("0" not in uids, f"a process of the sandbox has host uid 0: {uids}")
            for fd in os.listdir(f"/proc/{pid}/fd"):
                status = os.stat(f"/proc/{pid}/fd/{fd}")
                if stat.S_ISREG(status.st_mode):
                    t.check(status.st_uid != 0, f"a file in memory belongs to host root: fd {fd}")
    finally:
        stop(child)


def nested(pid):
    """Descendants of a process that live in a pid namespace of their own, seen from here."""
    found, queue = [], [pid]
    while queue:
        try:
            with open(f"/proc/{queue[0]}/task/{queue[0]}/children") as f:
                children = [int(c) for c in f.read().split()]
            with open(f"/proc/{queue[0]}/status") as f:
                if any(line.startswith("NSpid:") and len(line.split()) > 2 for line in f):
                    found.append(queue[0])
        except OSError:
            children = []
        queue = queue[1:] + children
    return found


def k14(t):
    """pid 1: environ, mem, fd, cwd, root closed; can't be killed or stopped into letting go"""
    probe = t.probe("processes")
    env = {"CI_TOKEN": SECRET}
    # The positive control: the same probe sees all of it in a process of its own identity.
    victim = subprocess.Popen(["/bin/sleep", "60"], env=env, **t.identity.options())
    t.cleanup.append(lambda: stop(victim))
    bare = t.outside(probe, str(victim.pid), "no-marker", SECRET[::-1])
    t.works_outside(bare, "host environ", "host maps", "host cwd", "host fd", "host mem for writing")
    inside = t.run(probe, env=env)
    t.ran(inside)
    names = [n for n in inside.attempts if n.startswith("pid 1 ")]
    t.check(len(names) > 20, f"too few attempts: {inside}")
    for name in names:
        t.check(inside.attempts[name] in CLOSED, f"{name}: {inside.attempts[name]}")
    told = t.sh(f"cat /proc/1/environ /proc/1/cmdline /proc/1/comm /proc/1/maps /proc/1/task/*/environ 2>/dev/null | tr '\\0' '\\n'; "
                f"grep -rsl {SECRET[:12]} /proc/1 2>/dev/null; echo; echo done", env=env)
    t.check("done" in told.text, f"{told}")
    t.check(SECRET not in told.text and "/proc/1" not in told.text, f"the caller's secret is in pid 1: {told.text!r}")
    t.check(t.state not in told.text, f"pid 1's command line tells of the host: {told.text!r}")

    # Every signal, one by one and for its threads: the run goes on, and its deadline still holds.
    storm = "for s in $(seq 1 64); do kill -$s 1 2>/dev/null; done; kill -KILL 1; kill -STOP 1; "
    told = t.sh(storm + "echo alive; sh -c 'exit 7'", env=env)
    t.check(told.code == 7 and "alive" in told.text, f"after every signal to pid 1: {told}")
    told = t.sh(storm + "kill -STOP -1; sleep 30", timeout=1, deadline=15)
    t.check(told.code == 124 and told.seconds < 6, f"after a stop for all the deadline doesn't hold: {told}, {told.seconds:.1f} s")
    told = t.sh("(sleep 0.2; exit 9) & kill -9 1; wait $!; echo $?")
    t.check(told.text.strip() == "9", f"children are no longer waited for: {told}")
