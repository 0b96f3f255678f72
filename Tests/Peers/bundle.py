"""Reads a signed bundle with others' tools alone: GNU tar and zstd, securesystemslib, in-toto-attestation, Sigstore's own types.

    bundle.py BUNDLE PUBLIC_KEY run|slsa|link [SIGSTORE]      exits with 1 where anything doesn't hold
"""

import copy
import hashlib
import io
import json
import subprocess
import sys
import tarfile

from cryptography.hazmat.primitives import serialization
from google.protobuf import json_format
from in_toto_attestation.predicates.link.v0 import link_pb2
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

TYPES = {"run": "urn:aegix:run:v1", "slsa": "https://slsa.dev/provenance/v1", "link": "https://in-toto.io/attestation/link/v0.3"}


def holds(written, key):
    """None where it isn't an envelope at all."""
    try:
        envelope = Envelope.from_dict(copy.deepcopy(written))
        if envelope.payload_type != "application/vnd.in-toto+json":
            return None
        envelope.verify([key], 1)
        return envelope
    except (VerificationError, KeyError, ValueError, TypeError):
        return None


def check(envelope, predicate, subjects):
    """A statement of that predicate, by in-toto's own types, on these."""
    statement = json_format.ParseDict(json.loads(envelope.payload), statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    if statement.predicate_type != TYPES[predicate]:
        sys.exit(f"a predicate of type {statement.predicate_type}")
    told = {subject.name: subject.digest["sha256"] for subject in statement.subject}
    for name, digest in subjects.items():
        if told.get(name) != digest:
            sys.exit(f"{name}: the statement has {told.get(name)}, the bundle {digest}")
    written = json.loads(envelope.payload)["predicate"]
    descriptors = []
    if predicate == "slsa":
        parsed = json_format.ParseDict(written, provenance_pb2.Provenance())
        definition, details = parsed.build_definition, parsed.run_details
        if not (definition.build_type and details.builder.id and definition.HasField("external_parameters")):
            sys.exit("SLSA wants buildType, externalParameters and builder.id")
        if not details.metadata.started_on.seconds <= details.metadata.finished_on.seconds:
            sys.exit("it ends before it starts")
        descriptors = [*definition.resolved_dependencies, *details.byproducts, *details.builder.builder_dependencies]
    if predicate == "link":
        parsed = json_format.ParseDict(written, link_pb2.Link())
        if not (parsed.name and parsed.command):
            sys.exit("a link wants a name and a command")
        descriptors = parsed.materials
    for descriptor in descriptors:
        ResourceDescriptor.copy_from_pb(descriptor).validate()
    return told


def main():
    bundle, public, predicate = sys.argv[1:4]
    with open(public, "rb") as f:
        loaded = serialization.load_pem_public_key(f.read())
    key = SSlibKey.from_crypto(loaded)
    listed = subprocess.run(["tar", "--zstd", "-tf", bundle], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    with open(bundle, "rb") as f:
        whole = f.read()
    archive = subprocess.run(["zstd", "-q", "-d", "-c"], input=whole, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        entries = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
    if listed != list(entries) or listed[0] != "bundle.json" or listed[-1] != "bundle.dsse.json":
        sys.exit(f"the entries are {listed}")
    if hashlib.sha256(whole[:-40]).digest() != whole[-32:]:
        sys.exit("the digest at the end isn't of what is before it")
    subjects = {name: hashlib.sha256(content).hexdigest() for name, content in entries.items()
                if name != "bundle.dsse.json" and not name.startswith("blobs/")}
    for file in json.loads(entries["bundle.json"])["files"]:
        if (file["sha256"], file["size"]) != (subjects[file["name"]], len(entries[file["name"]])):
            sys.exit(f"{file['name']} isn't what bundle.json names")
    blobs = [json.loads(line) for line in entries["blobs.jsonl"].splitlines()]
    if [f"blobs/{blob['sha256']}" for blob in blobs] != [name for name in entries if name.startswith("blobs/")]:
        sys.exit("blobs.jsonl names other blobs")
    for blob in blobs:
        if hashlib.sha256(entries[f"blobs/{blob['sha256']}"]).hexdigest() != blob["sha256"]:
            sys.exit(f"the blob {blob['sha256']} isn't what it is called")
    written = json.loads(entries["bundle.dsse.json"])
    if [one["keyid"] for one in written["signatures"]] != [key.keyid]:
        sys.exit(f"signed with {written['signatures']}; securesystemslib calls the key {key.keyid}")
    envelope = holds(written, key)
    if envelope is None:
        sys.exit("securesystemslib doesn't verify it")
    told = check(envelope, predicate, subjects)
    if predicate != "run" and not any(name.startswith("artifacts/") for name in told):
        sys.exit("the artifacts aren't among the subjects")
    flip(written, key, entries["bundle.dsse.json"], envelope, 1 if predicate == "run" else 23)
    if len(sys.argv) > 4:
        sigstore(sys.argv[4], key, loaded, predicate, whole)
    print(envelope.payload.decode())


def flip(written, key, raw, envelope, step):
    """Every bit of the payload in turn, or every so many; and of the file, where it still is JSON with the same parts."""
    for bit in range(0, len(envelope.payload) * 8, step):
        other = Envelope.from_dict(copy.deepcopy(written))
        other.payload = other.payload[:bit // 8] + bytes([other.payload[bit // 8] ^ 1 << bit % 8]) + other.payload[bit // 8 + 1:]
        try:
            other.verify([key], 1)
        except VerificationError:
            continue
        sys.exit(f"bit {bit} of the payload can be flipped")
    parts = ("payload", "payloadType", "signatures")
    for bit in range(0, len(raw) * 8, step):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            other = json.loads(changed)
        except ValueError:
            continue
        # The id of the key is a hint, which DSSE doesn't sign; aegix compares it with bundle.json, which is.
        if not isinstance(other, dict) or any(part not in other for part in parts) or json_without_hint(other) == json_without_hint(written):
            continue
        if holds(other, key) and base64_of(other) != base64_of(written):
            sys.exit(f"bit {bit} of the envelope can be flipped")


def json_without_hint(written):
    other = copy.deepcopy(written)
    for signature in other["signatures"]:
        if isinstance(signature, dict):
            signature.pop("keyid", None)
    return other


def base64_of(written):
    """What the texts say: two of base64 can say the same to a lenient reader."""
    import base64
    return [base64.b64decode(text) for text in (written["payload"], *(one["sig"] for one in written["signatures"]))], written["payloadType"]


def sigstore(path, key, loaded, predicate, whole):
    from sigstore_protobuf_specs.dev.sigstore.bundle.v1 import Bundle

    with open(path) as f:
        written = json.load(f)
    if written["mediaType"] != "application/vnd.dev.sigstore.bundle.v0.3+json":
        sys.exit(f"media type {written['mediaType']}")
    parsed = Bundle.from_dict(written)
    der = loaded.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    import base64
    if base64.b64decode(parsed.verification_material.public_key.hint) != hashlib.sha256(der).digest():
        sys.exit(f"the hint is {parsed.verification_material.public_key.hint}")
    envelope = parsed.dsse_envelope
    if (envelope.payload_type, len(envelope.signatures)) != ("application/vnd.in-toto+json", 1):
        sys.exit("no envelope of one in-toto statement")
    if base64.b64decode(written["dsseEnvelope"]["payload"]) != envelope.payload:
        sys.exit("Sigstore's types read another payload")
    verified = holds(written["dsseEnvelope"], key)
    if verified is None:
        sys.exit("securesystemslib doesn't verify Sigstore's envelope")
    # As `cosign verify-blob-attestation` asks: the blob's digest is one of the subjects'.
    told = check(verified, predicate, {})
    if hashlib.sha256(whole).hexdigest() not in told.values():
        sys.exit("the bundle's file isn't among the subjects")


main()
