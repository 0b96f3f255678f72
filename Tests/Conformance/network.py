"""N: no network by default, and by name where the policy says so. Names lead to servers of our own on the host's loopback."""

import os
import socket
import subprocess
import time
import zipfile

from harness import Skip, alone, hang_up, serve, wait_until
from servers import Apart, Closer, Place, Resolver, answers, free_port

# What a program sees where there is no way out.
GONE = ("ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EPERM", "EACCES", "ETIMEDOUT")


def n1(t):
    """no network by default, loopback inside works"""
    probe = t.probe("sockets")
    seen, attacks = [], []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, own_address()), (socket.AF_INET6, "::1")):
        if not address:
            continue
        try:
            listener = socket.socket(family)
            listener.bind((address, 0))
        except OSError:
            continue
        listener.listen(8)
        serve(listener, seen)
        t.cleanup.append(lambda l=listener: hang_up(l))
        attacks += ["tcp6" if family == socket.AF_INET6 else "tcp", f"{address}:{listener.getsockname()[1]}"]
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    datagrams.setblocking(False)
    t.cleanup.append(datagrams.close)
    port = datagrams.getsockname()[1]

    bare = t.outside(probe, *attacks, "udp", f"127.0.0.1:{port}")
    t.works_outside(bare, *bare.attempts)
    t.check(datagrams.recv(64) == b"attack", "the probe is blunt: no datagram came")
    seen.clear()

    far = ["tcp", "169.254.169.254:80", "tcp", "1.1.1.1:443", "tcp", "10.0.0.1:80", "tcp6", "fd00::1:80", "udp", "8.8.8.8:53",
           "udp", "255.255.255.255:9", "tcp", "0.0.0.0:80"]
    inside = t.run(probe, "selftest", "interfaces", *attacks, "udp", f"127.0.0.1:{port}", *far)
    t.ran(inside)
    for name in ("unix", "abstract", "tcp", "tcp6", "udp"):
        t.verdict(inside, f"self: {name}", "ok")
    t.check(inside.attempts.get("interfaces") == "lo", f"interfaces inside: {inside.attempts.get('interfaces')}")
    for name, verdict in inside.attempts.items():
        if name.startswith(("tcp", "udp")) and name != f"udp 127.0.0.1:{port}":  # a datagram to nobody is sent all the same
            t.check(verdict in GONE, f"{name}: {verdict}")
    t.check(not seen, "the host's loopback was reached")
    try:
        t.check(False, f"a datagram reached the host: {datagrams.recv(64)!r}")
    except BlockingIOError:
        pass

    # Names don't resolve, and fail at once rather than after a resolver's patience.
    looked = t.run("/usr/bin/python3", "-c", "import socket\ntry: print(socket.getaddrinfo('example.com', 443)[0])\nexcept OSError as e: print('none', e)\n"
                   "print(socket.getaddrinfo('localhost', 80, type=socket.SOCK_STREAM)[0][4][0])")
    t.ran(looked)
    lines = looked.text.splitlines()
    t.check(len(lines) == 2 and lines[0].startswith("none"), f"a name resolved: {looked}")
    t.check(lines[-1:] and lines[-1] in ("127.0.0.1", "::1"), f"localhost doesn't resolve inside: {looked}")
    t.check(looked.seconds < 5, f"a lookup without a network took {looked.seconds:.1f} s")
    told = t.sh("cat /proc/net/route /proc/net/ipv6_route 2>/dev/null | grep -v -e Iface -e ' lo$' | wc -l; cat /proc/net/tcp | wc -l")
    t.check(told.text.split()[:1] == ["0"], f"routes inside: {told}")
    t.check(told.text.split()[1:] == ["1"], f"the host's connections are listed inside: {told}")


def own_address():
    """This machine's own address, where it has one: no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
            address = s.getsockname()[0]
        except OSError:
            return None
    return None if address.startswith("127.") else address


def policy(allow, resolver, mode="allow", extra=""):
    hosts = ", ".join(f'"{host}"' for host in allow)
    return f"""
[network]
mode = "{mode}"
allow = [{hosts}]
resolvers = ["127.0.0.1:{resolver}"]
{extra}
[limits]
open_files = 8192
"""


def entries(result, **wanted):
    """The record's lookups and connections that have these members."""
    return [one for one in (result.record or {}).get("network", []) if all(one.get(k) == v for k, v in wanted.items())]


