"""L: learned policies. Each is learned, holds for the same run and for another input, and stops something that the run didn't do."""

import json
import os
import shutil
import stat
import subprocess

from servers import Place


def state(t):
    return ["--state-dir", t.state, "--workspace", t.workspace]


def learn(t, path, *argv, options=(), code=0, **how):
    """The text of the policy that was written."""
    result = t.aegix("learn", *state(t), "-o", path, *options, "--", *argv, **how)
    t.check(result.code == code, f"learning: expected exit {code}: {result}")
    if not t.check(os.path.exists(path), f"no policy was written: {result}"):
        return ""
    checked = t.aegix("policy", "check", path)
    t.check(checked.code == 0, f"what was learned isn't a policy: {checked}")
    return t.read(path)


def under(t, path, *argv, options=(), **how):
    return t.aegix("run", *state(t), "--quiet", "--policy", path, *options, "--", *argv, **how)


def holds(t, path, what, *argv, says=b"", **how):
    result = under(t, path, *argv, **how)
    t.check(result.code == 0 and says in result.out, f"{what}: {result}")
    t.check(not [v for v in (result.record or {}).get("violations", []) if v["control"] in ("commands", "network")],
            f"{what}: something was refused: {(result.record or {}).get('violations')}")


def denied(t, path, what, control, *argv, **how):
    """The control: it works without the policy's word against it, and the record says what stopped it."""
    result = under(t, path, *argv, **how)
    t.check(result.code != 0, f"{what}: it isn't denied: {result}")
    if control:
        found = [v for v in (result.record or {}).get("violations", []) if v["control"] == control]
        t.check(found, f"{what}: the record has no violation of {control}: {result}")


def loose(t, **files):
    for name, text in files.items():
        t.file(f"workspace/{name.replace('__', '.')}", text)


def l1(t):
    """what is learned from git, make with a compiler, Python and a pipeline holds for another input, and for no other program"""
    t.only_aegix()
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "safe.directory=*"]
    source = t.mkdir("workspace/source")
    t.file("workspace/source/file", "one\n")
    for words in (["init", "-q", "."], ["add", "file"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], cwd=source, check=True, capture_output=True)
    for where, directories, names in os.walk(source):
        for name in directories + names:
            t.own(os.path.join(where, name))
    script = ("git -c safe.directory='*' clone -q --no-hardlinks source copy && cd copy && echo more >> file && git add file && "
              "git -c user.name=t -c user.email=t@t commit -qm \"$1\" && git log --format=%s -1")
    path = os.path.join(t.dir, "git.toml")
    text = learn(t, path, "sh", "-c", script, "sh", "first")
    holds(t, path, "git again", "sh", "-c", script, "sh", "first", says=b"first")
    holds(t, path, "git, another message", "sh", "-c", script, "sh", "a second", says=b"a second")
    push = "cd source && git push -q ../elsewhere HEAD:refs/heads/x"
    subprocess.run(["git", "init", "-q", "--bare", f"{t.workspace}/elsewhere"], check=True, capture_output=True)
    denied(t, path, "git push", "commands", "sh", "-c", push)
    t.check('"push"' not in text, "a push was learned from a clone")

    t.mkdir("workspace/c")
    hello = 'int puts(const char *); int main(void) { puts("%s"); return 0; }\n'
    loose(t, **{"c/hello__c": hello % "hello", "c/Makefile": "all: hello\n\t./hello\nhello: hello.c\n\tcc -O1 -o $@ $<\n"})
    path = os.path.join(t.dir, "make.toml")
    text = learn(t, path, "make", "-C", "c")
    t.check('"./c/hello"' in text and "/tmp/cc" not in text, f"what the make ran isn't in it: {text}")
    holds(t, path, "make again", "make", "-C", "c", says=b"hello")
    loose(t, **{"c/hello__c": hello % "changed" + "int more;\n"})
    holds(t, path, "make, another source", "make", "-C", "c", says=b"changed")
    loose(t, **{"c/Makefile": "all:\n\tperl -e 1\n"})
    denied(t, path, "make that runs perl", "commands", "make", "-C", "c")

    t.mkdir("workspace/package")
    loose(t, **{"package/__init____py": "", "one": "1\n", "two": "2\n", "package/__main____py": (
        "import os, subprocess, sys, tempfile\n"
        "from . import part\n"
        "with tempfile.TemporaryDirectory() as d:\n"
        "    s = os.path.join(d, 'made.sh'); open(s, 'w').write('#!/bin/sh\\ncat \"$1\"\\n'); os.chmod(s, 0o755)\n"
        "    print(part.name, subprocess.run([s, sys.argv[1]], check=True, capture_output=True).stdout.decode().strip(),\n"
        "          subprocess.run([sys.executable, '-c', 'print(7)'], check=True, capture_output=True).stdout.decode().strip())\n"),
        "package/part__py": "name = 'part'\n"})
    for old, new in (("package/.init..py", "package/__init__.py"), ("package/.main..py", "package/__main__.py")):
        if os.path.exists(f"{t.workspace}/{old}"):
            os.rename(f"{t.workspace}/{old}", f"{t.workspace}/{new}")
    path = os.path.join(t.dir, "python.toml")
    learn(t, path, "/usr/bin/python3", "-m", "package", "one")
    holds(t, path, "Python again", "/usr/bin/python3", "-m", "package", "one", says=b"part 1 7")
    holds(t, path, "Python, another input", "/usr/bin/python3", "-m", "package", "two", says=b"part 2 7")
    denied(t, path, "perl", "commands", "perl", "-e", "1")

    t.file("workspace/pipe.sh", "#!/bin/sh\nd=$(mktemp -d) && seq 1 \"$1\" | sort -rn | head -1 > \"$d/o\" && tr 0-9 a-j < \"$d/o\" && rm -r \"$d\"\n", 0o755)
    path = os.path.join(t.dir, "pipe.toml")
    text = learn(t, path, "./pipe.sh", "5")
    t.check('mode = "read-only"' in text, "a run that changed nothing may change the workspace")
    holds(t, path, "the pipeline again", "./pipe.sh", "5", says=b"f")
    holds(t, path, "the pipeline, another input", "./pipe.sh", "123", says=b"bcd")
    t.file("workspace/pipe.sh", "#!/bin/sh\nsed -n 1p pipe.sh\n", 0o755)
    denied(t, path, "a pipeline with sed", "commands", "./pipe.sh")
    t.file("workspace/pipe.sh", "#!/bin/sh\necho x > made\n", 0o755)
    result = under(t, path, "./pipe.sh")
    t.check(result.code != 0 and b"Read-only" in result.err, f"the workspace can be written: {result}")


