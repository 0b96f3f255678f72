"""C1, C2, D9, H12: command rules and approvals. The programs that are denied are real: each has a control that runs them."""

import os
import re
import shutil

import harness

# Of the races for path and argv, and of their variations.
LONG, SHORT = 10, 3


def rules(*patterns, decision="deny", extra=""):
    text = extra
    for pattern in patterns:
        words = ", ".join(f'"{word}"' if isinstance(word, str) else "[" + ", ".join(f'"{w}"' for w in word) + "]" for word in pattern)
        text += f'[[commands.rule]]\nargv = [{words}]\ndecision = "{decision}"\n'
    return text


def denials(result):
    return [p for p in (result.record or {}).get("processes", []) if p["decision"] == "deny"]


def stopped(t, result, what, rule="id"):
    """Permission denied, the shell goes on, and the record says which rule."""
    t.check("uid=" not in result.text, f"{what}: it ran: {result}")
    t.check(result.text.rstrip().endswith("after"), f"{what}: the shell didn't go on: {result}")
    t.check(b"ermission denied" in result.err, f"{what}: nobody said Permission denied: {result}")
    found = denials(result)
    t.check(found and all(f"deny {rule}" in (p["rule"] or "") and ".toml:" in p["rule"] for p in found),
            f"{what}: the record doesn't name the rule: {found}")
    t.check(any(v["control"] == "commands" and v["errno"] == "EACCES" for v in (result.record or {}).get("violations", [])),
            f"{what}: no violation of control commands")


WAYS = {
    "by name": "id",
    "by path": "/usr/bin/id",
    "by symlink": "ln -s /usr/bin/id other; ./other",
    "by a copy": "cp /usr/bin/id copy; ./copy",
    "by a hard link to a copy": "cp /usr/bin/id copy; ln copy hard; ./hard",
    "by a copy in /tmp": "cp /usr/bin/id /tmp/copy; /tmp/copy",
    "by env": "env A=1 id",
    "by env -S": "env -S 'A=1 id'",
    "by sh -c": "sh -c 'id; true'",
    "by xargs": "echo -u | xargs id",
    "by find": "find . -maxdepth 0 -exec id \\; ; echo 'Permission denied' >&2",
    "as an interpreter": "printf '#!/usr/bin/id\\n' > s; chmod +x s; ./s",
    "as an interpreter, twice": "printf '#!/usr/bin/id\\n' > s; printf '#!%s/s\\n' $PWD > z; chmod +x s z; ./z",
    "by env in a first line": "printf '#!/usr/bin/env id\\n' > s; chmod +x s; ./s",
    "by exec": "(exec id)",
    "by the loader": "$(ls /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.* 2>/dev/null | head -1) /usr/bin/id",
}


def c1(t):
    """every way to start a program is judged: names, links, copies, interpreters, env, xargs, the loader"""
    t.only_aegix()
    policy = rules(["id", "**"])
    for what, script in WAYS.items():
        control = t.sh(f"{script}; echo after")
        t.check("uid=" in control.text or "-u" in script or b"no such user" in control.err, f"{what}: the control doesn't run it: {control}")
        result = t.sh(f"{script}; echo after", policy=policy)
        if what == "by the loader":
            t.check("uid=" not in result.text and denials(result), f"{what}: {result}, {denials(result)}")
        else:
            stopped(t, result, what)
        t.check(t.sh("ls / > /dev/null && echo fine", policy=policy).text == "fine\n", "what no rule names doesn't run")


def c1b(t):
    """busybox, its applets, links and copies: each applet is judged by its own name"""
    t.only_aegix()
    busybox = shutil.which("busybox")
    if not busybox:
        raise harness.Skip("no busybox here: apt-get install busybox")
    policy = rules(["id", "**"])
    for what, script in {
        "as an argument": "busybox id", "nested": "busybox busybox id", "by symlink": "ln -s $(which busybox) id; ./id",
        "by a copy": "cp $(which busybox) busybox2; ./busybox2 id", "by a copy with the name": "cp $(which busybox) id; ./id",
        "by its shell": "busybox sh -c '/usr/bin/id; true'",
    }.items():
        result = t.sh(f"{script}; echo after", policy=policy)
        t.check("uid=" not in result.text and "after" in result.text and denials(result), f"{what}: {result}")
        t.check("uid=" in t.sh(f"{script}; echo after").text, f"{what}: the control doesn't run it")
    t.check("fine" in t.sh("busybox echo fine", policy=policy).text, "another applet doesn't run")


