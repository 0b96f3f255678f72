"""Host-side looking at what a run left: flagged before it is applied, shown without harm, and nothing of it is run."""

import os
import re
import subprocess

GIT = "/usr/bin/git"
WHO = ["-c", "user.name=case", "-c", "user.email=case@example.org"]
FORMS = ([], ["--stat"], ["--patch"], ["--json"], ["--color", "always", "--no-pager"])


def git(t, *words, cwd):
    """Outside, as the caller; True where it worked."""
    result = t.outside(GIT, "-c", "safe.directory=*", *WHO, *words, cwd=cwd, workspace=cwd)
    t.check(result.code == 0, f"git {' '.join(words)}: {result}")
    return result


def review(t, *words, code=0):
    result = t.aegix("review", "last", "--state-dir", t.state, *words)
    t.check(result.code == code, f"review {' '.join(words)}: expected exit {code}: {result}")
    return result


def flags(result):
    """path → flags of the newest run."""
    return {change["path"]: change["flags"] for change in (result.record or {}).get("changes") or [] if isinstance(change["path"], str)}


def script(t, name, marker):
    path = t.file(name, f"#!/bin/sh\necho {name} >>{marker}\ncat 2>/dev/null\ntrue\n", 0o755)
    return path


def h10(t):
    """planted hooks, git configuration, .envrc, editor tasks, build files ⇒ flagged before apply"""
    t.only_aegix()
    git(t, "init", "-q", ".", cwd=t.workspace)
    t.file("workspace/package.json", '{"name": "x", "scripts": {"test": "true"}}\n')
    t.file("workspace/Makefile", "all:\n")
    t.file("workspace/harmless", "text\n")
    git(t, "add", "-A", cwd=t.workspace)
    git(t, "commit", "-q", "-m", "base", cwd=t.workspace)
    plant = """
        set -e
        printf '#!/bin/sh\\ntouch ran\\n' >.git/hooks/pre-commit; chmod +x .git/hooks/pre-commit
        printf '[core]\\n\\tfsmonitor = ./evil\\n' >>.git/config
        mkdir -p .git/info .vscode .idea .husky .github/workflows sub bare/objects bare/refs nested
        echo '* filter=evil' >.git/info/attributes
        echo 'touch ran' >.envrc; echo '{}' >.vscode/tasks.json; echo '{}' >.vscode/settings.json; echo x >.idea/run.xml
        echo x >.husky/pre-commit; echo x >.github/workflows/ci.yml; echo x >.gitlab-ci.yml; echo x >.pre-commit-config.yaml
        echo 'all: ; touch ran' >sub/Makefile; echo x >conftest.py
        echo '{"name": "x", "scripts": {"postinstall": "touch ran"}}' >package.json
        echo 'ref: refs/heads/main' >bare/HEAD; printf '[core]\\n\\tbare = true\\n' >bare/config
        echo '[submodule "x"]' >.gitmodules; echo '* diff=evil' >.gitattributes
        mkdir nested/.git; echo x >nested/.git/config; ln .envrc other-name; echo edited >>harmless; echo edited >>Makefile
        [ -e .GIT ] || { mkdir .GIT; echo x >.GIT/config; }
        """
    run = t.sh(plant)
    t.ran(run)
    found = flags(run)
    protected = [".git/hooks/pre-commit", ".git/config", ".git/info/attributes", ".envrc", ".gitmodules", "bare/HEAD", "bare/config",
                 "nested/.git", "nested/.git/config", "other-name", ".GIT/config"]
    executes = [".envrc", ".vscode/tasks.json", ".vscode/settings.json", ".idea/run.xml", ".husky/pre-commit", ".github/workflows/ci.yml",
                ".gitlab-ci.yml", ".pre-commit-config.yaml", "sub/Makefile", "conftest.py", "package.json", ".gitattributes", "other-name"]
    for flag, paths in (("protected", protected), ("executes", executes)):
        for path in paths:
            t.check(flag in found.get(path, []), f"{path} isn't flagged {flag}: {found.get(path)}")
    for path in ("harmless", "Makefile"):
        t.check(found.get(path) == [], f"{path} is flagged: {found.get(path)}")
    t.check(b"protected" in run.err and b"aegix review" in run.err, f"the run says nothing of it: {run.err!r}")
    shown = review(t, "--stat").text
    top = shown.partition("look at these first")[2].partition("\n\n")[0]
    for path in set(protected + executes):
        t.check(f" {path}: " in top, f"review doesn't show {path} on top")
    # The positive control: where it is planted for good, the host runs it.
    t.check(not os.path.exists(f"{t.workspace}/ran"), "something of it ran already")
    t.outside("/bin/sh", "-c", plant, cwd=t.workspace)
    t.file("workspace/evil", "#!/bin/sh\ntouch ran\n", 0o755)
    t.outside(GIT, "-c", "safe.directory=*", *WHO, "commit", "-q", "--allow-empty", "-m", "x", cwd=t.workspace)
    t.check(os.path.exists(f"{t.workspace}/ran"), "the probe is blunt: what is planted doesn't run outside either")