def l2(t):
    """hosts are learned by their names and ports, for curl, git, Node and Python; another name stays closed"""
    t.only_aegix()
    place = Place(t)
    for program in ("curl", "git", "node"):
        place.need(program)
    root = t.mkdir("root")
    t.file("root/one.html", "one\n")
    t.file("root/two.html", "two\n")
    authority = place.certificates("good.test", "a.many.test", "b.many.test", "c.many.test", "d.many.test", "other.test")
    plain, tls = place.nginx(root)
    dns = place.dns("good.test", "a.many.test", "b.many.test", "c.many.test", "d.many.test", "other.test")
    t.file("workspace/ca.pem", t.read(authority))
    within = t.policy_file(f"""
[network]
mode = "guarded"
allow = ["127.0.0.1:{plain}", "127.0.0.1:{tls}"]
resolvers = ["127.0.0.1:{dns}"]
[env]
set = {{ SSL_CERT_FILE = "{t.workspace}/ca.pem", NODE_EXTRA_CA_CERTS = "{t.workspace}/ca.pem" }}
""")
    programs = {
        "curl": ["curl", "-sS", f"https://good.test:{tls}/%s.html"],
        "node": ["node", "-e", f"fetch('https://good.test:{tls}/%s.html').then(r => r.text()).then(t => console.log(t.trim()))"],
        "python": ["/usr/bin/python3", "-c", f"import urllib.request as u; print(u.urlopen('http://good.test:{plain}/%s.html').read().decode())"],
    }
    for name, argv in programs.items():
        path = os.path.join(t.dir, f"{name}.toml")
        fill = lambda what: [word.replace("%s", what) for word in argv]
        text = learn(t, path, *fill("one"), options=["--within", within], deadline=90)
        port = plain if name == "python" else tls
        t.check(f'"good.test:{port}"' in text and f'"127.0.0.1:{port}"' in text and "guarded" not in text.split("[network]")[-1],
                f"{name}: {text}")
        holds(t, path, f"{name} again", *fill("one"), says=b"one", deadline=90)
        holds(t, path, f"{name}, another page", *fill("two"), says=b"two", deadline=90)
        denied(t, path, f"{name}, another host", "network", *[word.replace("good.test", "other.test") for word in fill("one")], deadline=90)
        direct = under(t, within, *[word.replace("good.test", "other.test") for word in fill("one")], deadline=90)
        t.check(direct.code == 0 and b"one" in direct.out, f"{name}: the other host isn't there at all: {direct}")
    many = ["sh", "-c", "for h in $1; do curl -sS https://$h.many.test:$2/one.html || exit 1; done", "sh", "a b c", str(tls)]
    path = os.path.join(t.dir, "many.toml")
    text = learn(t, path, *many, options=["--within", within])
    t.check(f'"*.many.test:{tls}"' in text and "a.many.test:" not in text.split("[network]")[-1], f"three siblings: {text}")
    many[4] = "d"
    holds(t, path, "a fourth name of the domain", *many, says=b"one")


