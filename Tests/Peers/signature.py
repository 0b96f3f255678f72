"""Verifies what aegix has signed with securesystemslib and in-toto-attestation, and that no flipped bit passes.

    signature.py ENVELOPE PUBLIC_KEY       prints the statement; exits with 1 where anything doesn't hold
"""

import copy
import json
import random
import sys

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey


def holds(envelope, key):
    try:
        envelope.verify([key], 1)
    except VerificationError:
        return False
    return True


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def main():
    with open(sys.argv[1], "rb") as f:
        written = json.load(f)
    with open(sys.argv[2], "rb") as f:
        key = SSlibKey.from_crypto(load_pem_public_key(f.read()))
    keyids = [signature["keyid"] for signature in written["signatures"]]
    if keyids != [key.keyid]:
        sys.exit(f"signed with {keyids}; securesystemslib calls the key {key.keyid}")
    envelope = Envelope.from_dict(copy.deepcopy(written))
    if not holds(envelope, key):
        sys.exit("securesystemslib doesn't verify it")
    statement = json_format.ParseDict(json.loads(envelope.payload), statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    dice = random.Random(1)
    bits = len(envelope.payload) * 8
    for bit in [0, bits - 1] + [dice.randrange(bits) for _ in range(300)]:
        other = Envelope.from_dict(copy.deepcopy(written))
        other.payload = flipped(other.payload, bit)
        if holds(other, key):
            sys.exit(f"bit {bit} of the payload can be flipped")
    for bit in range(64 * 8):
        other = Envelope.from_dict(copy.deepcopy(written))
        for signature in other.signatures.values() if isinstance(other.signatures, dict) else other.signatures:
            signature.signature = flipped(bytes.fromhex(signature.signature), bit).hex()
        if holds(other, key):
            sys.exit(f"bit {bit} of the signature can be flipped")
    print(envelope.payload.decode())


main()
