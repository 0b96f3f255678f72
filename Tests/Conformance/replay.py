"""E: what is run again touches nothing, and has no more rights than it had, or than who replays it has; a stranger's has none of this machine's."""

import hashlib
import http.server
import json
import os
import subprocess
import threading
import time

import bundle as bundles


def replay(t, *words, state=None, code=None, **how):
    result = t.aegix("replay", *words, "--json", "--state-dir", state or t.state, **how)
    if code is not None:
        t.check(result.code == code, f"replay {words}: expected exit {code}: {result}")
    try:
        return json.loads(result.out)
    except ValueError:
        t.check(False, f"replay {words} printed no document: {result}")
        return {}


def newest(t):
    return max(t.run_ids())


def tree(path):
    """Everything of a tree that a run could change."""
    found = {}
    for where, directories, names in os.walk(path):
        for name in directories + names:
            place = os.path.join(where, name)
            facts = os.lstat(place)
            content = t_read(place) if os.path.isfile(place) and not os.path.islink(place) else None
            found[place] = (facts.st_mode, facts.st_uid, facts.st_mtime_ns, facts.st_ctime_ns, content)
    return found


def t_read(path):
    with open(path, "rb") as f:
        return f.read()


def stdout_of(t, report, state=None):
    return t_read(os.path.join(state or t.state, "runs", report["replay"], "stdout.log"))


def e5a(t):
    """a replay changes nothing: not the workspace in any of its modes, not files.write, not by apply, and its layer is gone afterwards"""
    t.only_aegix()
    written = t.mkdir("written")
    t.file("workspace/in", "1\n")
    script = f"cat in; date +%N > made; echo x >> {written}/log; rm -f in; mkdir -p .git/hooks; echo evil > .git/hooks/pre-commit"
    for mode in ("layer", "apply", "direct", "read-only"):
        t.file("workspace/in", "1\n")
        before = t.sh(script, mode=mode, write=[written])
        run = newest(t)
        # The control: the run itself did change what its mode lets it.
        t.check(t_read(os.path.join(written, "log")).endswith(b"x\n"), f"{mode}: the run wrote nothing: {before}")
        if mode in ("apply", "direct"):
            t.check(not os.path.exists(os.path.join(t.workspace, "in")), f"{mode}: the run changed nothing: {before}")
        known = tree(t.workspace), tree(written)
        report = replay(t, run)
        t.check(report.get("verdict") in ("same", "drift"), f"{mode}: {report}")
        t.check((tree(t.workspace), tree(written)) == known, f"{mode}: a replay changed the workspace or a path of files.write")
        again = report["replay"]
        t.check(not os.path.exists(os.path.join(t.state, "runs", again, "layer")), f"{mode}: the replay's layer is kept")
        applied = t.aegix("apply", again, "--state-dir", t.state)
        t.check(applied.code == 1 and b"replay" in applied.err, f"{mode}: a replay can be applied: {applied}")
        if os.path.exists(os.path.join(t.workspace, "made")):
            os.remove(os.path.join(t.workspace, "made"))