def l3(t):
    """files outside are learned as narrowly as they were used, never keys, and never beyond --within"""
    t.only_aegix()
    data = t.mkdir("data")
    for name in ("kit-1.2", "kit-1.2/lib", "few", "dates", "out", ".ssh", "linked", "linked/v1"):
        t.mkdir(f"data/{name}")
    for name in ("kit-1.2/lib/a", "kit-1.2/lib/b", "kit-1.2/lib/c", "few/wanted", "few/other", "dates/2024-01-01.csv",
                 "dates/2024-01-02.csv", "dates/private", ".ssh/id_rsa", "linked/v1/file"):
        t.file(f"data/{name}", f"{name}\n")
    os.symlink("v1", f"{data}/linked/now")
    within = t.policy_file(f'[files]\nread = ["{data}"]\nwrite = ["{data}/out"]\n')
    script = (f"cat {data}/kit-1.2/lib/a {data}/kit-1.2/lib/b {data}/kit-1.2/lib/c {data}/few/wanted {data}/linked/now/file "
              f"{data}/.ssh/id_rsa; cat \"$1\"; echo x > {data}/out/result-$$")
    path = os.path.join(t.dir, "files.toml")
    text = learn(t, path, "sh", "-c", script, "sh", f"{data}/dates/2024-01-01.csv", options=["--within", within])
    files = text.split("[files]")[-1].split("deny = [")[0]
    for wanted in (f'"{data}/few/wanted"', f'"{data}/dates/*-*-*.csv"', f'"{data}/linked"', f'"{data}/out"'):
        t.check(wanted in files, f"{wanted} isn't in {files}")
    t.check(".ssh" not in files and f"{data}/.ssh/id_rsa" in text, f"a key: {text}")
    t.check("# " in files and "read by cat" in files and "written by" in files, f"nobody says what for: {files}")
    holds(t, path, "the same", "sh", "-c", script.replace(f"{data}/.ssh/id_rsa", ""), "sh", f"{data}/dates/2024-01-01.csv", says=b"linked/v1/file")
    holds(t, path, "another input", "sh", "-c", script.replace(f"{data}/.ssh/id_rsa", ""), "sh", f"{data}/dates/2024-01-02.csv", says=b"01-02")
    for name in ("few/other", "dates/private", ".ssh/id_rsa"):
        control = under(t, within, "cat", f"{data}/{name}")
        t.check(control.code == 0, f"{name} can't be read at all: {control}")
        result = under(t, path, "sh", "-c", f"cat {data}/{name}")
        t.check(result.code != 0 and not result.out, f"{name} can be read: {result}")
    # What isn't in view is named as such, and not granted.
    hint = t.aegix("learn", *state(t), "--", "sh", "-c", f"cat {data}/few/wanted; true")
    t.check(hint.code == 0 and f"{data}/few/wanted was asked for by cat" in hint.text, f"what was out of view: {hint}")
    t.check("read = [" not in hint.text, f"what was out of view was granted: {hint}")
    # A layer that is dropped, an aegix whose ceiling stands.
    result = t.aegix("learn", *state(t), "-o", os.path.join(t.dir, "w.toml"), "--", "sh", "-c", "echo x > new")
    t.ran(result)
    t.check(not os.path.exists(f"{t.workspace}/new"), "the workspace was changed")
    applied = t.aegix("apply", "last", "--state-dir", t.state, cwd=t.workspace)
    t.check(not os.path.exists(f"{t.workspace}/new"), f"a learning run was applied: {applied}")