WHEEL = ("aegix_sample-1.0-py3-none-any.whl", {
    "aegix_sample.py": "answer = 42\n",
    "aegix_sample-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: aegix-sample\nVersion: 1.0\n",
    "aegix_sample-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "aegix_sample-1.0.dist-info/RECORD": ""})

JAVA = """import java.net.*; import java.net.http.*;
class Fetch { public static void main(String[] a) throws Exception {
  System.out.println("java " + HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(a[0])).build(),
    HttpResponse.BodyHandlers.ofString()).body().trim()); System.exit(0); } }
"""


def n2(t):
    """an allowed name works for curl, git, pip, Python, Node, Java and psql without any setting inside"""
    t.only_aegix()
    place = Place(t)
    for program in ("curl", "git", "pip3", "node", "java", "psql"):
        place.need(program)
    root = t.mkdir("root")
    t.file("root/hello.html", "hello from the host\n")
    t.mkdir("root/simple/aegix-sample")
    with zipfile.ZipFile(f"{root}/simple/aegix-sample/{WHEEL[0]}", "w") as wheel:
        for name, text in WHEEL[1].items():
            wheel.writestr(name, text)
    source = t.mkdir("source")
    git = lambda *words: subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "safe.directory=*", *words],
                                        check=True, capture_output=True)
    git("init", "-q", source)
    t.file("source/file", "committed\n")
    git("-C", source, "add", "file")
    git("-C", source, "commit", "-qm", "one")
    git("clone", "-q", "--bare", source, f"{root}/repo.git")
    git("--git-dir", f"{root}/repo.git", "update-server-info")
    authority = place.certificates("good.test", "files.good.test")
    plain, tls = place.nginx(root)
    database = place.postgres()
    dns = place.dns("good.test", "db.test")
    t.file("workspace/ca.pem", t.read(authority))
    t.file("workspace/Fetch.java", JAVA)
    rules = policy([f"good.test:{plain}", f"good.test:{tls}", f"*.good.test:{tls}", f"db.test:{database}"] +
                   [f"127.0.0.1:{port}" for port in (plain, tls, database)], dns,
                   extra=f'[env]\nset = {{ SSL_CERT_FILE = "{t.workspace}/ca.pem", NODE_EXTRA_CA_CERTS = "{t.workspace}/ca.pem", '
                         f'REQUESTS_CA_BUNDLE = "{t.workspace}/ca.pem", GIT_SSL_CAINFO = "{t.workspace}/ca.pem", '
                         f'PIP_CERT = "{t.workspace}/ca.pem" }}')
    python = f"""
import asyncio, requests, ssl
print("requests", requests.get("https://good.test:{tls}/hello.html").text.strip())
with requests.Session() as one:
    print("kept alive", len({{one.get("http://good.test:{plain}/hello.html").text for _ in range(20)}}))
async def main():
    reader, writer = await asyncio.open_connection("files.good.test", {tls}, ssl=ssl.create_default_context())
    writer.write(b"GET /hello.html HTTP/1.1\\r\\nHost: files.good.test\\r\\nConnection: close\\r\\n\\r\\n")
    print("asyncio", (await reader.read()).splitlines()[-1].decode())
asyncio.run(main())
"""
    result = t.sh(f"""
curl -sS https://good.test:{tls}/hello.html | sed 's/^/curl /'
curl -sS --http1.0 http://good.test:{plain}/hello.html | sed 's/^/curl10 /'
git clone -q https://good.test:{tls}/repo.git cloned && sed 's/^/git /' cloned/file
pip3 install -q --no-cache-dir --disable-pip-version-check --target p -i https://good.test:{tls}/simple/ aegix-sample && sed 's/^/pip /' p/aegix_sample.py
/usr/bin/python3 -c "$0"
node -e 'fetch("https://good.test:{tls}/hello.html").then(r => r.text()).then(t => console.log("node", t.trim()))'
java Fetch.java http://good.test:{plain}/hello.html
psql -h db.test -p {database} -U tester -d postgres -Atc "select 'psql ' || 6 * 7"
""".replace('"$0"', '"$1"'), python, policy=rules, deadline=120)
    t.ran(result)
    for line in ("curl hello from the host", "curl10 hello from the host", "git committed", "pip answer = 42",
                 "requests hello from the host", "kept alive 1", "asyncio hello from the host", "node hello from the host",
                 "java hello from the host", "psql 42"):
        t.check(line in result.text.splitlines(), f"{line!r} is missing: {result}")
    made = entries(result, kind="connect", decision="allow", name="good.test", port=tls)
    t.check(made and all(one["address"] == "127.0.0.1" and one["received_bytes"] > 0 and one["sent_bytes"] > 0 and
                         one["rule"].startswith(f"good.test:{tls} (") for one in made), f"the record has {made}")
    t.check(entries(result, kind="lookup", name="db.test", decision="allow"), "the lookup of db.test isn't recorded")
    t.check(not [v for v in result.record["violations"] if v["control"] == "network"], f"refused: {result.record['violations']}")