def c1c(t):
    """the command itself is denied: 126, and the record says so; only listed programs with default deny"""
    t.only_aegix()
    result = t.run("/usr/bin/id", policy=rules(["id", "**"]))
    t.check(result.code == 126 and result.status == "denied" and "deny id **" in result.outcome.get("rule", ""),
            f"{result}: {result.outcome}")
    listed = rules(["sh", "**"], ["echo", "**"], ["ls", "**"], decision="allow", extra='[commands]\ndefault = "deny"\n')
    result = t.sh("ls / > /dev/null && echo listed; id; cp /usr/bin/id ls; ./ls; echo after", policy=listed)
    t.check(result.text == "listed\nafter\n", f"default deny: {result}")
    result = t.sh("id; true", policy=rules(["id", "**"]), options=["--fail-on-violation"])
    t.check(result.code == 126 and result.outcome.get("exit_code") == 126, f"--fail-on-violation: {result}")


def race(t, kind, seconds=SHORT):
    t.only_aegix()
    probe = t.probe("races")
    for name, tail in (("good", b""), ("bad", b"\n")):
        with open(probe, "rb") as f:
            content = f.read()
        path = os.path.join(t.workspace, name)
        with open(path, "wb") as f:
            f.write(content + tail)
        os.chmod(path, 0o755)
        t.own(path)
    for name, first, mark in (("good.sh", "/bin/sh", "good-ran"), ("bad.sh", "/bin/sh", "ran"),
                              ("env-good.sh", "/usr/bin/env sh", "good-ran"), ("env-bad.sh", "/usr/bin/env sh", "ran")):
        t.file(f"workspace/{name}", f"#!{first}\nprintf x >> {mark}\n", 0o755)
    free = '[limits]\nexecs = "none"\npids = 400\n[workspace]\nmode = "direct"\n'
    judged = rules([["bad", "bad.sh", "env-bad.sh"], "**"], ["good", "bad"], extra=free)

    def size(name):
        path = os.path.join(t.workspace, name)
        size = os.path.getsize(path) if os.path.exists(path) else 0
        for gone in (name, "prog", "s.sh", "prog.new", "s.sh.new"):
            if os.path.lexists(os.path.join(t.workspace, gone)):
                os.unlink(os.path.join(t.workspace, gone))
        return size
    control = t.run(probe, kind, "1", policy=free, deadline=60)
    t.ran(control)
    good, bad = size("good-ran"), size("ran")
    t.check(good > 0, f"{kind}: the control never ran what is allowed: {control}")
    if kind not in ("plain", "threads"):
        t.check(bad > 0, f"{kind}: the probe is blunt: nothing denied ran without rules: {control}")
    result = t.run(probe, kind, str(seconds), policy=judged, deadline=seconds + 40)
    t.ran(result)
    good, bad = size("good-ran"), size("ran")
    t.check(bad == 0, f"{kind}: a denied program ran {bad} times: {result}")
    t.check(good > 0, f"{kind}: nothing that is allowed ran: {result}")
    t.note(f"{kind}: {result.text.strip()}, {good} ran")


@harness.alone
def c2a(t):
    """a thread swaps the path of execve for 10 s: the denied program never runs"""
    race(t, "path", LONG)


@harness.alone
def c2b(t):
    """a thread swaps argv of execve for 10 s, its words and its pointers"""
    race(t, "argv", LONG)
    race(t, "pointer")


@harness.alone
def c2c(t):
    """a process swaps what the path leads to, by symlink and by hard link"""
    race(t, "link")
    race(t, "hardlink")


@harness.alone
def c2d(t):
    """a process swaps a script's file, after the kernel read its first line, too"""
    race(t, "script")
    race(t, "scripthard")
    race(t, "scriptenv")


@harness.alone
def c2e(t):
    """a thread swaps the descriptor of execveat; execs from threads that aren't the first"""
    race(t, "descriptor")
    race(t, "threads")


def c2f(t):
    """PTRACE_TRACEME, process_vm_writev, memfd, /proc/PID/mem: refused where rules judge, and nothing hangs"""
    t.only_aegix()
    policy = rules(["id", "**"])
    script = ("import ctypes,os\nc=ctypes.CDLL(None,use_errno=True)\n"
              "print('traceme', c.ptrace(0,0,0,0), ctypes.get_errno())\n"
              "print('writev', c.process_vm_writev(os.getpid(),None,0,None,0,0), ctypes.get_errno())\n"
              "p=os.fork()\n"
              "if p==0:\n import time; time.sleep(5); os._exit(0)\n"
              "try:\n os.close(os.open(f'/proc/{p}/mem',os.O_RDWR)); print('mem ok')\n"
              "except OSError as e: print('mem', e.errno)\n"
              "os.kill(p,9); os.waitpid(p,0)\n"
              "m=os.memfd_create('x'); os.write(m,open('/usr/bin/true','rb').read())\n"
              "p=os.fork()\n"
              "if p==0:\n"
              " try: os.execve(m,['true'],{})\n"
              " except OSError as e: print('memfd', e.errno, flush=True); os._exit(0)\n"
              "print('status', os.waitpid(p,0)[1])\n")
    result = t.run("/usr/bin/python3", "-c", script, policy=policy, deadline=30)
    t.ran(result)
    for line in ("traceme -1 1", "writev -1 1", "memfd 13", "mem 13"):
        t.check(line in result.text.splitlines(), f"{line}: {result}")
    # Traced by pid 1, the control itself would stop.
    free = t.run("/usr/bin/python3", "-c", script.replace("c.ptrace(0,0,0,0)", "0"), deadline=30)
    t.check(free.code == 0 and "mem ok" in free.text and "memfd" not in free.text, f"the probe is blunt: {free}")