def e5b(t):
    """no more rights than the record's: a policy, a preset or aegix.toml that is looser by now, variables and --network give it nothing"""
    t.only_aegix()
    secret = t.file("outside/secret", "the host's\n") if t.mkdir("outside") else None
    tight = t.policy_file('[network]\nmode = "none"\n[[commands.rule]]\nargv = ["date", "**"]\ndecision = "deny"\n')
    script = f"cat {secret}; date; echo $LEAK; cat /proc/net/route | wc -l"
    first = t.aegix("run", "--state-dir", t.state, "--workspace", t.workspace, "--policy", tight, "--cmd", script)
    t.check(first.code == 0 and b"the host's" not in first.out, f"the run: {first}")
    # What would give more to a new run.
    t.file("workspace/aegix.toml", f'version = 1\n[files]\nread = ["{os.path.dirname(secret)}"]\n[network]\nmode = "host"\n')
    with open(tight, "a") as f:
        f.write(f'\n[files]\nread = ["{os.path.dirname(secret)}"]\n[env]\npass = ["LEAK"]\n')
    report = replay(t, newest(t), "--network", env={"LEAK": "leaked"})
    out = stdout_of(t, report)
    t.check(b"the host's" not in out and b"leaked" not in out, f"a replay saw what its run didn't: {out!r}")
    record = t.record_of(report["replay"])
    t.check(any(v["control"] == "commands" and v["errno"] == "EACCES" and "date" in v["rule"] for v in record["violations"]),
            f"the rule doesn't hold in the replay: {record['violations']}")
    t.check(record["policy"]["effective"]["network"]["mode"] == "none", f"network: {record['policy']['effective']['network']}")
    # The control: with the looser policy a new run does see it.
    os.remove(os.path.join(t.workspace, "aegix.toml"))
    control = t.aegix("run", "--state-dir", t.state, "--workspace", t.workspace, "--policy", tight, "--cmd", script, env={"LEAK": "leaked"})
    t.check(b"the host's" in control.out and b"leaked" in control.out, f"the control: {control}")


def e5c(t):
    """what was in view leads elsewhere by now, an approval program, a named sandbox: a replay follows, asks and enters none of them"""
    t.only_aegix()
    t.mkdir("one"), t.mkdir("two")
    t.file("one/f", "one\n"), t.file("two/f", "two\n")
    view = os.path.join(t.dir, "one")
    t.ran(t.sh(f"cat {view}/f", read=[view]))
    replay(t, newest(t), code=0)
    run = newest_but_replays(t)
    os.rename(view, os.path.join(t.dir, "was"))
    os.symlink("two", view)
    result = t.aegix("replay", run, "--state-dir", t.state)
    t.check(result.code == 2 and b"leads to" in result.err, f"a link is followed: {result}")
    asked = os.path.join(t.dir, "asked")
    helper = t.file("ask", f"#!/bin/sh\necho asked >> {asked}\necho '{{\"decision\": \"allow\"}}'\n", 0o755)
    policy = ('[[commands.rule]]\nargv = ["date", "**"]\ndecision = "approve"\n'
              f'[approval]\nvia = "command"\ncommand = ["{helper}"]\n')
    first = t.sh("date +%Y", policy=policy)
    t.check(os.path.exists(asked), f"the control: nobody was asked: {first}")
    os.remove(asked)
    report = replay(t, newest(t))
    t.check(not os.path.exists(asked), "a replay asked somebody")
    t.check(any(c["subject"] == "approval" for c in report["causes"]), f"the report doesn't say so: {report['causes']}")
    t.ran(t.sh("echo one > kept", options=["--name", "box"]))
    t.ran(t.sh("cat kept; echo two > kept", options=["--name", "box"]))
    report = replay(t, newest(t))
    t.check(any("sandbox box" in c["subject"] for c in report["causes"]), f"the sandbox isn't named: {report['causes']}")
    t.check(stdout_of(t, report) == b"", "a replay saw the layer of a named sandbox")
    after = t.sh("cat kept", options=["--name", "box"])
    t.check(after.out == b"two\n", f"a replay changed the named sandbox: {after}")