PLAIN = """
import errno, select, socket, sys, time
host, port, refused = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def say(name, value): print(f"{name}\\t{value}", flush=True)
def made():
    return socket.create_connection((host, port), timeout=10)
s = socket.socket(); s.setblocking(False)
address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4]
say("nonblocking", errno.errorcode.get(s.connect_ex(address), 0))
select.select([], [s], [], 5)
say("nonblocking result", s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)); s.close()
s = socket.socket(); s.setblocking(False)
s.connect_ex((address[0], refused)); select.select([], [s], [], 5)
say("nonblocking refused", errno.errorcode.get(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))); s.close()
s = socket.socket()
say("refused", errno.errorcode.get(s.connect_ex((address[0], refused)))); s.close()
s = made(); s.sendall(b"count\\n" + b"x" * 3000000); s.shutdown(socket.SHUT_WR); say("half-close", s.makefile().readline().strip()); s.close()
s = made(); s.sendall(b"half\\n"); say("server's half", s.recv(10)); s.sendall(b"still open\\n"); s.close()
s = made(); s.sendall(b"reset\\n")
try: say("reset", s.recv(10))
except OSError as e: say("reset", errno.errorcode[e.errno])
s.close()
# A client that says little and waits: no name can be told from it, and nothing may hang.
for text in (b"G", b"GE", b"hello", b"\\x16", b"\\x16\\x03\\x01"):
    s = made(); s.sendall(text); time.sleep(0.05); s.sendall(b"\\n"); s.settimeout(3)
    try: say(f"echo {text!r}", s.recv(100) == text + b"\\n")
    except OSError as e: say(f"echo {text!r}", type(e).__name__)
    s.close()
many = [made() for _ in range(1000)]
for number, s in enumerate(many): s.sendall(b"number %d\\n" % number)
say("a thousand", sum(s.recv(100) == b"number %d\\n" % number for number, s in enumerate(many)))
server = socket.create_server(("0.0.0.0", port)); say("own port", "ok"); server.close()
# The last word of a command that doesn't wait.
s = made(); s.sendall(b"count\\n" + b"x" * 5000000)
"""


def n2b(t):
    """non-blocking connects, half-close, resets, refused ports and 1,000 connections are as on a plain network"""
    t.only_aegix()
    server, resolver = Closer(t), None
    resolver = Resolver(t, {"plain.test": ["127.0.0.1"]}, ttl=60)
    refused = free_port()
    rules = policy([f"plain.test:{server.port}", f"plain.test:{refused}", f"127.0.0.1:{server.port}", f"127.0.0.1:{refused}"],
                   resolver.port)
    t.file("workspace/plain.py", PLAIN)
    result = t.run("/usr/bin/python3", "plain.py", "plain.test", str(server.port), str(refused), policy=rules, deadline=120)
    t.ran(result)
    t.verdict(result, "nonblocking", "EINPROGRESS")
    t.verdict(result, "nonblocking result", "0")
    t.verdict(result, "nonblocking refused", "ECONNREFUSED")
    t.verdict(result, "refused", "ECONNREFUSED")
    t.verdict(result, "half-close", "3000000")
    t.verdict(result, "server's half", "b''")
    t.verdict(result, "reset", "ECONNRESET")
    for text in (b"G", b"GE", b"hello"):
        t.verdict(result, f"echo {text!r}", "True")
    t.verdict(result, "a thousand", "1000")
    t.verdict(result, "own port", "ok")
    t.check(wait_until(lambda: 5000000 in server.seen), "what was sent before the end didn't all come")
    t.check(b"still open\n" in server.seen, "what was sent after the server's half-close didn't come")
    t.check(len(entries(result, kind="connect", decision="allow", port=server.port)) >= 1005, "not every connection is in the record")
    t.check(entries(result, kind="connect", port=refused, errno="ECONNREFUSED", decision="allow"), "the refused port isn't recorded")


STEADY = """
import os, socket, sys
host, port = sys.argv[1], int(sys.argv[2])
for number in range(10000):
    with socket.create_connection((host, port)) as s:
        s.sendall(b"x\\n")
        if number % 100 == 0: s.recv(2)
print("done")
"""