def h12b(t):
    """a deny rule for a child under an allowed parent, and an allow rule beside it: deny wins"""
    t.only_aegix()
    policy = rules(["git", "**"], ["sh", "**"], decision="allow") + rules(["git", "**", "push", "**"])
    result = t.sh("git --version > /dev/null && echo fine; git push; sh -c 'git -c a=b push x'; echo after", policy=policy)
    t.check(result.text == "fine\nafter\n" and len(denials(result)) >= 2, f"{result}: {denials(result)}")


def d9(t):
    """type-ahead before a prompt, a y, and a prompt imitated on stdout: no approval; the word shown is one"""
    t.only_aegix()
    policy = rules(["id", "**"], decision="approve", extra='[approval]\nvia = "tty"\ntimeout = "2s"\n')
    imitation = "printf 'Type `birch-100` to allow it once: '; id; echo after"

    def word(shown, before="", times=1):
        found = re.findall(rb"Type `([a-z]+-\d+)` to allow it once, `run", shown)
        return f"{before}{found[-1].decode()}\n".encode() if len(found) == times and shown.rstrip().endswith(b"s):") else None
    for what, typed, answer in (
            ("type-ahead", b"y\nyes\nallow\nbirch-100\n", None), ("a y", b"", lambda shown: b"y\n" if word(shown) else None),
            ("the imitation's word", b"", lambda shown: b"birch-100\n" if word(shown) else None)):
        terminal = harness.Terminal()
        result = terminal.run(t.box, ["/bin/sh", "-c", imitation], t, policy=policy, typed=typed, answer=answer)
        t.check(b"uid=" not in result.out and b"after" in result.out, f"{what}: {result.out!r}")
        t.check(terminal.settings_kept(), f"{what}: the terminal isn't as it was")
        found = denials(result)
        t.check(found and found[0]["approval"]["answer"] == "deny" and found[0]["approval"]["via"] == "tty", f"{what}: {found}")
        terminal.close()
    terminal = harness.Terminal()
    result = terminal.run(t.box, ["/bin/sh", "-c", imitation], t, policy=policy, answer=word)
    t.check(b"uid=" in result.out, f"the word: {result.out!r}")
    asked = [p for p in (result.record or {}).get("processes", []) if p["approval"]]
    t.check(len(asked) == 1 and asked[0]["decision"] == "approve" and asked[0]["approval"]["answer"] == "once"
            and int(asked[0]["approval"]["duration_ns"]) > 0, f"the word: {asked}")
    terminal.close()
    result = t.sh("id; echo after", policy=policy)
    t.check("uid=" not in result.text and "after" in result.text, f"without a terminal: {result}")


def d9b(t):
    """a name that no rule covers asks on the terminal: type-ahead, a y and an imitation are no, a name can't write the prompt, one no holds"""
    t.only_aegix()
    extra = ('[network]\nmode = "allow"\nunknown = "approve"\nresolvers = ["127.0.0.1:1"]\n'
             '[approval]\nvia = "tty"\ntimeout = "3s"\n')
    ask = ("import socket\nprint('Type `birch-100` to allow one connection: ', flush=True)\n"
           "for name in ('free.example', 'free.example', 'ok\\x1b[2J.example'):\n"
           "    try: socket.getaddrinfo(name, 80)\n    except Exception: pass\nprint('after')\n")

    def word(shown):
        found = re.findall(rb"Type `([a-z]+-\d+)` to allow one connection, `run", shown)
        return f"run {found[-1].decode()}\n".encode() if len(found) == 1 and shown.rstrip().endswith(b"s):") else None
    for what, typed, answer, wanted in (
            ("type-ahead", b"y\nyes\nbirch-100\n", None, "deny"), ("a y", b"", lambda shown: b"y\n" if word(shown) else None, "deny"),
            ("the imitation's word", b"", lambda shown: b"birch-100\n" if word(shown) else None, "deny"), ("the word", b"", word, "run")):
        terminal = harness.Terminal()
        result = terminal.run(t.box, ["/usr/bin/python3", "-c", ask], t, policy=extra, typed=typed, answer=answer)
        t.check(b"after" in result.out, f"{what}: {result.out!r}")
        t.check(b"name       free.example" in result.out and b"\x1b[2J" not in result.out, f"{what}: the prompt: {result.out!r}")
        t.check(terminal.settings_kept(), f"{what}: the terminal isn't as it was")
        asked = [n for n in (result.record or {}).get("network", []) if n["approval"]]
        t.check(len(asked) == 1 and asked[0]["name"] == "free.example" and asked[0]["approval"]["via"] == "tty"
                and asked[0]["approval"]["answer"] == wanted, f"{what}: {asked}")
        t.check(asked and asked[0]["decision"] == ("deny" if wanted == "deny" else "approve"), f"{what}: {asked}")
        terminal.close()
    result = t.box and t.sh("getent hosts free.example; echo after", policy=extra)
    t.check("after" in result.text and "free" not in result.text, f"without a terminal: {result}")


