"""Documents and their canonical form by PyPI's rfc8785, for Tests/AegixSystemTests/CanonicalPeerTests.swift.

Prints a line a document: the document and its canonical form (`!` where rfc8785 refuses it), both in hexadecimal.
"""

import json
import random
import struct
import sys

import rfc8785

# RFC 8785, appendix B.
NUMBERS = {
    "0000000000000000": "0", "8000000000000000": "0", "0000000000000001": "5e-324", "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308", "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992", "c340000000000000": "-9007199254740992", "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22", "44b52d02c7e14af6": "1e+23", "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000", "444b1ae4d6e2ef4f": "999999999999999900000", "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7", "3eb0c6f7a0b5ed8d": "0.000001", "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325", "41b3de4355555555": "333333333.3333333", "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343", "becbf647612f3696": "-0.0000033333333333333333", "43143ff3c1cb0959": "1424953923781206.2",
}
# 3.2.2, 3.2.3 and the test data that the RFC names: arrays, french, structures, unicode, values, weird.
DOCUMENTS = [
    r'{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA\u0027\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}',
    r'{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}',
    '[56,{"d":true,"10":null,"1":[]}]',
    '{"peach":"This sorting order","péché":"is wrong according to French","pêche":"but canonicalization MUST","sin":"ignore locale"}',
    '{"1":{"f":{"f":"hi","F":5},"\\n":56.0},"10":{},"":"empty","a":{},"111":[{"e":"yes","E":"no"}],"A":{}}',
    '{"Unnormalized Unicode":"A\u030a"}',
    r'{"\u20ac":1,"\r":2,"\u000a":"Newline","1":3,"\u0080":4,"\ud83d\ude02":"Smiley","\u00f6":5,"\ufb33":6,"</script>":"Browser Challenge"}',
]
# Of these there is no canonical form: half pairs, what no double holds, names that stand twice.
REFUSED = [r'"\ud800"', r'"\udc00x"', r'"\ud800\ud800"', "9007199254740993", "-9007199254740993", "[1e400]", "NaN", "-Infinity", '{"a":1,"a":2}']


def main():
    count = int(sys.argv[1])
    for bits, text in NUMBERS.items():
        number = struct.unpack(">d", bytes.fromhex(bits))[0]
        if rfc8785.dumps(number).decode() != text:
            sys.exit(f"rfc8785 writes {bits} as {rfc8785.dumps(number)}")
        tell(repr(number), rfc8785.dumps(number))
    for document in DOCUMENTS:
        tell(document, rfc8785.dumps(json.loads(document)))
    for document in REFUSED:
        tell(document, None)
    dice = random.Random(8785)
    for _ in range(count):
        tell(repr(double(dice)), None, number=True)
    for _ in range(count // 20):
        value = any_value(dice, 5)
        form = dict(ensure_ascii=dice.random() < 0.5, indent=dice.choice([None, 1]))
        tell(json.dumps(value, **form), rfc8785.dumps(value))


def tell(document, canonical, number=False):
    if number:
        canonical = rfc8785.dumps(float(document))
    print(document.encode().hex(), "!" if canonical is None else canonical.hex())


def double(dice):
    """Any bits, powers of two and ten and what lies beside them, and such as people write."""
    while True:
        kind = dice.randrange(4)
        if kind == 0:
            number = struct.unpack(">d", dice.randbytes(8))[0]
        elif kind == 1:
            number = 2.0 ** dice.randrange(-1074, 1024)
        elif kind == 2:
            number = float(f"{dice.randrange(1, 10 ** dice.randrange(1, 18))}e{dice.randrange(-30, 30)}")
        else:
            number = dice.randrange(-10**6, 10**6) / 10 ** dice.randrange(6)
        bits = struct.unpack(">q", struct.pack(">d", number))[0] + dice.choice([-1, 0, 0, 1])
        if -(1 << 63) <= bits < 1 << 63:
            number = struct.unpack(">d", struct.pack(">q", bits))[0]
            if number == number and abs(number) != float("inf"):
                return number


def text(dice):
    ranges = [(0, 0x20), (0x20, 0x7F), (0x7F, 0x800), (0x800, 0xD800), (0xE000, 0x10000), (0x10000, 0x110000)]
    return "".join(chr(dice.randrange(*dice.choice(ranges))) for _ in range(dice.randrange(8)))


def any_value(dice, depth):
    kind = dice.randrange(9 if depth else 6)
    if kind < 3:
        return dice.choice([None, True, False])
    if kind == 3:
        return dice.choice([0, 1, -1, 2**53 - 1, 1 - 2**53, dice.randrange(-2**53 + 1, 2**53)])
    if kind == 4:
        return double(dice)
    if kind == 5:
        return text(dice)
    if kind == 6:
        return [any_value(dice, depth - 1) for _ in range(dice.randrange(5))]
    return {text(dice): any_value(dice, depth - 1) for _ in range(dice.randrange(6))}


main()