def n2c(t):
    """10,000 connects and lookups in one run, and the supervisor stays as large as it was"""
    t.only_aegix()
    server = Closer(t)
    resolver = Resolver(t, {"plain.test": ["127.0.0.1"]}, ttl=60)
    rules = policy([f"plain.test:{server.port}", f"127.0.0.1:{server.port}"], resolver.port)
    t.file("workspace/steady.py", STEADY)
    child = t.box.spawn(["/usr/bin/python3", "steady.py", "plain.test", str(server.port)], t, policy=rules)
    sizes = []

    def size():
        with open(f"/proc/{child.pid}/statm") as f:
            pages = int(f.read().split()[1])
        with os.scandir(f"/proc/{child.pid}/fd") as fds:
            return pages * 4096, sum(1 for _ in fds)

    while child.poll() is None:
        try:
            sizes.append((len(server.seen), *size()))
        except (OSError, ValueError, IndexError):
            pass
        time.sleep(0.2)
    out, err = child.communicate()
    t.check(child.returncode == 0 and b"done" in out, f"exit {child.returncode}: {err[-300:]!r}")
    early, late = [s for s in sizes if 1000 < s[0] < 3000], sizes[-3:]
    if t.check(early and late, f"too quick to be watched: {sizes}"):
        grown = max(s[1] for s in late) - min(s[1] for s in early)
        # The record's entries themselves: 7,000 of them.
        t.check(grown < 8 << 20, f"the supervisor grew by {grown >> 10} KiB over the last 7,000 connects")
        t.check(max(s[2] for s in late) <= max(s[2] for s in early) + 100, f"descriptors: {early[:1]} … {late}")
        t.note(f"{max(s[1] for s in sizes) >> 20} MiB, {grown >> 10} KiB more after 7,000 connects")
    record = t.record_of(sorted(t.run_ids())[-1]) or {}
    made = [one for one in record.get("network", []) if one["kind"] == "connect"]
    looked = sum(one["count"] for one in record.get("network", []) if one["kind"] == "lookup")
    t.check(len(made) == 10000 and looked >= 10000, f"{len(made)} connections and {looked} lookups are in the record")


LITERALS = """
import socket, sys
port = sys.argv[1]
def tried(name, host, family=0):
    try:
        for one in socket.getaddrinfo(host, int(port), family, socket.SOCK_STREAM):
            with socket.socket(one[0], one[1]) as s:
                s.settimeout(5); s.connect(one[4]); print(f"{name}\\tok", flush=True); return
    except OSError as e: print(f"{name}\\t{type(e).__name__ if not e.errno else __import__('errno').errorcode.get(e.errno, e.errno)}", flush=True)
for host in sys.argv[2:]: tried(host, host)
"""