def d9c(t):
    """an approval command that leaves a daemon behind, which holds its pipes and says yes later: a no, in time"""
    t.only_aegix()
    told = os.path.join(t.mkdir("told", 0o777), "pid")
    os.chmod(os.path.dirname(told), 0o777)
    daemon = (f"import os, signal, time\nif os.fork():\n"
              # Ended earlier, the group would be killed before the daemon is out of it.
              f"    while not os.path.exists({told!r}): time.sleep(0.02)\n"
              "    os._exit(WAYS)\nos.setsid()\nif os.fork(): os._exit(0)\n"
              "for number in (1, 2, 13, 15): signal.signal(number, signal.SIG_IGN)\n"
              "os.close(2)\n"  # aegix's own, which a caller may be reading to its end
              f"with open({told!r}, 'w') as f: f.write(str(os.getpid()))\n"
              "time.sleep(0.5)\nend = time.monotonic() + 20\n"
              "while time.monotonic() < end:\n"
              "    try: os.write(1, b'{\"decision\": \"once\"}\\n')\n"
              "    except OSError: pass\n"
              "    time.sleep(0.05)\n")
    for name, ways in (("ends", "0"), ("stays", "time.sleep(60)"), ("fails", "1")):
        t.file("ask.py", daemon.replace("WAYS", ways))
        policy = rules(["id", "**"], decision="approve",
                       extra=f'[approval]\nvia = "command"\ncommand = ["/usr/bin/python3", "{t.dir}/ask.py"]\ntimeout = "3s"\n')
        result = t.box.run(["/bin/sh", "-c", "id; echo after"], t, policy=policy, deadline=20, leaks=False)
        t.check("uid=" not in result.text and result.text.endswith("after\n"), f"{name}: {result}")
        t.check(result.seconds < 10, f"{name}: it took {result.seconds:.1f} s")
        found = denials(result)
        t.check(found and found[0]["approval"]["answer"] == "deny", f"{name}: {found}")
        # The daemon itself is nobody's: it is neither waited for nor killed.
        pid = int(t.read(told)) if harness.wait_until(lambda: os.path.exists(told) and t.read(told), 5) else 0
        t.check(pid and os.path.exists(f"/proc/{pid}"), f"{name}: the probe is blunt: there is no daemon")
        if pid:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            os.unlink(told)
    harness.reap()


def h14b(t):
    """an approval command in the workspace is run only when it is pinned, and never where the run writes in place"""
    t.only_aegix()
    marker = os.path.join(t.mkdir("markers", 0o777), "ran")
    os.chmod(os.path.dirname(marker), 0o777)
    t.file("workspace/ask", f"#!/bin/sh\necho x >> {marker}\necho '{{\"decision\":\"once\"}}'\n", 0o755)
    ask = rules(["id", "**"], decision="approve", extra=f'[approval]\nvia = "command"\ncommand = ["{t.workspace}/ask"]\n')
    result = t.sh("id; echo after", policy=ask)
    t.check(result.code == 125 and b"isn't trusted" in result.err and not os.path.exists(marker), f"unpinned: {result}")
    # As an argument, too.
    other = ask.replace(f'"{t.workspace}/ask"', f'"/bin/sh", "{t.workspace}/ask"')
    result = t.sh("id; echo after", policy=other)
    t.check(result.code == 125 and not os.path.exists(marker), f"as an argument: {result}")
    pinned = t.aegix("policy", "trust", f"{t.workspace}/ask")
    t.ran(pinned)
    result = t.sh("id; echo after", policy=ask)
    t.check("uid=" in result.text and os.path.exists(marker), f"pinned: {result}")
    result = t.sh("id; echo after", policy=ask + '[workspace]\nmode = "direct"\n')
    t.check(result.code == 125, f"in a workspace that the run writes to: {result}")
    # The file is another one now.
    t.file("workspace/ask", "#!/bin/sh\necho '{\"decision\":\"once\"}' # changed\n", 0o755)
    result = t.sh("id; echo after", policy=ask)
    t.check(result.code == 125, f"changed after it was pinned: {result}")
