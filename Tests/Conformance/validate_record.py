#!/usr/bin/env python3
"""Validates records against docs/audit.schema.json with an implementation that isn't ours (jsonschema, from PyPI or
Debian's python3-jsonschema), and checks what a schema can't say: canonical form, bytes in the place of base64.

    validate_record.py FILE…      exit 0: all valid; 1: one isn't; 77: the validator isn't installed
"""
import base64
import json
import pathlib
import sys

try:
    import jsonschema
except ImportError:
    print("validate_record: jsonschema is missing: apt-get install python3-jsonschema", file=sys.stderr)
    sys.exit(77)

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "docs" / "audit.schema.json"


def no_duplicates(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def base64_members(value, path="$"):
    """Yields what is wrong with any {"base64": …} in the value."""
    if isinstance(value, dict):
        if set(value) == {"base64"}:
            try:
                decoded = base64.b64decode(value["base64"], validate=True)
            except ValueError as error:
                yield f"{path}: {error}"
                return
            try:
                decoded.decode()
                yield f"{path}: valid UTF-8 as base64"
            except UnicodeDecodeError:
                pass
        for name, member in value.items():
            yield from base64_members(member, f"{path}.{name}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from base64_members(member, f"{path}[{index}]")


def faults(path, validator):
    raw = pathlib.Path(path).read_bytes()
    try:
        record = json.loads(raw, object_pairs_hook=no_duplicates)
    except ValueError as error:
        yield f"not JSON: {error}"
        return
    for error in validator.iter_errors(record):
        yield f"{error.json_path}: {error.message[:300]}"
    yield from base64_members(record)
    # No fractions are in a record, so this is RFC 8785 up to keys beyond the BMP.
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if raw.rstrip(b"\n") != canonical:
        yield "not in canonical form"


def main(files):
    if not files:
        print(__doc__, file=sys.stderr)
        return 2
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    bad = False
    for path in files:
        for fault in faults(path, validator):
            print(f"{path}: {fault}", file=sys.stderr)
            bad = True
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