def n3(t):
    """addresses in every spelling, rebinding to a private one, and the metadata service stay closed"""
    t.only_aegix()
    # The host's own service, on an address of its own interface and on its loopback.
    secret = Closer(t, "0.0.0.0")
    wanted = Closer(t, "127.0.0.1")
    own = own_address() or "127.0.0.1"
    turns = {"good.test": ["127.0.0.1"], "private.test": ["10.1.2.3"], "metadata.test": ["169.254.169.254"],
             "loop.test": ["127.0.0.2"], "own.test": [own], "zero.test": ["0.0.0.0"], "mapped.test": ["::ffff:127.0.0.2"],
             "six.test": ["::1"], "nat64.test": ["64:ff9b::7f00:1"],
             "rebind.test": lambda n: ["127.0.0.1"] if n < 4 else ["127.0.0.2"]}
    resolver = Resolver(t, turns)
    names = [name for name in turns if name != "good.test"]
    port = secret.port
    rules = policy([f"good.test:{wanted.port}", f"127.0.0.1:{wanted.port}"] + [f"{name}:{port}" for name in names], resolver.port)
    forms = ["127.0.0.2", "2130706434", "0x7f000002", "0177.0.0.2", "127.2", "::ffff:127.0.0.2", "::ffff:7f00:2", "169.254.169.254",
             "0xa9fea9fe", "2852039166", "10.1.2.3", "100.64.0.1", "192.168.0.1", "fd00::1", "fe80::1", "64:ff9b::a9fe:a9fe", own]
    t.file("workspace/literals.py", LITERALS)
    tried = t.run("/usr/bin/python3", "literals.py", str(port), *names, *forms, policy=rules)
    t.ran(tried)
    for name in names + forms:
        # An own loopback is the sandbox's, where nobody listens.
        t.check(tried.attempts.get(name) not in (None, "ok"), f"{name}: {tried.attempts.get(name)}")
    for name in ("private.test", "metadata.test", "loop.test", "own.test", "zero.test", "six.test", "nat64.test"):
        found = entries(tried, kind="connect", name=name, decision="deny")
        t.check(found and "closed unless network.allow names the address" in found[0]["rule"], f"{name} in the record: {found}")
    t.check(entries(tried, kind="connect", address="169.254.169.254", name=None, decision="deny", errno="ENETUNREACH"),
            "the bare address isn't in the record")
    t.check(tried.violation("connect(private.test", "network"), "no violation for private.test")
    t.check(not secret.seen, f"the host's service was reached by {secret.seen}")
    good = t.run("/usr/bin/python3", "literals.py", str(wanted.port), "good.test", policy=rules)
    t.verdict(good, "good.test", "ok")
    # Named as an address, it is reached, by its name and bare; over IPv6 as well.
    named = [f"own.test:{port}", f"{own}:{port}"]
    words = ["own.test"] + ([own] if own != "127.0.0.1" else [])
    if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"):
        six = Closer(t, "::1")
        named += [f"six.test:{six.port}", f"[::1]:{six.port}"]
        reached = t.run("/usr/bin/python3", "literals.py", str(six.port), "six.test", policy=policy(named, resolver.port))
        t.verdict(reached, "six.test", "ok")
        t.check(entries(reached, kind="connect", address="::1", name="six.test", decision="allow"), "six.test isn't in the record")
    reached = t.run("/usr/bin/python3", "literals.py", str(port), *words, policy=policy(named, resolver.port))
    for word in words:
        t.verdict(reached, word, "ok")
    t.check(secret.seen, "an address that is named wasn't reached")
    secret.seen.clear()

    # Allowed at first, and leading home at the next lookup: each connect is judged by the address that it really uses.
    resolver.asked.clear()
    turns["rebind.test"] = ["127.0.0.1"]
    rules = policy([f"rebind.test:{wanted.port}", f"127.0.0.1:{wanted.port}"], resolver.port)
    script = ("import socket,sys,time\n"
              "def go():\n"
              "  try: socket.create_connection(('rebind.test', int(sys.argv[1])), 5).close(); print('ok', flush=True)\n"
              "  except OSError as e: print('refused', flush=True)\n"
              "go(); sys.stdin.readline(); time.sleep(1.2); go()\n")
    child = t.box.spawn(["/usr/bin/python3", "-c", script, str(wanted.port)], t, policy=rules, stdin=subprocess.PIPE)
    first = child.stdout.readline()
    turns["rebind.test"] = ["127.0.0.2"]
    out, _ = child.communicate(b"go\n", timeout=30)
    t.check((first, out) == (b"ok\n", b"refused\n"), f"rebinding: first {first!r}, then {out!r}")

    # The same in the mode of every day.
    guarded = policy([], resolver.port, mode="guarded")
    tried = t.run("/usr/bin/python3", "literals.py", str(port), *names, *forms, policy=guarded)
    for name in names + forms:
        t.check(tried.attempts.get(name) not in (None, "ok"), f"guarded: {name}: {tried.attempts.get(name)}")
    t.check(not secret.seen, f"guarded: the host's service was reached by {secret.seen}")


