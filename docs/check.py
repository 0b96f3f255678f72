#!/usr/bin/env python3
"""Checks of the documentation, from the top of the checkout after `make release`:

- every link of a Markdown file leads to a file that is there, and every #anchor to a heading;
- docs/aegix.1 is what the program's own help says;
- every error code in the sources is explained in docs/exit-codes.md, and no other;
- README.md and docs/ show commands that exist, and the README's session and measurements are there.
"""

import difflib
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
AEGIX = ROOT / "dist/aegix"
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.S | re.M)
# Where a Failure is made, and where a code has a name.
CODE = re.compile(r'(?:Failure\(\s*|static let no[A-Z]\w+ = )"([a-z_]+(?:\.[a-z_]+)+)"')


def anchor(heading):
    """As GitHub makes them."""
    words = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def anchors(path):
    text = FENCE.sub("", path.read_text())
    return {anchor(line.lstrip("#")) for line in text.splitlines() if line.startswith("#")}


def links():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in LINK.findall(FENCE.sub("", page.read_text())):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, fragment = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            if not file.exists():
                yield f"{page.relative_to(ROOT)}: no such file: {target}"
            elif fragment and file.suffix == ".md" and fragment not in anchors(file):
                yield f"{page.relative_to(ROOT)}: no such heading: {target}"


def manual():
    said = subprocess.run([AEGIX, "help", "--man"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if said.returncode != 0:
        yield f"aegix help --man: exit code {said.returncode}: {said.stderr.strip()}"
        return
    kept = (ROOT / "docs/aegix.1").read_text()
    if kept != said.stdout:
        first = list(difflib.unified_diff(kept.splitlines(), said.stdout.splitlines(), lineterm="", n=0))[3:6]
        yield "docs/aegix.1 isn't what the program says; `make docs` writes it anew: " + " | ".join(first)


def codes():
    used = {code for file in ROOT.glob("Sources/**/*.swift") for code in CODE.findall(file.read_text())}
    _, page = (ROOT / "docs/exit-codes.md").read_text().split("## Error codes")
    listed = set(re.findall(r"^\| `([a-z_.]+)` \|", page, re.M))
    for code in sorted(used - listed):
        yield f"docs/exit-codes.md: the error code {code} isn't explained"
    for code in sorted(listed - used):
        yield f"docs/exit-codes.md: nothing in Sources says {code}"


def commands():
    overview = subprocess.run([AEGIX, "help"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    known = set(re.findall(r"^\s+([a-z]+)\s", overview, re.M)) | {"run"}
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md")]:
        for name in re.findall(r"^(?:\s*|.*\$ )aegix ([a-z]+)\b", page.read_text(), re.M):
            if name not in known:
                yield f"{page.relative_to(ROOT)}: shows `aegix {name}`, which isn't a command"


def filled():
    text = (ROOT / "README.md").read_text()
    for name, remedy in (("session", "docs/session.sh writes it"), ("bench", "copy what `make bench` prints")):
        found = re.search(rf"<!-- {name} -->(.*?)<!-- /{name} -->", text, re.S)
        if not found or not found[1].strip():
            yield f"README.md: there is nothing between the marks of `{name}`; {remedy}"


def main():
    faults = [fault for check in (links, manual, codes, commands, filled) for fault in check()]
    print("\n".join(faults) or "The documentation agrees with the program.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
