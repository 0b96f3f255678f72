"""E: a run in one file. What must not be in it, that no byte of it is free, and that a hostile one is refused and writes nothing."""

import copy
import hashlib
import io
import json
import os
import subprocess
import tarfile
import time

from evidence import keygen, newest

TOKEN = "hush-5f1d/9c=QZ"
# Frames of 2 MiB, each 28 B5 2F FD, a checksum and no size, a window of 1 MiB: what aegix writes and all that it takes.
FRAME = 2 << 20
PACK = ["zstd", "-q", "-c", "-1", "--check", "--no-content-size", "--zstd=wlog=20"]


def e1i(t):
    """a bundle: a secret from env, argv, output, a file, its name, a link, an artifact is in no byte of it; a run without is whole"""
    t.only_aegix()
    options = ["--secret", "TOKEN=env:TOKEN", "--artifact", "out/**"]
    env = {"TOKEN": TOKEN}
    plain = 'mkdir out; echo "$TOKEN" >out/made; echo "$TOKEN"; printf "%s" "$TOKEN" | cut -c1-7; printf "%s" "$TOKEN" | cut -c8-; echo "$TOKEN" >&2; echo ok >file'
    scripts = {"in the layer": plain, "in a name": 'mkdir out; mkdir -p "$TOKEN"; echo ok >file', "where a link points": 'mkdir out; ln -s "$TOKEN" link; echo ok >file'}
    for name, script in scripts.items():
        ran = t.sh(script, env=env, options=[*options, "--label", f"l=x{TOKEN}x"])
        t.ran(ran)
        bundle = os.path.join(t.dir, "secret.aegix")
        made = export(t, newest(t), bundle, "--force")
        t.check(made.code == 0, f"{name}: {made}")
        archive = unpacked(bundle)
        t.check(TOKEN.encode() not in archive, f"{name}: the secret is in the bundle")
        left = {(one["part"], one["reason"]) for one in json.loads(made.out)["left_out"]}
        t.check({("layer", "secret"), ("changes", "secret")} <= left, f"{name}: left out is {left}")
        t.check(verify(t, bundle).returncode == 0, f"{name}: what was left out makes it invalid")
    # Beside it: without a secret the layer is there, byte for byte.
    t.ran(t.sh("mkdir out; echo plain-content >out/made; echo plain-content >file", options=["--artifact", "out/**"]))
    bundle = os.path.join(t.dir, "plain.aegix")
    made = export(t, newest(t), bundle)
    t.check(made.code == 0 and json.loads(made.out)["left_out"] == [] and b"plain-content" in unpacked(bundle), f"the control: {made}")


