#!/bin/bash
# In the VM, as root: what is to be shown on this kernel: Tests/VM/suite.sh root|user [limits]. Run.sh calls it.
set -uo pipefail
cd "$(dirname "$0")/../.."

as=()
case ${1:-} in
root) ;;
user) as=(Tests/VM/delegate.sh) ;;
*) echo "usage: $0 root|user" >&2; exit 2 ;;
esac

# There is no excuse for a skip: this machine has everything.
export AEGIX_MUST_WORK=1

# Copied, since the checkout may be closed to the user, and to the disk, which is faster.
copy=/srv/aegix
mkdir -p "$copy/dist"
cp -R --parents Tests/Conformance Tests/VM docs "$copy"
cp dist/aegix "$copy/dist"
chmod -R a+rX "$copy"
cd "$copy" || exit 125

# Left to `make test`: cases of many thousand execs, of bounds in seconds, or with a compiler of Go's, for which an emulated machine is too slow.
left_out='^(R1j|R1l|R1n|R4|R8|R9|E7|N2e) '
cases=$(/usr/bin/python3 Tests/Conformance/run.py --list | grep -vE "$left_out" | cut -d ' ' -f 1 | paste -s -d ,)

failed=0
echo "== Linux $(uname -r), as ${1}"
"${as[@]}" /usr/bin/python3 Tests/VM/limits.py --aegix dist/aegix || failed=1
[ "${2:-all}" = limits ] ||
    "${as[@]}" /usr/bin/python3 Tests/Conformance/run.py --aegix dist/aegix --as "$1" --only "$cases" || failed=1
# Last: nobody can be looked into after it.
Tests/VM/sight.sh "$PWD/dist/aegix" "${as[@]}" || failed=1
exit $failed