def n3b(t):
    """a client's TLS name and HTTP Host must be allowed, in pieces and in every spelling"""
    t.only_aegix()
    server = Closer(t)
    resolver = Resolver(t, {"good.test": ["127.0.0.1"], "also.test": ["127.0.0.1"]}, ttl=60)
    rules = [f"good.test:{server.port}", f"also.test:{server.port}", f"127.0.0.1:{server.port}"]
    script = """
import socket, ssl, sys, time
port = int(sys.argv[1])
def say(name, value): print(f"{name}\\t{value}", flush=True)
def sent(name, *pieces):
    s = socket.create_connection(("good.test", port), 5)
    try:
        for piece in pieces:
            s.sendall(piece); time.sleep(0.03)
        s.shutdown(socket.SHUT_WR)
        said = b""
        while piece := s.recv(65536): said += piece
        say(name, "ok" if said == b"".join(pieces) else f"{len(said)} bytes")
    except OSError as e: say(name, "reset")
    s.close()
def hello(name):
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
    t = c.wrap_bio(a, b, server_hostname=name)
    try: t.do_handshake()
    except ssl.SSLWantReadError: pass
    return b.read() + b"\\n"
get = lambda host, line=b"GET / HTTP/1.1": line + b"\\r\\nUser-Agent: x\\r\\nHost: " + host + b"\\r\\n\\r\\n"
sent("own host", get(b"good.test")); sent("other allowed", get(b"also.test")); sent("case and port", get(b"GOOD.test:80"))
sent("evil host", get(b"evil.test")); sent("evil pieces", b"GE", b"T / HT", b"TP/1.1\\r\\nHo", b"st: ev", b"il.test\\r\\n\\r\\n")
sent("second host", b"GET / HTTP/1.1\\r\\nHost: good.test\\r\\nHost: evil.test\\r\\n\\r\\n")
sent("absolute", get(b"good.test", b"GET http://evil.test/ HTTP/1.1")); sent("connect", get(b"good.test", b"CONNECT evil.test:443 HTTP/1.1"))
sent("empty lines", b"\\r\\n\\r\\n" + get(b"evil.test")); sent("odd method", get(b"evil.test", b"FOO / HTTP/1.1"))
sent("private host", get(b"169.254.169.254"))
sent("own name", hello("good.test")); sent("evil name", hello("evil.test"))
h = hello("evil.test"); sent("evil name in pieces", *[h[i:i + 50] for i in range(0, len(h), 50)])
def split(h):
    body = h[5:-1]; out = b""
    for i in range(0, len(body), 40): out += h[:3] + len(body[i:i+40]).to_bytes(2, "big") + body[i:i+40]
    return out
sent("evil name in records", split(h)); sent("own name in records", split(hello("good.test")))
sent("neither", b"\\x00\\x00\\x00\\x08\\x04\\xd2\\x16\\x2f\\n")
"""
    t.file("workspace/names.py", script)
    result = t.run("/usr/bin/python3", "names.py", str(server.port), policy=policy(rules, resolver.port))
    t.ran(result)
    good = ("own host", "other allowed", "case and port", "own name", "own name in records", "neither")
    bad = ("evil host", "evil pieces", "second host", "absolute", "connect", "empty lines", "odd method", "private host", "evil name",
           "evil name in pieces", "evil name in records")
    for name in good:
        t.verdict(result, name, "ok")
    for name in bad:
        t.verdict(result, name, "reset")
    denied = entries(result, kind="connect", name="evil.test", decision="deny", errno="ECONNRESET")
    t.check(sum(one["count"] for one in denied) == len(bad) - 1 and "network.inspect" in denied[0]["rule"], f"the record has {denied}")
    off = t.run("/usr/bin/python3", "names.py", str(server.port), policy=policy(rules, resolver.port, extra="inspect = false"))
    for name in good + bad:
        t.verdict(off, name, "ok")


@alone
def n4(t):
    """names that aren't allowed never leave the machine; no datagram and no ping does"""
    t.only_aegix()
    resolver = Resolver(t, {"good.test": ["127.0.0.1"], "x.wild.test": ["127.0.0.1"]}, ttl=60)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    datagrams.setblocking(False)
    t.cleanup.append(datagrams.close)
    port = datagrams.getsockname()[1]
    captured = Capture(t) if os.geteuid() == 0 else None
    script = """
import socket, sys
def say(name, value): print(f"{name}\\t{value}", flush=True)
def looked(name):
    try: socket.getaddrinfo(name, 80); say(name[:40], "ok")
    except (OSError, UnicodeError) as e: say(name[:40], "none")
for name in sys.argv[2:]: looked(name)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for host in ("8.8.8.8", "127.0.0.1"):
    try: s.sendto(b"attack", (host, int(sys.argv[1]))); say("udp " + host, "sent")
    except OSError as e: say("udp " + host, "refused")
good = socket.gethostbyname("good.test")
try: s.sendto(b"attack", (good, int(sys.argv[1]))); s.settimeout(1); say("udp name", s.recv(10))
except OSError as e: say("udp name", "refused")
for kind, protocol in ((socket.SOCK_DGRAM, socket.IPPROTO_ICMP), (socket.SOCK_RAW, socket.IPPROTO_ICMP), (socket.SOCK_RAW, socket.IPPROTO_RAW)):
    try: socket.socket(socket.AF_INET, kind, protocol); say(f"icmp {kind} {protocol}", "ok")
    except OSError as e: say(f"icmp {kind} {protocol}", "refused")
# A question of another kind of an allowed name is answered here, and one for a secret's name is not asked.
def raw(name, kind):
    import struct
    q = b"\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0" + b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\\0" + struct.pack("!HH", kind, 1)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(5); u.sendto(q, (open("/etc/resolv.conf").read().split()[1], 53))
    a = u.recv(512); return a[3] & 15, a[7]
say("txt", raw("good.test", 16)); say("txt denied", raw("c2VjcmV0.evil.test", 16)); say("any denied", raw("c2VjcmV0.evil.test", 255))
"""
    t.file("workspace/leak.py", script)
    bad = ["evil.test", "c2VjcmV0LXRvay1lbg.evil.test", "good.test.evil.test", "notgood.test", "wild.test", "test", "a" * 63 + ".evil.test"]
    fine = ["good.test", "GOOD.test", "good.test.", "x.wild.test"]
    result = t.run("/usr/bin/python3", "leak.py", str(port), *bad, *fine, policy=policy(["good.test", "*.wild.test"], resolver.port))
    t.ran(result)
    for name in bad:
        t.verdict(result, name[:40], "none")
        t.check(name not in resolver.asked, f"{name} was asked of the host's name server")
        t.check(entries(result, kind="lookup", name=name.lower(), decision="deny"), f"the lookup of {name} isn't recorded")
    for name in fine:
        t.verdict(result, name, "ok")
    t.check({"good.test", "x.wild.test"} <= set(resolver.asked), f"the positive control wasn't asked: {resolver.asked}")
    t.check(set(resolver.asked) <= {"good.test", "x.wild.test"}, f"asked: {set(resolver.asked)}")
    for name, verdict in result.attempts.items():
        if name.startswith("icmp"):
            t.check(verdict == "refused", f"{name}: {verdict}")
    t.verdict(result, "udp 8.8.8.8", "refused")
    t.verdict(result, "udp name", "refused")
    t.verdict(result, "txt", "(0, 0)")
    t.verdict(result, "txt denied", "(3, 0)")
    t.verdict(result, "any denied", "(3, 0)")
    try:
        t.check(False, f"a datagram reached the host: {datagrams.recv(64)!r}")
    except BlockingIOError:
        pass
    t.check(result.violation("lookup(evil.test)", "network"), "no violation for evil.test")
    if captured:
        seen = captured.end()
        t.check(b"\x04good\x04test" in seen, "the capture is blunt: the allowed lookup isn't in it")
        t.check(b"evil" not in seen and b"c2VjcmV0" not in seen, "a denied name is in a packet of the host")


