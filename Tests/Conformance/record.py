"""E: the record. What it must never hold."""

import os

SECRETS = {"GITHUB_TOKEN": "ghp-conformance-31337", "AWS_SECRET_ACCESS_KEY": "aws/conformance/hush", "MY_VAR": "plain-name-hush",
           "LD_PRELOAD_X": "preload-hush", "AEGIX_FOO": "own-prefix-hush", "BASH_FUNC_x%%": "() { echo function-hush; }",
           "MULTI": "first-hush\nsecond-hush"}


def e1(t):
    """the caller's secrets in the environment: not inside, not in record, logs, plan"""
    bare = t.outside("/usr/bin/env", env=SECRETS)
    t.check(all(word in bare.text for word in words()), "the probe is blunt: a secret isn't in a plain child's environment")
    told = t.sh("env; cat /proc/self/environ /proc/1/environ 2>/dev/null | tr '\\0' '\\n'; /usr/bin/python3 -c 'import os; print(os.environb)'",
                env={**SECRETS, "LANG": "C.UTF-8", "TERM": "xterm-conformance"})
    t.ran(told)
    for word in words():
        t.check(word not in told.text, f"{word} is inside")
    if t.box.name != "aegix":
        return
    t.check("xterm-conformance" in told.text, f"TERM, which the default policy passes, isn't inside: {told}")
    passed = t.sh("echo $MY_VAR $GIVEN", env=SECRETS, options=["--pass-env", "MY_VAR", "--env", "GIVEN=by-option"])
    t.check(passed.text == "plain-name-hush by-option\n", f"--pass-env and --env: {passed}")
    # A run that fails, one that is killed and one that is refused write records too.
    t.sh("exit 3", env=SECRETS)
    t.sh("kill -9 $$", env=SECRETS)
    t.run("/nonexistent/program", env=SECRETS)
    t.run("/bin/true", env=SECRETS, options=["--require", "sealed"])
    t.sh("sleep 5", env=SECRETS, timeout=1)
    t.check(len(t.run_ids()) >= 6, f"runs without a record: {t.run_ids()}")
    for command in (["plan", "--workspace", t.workspace, "--json", "--", "/bin/true"], ["show", "last", "--json"], ["show", "last"], ["history", "--json"]):
        result = t.aegix(command[0], "--state-dir", t.state, *command[1:], env=SECRETS)
        t.check(result.code == 0, f"aegix {' '.join(command)}: {result}")
        for word in words() - {"plain-name-hush"}:
            t.check(word.encode() not in result.out + result.err, f"{word} is in the output of aegix {command[0]}")
    for parent, _, names in os.walk(t.state):
        for name in names:
            with open(os.path.join(parent, name), "rb") as f:
                text = f.read()
            for word in words() - {"plain-name-hush"}:
                t.check(word.encode() not in text, f"{word} is in {os.path.relpath(os.path.join(parent, name), t.state)}")
    for parent, directories, names in os.walk(t.state):
        if "layer" in parent:
            continue
        for name in directories + names:
            mode = os.lstat(os.path.join(parent, name)).st_mode & 0o777
            t.check(not mode & 0o077, f"{name} in the state directory can be read by others: {mode:o}")


def words():
    return {"ghp-conformance-31337", "aws/conformance/hush", "plain-name-hush", "preload-hush", "own-prefix-hush", "function-hush",
            "first-hush", "second-hush"}
