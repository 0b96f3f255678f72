#!/usr/bin/env python3
"""A tool for an AI agent that runs commands through aegix. Python 3.11, standard library only.

    from agent_tool import AegixError, Sandbox

    sandbox = Sandbox(workspace="/home/me/project", timeout=60)
    result = sandbox.run(["pytest", "-q"], labels={"call": "toolu_17"})
    result.ok, result.stdout, result.status, result.run_id

What the command did is data: a non-zero exit code, a time limit, a signal are a `Result`. That nothing ran (a policy that
doesn't parse, a tier that this machine can't hold) is an `AegixError` with aegix's own code. Run as a program it
shows both; AEGIX names the binary, else it is looked up in PATH.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Sequence


class AegixError(Exception):
    """Nothing ran. `code` is stable and meant for decisions, the message for a person."""

    def __init__(self, code: str, message: str, exit_code: int, details: Sequence[dict[str, Any]] = ()):
        super().__init__("\n".join([message, *(_place(detail) for detail in details)]))
        self.code = code
        self.exit_code = exit_code
        self.details = list(details)


def _place(detail: dict[str, Any]) -> str:
    where = ":".join(str(detail[key]) for key in ("file", "line", "column") if key in detail)
    return f"  {where}: {detail['message']}" if where else f"  {detail['message']}"


@dataclass(frozen=True)
class Violation:
    """Something that was refused while the command ran."""

    control: str
    rule: str
    count: int


@dataclass(frozen=True)
class Result:
    """What one command came to."""

    run_id: str
    status: str
    """exited, signaled, timed_out, limit_exceeded, denied, failed or interrupted"""
    exit_code: int
    signal: int | None
    limit: str | None
    """wall, cpu_time, output, …: the limit that ended it"""
    message: str | None
    stdout: str
    stderr: str
    truncated: bool
    """stdout or stderr is not all that the command wrote"""
    duration: float
    """seconds"""
    tier: str
    violations: tuple[Violation, ...] = ()
    record: dict[str, Any] = field(default_factory=dict, repr=False)
    """the whole document, schema aegix.audit/v1"""

    @property
    def ok(self) -> bool:
        return self.status == "exited" and self.exit_code == 0

    def for_model(self, limit: int = 4000) -> str:
        """What an agent should read: the end of the output, and why it ended if that isn't plain."""
        parts = [f"exit code {self.exit_code}" if self.status == "exited" else f"{self.status}: {self.message or ''}"]
        for name, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            if text:
                cut = "…" if len(text) > limit or self.truncated else ""
                parts.append(f"<{name}>\n{cut}{text[-limit:]}\n</{name}>")
        parts += [f"refused: {v.control}: {v.rule} ({v.count} times)" for v in self.violations]
        return "\n".join(parts)


@dataclass(frozen=True)
class Sandbox:
    """How commands are run. Every call is a sandbox of its own."""

    workspace: str | os.PathLike[str] = "."
    policy: str | None = None
    timeout: float = 60.0
    binary: str = field(default_factory=lambda: os.environ.get("AEGIX", "aegix"))
    options: tuple[str, ...] = ()
    """further options of `aegix run`, such as ("--read", "/opt/python")"""

    def run(self, command: str | Sequence[str], *, stdin: bytes = b"", timeout: float | None = None,
            labels: dict[str, str] | None = None, env: dict[str, str] | None = None) -> Result:
        """Runs a shell line, or a list of words without a shell."""
        seconds = self.timeout if timeout is None else timeout
        call = [self.binary, "run", "--json", "--workspace", os.fspath(self.workspace),
                "--timeout", f"{max(1, round(seconds * 1000))}ms", *self.options]
        if self.policy is not None:
            call += ["--policy", self.policy]
        for name, value in (labels or {}).items():
            call += ["--label", f"{name}={value}"]
        for name, value in (env or {}).items():
            call += ["--env", f"{name}={value}"]
        call += ["--cmd", command] if isinstance(command, str) else ["--", *command]

        # aegix keeps the time limit itself, and kills everything at it; the margin is for an aegix that hangs.
        try:
            done = subprocess.run(call, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=seconds + 30, check=False)
        except FileNotFoundError as error:
            raise AegixError("wrapper.missing", f"no such program: {self.binary}", 127) from error
        except subprocess.TimeoutExpired as error:
            raise AegixError("wrapper.timeout", f"aegix didn't answer within {seconds + 30:.0f} s", 124) from error
        return _result(done.stdout, done.stderr, done.returncode)


def _result(document: bytes, errors: bytes, code: int) -> Result:
    try:
        record = json.loads(document)
    except ValueError as error:
        words = errors.decode(errors="replace").strip() or "no document on stdout"
        raise AegixError("wrapper.no_document", words, code) from error
    if record["schema"] == "aegix.error/v1":
        raise AegixError(record["code"], record["message"], record["exit_code"], record.get("details", ()))
    if record["schema"] != "aegix.audit/v1":
        raise AegixError("wrapper.schema", f"unknown schema {record['schema']}", code)

    outcome, streams = record["outcome"], record["streams"]
    stdout, stderr = _text(streams["stdout"]), _text(streams["stderr"])
    return Result(
        run_id=record["run_id"], status=outcome["status"], exit_code=outcome["exit_code"],
        signal=outcome.get("signal"), limit=outcome.get("limit"), message=outcome.get("message"),
        stdout=stdout, stderr=stderr,
        truncated=any(stream and (stream["truncated"] or stream["text_cut"]) for stream in streams.values()),
        duration=int(record["duration_ns"]) / 1e9, tier=record["enforcement"]["tier"],
        violations=tuple(Violation(v["control"], v["rule"], int(v["count"])) for v in record["violations"]),
        record=record)


def _text(stream: dict[str, Any] | None) -> str:
    """A stream's text; bytes that aren't UTF-8 come as base64 and are shown with replacement characters."""
    text = stream["text"] if stream else None
    if isinstance(text, dict):
        return base64.b64decode(text["base64"]).decode(errors="replace")
    return text or ""


def main() -> int:
    """Five calls as an agent makes them, each checked."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "data.txt").write_text("three\none\ntwo\n")
        sandbox = Sandbox(workspace=directory, timeout=20)

        result = sandbox.run("sort data.txt", labels={"tool": "example"})
        print(f"{result.run_id}: {result.status} {result.exit_code} in {result.duration * 1000:.0f} ms, tier {result.tier}")
        assert result.ok and result.stdout == "one\nthree\ntwo\n", result

        result = sandbox.run(["sh", "-c", "echo no such thing >&2; exit 3"])
        assert (result.status, result.exit_code, result.stderr) == ("exited", 3, "no such thing\n"), result
        print(result.for_model())

        result = sandbox.run(["sleep", "60"], timeout=0.5)
        assert (result.status, result.limit, result.exit_code) == ("timed_out", "wall", 124), result
        print(result.for_model())

        result = sandbox.run(["tr", "a-z", "A-Z"], stdin="straight through\n".encode())
        assert result.stdout == "STRAIGHT THROUGH\n", result

        sandbox.run("echo changed > data.txt")
        assert Path(directory, "data.txt").read_text().startswith("three"), "the workspace must be as it was"

        try:
            Sandbox(workspace=Path(directory, "missing")).run("true")
        except AegixError as error:
            print(f"{error.code}: {error}")
            assert error.exit_code == 125, error
        else:
            raise AssertionError("a missing workspace must be an error")
    return 0


if __name__ == "__main__":
    sys.exit(main())