class Capture:
    """Every packet of the host's interfaces, while it lasts."""

    def __init__(self, t):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
        self.socket.setblocking(False)
        t.cleanup.append(self.socket.close)

    def end(self):
        seen = b""
        while True:
            try:
                seen += self.socket.recv(65536).lower()
            except BlockingIOError:
                return seen


RACE = """
import ctypes, ctypes.util, socket, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
allowed, port, secret = socket.gethostbyname("good.test"), int(sys.argv[1]), int(sys.argv[2])
def packed(host, port): return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton(host))
def say(name, value): print(f"{name}\\t{value}", flush=True)
a, bad = packed(allowed, port), [packed("127.0.0.1", secret), packed("10.0.0.1", 80), packed("169.254.169.254", 80), packed(allowed, secret)]
shared = ctypes.create_string_buffer(a, 16)
stop = False
def flip():
    n = 0
    while not stop:
        ctypes.memmove(shared, a, 16); n += 1; ctypes.memmove(shared, bad[n % 4], 16)
thread = threading.Thread(target=flip); thread.start()
good = 0
for _ in range(2000):
    s = socket.socket(); s.settimeout(None)
    if libc.connect(s.fileno(), shared, 16) == 0: good += 1
    s.close()
stop = True; thread.join(); say("raced", good)
s = socket.socket(); s.connect((allowed, port))
say("unspec", libc.connect(s.fileno(), struct.pack("=H14x", 0), 16))
def refused(name, action):
    try: action(); say(name, "ok")
    except OSError as e: say(name, "refused")
refused("again", lambda: s.connect(("127.0.0.1", secret))); s.close()
s = socket.socket(); refused("fastopen", lambda: s.sendto(b"x", 0x20000000, ("127.0.0.1", secret))); s.close()
s = socket.socket(); refused("fastopen routed", lambda: s.sendto(b"x", 0x20000000, (allowed, secret))); s.close()
s = socket.create_connection((allowed, port)); d = s.dup(); s.shutdown(2)
refused("listen", lambda: d.listen(1))
server = socket.create_server(("0.0.0.0", secret)); say("listens", "ok")
"""


@alone
def n5(t):
    """a race on the address or the descriptor of connect, AF_UNSPEC, bind, listen and MSG_FASTOPEN reach nothing of the host"""
    t.only_aegix()
    wanted, secret = Closer(t), Closer(t)
    resolver = Resolver(t, {"good.test": ["127.0.0.1"]}, ttl=60)
    t.file("workspace/race.py", RACE)
    for mode in ("allow", "guarded"):
        rules = policy([f"good.test:{wanted.port}", f"127.0.0.1:{wanted.port}"], resolver.port, mode=mode)
        result = t.run("/usr/bin/python3", "race.py", str(wanted.port), str(secret.port), policy=rules, deadline=120)
        t.ran(result)
        t.check(int(result.attempts.get("raced") or 0) > 0, f"{mode}: no connect of the race worked: {result}")
        for name in ("again", "fastopen", "fastopen routed"):
            t.verdict(result, name, "refused")
        t.verdict(result, "listens", "ok")
        t.check(not secret.seen, f"{mode}: the host's other port was reached: {secret.seen[:3]}")
        t.check(wanted.seen, f"{mode}: the allowed port wasn't")
    t.check(answers(secret.port), "the probe is blunt: the other port isn't there")