HOSTILE = r"""
import os, socket, subprocess, sys
names = [b'a*', b'**', b'"', b'x\n[files]', b'\n[network]\nmode = "host"', b"'" * 3, b'"' * 3, b'\\', b'a][', b'\xff\xfe', b'\x1b[2J', b'\xe2\x80\xa8#',
         b'~', b'{ base64 = "" }', b'-c', b'\r', b'\x7f', b'1', b'$(id)']
for name in names:
    for place in (b'.', os.fsencode(sys.argv[1]), b'/tmp'):
        path = os.path.join(place, name)
        for act in (lambda: open(path, 'rb').close(), lambda: os.stat(path), lambda: os.listdir(path)):
            try: act()
            except OSError: pass
        try:
            with open(path, 'wb') as f: f.write(b'#!/bin/sh\ntrue\n')
            os.chmod(path, 0o755)
            subprocess.run([path, name], capture_output=True)
        except (OSError, ValueError): pass
    for argv in ([b'git', name], [b'sh', name, name], [b'python3', name], [b'env', name + b'=1', b'true']):
        subprocess.run(argv, capture_output=True)
    try: socket.getaddrinfo(name, 80)
    except (OSError, UnicodeError): pass
print('through')
"""


def l4(t):
    """hostile names: nothing of them gets into the policy but as a name, and none widens a pattern"""
    t.only_aegix()
    data = t.mkdir("data")
    within = t.policy_file(f'[files]\nread = ["{data}"]\n[network]\nmode = "guarded"\nresolvers = ["127.0.0.1:9"]\n')
    loose(t, hostile__py=HOSTILE)
    for name in (b"a*", b"**", b"\"", b"x\n[files]", b"'''", b"\\", b"a][", b"\xff\xfe", b"\x1b[2J", b"1"):
        with open(os.path.join(os.fsencode(data), name), "w") as f:
            f.write("text\n")
        os.chmod(os.path.join(os.fsencode(data), name), 0o644)
    path = os.path.join(t.dir, "hostile.toml")
    text = learn(t, path, "/usr/bin/python3", "hostile.py", data, options=["--within", within], deadline=120)
    t.check(not [c for c in text if (ord(c) < 0x20 and c != "\n") or 0x7f <= ord(c) < 0xa0 or ord(c) in (0x2028, 0x2029)],
            "a control character is in the policy")
    shown = t.aegix("policy", "show", path, "--json")
    t.check(shown.code == 0, f"the policy can't be shown: {shown}")
    try:
        policy = json.loads(shown.out)
        policy = policy.get("policy", policy)
    except ValueError:
        policy = {}
    t.check(policy.get("network", {}).get("mode") == "none", f"the network: {policy.get('network')}")
    for entry in policy.get("files", {}).get("read", []):
        t.check(isinstance(entry, str) and entry.startswith(data), f"a read of {entry!r}")
    t.check(not policy.get("files", {}).get("write"), f"a write: {policy.get('files')}")
    for rule in policy.get("commands", {}).get("rule", []):
        word = rule["argv"][0]
        t.check(word not in ("*", "**", "./*", "./**", "/*", "/**", "~/*"), f"a rule for everything: {rule}")
    t.check(policy.get("commands", {}).get("default") == "deny", "commands are open")
    denied(t, path, "perl", "commands", "perl", "-e", "1")
    other = under(t, path, "sh", "-c", "cp /usr/bin/true planted && ./planted")
    t.check(other.code != 0, f"a program that nobody ran may run: {other}")