def e2d(t):
    """a bundle: any byte changed, dropped, doubled, the file cut anywhere: verify fails and says where, also of a signed one"""
    t.only_aegix()
    whole = small(t)
    path = os.path.join(t.dir, "small.aegix")
    elsewhere = {"AEGIX_STATE": os.path.join(t.dir, "no-such-state")}
    good = verify(t, path, env=elsewhere)
    t.check(good.returncode == 0 and json.loads(good.stdout)["intact"] is True, f"the control, without a state directory: {good.stdout} {good.stderr}")
    t.check(not os.path.exists(elsewhere["AEGIX_STATE"]), "reading a bundle makes a state directory")
    changed = os.path.join(t.dir, "changed.aegix")
    size = len(whole)
    places = sorted({*range(0, 40), *range(size - 60, size), *range(0, size, max(1, size // 400))})
    for at in places:
        for bit in (1, 0x80):
            if bit == 0x80 and at % 3:
                continue
            put(t, changed, whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1:])
            caught(t, changed, f"byte {at} of {size} changed by {bit:#x}")
    for at in sorted({0, 1, 5, 6, 39, 40, 46, size - 1, size - 8, size - 32, size - 40, size - 41, *range(0, size, max(1, size // 60))}):
        put(t, changed, whole[:at])
        caught(t, changed, f"cut at byte {at} of {size}")
    for at in range(3, size, max(1, size // 40)):
        put(t, changed, whole[:at] + whole[at + 1:])
        caught(t, changed, f"byte {at} dropped")
        put(t, changed, whole[:at] + whole[at:at + 1] + whole[at:])
        caught(t, changed, f"byte {at} doubled")
    for more in (b"\0", b"x", whole[-40:], whole, bytes(512)):
        put(t, changed, whole + more)
        caught(t, changed, f"{len(more)} bytes after the end")
    # The contents right, and packed otherwise: the digest at the end tells.
    put(t, changed, subprocess.run(PACK[:3] + ["-3"] + PACK[4:], input=unpacked(path), stdout=subprocess.PIPE, check=True).stdout + whole[-40:])
    caught(t, changed, "packed anew")
    # Whoever packs it anew with a digest of his own has an unsigned bundle, and not the key.
    entries = entries_of(path)
    put(t, changed, pack(entries))
    t.check(verify(t, changed).returncode == 0, "the control: the forger's tools make what is taken, if nothing is changed")
    forged = dict(entries)
    forged["stdout.log"] = b"nothing happened\n"
    put(t, changed, pack(consistent(forged)))
    caught(t, changed, "output forged, all digests of bundle.json anew")
    key = keygen(t)
    signed = os.path.join(t.dir, "signed.aegix")
    made = export(t, newest(t), signed, "--sign", key)
    public = key.replace(".pem", ".pub.pem")
    told = verify(t, signed, "--key", public, env=elsewhere)
    t.check(made.code == 0 and told.returncode == 0 and json.loads(told.stdout)["signer"], f"the control, signed: {made} {told.stdout}")
    t.check(verify(t, path, "--key", public).returncode == 1, "--key takes an unsigned bundle")
    entries = entries_of(signed)
    index = json.loads(entries["bundle.json"])
    for name, spoil in {"signature taken away": lambda e, i: (e.pop("bundle.dsse.json"), i.update(signer=None)),
                        "signature of nothing": lambda e, i: e.update({"bundle.dsse.json": b"{}"}),
                        "another key named": lambda e, i: i.update(signer="0" * 64)}.items():
        forged, about = dict(entries), copy.deepcopy(index)
        spoil(forged, about)
        forged["bundle.json"] = canonical(about)
        put(t, changed, pack(forged))
        t.check(verify(t, changed, "--key", public).returncode == 1, f"{name}: taken")
    envelope = entries["bundle.dsse.json"]
    for at in range(0, len(envelope), max(1, len(envelope) // 300)):
        forged = dict(entries)
        forged["bundle.dsse.json"] = envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1:]
        put(t, changed, pack(forged))
        t.check(verify(t, changed, "--key", public).returncode == 1, f"byte {at} of the envelope changed, packed anew: taken")


def e4b(t):
    """hostile bundles: traversal, links, devices, duplicates, lies of size, bombs, deep JSON, odd frames: refused, nothing written"""
    t.only_aegix()
    small(t)
    path = os.path.join(t.dir, "small.aegix")
    entries = entries_of(path)
    hostile = os.path.join(t.dir, "hostile.aegix")
    put(t, hostile, pack(entries))
    t.check(verify(t, hostile).returncode == 0 and shown(t, hostile).returncode == 0, "the control: these tools make a bundle that is taken")
    victim = t.file("victim", "victim\n")
    for name, made in attacks(entries, victim):
        put(t, hostile, made)
        before = tree(t)
        started = time.monotonic()
        told, seen = verify(t, hostile), shown(t, hostile)
        seconds = time.monotonic() - started
        faults = json.loads(told.stdout).get("faults") if told.stdout else None
        t.check(told.returncode == 1 and faults and faults[0]["reason"], f"{name}: verify exits with {told.returncode}: {told.stdout[-300:]} {told.stderr[-300:]}")
        t.check(seen.returncode == 125 and not seen.stdout, f"{name}: show exits with {seen.returncode}: {seen.stdout[-300:]}")
        t.check(tree(t) == before, f"{name}: something was written: {sorted(set(tree(t)) ^ set(before))}")
        t.check(seconds < 20, f"{name}: took {seconds:.1f} s")
    t.check(t.read(victim) == "victim\n", "a file was written to through a bundle")
    for name, make in {"a directory": os.mkdir, "a FIFO": os.mkfifo, "nothing": lambda path: None}.items():
        place = os.path.join(t.dir, f"odd-{name.split()[-1]}.aegix")
        make(place)
        t.check(verify(t, place).returncode == 1, f"{name}: taken")


def attacks(entries, victim):
    def renamed(name, to):
        return tar([(to if at == name else at, content, {}) for at, content in entries.items()])

    def typed(name, **header):
        return tar([(at, content, header if at == name else {}) for at, content in entries.items()])

    blob = next(name for name in entries if name.startswith("blobs/"))
    for to in ("../../escape", "/etc/escape", "blobs/../../escape", "./stdout.log", "blobs//x", "stdout.log/", "STDOUT.LOG", "x" * 99, "a\nb", ""):
        yield f"a file called {to!r}", packed(renamed("stdout.log", to))
        yield f"a blob called {to!r}", packed(renamed(blob, to))
    kinds = {"a hard link": tarfile.LNKTYPE, "a symbolic link": tarfile.SYMTYPE, "a character device": tarfile.CHRTYPE, "a block device": tarfile.BLKTYPE,
             "a FIFO": tarfile.FIFOTYPE, "a directory": tarfile.DIRTYPE, "a sparse file": tarfile.GNUTYPE_SPARSE, "a contiguous file": tarfile.CONTTYPE,
             "an old file": tarfile.AREGTYPE, "a long name": tarfile.GNUTYPE_LONGNAME}
    for what, kind in kinds.items():
        for name in ("stdout.log", blob, "bundle.json"):
            yield f"{name} as {what}", packed(typed(name, type=kind, linkname=victim))
    for what, header in {"setuid": {"mode": 0o4755}, "an owner": {"uid": 1, "uname": "root"}, "a time": {"mtime": 1}, "a link's name": {"linkname": "x"}}.items():
        yield f"a header with {what}", packed(typed("stdout.log", **header))
    for what, pax in {"a path": {"path": "../escape"}, "a size": {"size": "1"}, "a link": {"linkpath": victim}, "a sparse map": {"GNU.sparse.major": "1"}}.items():
        yield f"a pax header with {what}", packed(tar([(at, content, {"pax_headers": pax} if at == "stdout.log" else {}) for at, content in entries.items()],
                                                      form=tarfile.PAX_FORMAT))
        yield f"a global pax header with {what}", packed(tar([(at, content, {}) for at, content in entries.items()], form=tarfile.PAX_FORMAT, everywhere=pax))
    order = list(entries)
    yield "an entry twice", packed(tar([(at, entries[at], {}) for at in [*order[:5], order[4], *order[5:]]]))
    yield "a blob twice", packed(tar([(at, entries[at], {}) for at in [*order, order[-1]]]))
    yield "an entry more", packed(tar([(at, entries[at], {}) for at in order] + [("more", b"more", {})]))
    yield "an entry less", packed(tar([(at, entries[at], {}) for at in order[:-1]]))
    yield "two swapped", packed(tar([(at, entries[at], {}) for at in [order[0], order[2], order[1], *order[3:]]]))
    yield "bundle.json last", packed(tar([(at, entries[at], {}) for at in [*order[1:], order[0]]]))
    archive = tar([(at, entries[at], {}) for at in order])
    yield "bytes after the archive", packed(archive + b"x" * 512)
    yield "zeros after the archive", packed(archive + bytes(512))
    yield "no end of the archive", packed(archive[:-1024])
    yield "half an end", packed(archive[:-512])
    yield "no archive", packed(b"")
    yield "padding that isn't zeros", packed(archive[:512 + len(entries["bundle.json"])] + b"x" + archive[513 + len(entries["bundle.json"]):])
    # Sizes.
    header = bytearray(archive)
    for what, field in {"base-256": b"\x80" + bytes(10) + b"\x05", "minus": b"-0000000005\0", "nothing": bytes(12), "8 GiB": b"77777777777\0", "spaces": b"          5\0"}.items():
        header[124:136] = field
        yield f"bundle.json of a size in {what}", packed(resummed(bytes(header)))
    for what, change in index_lies():
        about = json.loads(entries["bundle.json"])
        change(about)
        forged = dict(entries)
        forged["bundle.json"] = canonical(about)
        yield f"bundle.json with {what}", packed(tar([(at, content, {}) for at, content in forged.items()]))
    yield "bundle.json with a space more", packed(tar([(at, (b" " if at == "bundle.json" else b"") + content, {}) for at, content in entries.items()]))
    yield "bundle.json with a member more", packed(tar([(at, content[:-1] + b',"zz":1}' if at == "bundle.json" else content, {}) for at, content in entries.items()]))
    yield "bundle.json of 5 MiB", packed(tar([("bundle.json", b" " * (5 << 20), {})]))
    # JSON that goes deep.
    deep = b"[" * 200_000 + b"]" * 200_000
    yield "a deep bundle.json", packed(tar([("bundle.json", deep, {})]))
    for name in ("audit.json", "changes.jsonl", "ledger.jsonl", "manifest.json", "blobs.jsonl"):
        forged = dict(entries)
        forged[name] = deep + b"\n"
        yield f"a deep {name}", pack(consistent(forged))
    for what, line in {"an endless line": b"[" + b"1," * (1 << 20), "no newline": b"{}", "no JSON": b"\xff\xfe\n", "a NUL in a path": None}.items():
        forged = dict(entries)
        if line is None:
            forged["changes.jsonl"] = forged["changes.jsonl"].replace(b'"path":"file"', b'"path":"fi\\u0000e"')
        else:
            forged["changes.jsonl"] += line
        yield f"changes.jsonl with {what}", pack(consistent(forged))
    lines = entries["blobs.jsonl"].splitlines(keepends=True)
    for what, made in {"backwards": lines[::-1], "twice": lines + lines[-1:], "one less": lines[:-1], "one more": lines + [b'{"sha256":"' + b"f" * 64 + b'","size":1}\n']}.items():
        forged = dict(entries)
        forged["blobs.jsonl"] = b"".join(made)
        yield f"blobs.jsonl {what}", pack(consistent(forged))
    for name in ("audit.json", "ledger.jsonl", "manifest.json", "changes.jsonl"):
        forged = dict(entries)
        del forged[name]
        yield f"no {name}", pack(consistent(forged))
    # Frames.
    frame = packed(archive)
    yield "another window", packed(archive, ["zstd", "-q", "-c", "-1", "--check", "--no-content-size", "--long=27"])
    yield "no checksum", packed(archive, ["zstd", "-q", "-c", "-1", "--no-check", "--no-content-size", "--zstd=wlog=20"])
    yield "the archive twice", finished(frame[:-40] * 2)
    yield "short frames", finished(frames(archive[:1024]) + frames(archive[1024:]))
    yield "a long frame", finished(subprocess.run(PACK, input=archive + bytes(FRAME), stdout=subprocess.PIPE, check=True).stdout)
    yield "an empty frame behind", finished(frame[:-40] + frames(b""))
    yield "a skippable frame before", finished(b"\x50\x2a\x4d\x18\x04\0\0\0skip" + frame[:-40])
    yield "a skippable frame more", finished(frame[:-40] + b"\x50\x2a\x4d\x18\x04\0\0\0skip")
    yield "no digest behind", frame[:-40]
    yield "bytes between", finished(frame[:-40] + b"more")
    yield "an archive that isn't packed", archive
    yield "gzip", subprocess.run(["gzip", "-c"], input=archive, stdout=subprocess.PIPE, check=True).stdout
    # Bombs: consistent in all they say.
    yield "a bomb of zeros", bomb(entries, 3 << 30)
    yield "bundle.json names 60 GiB", bomb(entries, 60 << 30, really=1 << 20)
    yield "zeros and nothing else", zeros_behind(b"", 3 << 30)


def index_lies():
    yield "a file of 10 GiB", lambda about: about["files"][0].update(size=10 << 30)
    yield "a size of -1", lambda about: about["files"][0].update(size=-1)
    yield "a size of 1.5", lambda about: about["files"][0].update(size=1.5)
    yield "a size of 1e30", lambda about: about["files"][0].update(size=1e30)
    yield "a size as text", lambda about: about["files"][0].update(size="1")
    yield "a file that no run has", lambda about: about["files"].append({"name": "../x", "sha256": "0" * 64, "size": 0})
    yield "a file twice", lambda about: about["files"].insert(0, about["files"][0])
    yield "files out of order", lambda about: about["files"].reverse()
    yield "a digest in capitals", lambda about: about["files"][0].update(sha256=about["files"][0]["sha256"].upper())
    yield "no files", lambda about: about.update(files=[])
    yield "another run", lambda about: about.update(run_id="0" * 23)
    yield "no run", lambda about: about.update(run_id="../../../../etc/passwd")
    yield "another schema", lambda about: about.update(schema="aegix.bundle/v2")
    yield "500,000 blobs", lambda about: about["blobs"].update(count=500_000)
    yield "a blob less", lambda about: about["blobs"].update(count=about["blobs"]["count"] - 1)
    yield "bytes of blobs that don't add up", lambda about: about["blobs"].update(bytes=1)
    yield "a signer and no signature", lambda about: about.update(signer="0" * 64)
    yield "2,000 left out", lambda about: about.update(left_out=[{"part": "layer", "path": "x", "reason": "gone"}] * 2000)
    yield "an unknown reason", lambda about: about.update(left_out=[{"part": "layer", "path": "x", "reason": "because"}])


def bomb(entries, size, really=None):
    """A layer with a file of zeros, named by all the lists."""
    zeros = hashlib.sha256()
    block = bytes(1 << 20)
    for _ in range((size if really is None else really) >> 20):
        zeros.update(block)
    digest = zeros.hexdigest()
    forged = {name: content for name, content in entries.items() if not name.startswith("blobs/")}
    forged["blobs.jsonl"] = f'{{"sha256":"{digest}","size":{size}}}\n'.encode()
    about = json.loads(consistent(forged)["bundle.json"])
    about["blobs"] = {"bytes": size, "count": 1}
    about["left_out"] = [{"part": part, "path": None, "reason": "asked"} for part in ("artifacts", "layer")]
    forged["bundle.json"] = canonical(about)
    head = tar([(name, forged[name], {}) for name in entries if name in forged])[:-1024]
    info = tarfile.TarInfo(f"blobs/{digest}")
    info.size, info.mode = min(size, (8 << 30) - 1), 0o600
    return zeros_behind(head + header_of(info), (size if really is None else really) + 1024)


def zeros_behind(start, count):
    """Any number of zeros: a frame of them is packed once."""
    first = start + bytes(min(count, FRAME - len(start)))
    whole, rest = divmod(count - (len(first) - len(start)), FRAME)
    return finished(frames(first) + frames(bytes(FRAME)) * whole + (frames(bytes(rest)) if rest else b""))


# What aegix's own bundles are made of, by other tools.

def small(t):
    """The bytes of a bundle with something of everything."""
    t.ran(t.sh("mkdir out; echo made >out/a; echo changed >file; ln -s file link; echo out; echo err >&2", options=["--artifact", "out/**"]))
    path = os.path.join(t.dir, "small.aegix")
    made = export(t, newest(t), path)
    t.check(made.code == 0 and os.stat(path).st_mode & 0o777 == 0o600, f"export: {made}")
    listed = subprocess.run(["tar", "--zstd", "-tf", path], stdout=subprocess.PIPE, text=True).stdout.split()
    t.check(listed[0] == "bundle.json" and "audit.json" in listed, f"tar lists {listed}")
    again = export(t, newest(t), path)
    t.check(again.code == 125 and b"export.exists" in again.out, f"a file that is there was replaced: {again}")
    with open(path, "rb") as f:
        return f.read()


def export(t, run, path, *more):
    return t.aegix("export", run, "-o", path, "--json", "--state-dir", t.state, *more)


def verify(t, path, *more, env=None):
    return call(t, "verify", path, "--json", *more, env=env)


def shown(t, path):
    return call(t, "show", path)


def call(t, *words, env=None):
    """Without the harness's search for leaks: there are a thousand of these."""
    return subprocess.run([t.world.aegix, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=t.workspace,
                          env=t.box.environment({"AEGIX_STATE": t.state, **(env or {})}), timeout=60, **t.identity.options())


def caught(t, path, what):
    told = verify(t, path)
    faults = json.loads(told.stdout).get("faults") if told.stdout else None
    t.check(told.returncode == 1 and faults and faults[0]["reason"] and "offset" in faults[0], f"{what}: exit {told.returncode} {told.stdout[-300:]} {told.stderr[-300:]}")


def put(t, path, content):
    with open(path, "wb") as f:
        f.write(content)
    os.chmod(path, 0o644)


def tree(t):
    found = []
    for top in (t.dir, t.world.scratch_of(t.identity)):
        for at, directories, files in os.walk(top):
            found += [(os.path.join(at, name), os.lstat(os.path.join(at, name)).st_mtime_ns) for name in directories + files]
    return sorted(found)


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def entries_of(path):
    with tarfile.open(fileobj=io.BytesIO(unpacked(path))) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive.getmembers()}


def unpacked(path):
    return subprocess.run(["zstd", "-q", "-d", "-c", path], stdout=subprocess.PIPE, check=True).stdout


def header_of(info, form=tarfile.USTAR_FORMAT):
    """tarfile's, but for a device's numbers, which it writes for all and aegix for none, and the number of digits of the sum."""
    made = bytearray(info.tobuf(form, "utf-8", "surrogateescape"))
    if info.type == tarfile.REGTYPE:
        made[-512 + 329:-512 + 345] = bytes(16)
        return resummed(bytes(made), len(made) - 512)
    return bytes(made)


def resummed(archive, at=0):
    block = bytearray(archive[at:at + 512])
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return archive[:at] + bytes(block) + archive[at + 512:]


def tar(members, form=tarfile.USTAR_FORMAT, everywhere=None):
    out = tarfile.TarInfo.create_pax_global_header(everywhere) if everywhere else b""
    for name, content, header in members:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), 0o600
        for key, value in header.items():
            setattr(info, key, value)
        out += header_of(info, form) + content + bytes(-len(content) % 512)
    return out + bytes(1024)


def consistent(entries):
    """bundle.json as it would be for these."""
    about = json.loads(entries["bundle.json"]) if "bundle.json" in entries else {}
    about["files"] = [{"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)} for name, content in sorted(entries.items())
                      if name not in ("bundle.json", "bundle.dsse.json") and not name.startswith("blobs/")]
    return {**entries, "bundle.json": canonical(about)}


def pack(entries):
    return packed(tar([(name, content, {}) for name, content in entries.items()]))


def packed(archive, command=PACK):
    return finished(frames(archive, command))


def frames(archive, command=PACK):
    return b"".join(subprocess.run(command, input=archive[at:at + FRAME], stdout=subprocess.PIPE, check=True).stdout
                    for at in range(0, max(1, len(archive)), FRAME))


def finished(frame):
    return frame + b"\x5a\x2a\x4d\x18\x20\0\0\0" + hashlib.sha256(frame).digest()