def n6(t):
    """the host's loopback services and abstract sockets are out of reach unless named, in every mode"""
    t.only_aegix()
    service = Closer(t)
    resolver = Resolver(t, {"home.test": ["127.0.0.1"]}, ttl=60)
    name = f"\0aegix-conformance-{os.getpid()}"
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(name)
    abstract.listen(8)
    seen = []
    serve(abstract, seen)
    t.cleanup.append(lambda: hang_up(abstract))
    script = """
import socket, sys
def tried(label, family, address):
    s = socket.socket(family); s.settimeout(5)
    try: s.connect(address); print(f"{label}\\tok")
    except OSError as e: print(f"{label}\\trefused")
port = int(sys.argv[1])
tried("abstract", socket.AF_UNIX, "\\0" + sys.argv[2]); tried("loopback", socket.AF_INET, ("127.0.0.1", port))
try: tried("name", socket.AF_INET, (socket.gethostbyname("home.test"), port))
except OSError: print("name\\tno such name")
"""
    words = ["/usr/bin/python3", "-c", script, str(service.port), name[1:]]
    bare = t.outside(*words)
    t.works_outside(bare, "abstract", "loopback")
    service.seen.clear()
    seen.clear()
    for rules in (policy([f"home.test:{service.port}"], resolver.port), policy([], resolver.port, mode="guarded")):
        result = t.run(*words, policy=rules)
        for what in ("abstract", "loopback", "name"):
            t.verdict(result, what, "refused")
    t.check(not service.seen and not seen, f"reached: {service.seen} {seen}")
    named = t.run(*words, policy=policy([f"home.test:{service.port}", f"127.0.0.1:{service.port}"], resolver.port))
    t.verdict(named, "name", "ok")
    t.verdict(named, "loopback", "refused")
    # The host's own network, and said so; what isn't network stays closed.
    host = t.run(*words, policy='[network]\nmode = "host"\n')
    if host.code == 125 and b"Landlock" in host.err:
        return t.note("mode host needs Landlock ABI 6")
    t.ran(host)
    t.verdict(host, "loopback", "ok")
    t.verdict(host, "abstract", "refused")
    t.check(b"host's own network" in host.err, f"it isn't said: {host.err!r}")
    control = [one for one in host.record["enforcement"]["controls"] if one["name"] == "network"]
    t.check(control and not control[0]["held"], f"the record says {control}")


@alone
def n2d(t):
    """between machines: the host's own resolv.conf, public addresses, guarded, and a range named as addresses"""
    t.only_aegix()
    if os.geteuid() != 0:
        raise Skip("network namespaces joined by veth need root")
    place = Place(t)
    place.need("ip", "/usr/sbin/dnsmasq")
    apart = Apart(t, place, ["203.0.113.1/24", "10.9.8.1/24"], ["203.0.113.2/24", "10.9.8.7/24"], "203.0.113.2",
                  {"far.test": "203.0.113.2", "private.test": "10.9.8.7"})
    apart.greet("203.0.113.2", 443, 5432)
    script = """
import socket, sys
for word in sys.argv[1:]:
    host, _, port = word.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), 10) as s: print(f"{word}\\t{s.recv(20).decode().strip()}", flush=True)
    except OSError as e: print(f"{word}\\t{type(e).__name__}", flush=True)
"""
    t.file("workspace/far.py", script)
    words = ["far.test:443", "far.test:5432", "private.test:5432", "203.0.113.2:443", "10.9.8.7:5432", "203.0.113.2:1", "far:443"]

    def run(rules):
        found = apart.run(["/usr/bin/python3", "far.py", *words], rules)
        t.ran(found)
        return found

    named = run('[network]\nmode = "allow"\nallow = ["far.test", "private.test:5432", "10.9.8.0/24:5432"]\n')
    guarded = run('[network]\nmode = "guarded"\n')
    for found, closed in ((named, ["far.test:5432", "203.0.113.2:443"]), (guarded, ["private.test:5432", "10.9.8.7:5432"])):
        for word in words:
            refused = word in closed or word in ("203.0.113.2:1", "far:443")
            told = found.attempts.get(word)
            t.check((told != "far away") if refused else told == "far away", f"{word}: {told} ({found})")
    t.check(entries(named, kind="connect", name="far.test", address="203.0.113.2", port=443, decision="allow"), "far.test isn't in the record")
    t.check(entries(named, kind="connect", name=None, address="10.9.8.7", decision="allow"), "the bare address isn't in the record")