def h11(t):
    """.git as a file (worktree) and as a symlink ⇒ what git obeys through it is flagged, and what is only stored isn't"""
    t.only_aegix()
    main, tree = t.mkdir("workspace/main"), f"{t.workspace}/tree"
    git(t, "init", "-q", ".", cwd=main)
    t.file("workspace/main/a")
    git(t, "add", "-A", cwd=main)
    git(t, "commit", "-q", "-m", "base", cwd=main)
    git(t, "worktree", "add", "-q", tree, cwd=main)
    linked = t.mkdir("workspace/linked")
    git(t, "init", "-q", ".", cwd=linked)
    os.rename(f"{linked}/.git", f"{linked}/real")
    os.symlink("real", f"{linked}/.git")
    t.own(f"{linked}/.git")
    t.check(os.path.isfile(f"{tree}/.git"), "a worktree's .git isn't a file")
    git(t, "status", cwd=linked)
    run = t.sh("""
        set -e
        echo x >>main/.git/worktrees/tree/gitdir; echo x >main/.git/worktrees/tree/config.worktree; echo y >tree/.git
        echo x >>linked/.git/config; mkdir -p linked/real/hooks; echo x >linked/real/hooks/post-checkout; echo o >linked/real/description
        rm linked/.git; ln -s elsewhere linked/.git
        mkdir new; echo 'gitdir: ../main/.git' >new/.git; mkdir to; ln -s ../linked/real to/.git
        echo a >main/.git/refs/heads/config; echo b >tree/text
        """)
    t.ran(run)
    found = flags(run)
    for path in ("main/.git/worktrees/tree/gitdir", "main/.git/worktrees/tree/config.worktree", "tree/.git", "linked/real/config",
                 "linked/real/hooks/post-checkout", "linked/.git", "new/.git", "to/.git"):
        t.check("protected" in found.get(path, []), f"{path} isn't flagged: {found.get(path)}")
    for path in ("linked/real/description", "main/.git/refs/heads/config", "tree/text"):
        t.check(found.get(path) == [], f"{path} is flagged: {found.get(path)}")
    patch = review(t, "--patch").out
    t.check(b"tree/text" in patch and b"/.git" not in patch, f"the patch has git directories in it: {patch[:400]!r}")


