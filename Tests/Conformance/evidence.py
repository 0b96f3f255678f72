"""E: what is written down can't be changed unseen, and the keys that sign it are out of reach."""

import hashlib
import json
import os
import shutil

SIGNED = "[audit]\nsign = \"{}\"\n"


def e2a(t):
    """a record: every file of a run, one byte changed, cut, replaced or removed: verify fails and names it"""
    t.only_aegix()
    key = keygen(t)
    run = t.sh("echo out; echo err >&2; mkdir dist; echo made >dist/a; exit 3", policy=SIGNED.format(key) + '[artifacts]\ncollect = ["dist/**"]\n')
    t.ran(run, 3)
    directory = os.path.join(t.state, "runs", newest(t))
    intact = verify(t, newest(t))
    t.check(intact.code == 0 and told(intact)["intact"] is True and told(intact)["signer"], f"the control: {intact}")
    names = sorted(name for name in os.listdir(directory) if os.path.isfile(os.path.join(directory, name))) + ["artifacts/dist/a"]
    t.check({"audit.json", "audit.dsse.json", "manifest.json", "policy.toml", "events.jsonl", "stdout.log", "stderr.log"} <= set(names),
            f"files of a run: {names}")
    for name in names:
        path = os.path.join(directory, name)
        with open(path, "rb") as f:
            whole = f.read()
        step = max(1, len(whole) // 12)
        for at in list(range(0, len(whole), step)) + [len(whole) - 1]:
            put(path, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
            caught(t, newest(t), name, f"byte {at} of {name} changed")
        put(path, whole[:-1])
        caught(t, newest(t), name, f"{name} cut by a byte")
        put(path, whole + b"\n")
        caught(t, newest(t), name, f"{name} with a byte more")
        put(path, whole)
        os.rename(path, path + ".kept")
        caught(t, newest(t), name, f"{name} removed")
        os.symlink(path + ".kept", path)
        caught(t, newest(t), name, f"{name} behind a link")
        os.remove(path)
        os.rename(path + ".kept", path)
    again = verify(t, newest(t))
    t.check(again.code == 0, f"as it was: {again}")
    # Another key of the same machine, the right statement.
    other = t.aegix("keygen", "other", "--state-dir", t.state)
    t.check(other.code == 0, f"keygen: {other}")
    wrong = t.aegix("verify", newest(t), "--state-dir", t.state, "--key", os.path.join(t.state, "keys/other.pub.pem"))
    t.check(wrong.code == 1, f"verified with a key that didn't sign: {wrong}")


def e2b(t):
    """the ledger: a line changed, dropped, moved, doubled, the tail cut, all written anew: verify fails and says where"""
    t.only_aegix()
    key = keygen(t)
    for number in range(3):
        t.ran(t.sh(f"true {number}", policy=SIGNED.format(key) if number == 2 else None, options=["--label", "seq=7", "--label", "run=x"]))
    path = os.path.join(t.state, "ledger.jsonl")
    with open(path, "rb") as f:
        whole = f.read()
    lines = whole.splitlines(keepends=True)
    intact = verify(t, "--ledger")
    t.check(intact.code == 0 and told(intact)["entries"] == len(lines) == 6, f"the control: {intact}")
    head = told(intact)["head"]
    for at in range(0, len(whole), 37):
        put(path, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        result = verify(t, "--ledger")
        number = whole[:at].count(b"\n") + 1
        # A newline that is gone joins two lines; a changed line disagrees with the one after it.
        t.check(result.code == 1 and told(result)["faults"][0]["line"] in (number, number + 1), f"byte {at}, line {number}: {result}")
    for number in range(6):
        put(path, b"".join(lines[:number] + lines[number + 1:]))
        result = verify(t, "--ledger")
        t.check(result.code == 1 and told(result)["faults"][0]["line"] == number + 1, f"line {number + 1} dropped: {result}")
    changed = {"moved": lines[:2] + [lines[3], lines[2]] + lines[4:], "doubled": lines[:3] + [lines[2]] + lines[3:]}
    for name, made in changed.items():
        put(path, b"".join(made))
        result = verify(t, "--ledger")
        t.check(result.code == 1 and told(result)["faults"][0]["line"] in (3, 4), f"{name}: {result}")
    # The signed head tells of a cut tail; without it the records do; without both what was kept elsewhere does.
    put(path, b"".join(lines[:4]))
    result = verify(t, "--ledger")
    t.check(result.code == 1 and "cut" in told(result)["faults"][0]["reason"], f"the tail cut: {result}")
    os.rename(os.path.join(t.state, "ledger.head.dsse.json"), os.path.join(t.state, "kept"))
    result = verify(t, "--ledger")
    t.check(result.code == 1 and "cut" in told(result)["faults"][0]["reason"], f"the tail and the head cut: {result}")
    shutil.move(os.path.join(t.state, "runs", newest(t)), os.path.join(t.state, "gone-run"))
    result = verify(t, "--ledger")
    t.check(result.code == 0, f"the limit of what can be seen, as docs/evidence.md says it: {result}")
    result = verify(t, "--ledger", "--head", head)
    t.check(result.code == 1 and "cut" in told(result)["faults"][0]["reason"], f"against the head that was kept: {result}")
    shutil.move(os.path.join(t.state, "gone-run"), os.path.join(t.state, "runs", os.path.basename(run_of(lines[5]))))
    os.rename(os.path.join(t.state, "kept"), os.path.join(t.state, "ledger.head.dsse.json"))
    # Written anew, every hash right: the signature isn't.
    anew, prev = [], "0" * 64
    for line in lines:
        entry = json.loads(line)
        entry.update(prev=prev, command="forged")
        made = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        prev = hashlib.sha256(made).hexdigest()
        anew.append(made + b"\n")
    put(path, b"".join(anew))
    result = verify(t, "--ledger")
    t.check(result.code == 1 and "anew" in told(result)["faults"][0]["reason"], f"written anew: {result}")
    t.check(verify(t, newest(t)).code == 1, "a signed run holds on to a ledger that was written anew")
    # A head of another's making.
    put(path, whole)
    forged = os.path.join(t.state, "ledger.head.dsse.json")
    with open(forged, "rb") as f:
        signed = f.read()
    for at in range(0, len(signed), 41):
        put(forged, signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1:])
        t.check(verify(t, "--ledger").code == 1, f"byte {at} of the signed head changed")
    put(forged, signed)
    t.check(verify(t, "--ledger").code == 0, "as it was")


def e2c(t):
    """signing keys: never in view of a run, whatever it is given; never overwritten; a loose one isn't used"""
    t.only_aegix()
    key = keygen(t)
    with open(key, "rb") as f:
        secret = f.read()
    t.check(os.stat(key).st_mode & 0o777 == 0o600, f"mode {os.stat(key).st_mode & 0o777:o}")
    again = t.aegix("keygen", "--state-dir", t.state)
    t.check(again.code == 125 and b"already" in again.err and open(key, "rb").read() == secret, f"overwritten: {again}")
    look = f"cat {key}; ls -la {os.path.dirname(key)}; cat /proc/1/environ; grep -rl 'PRIVATE KEY' / --include='*.pem' 2>/dev/null; echo looked"
    bare = t.outside("/bin/sh", "-c", f"cat {key}")
    t.check(secret.splitlines()[1] in bare.out, "the probe is blunt: a plain child can't read the key")
    above = os.path.dirname(t.state)
    for how in ({}, {"policy": SIGNED.format(key)}, {"options": ["--workspace", above]}, {"options": ["--read", above]}):
        result = t.sh(look, **how)
        t.check(b"looked" in result.out or result.code == 125, f"{how}: {result}")
        t.check(secret.splitlines()[1] not in result.out, f"the key is in view with {how}: {result}")
    # A key that lies elsewhere is hidden where a policy names it.
    elsewhere = os.path.join(t.workspace, "ci.pem")
    shutil.copy(key, elsewhere)
    os.chmod(elsewhere, 0o600)
    t.own(elsewhere)
    result = t.sh("echo mine >plain; cat plain; cat ci.pem", policy=SIGNED.format(elsewhere))
    t.check(b"mine" in result.out and secret.splitlines()[1] not in result.out, f"the workspace's key is in view: {result}")
    t.check(result.code != 125, f"such a run works: {result}")
    # What another could have read or swapped doesn't sign.
    for name, spoil in {"open to others": lambda: os.chmod(elsewhere, 0o640), "a second name": lambda: os.link(elsewhere, elsewhere + "2"),
                        "a link": lambda: swap(elsewhere)}.items():
        spoil()
        before = t.run_ids()
        result = t.sh("echo ran", policy=SIGNED.format(elsewhere))
        t.check(result.code == 125 and b"ran" not in result.out and b"key" in result.err, f"{name}: {result}")
        os.chmod(elsewhere, 0o600)
        if os.path.lexists(elsewhere + "2"):
            os.remove(elsewhere + "2")
    os.remove(elsewhere)
    os.mkfifo(elsewhere, 0o600)
    t.own(elsewhere)
    result = t.sh("echo ran", policy=SIGNED.format(elsewhere), deadline=20)
    t.check(result.code == 125 and b"ran" not in result.out, f"a FIFO: {result}")
    os.remove(elsewhere)
    # The workspace's own policy doesn't choose who signs.
    put(os.path.join(t.workspace, "aegix.toml"), b"version = 1\n" + SIGNED.format(key).encode())
    result = t.sh("echo ran")
    t.check(result.code == 125 and b"ran" not in result.out, f"aegix.toml chose the key: {result}")


def e4a(t):
    """a ledger that is a link, FIFO, directory, another's, writable by others, or one endless line: nothing runs, nothing is touched"""
    t.only_aegix()
    t.ran(t.sh("echo ran"))
    path = os.path.join(t.state, "ledger.jsonl")
    kept = path + ".kept"
    victim = t.file("victim", "victim\n")
    os.rename(path, kept)

    def link(): os.symlink(victim, path)
    def fifo(): os.mkfifo(path, 0o600)
    def directory(): os.mkdir(path, 0o700)
    def hard(): os.link(victim, path)
    def loose(): put(path, b""), os.chmod(path, 0o666)
    def endless(): put(path, b"x" * (5 << 20))
    def zeros(): put(path, b"\0" * (5 << 20))
    for make in (link, fifo, directory, hard, loose, endless, zeros):
        make()
        if make not in (link, hard):
            t.own(path)
        result = t.sh("echo ran", deadline=20)
        t.check(result.code == 125 and b"ran" not in result.out, f"{make.__name__}: {result}")
        seen = verify(t, "--ledger")
        t.check(seen.code != 0, f"{make.__name__} verifies: {seen}")
        t.check(t.aegix("history", "--state-dir", t.state).code in (0, 125), f"history with {make.__name__}")
        os.rmdir(path) if make is directory else os.remove(path)
    t.check(t.read(victim) == "victim\n", "what a link names was written to")
    os.rename(kept, path)
    t.ran(t.sh("echo ran"))
    t.check(verify(t, "--ledger").code == 0, "the control: with its own ledger all is well")
    # A torn last line, as a power cut leaves it, is named by the next entry.
    with open(path, "rb") as f:
        whole = f.read()
    put(path, whole + b'{"command":"tor')
    t.check(told(verify(t, "--ledger"))["torn_tail"] == 15, "a torn tail isn't told")
    t.ran(t.sh("echo ran"))
    result = verify(t, "--ledger")
    t.check(result.code == 0 and len(told(result)["torn"]) == 1, f"after a torn write: {result}")
    with open(path, "rb") as f:
        mended = f.read()
    put(path, mended.replace(b'"command":"tor\n', b'"command":"tos\n'))
    t.check(verify(t, "--ledger").code == 1, "torn bytes can be changed")
    put(path, mended)


def keygen(t):
    made = t.aegix("keygen", "--json", "--state-dir", t.state)
    t.check(made.code == 0, f"keygen: {made}")
    return json.loads(made.out)["private"]


def verify(t, *words):
    return t.aegix("verify", *words, "--json", "--state-dir", t.state)


def told(result):
    return json.loads(result.out)


def caught(t, run, name, what):
    result = verify(t, run)
    t.check(result.code == 1 and any(name in fault["reason"] for fault in told(result).get("faults", [])), f"{what}: {result}")


def put(path, content):
    with open(path, "r+b" if os.path.exists(path) else "wb") as f:
        f.truncate(0)
        f.write(content)


def swap(path):
    os.rename(path, path + ".real")
    os.symlink(path + ".real", path)


def newest(t):
    return max(t.run_ids())


def run_of(line):
    return json.loads(line)["run"]