def e5d(t):
    """a replay that is killed leaves no layer, is nobody's last, and what it unpacked goes with the next one; a replay isn't replayed as a run of this machine"""
    t.only_aegix()
    t.file("workspace/in", "recorded\n")
    t.ran(t.sh("cat in; echo evil > in; [ -z $WAIT ] || sleep 60", policy='[audit]\ninputs = "all"\n', options=["--env", "WAIT="]))
    run, bundle = newest(t), os.path.join(t.dir, "run.aegix")
    t.check(t.aegix("export", run, "-o", bundle, "--state-dir", t.state).code == 0, "export")
    t.file("workspace/in", "the replayer's own\n")
    for what in (run, bundle):
        killed = subprocess.Popen([t.world.aegix, "replay", what, "--env", "WAIT=1", "--state-dir", t.state], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=t.workspace, env=t.box.environment({}), **t.identity.options())
        until = time.monotonic() + 20
        while time.monotonic() < until and not any(t_read(os.path.join(t.state, "runs", one, "layer/upper/in")) for one in t.run_ids()
                                                   if one != run and os.path.exists(os.path.join(t.state, "runs", one, "layer/upper/in"))):
            time.sleep(0.05)
        killed.kill()
        killed.wait()
        gone = os.path.join(t.state, "gone")
        t.check(any(name.endswith(".scratch") for name in os.listdir(gone)), f"{what}: the control: nothing was laid out")
        t.check(t.aegix("history", "--state-dir", t.state).code == 0, "history")
        dead = newest(t)
        t.check(t.aegix("show", dead, "--state-dir", t.state).code == 0, "show")
        record = t.record_of(dead)
        t.check(record["outcome"]["status"] == "interrupted" and record["changes"] is None, f"{what}: {record['outcome']} {record['changes']}")
        t.check(not os.path.exists(os.path.join(t.state, "runs", dead, "layer")), f"{what}: the killed replay's layer is kept")
        t.check(run.encode() in t.aegix("show", "last", "--json", "--state-dir", t.state).out, f"{what}: a killed replay is the workspace's last run")
        again = t.aegix("replay", dead, "--state-dir", t.state)
        t.check(again.code == 2 and b"is a replay itself" in again.err, f"{what}: a replay is replayed: {again}")
        report = replay(t, what, code=0)
        t.check(stdout_of(t, report) == b"recorded\n", "the recorded workspace isn't there")
        until = time.monotonic() + 10
        while os.listdir(gone) and time.monotonic() < until:
            time.sleep(0.05)
        t.check(os.listdir(gone) == [], f"{what}: left of the killed replay: {os.listdir(gone)}")
        again = t.aegix("replay", report["replay"], "--state-dir", t.state)
        t.check(again.code == 2 and b"is a replay itself" in again.err, f"{what}: a replay is replayed: {again}")
    t.check(t.read(os.path.join(t.workspace, "in")) == "the replayer's own\n", "the workspace was changed")


def newest_but_replays(t):
    return max(run for run in t.run_ids() if (t.record_of(run) or {}).get("invocation", {}).get("how") != "replay")