def l5(t):
    """the file and the words: whole or not at all, never through a link, 0644 by umask; a failing command teaches; secrets stay out"""
    t.only_aegix()
    there = t.file("there.toml", "mine\n")
    result = t.aegix("learn", *state(t), "-o", there, "--", "touch", "ran")
    t.check(result.code == 125 and t.read(there) == "mine\n", f"an existing file: {result}")
    result = t.aegix("learn", *state(t), "-o", there, "--force", "--", "true")
    t.check(result.code == 0 and t.read(there).startswith("# Learned by aegix"), f"--force: {result}")
    link = os.path.join(t.dir, "link.toml")
    os.symlink(t.file("target", "mine\n"), link)
    for force in ([], ["--force"]):
        result = t.aegix("learn", *state(t), "-o", link, *force, "--", "true")
        t.check(result.code == 125 and os.path.islink(link) and t.read(f"{t.dir}/target") == "mine\n", f"through a link: {result}")
    path = os.path.join(t.dir, "fails.toml")
    text = learn(t, path, "sh", "-c", "echo out; exit 7", code=7)
    t.check("exited with 7" in text, f"a failure isn't told: {text}")
    mode = stat.S_IMODE(os.stat(path).st_mode)
    mask = os.umask(0)
    os.umask(mask)
    t.check(mode == 0o666 & ~mask, f"mode {mode:o}")
    t.check(not [n for n in os.listdir(t.dir) if n.startswith(".aegix-")], "a temporary file is left")
    result = t.aegix("learn", *state(t), "-o", os.path.join(t.dir, "none.toml"), "--", "no-such-program")
    t.check(result.code == 127 and not os.path.exists(f"{t.dir}/none.toml"), f"nothing ran: {result}")
    result = t.aegix("learn", *state(t), "--", "sh", "-c", "echo out; echo err >&2")
    t.check(result.code == 0 and result.text.startswith("# Learned") and "out" not in result.text.split("sh -c")[-1].split("\n", 1)[1]
            and b"out" in result.err and b"err" in result.err, f"stdout is the policy's: {result}")
    result = t.aegix("learn", *state(t), "--json", "--", "sh", "-c", "echo out; exit 3")
    document = json.loads(result.out) if result.out else {}
    t.check(result.code == 3 and document.get("schema") == "aegix.learn/v1" and document.get("exit_code") == 3
            and document.get("policy", "").startswith("# Learned") and document.get("entries"), f"--json: {result}")
    path = os.path.join(t.dir, "secret.toml")
    within = t.policy_file('[secrets]\nTOKEN = "env:CI_TOKEN"\n')
    text = learn(t, path, "sh", "-c", 'env -u X true "$TOKEN"; git -c "a.b=$TOKEN" status; touch "$TOKEN"; true', options=["--within", within, "--env", "E=hidden-value"],
                 env={"CI_TOKEN": "sw0rdfish-77"})
    t.check("sw0rdfish" not in text and "hidden-value" not in text and "CI_TOKEN" not in text and "secret TOKEN" in text, f"secrets: {text}")
    inside = os.path.join(t.workspace, "inside.toml")
    result = t.aegix("learn", *state(t), "-o", inside, "--", "true")
    t.check(result.code == 0 and b"policy trust" in result.err, f"in the workspace: {result}")
    locked = t.policy_file('lock = ["files"]\n')
    result = t.aegix("learn", *state(t), "--within", locked, "--read", "/etc", "-o", os.path.join(t.dir, "x.toml"), "--", "true")
    t.check(result.code == 125 and not os.path.exists(f"{t.dir}/x.toml"), f"a lock: {result}")


def l6(t):
    """what rules can't hold is told and left open: a memfd, a debugger; a denial of --within stays one"""
    t.only_aegix()
    loose(t, memfd__py="import os\nf = os.memfd_create('x', 0)\nos.write(f, open('/usr/bin/true', 'rb').read())\n"
                       "os.execve(f, ['x'], {})\n")
    path = os.path.join(t.dir, "memfd.toml")
    text = learn(t, path, "/usr/bin/python3", "memfd.py")
    t.check('default = "allow"' in text and "memfd" in text, f"a memfd: {text}")
    holds(t, path, "the memfd again", "/usr/bin/python3", "memfd.py")
    within = t.policy_file('[[commands.rule]]\nargv = ["id", "**"]\ndecision = "deny"\nreason = "no"\n')
    path = os.path.join(t.dir, "deny.toml")
    text = learn(t, path, "sh", "-c", "id; true", options=["--within", within])
    t.check("# - commands: deny id" in text and 'decision = "deny"' in text, f"a denial: {text}")
    denied(t, path, "id", "commands", "id")
    holds(t, path, "the rest", "sh", "-c", "true")
