#!/bin/bash
# Runs every example as it is. `make check` calls it; AEGIX names the binary.
set -euo pipefail
cd "$(dirname "$0")"

AEGIX=$(realpath "${AEGIX:-../dist/aegix}")
python=${PYTHON:-/usr/bin/python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export AEGIX AEGIX_STATE=$scratch/state

echo "== agent_tool.py"
"$python" -B agent_tool.py

echo "== untrusted-loop.sh, with its own scripts and with a list"
bash untrusted-loop.sh </dev/null
printf 'echo one\n' >"$scratch/1.sh"
printf 'echo two\n' >"$scratch/2.sh"
printf '%s\n' "$scratch/1.sh" "$scratch/2.sh" | bash untrusted-loop.sh | tee "$scratch/list"
[ "$(grep -c passed "$scratch/list")" = 2 ]

# Of the CI jobs: that they parse, and that each line that calls aegix works.
jobs() {
    "$python" - "$1" <<'PYTHON'
import sys, yaml

job = yaml.safe_load(open(sys.argv[1]))
if "jobs" in job:
    lines = [step["run"] for name in job["jobs"].values() for step in name["steps"] if "run" in step]
else:
    lines = [line for name in job.values() if isinstance(name, dict)
             for part in ("script", "after_script") for line in name.get(part, [])]
lines = [line for line in lines if line.startswith("aegix ")]
assert len(lines) >= 3, f"{sys.argv[1]}: only {len(lines)} lines call aegix"
print("\0".join(lines), end="\0")
PYTHON
}

mkdir "$scratch/bin"
ln -s "$AEGIX" "$scratch/bin/aegix"
export PATH=$scratch/bin:$PATH
for file in github-workflow.yml gitlab-ci.yml; do
    echo "== $file"
    mkdir "$scratch/$file"
    jobs "$file" >"$scratch/lines"
    while IFS= read -r -d '' line; do
        echo "\$ $line"
        (cd "$scratch/$file" && bash -eu -c "$line")
    done <"$scratch/lines"
    "$python" -c 'import json, sys; assert json.load(open(sys.argv[1]))["outcome"]["exit_code"] == 0' "$scratch/$file/record.json"
done
echo "All examples ran."