class Listener:
    """A server of the host's that a run with the host's network reaches."""

    def __init__(self, t):
        self.seen = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.seen += 1
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"reached\n")

            def log_message(self, *words):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        t.cleanup.append(self.close)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def e6a(t):
    """a stranger's bundle that names host paths, env.pass, secrets, an approval command and the network: none of it is used"""
    t.only_aegix()
    listener = Listener(t)
    t.mkdir("private"), t.mkdir("written")
    private, written = os.path.join(t.dir, "private"), os.path.join(t.dir, "written")
    t.file("private/key", "a key of the host's\n")
    token = t.file("token", "a-token-of-the-host\n", 0o600)
    asked = os.path.join(t.dir, "asked")
    helper = t.file("ask", f"#!/bin/sh\necho asked >> {asked}\necho '{{\"decision\": \"allow\"}}'\n", 0o755)
    t.file("workspace/in", "recorded\n")
    policy = f'''
[files]
read = ["{private}"]
write = ["{written}"]
[network]
mode = "host"
[env]
pass = ["LEAK", "HOME_*"]
[secrets]
TOKEN = "file:{token}"
[[commands.rule]]
argv = ["id", "**"]
decision = "approve"
[approval]
via = "command"
command = ["{helper}"]
[audit]
inputs = "all"
[capabilities]
keep = ["cap_sys_chroot"]
'''
    script = (f"cat in; cat {private}/key; echo $LEAK; echo token ${{#TOKEN}}; id -u; echo w >> {written}/log; "
              f"curl -s http://127.0.0.1:{listener.port}/; grep CapEff /proc/self/status; ls {t.dir}")
    first = t.sh(script, policy=policy, env={"LEAK": "leaked"}, options=["--raw-stdout"])
    for part in (b"recorded\n", b"a key of the host's", b"leaked", b"token 19", b"reached"):
        t.check(part in first.out, f"the control: {part!r} isn't in {first}")
    t.check(os.path.exists(asked) and listener.seen == 1 and os.path.exists(os.path.join(written, "log")), f"the control: {first}")
    bundle = os.path.join(t.dir, "run.aegix")
    exported = t.aegix("export", newest(t), "-o", bundle, "--state-dir", t.state)
    t.check(exported.code == 0, f"export: {exported}")
    content = t_read(bundle)
    t.check(b"a-token-of-the-host" not in content, "the bundle holds the secret")
    os.remove(asked)
    os.remove(os.path.join(written, "log"))
    other = os.path.join(t.dir, "other")
    known = tree(t.workspace), tree(private), tree(written)
    report = replay(t, bundle, state=other, env={"LEAK": "leaked", "TOKEN": "a-token-of-the-host"})
    t.check(report.get("verdict") == "drift", f"{report}")
    out = stdout_of(t, report, other)
    t.check(out.startswith(b"recorded\n"), f"the recorded workspace isn't there: {out!r}")
    for part in (b"a key of the host's", b"leaked", b"token 19", b"reached"):
        t.check(part not in out, f"{part!r} of this machine is in the replay of a stranger's bundle: {out!r}")
    t.check(b"0000000000000000" in out, f"capabilities: {out!r}")
    t.check(not os.path.exists(asked), "the stranger's approval command ran")
    t.check(listener.seen == 1, "a stranger's bundle reached the host's network")
    t.check((tree(t.workspace), tree(private), tree(written)) == known, "a stranger's bundle changed something")
    refused = t.aegix("replay", bundle, "--network", "--state-dir", other)
    t.check(refused.code == 125 and b"--network" in refused.err, f"a bundle gets a network: {refused}")
    told = {c["subject"] for c in report["causes"]}
    t.check({private, written, "TOKEN", "approval"} <= told, f"what was withheld isn't told: {told}")
    left = os.listdir(os.path.join(other, "gone")) if os.path.exists(os.path.join(other, "gone")) else []
    t.check(left == [], f"left of the bundle: {left}")


def e6b(t):
    """a stranger's workspace at a path of the system, of the state or of the caller's home is a name in the sandbox, and nothing of the host's"""
    t.only_aegix()
    home = t.mkdir("home")
    work = t.mkdir("home/project")
    t.file("home/project/in", "recorded\n")
    bundle = os.path.join(t.dir, "run.aegix")
    first = t.sh("cat in; ls -A ..; echo more > out", workspace=work, policy='[audit]\ninputs = "all"\n')
    t.ran(first)
    t.check(t.aegix("export", newest(t), "-o", bundle, "--state-dir", t.state).code == 0, "export")
    t.file("home/.secret", "of the host\n")
    t.file("home/project/in", "the replayer's own, at the same path\n")
    t.file("home/project/other", "the replayer's\n")
    report = replay(t, bundle, state=os.path.join(t.dir, "other"), code=0, env={"HOME": home})
    out = stdout_of(t, report, os.path.join(t.dir, "other"))
    t.check(out.startswith(b"recorded\n") and b"secret" not in out and b"other" not in out, f"{out!r}")
    t.check(not os.path.exists(os.path.join(work, "out")), "it wrote to the host's directory of that name")
    control = t.aegix("replay", forge(t, bundle, lambda record: None), "--state-dir", os.path.join(t.dir, "other"))
    t.check(control.code == 0, f"the control: {control}")
    for place in ("/etc", "/usr/lib", "/proc", "/.old", "relative", "/a/../etc", "/"):
        forged = forge(t, bundle, lambda record: record["workspace"].update(path=place))
        result = t.aegix("replay", forged, "--state-dir", os.path.join(t.dir, "other"))
        t.check(result.code == 2, f"a workspace at {place}: {result}")
    # Where the root is assembled from: the run's own layer lies there for an ordinary user's overlay.
    script = b"#!/bin/sh\necho planted\n"
    for place in ("/.old/layer/upper/planted", "/.old/empty/x", "/a/../.old/layer/upper/planted", "/a/b", "relative"):
        def scripted(record):
            record["command"].update(argv=["sh", place], script={"path": place, "kept": True, "sha256": digest(script)})

        result = t.aegix("replay", forge(t, bundle, scripted, {"script": script}), "--json", "--state-dir", os.path.join(t.dir, "other"))
        t.check(result.code == (1 if place == "/a/b" else 2), f"a script at {place}: {result}")
        t.check(place != "/a/b" or stdout_of(t, json.loads(result.out), os.path.join(t.dir, "other")) == b"planted\n", "the control: no script ran")