def d5a(t):
    """review of a workspace with fsmonitor, external diff, textconv, filters, hooksPath, nested and bare repositories ⇒ runs none of it"""
    t.only_aegix()
    marker = f"{t.dir}/marker"
    tool = script(t, "workspace/tool", marker)
    for name in ("less", "git", "diff", "sh", "pager"):
        script(t, f"workspace/{name}", marker)
    git(t, "init", "-q", ".", cwd=t.workspace)
    t.file("workspace/text", "one\n")
    t.file("workspace/.gitattributes", "* diff=evil filter=evil merge=evil\n")
    git(t, "add", "text", cwd=t.workspace)
    settings = {"core.fsmonitor": tool, "diff.external": tool, "diff.evil.textconv": tool, "diff.evil.command": tool,
                "filter.evil.clean": tool, "filter.evil.smudge": tool, "merge.evil.driver": tool, "core.hooksPath": ".",
                "core.pager": tool, "pager.diff": tool, "core.editor": tool, "core.sshCommand": tool, "interactive.diffFilter": tool}
    for name, value in settings.items():
        git(t, "config", name, value, cwd=t.workspace)
    git(t, "init", "-q", "--bare", "bare", cwd=t.workspace)
    run = t.sh("echo two >>text; mkdir -p nested; cp -r .git nested/.git; echo x >bare/description; echo new >new; cp tool tool2")
    t.ran(run)
    if os.path.exists(marker):
        os.unlink(marker)
    env = {"PATH": f".:{t.workspace}::/usr/bin:/bin", "AEGIX_STATE": t.state}
    for form in FORMS:
        result = t.aegix("review", "last", *form, env=env)
        t.check(result.code == 0 and (b"two" in result.out or form in (["--stat"], ["--json"])), f"{form}: {result}")
        t.check(not os.path.exists(marker), f"review {form} ran {t.read(marker) if os.path.exists(marker) else ''}")
    t.aegix("show", "last", env=env)
    t.check(not os.path.exists(marker), "show ran something")
    # Nor is any other program started: seen from outside, there is one exec.
    if os.access("/usr/bin/strace", os.X_OK):
        traced = t.outside("/usr/bin/strace", "-f", "-e", "trace=execve,execveat", t.world.aegix, "review", "last", "--patch", env=env)
        execs = re.findall(rb"execve(?:at)?\(", traced.err)
        t.check(traced.code == 0 and len(execs) == 1, f"review started programs: {traced.err[:600]!r}")
    # The positive control: the host's git does run it.
    subprocess.run([GIT, "-c", "safe.directory=*", "diff"], cwd=t.workspace, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                   **t.identity.options())
    t.check(os.path.exists(marker), "the probe is blunt: git itself ran nothing")


def e3(t):
    """terminal escapes in file names, contents, symlinks, diffs ⇒ neutralised when shown"""
    t.only_aegix()
    t.file("workspace/text", "old\n")
    run = t.sh(r"""
        set -e
        esc=$(printf '\033'); bell=$(printf '\007'); csi=$(printf '\302\233'); flip=$(printf '\342\200\256')
        printf 'a%s[2Jb%s]0;owned%s %sK %s\r\b\n' "$esc" "$esc" "$bell" "$csi" "$flip" >text
        echo x >"$esc[31mred$bell"; echo x >"line
aegix: all is well"; mkdir "$csi"; echo x >"$csi/$flip"; ln -s "$esc[5m" link; echo x >.envrc; ln .envrc "$esc[0m"
        """)
    t.ran(run)
    raw = t.read(f"{run.run_dir}/layer/upper/text", "rb") if run.run_dir else b""
    t.check(b"\x1b[2J" in raw, "the probe is blunt: there is no escape in the layer")
    for form in ([], ["--stat"], ["--color", "never"], ["--only", "**"]):
        result = review(t, *form)
        for byte in (b"\x1b", b"\x07", b"\r", b"\b", "\u009b".encode(), "\u202e".encode()):
            t.check(byte not in result.out + result.err, f"review {form}: {byte!r} reaches the terminal")
        t.check("\naegix: all is well" not in result.text, f"review {form}: a name imitates a line")
    t.check(b"a\\u{1b}[2Jb" in review(t).out, "the content isn't shown at all")
    colored = review(t, "--color", "always").out
    t.check(not re.sub(rb"\x1b\[[0-9;]*m", b"", colored).count(b"\x1b"), "an escape among the colours")
    t.check(b"\x1b[31mred" not in colored and b"\x1b[5m" not in colored, "a name brings its own colours")
    for shown in (t.aegix("show", "last", "--state-dir", t.state), run):
        t.check(b"\x1b" not in shown.out + shown.err, f"show or run: {shown}")
    t.check(raw.rstrip(b"\n") in review(t, "--patch").out, "the patch isn't exact")