def e6c(t):
    """a stranger's list of inputs with any time, and records of a hundred thousand names: no fault, no hang, nothing left"""
    t.only_aegix()
    t.file("workspace/in", "recorded\n")
    t.ran(t.sh("cat in", policy='[audit]\ninputs = "all"\n'))
    bundle = os.path.join(t.dir, "run.aegix")
    t.check(t.aegix("export", newest(t), "-o", bundle, "--state-dir", t.state).code == 0, "export")
    other = os.path.join(t.dir, "other")
    lines = [json.loads(line) for line in bundles.entries_of(bundle)["inputs.jsonl"].splitlines()]
    for modified in (-2 ** 63, -2 ** 63 + 1, 2 ** 63 - 1, -1):
        lines[-1]["modified"] = str(modified)
        forged = forge(t, bundle, lambda record: None, {"inputs.jsonl": b"".join(bundles.canonical(line) + b"\n" for line in lines)})
        replay(t, forged, state=other, code=0)
    names = [f"N{number}" for number in range(100_000)]

    def many(record):
        record["environment"] += [{"name": name, "origin": "caller", "value": None} for name in names]
        record["enforcement"]["controls"] += [{"name": name, "mechanism": "x", "asked": "x", "held": True} for name in names]
        record["policy"]["effective"]["secrets"] = dict.fromkeys(names, {})
        record["inputs"] = [{"path": name, "sha256": "0" * 64, "use": ["read"]} for name in names]
        record["command"]["argv"] += names[:1000]

    began = time.monotonic()
    report = replay(t, forge(t, bundle, many), state=other, code=1)
    t.check(len(report["causes"]) < 25_000 and any("more differences" in one for one in report["unknown"]), f"{len(report['causes'])} causes")
    t.check(time.monotonic() - began < 60, f"a long record took {time.monotonic() - began:.0f} s")
    left = os.listdir(os.path.join(other, "gone"))
    t.check(left == [], f"left of the bundle: {left}")


def forge(t, bundle, change, files=None):
    """The same bundle with another record, all digests of it right: what a stranger can make with a changed aegix."""
    entries = bundles.entries_of(bundle)
    record = json.loads(entries["audit.json"])
    change(record)
    entries["audit.json"] = bundles.canonical(record)
    entries.update(files or {})
    manifest = json.loads(entries["manifest.json"])
    for name in ["audit.json", *(files or {})]:
        manifest["files"][name] = {"bytes": len(entries[name]), "sha256": digest(entries[name])}
    entries["manifest.json"] = bundles.canonical(manifest)
    lines = [json.loads(line) for line in entries["ledger.jsonl"].splitlines()]
    for line in lines:
        if line["kind"] == "finish":
            line.update(audit=digest(entries["audit.json"]), manifest=digest(entries["manifest.json"]))
    entries["ledger.jsonl"] = b"".join(bundles.canonical(line) + b"\n" for line in lines)
    # As a bundle has them: its own index, the files in the order of their names, the contents.
    entries = {name: entries[name] for name in sorted(entries, key=lambda name: (name != "bundle.json", name.startswith("blobs/"), name))}
    path = os.path.join(t.dir, "forged.aegix")
    with open(path, "wb") as f:
        f.write(bundles.pack(bundles.consistent(entries)))
    return t.own(path)


def digest(content):
    return hashlib.sha256(content).hexdigest()
