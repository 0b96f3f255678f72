"""N2, more of it: Go's own resolver, and hosts with one of the two families of addresses only."""

import ctypes
import os
import shutil
import struct
import subprocess

from harness import Skip, alone
from network import entries, policy
from servers import Apart, Closer, Place, Resolver, free_port

GO = """package main

import ("context"; "errors"; "fmt"; "io"; "net"; "net/http"; "os"; "strings"; "sync"; "syscall"; "time")

func say(name string, value interface{}) { fmt.Printf("%s\\t%v\\n", name, value) }

func kind(err error) string {
	var d *net.DNSError
	switch {
	case err == nil: return "ok"
	case errors.As(err, &d) && d.IsNotFound: return "no such host"
	case errors.Is(err, syscall.ECONNREFUSED): return "refused"
	case errors.Is(err, syscall.ENETUNREACH): return "unreachable"
	}
	return err.Error()
}

func get(url string) string {
	client := http.Client{Timeout: 20 * time.Second}
	answer, err := client.Get(url)
	if err != nil { return kind(err) }
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return fmt.Sprint(answer.StatusCode, " ", strings.TrimSpace(string(text)))
}

func main() {
	tls, plain, closed := os.Args[1], os.Args[2], os.Args[3]
	began := time.Now()
	say("https", get("https://good.test:" + tls + "/hello.html"))
	say("other name", get("https://files.good.test:" + tls + "/hello.html"))
	say("http", get("http://good.test:" + plain + "/hello.html"))
	say("denied name", get("https://evil.test:" + tls + "/"))
	say("denied port", get("http://good.test:" + closed + "/"))
	dial := func(network, where string) string {
		one, err := net.DialTimeout(network, where, 10*time.Second)
		if err == nil { one.Close() }
		return kind(err)
	}
	say("metadata", dial("tcp", "169.254.169.254:80"))
	say("only IPv6", dial("tcp6", "good.test:" + plain) != "ok")
	_, err := net.DefaultResolver.LookupTXT(context.Background(), "good.test")
	say("txt", kind(err))
	var all sync.WaitGroup
	var lock sync.Mutex
	good := 0
	for i := 0; i < 50; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			if get("http://good.test:" + plain + "/hello.html") == "200 hello from the host" { lock.Lock(); good++; lock.Unlock() }
		}()
	}
	all.Wait()
	say("fifty at once", good)
	say("in time", time.Since(began) < 20*time.Second)
}
"""


def go_client(t):
    """Built once for all identities: static, so its resolver is its own."""
    program = f"{t.world.probes}/go-client"
    if not shutil.which("go"):
        raise Skip("go isn't installed")
    # Once for both identities, whose cases run side by side.
    with t.world.building():
        if os.path.exists(program):
            return program
        place = os.path.join(t.world.base, "go")
        os.makedirs(place, exist_ok=True)
        with open(f"{place}/client.go", "w") as f:
            f.write(GO)
        made = subprocess.run(["go", "build", "-o", program, "client.go"], cwd=place, capture_output=True, text=True,
                              env={"PATH": os.environ["PATH"], "HOME": place, "GOCACHE": f"{place}/cache", "GOPATH": f"{place}/path",
                                   "CGO_ENABLED": "0", "GO111MODULE": "off", "GOTOOLCHAIN": "local"})
        if made.returncode != 0:
            raise Skip(f"go can't build: {made.stderr[-300:]}")
        return program


def n2e(t):
    """Go's client with its own resolver: HTTPS, a name and a port that aren't allowed, 50 at once"""
    t.only_aegix()
    place = Place(t)
    client = go_client(t)
    root = t.mkdir("root")
    t.file("root/hello.html", "hello from the host\n")
    authority = place.certificates("good.test", "files.good.test")
    plain, tls = place.nginx(root)
    dns = place.dns("good.test", "evil.test")
    t.file("workspace/ca.pem", t.read(authority))
    closed = free_port()
    rules = policy([f"good.test:{plain}", f"good.test:{tls}", f"*.good.test:{tls}"] + [f"127.0.0.1:{port}" for port in (plain, tls)], dns,
                   extra=f'[env]\nset = {{ SSL_CERT_FILE = "{t.workspace}/ca.pem" }}')
    result = t.run(client, str(tls), str(plain), str(closed), policy=rules)
    t.ran(result)
    for name in ("https", "other name", "http"):
        t.verdict(result, name, "200 hello from the host")
    t.verdict(result, "denied name", "no such host")
    t.verdict(result, "denied port", "refused")
    t.verdict(result, "metadata", "unreachable")
    t.verdict(result, "only IPv6", "true")
    t.verdict(result, "txt", "no such host")
    t.verdict(result, "fifty at once", "50")
    t.verdict(result, "in time", "true")
    t.check(entries(result, kind="lookup", name="evil.test", decision="deny"), "the lookup of evil.test isn't recorded")
    t.check(entries(result, kind="connect", name="good.test", port=closed, decision="deny", errno="ECONNREFUSED"), "nor the denied port")


FAMILIES = """
import socket, struct, sys, time
def say(name, value): print(f"{name}\\t{value}", flush=True)
def raw(name, kind):
    q = b"\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0" + b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\\0" + struct.pack("!HH", kind, 1)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(10); u.sendto(q, (open("/etc/resolv.conf").read().split()[1], 53))
    a = u.recv(512); return f"{a[3] & 15} {a[7]}"
for word in sys.argv[1:]:
    host, _, port = word.rpartition(":")
    began = time.monotonic()
    try:
        with socket.create_connection((host, int(port)), 10) as s: s.sendall(b"hello\\n"); say(word, s.recv(20).decode().strip())
    except OSError as e: say(word, type(e).__name__ if not e.errno else __import__("errno").errorcode.get(e.errno, e.errno))
    say("took " + word, "long" if time.monotonic() - began > 3 else "no time")
    if ".test" in host: say("A " + host, raw(host, 1)); say("AAAA " + host, raw(host, 28))
"""


def without_ipv6():
    """For a child: socket(AF_INET6) is EAFNOSUPPORT from here on, as on a kernel that was built or booted without."""
    program = b"".join(struct.pack("=HBBI", *line) for line in (
        (0x20, 0, 0, 0), (0x15, 0, 3, {"x86_64": 41}.get(os.uname().machine, 198)),  # socket
        (0x20, 0, 0, 16), (0x15, 0, 1, 10), (0x06, 0, 0, 0x00050000 | 97), (0x06, 0, 0, 0x7fff0000)))
    room = ctypes.create_string_buffer(program, len(program))
    wanted = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(room)), 16)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, wanted, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


@alone
def n2f(t):
    """a host without IPv6: the relay works over IPv4, and a name with both kinds of addresses, too"""
    t.only_aegix()
    server = Closer(t)
    port = server.port
    resolver = Resolver(t, {"four.test": ["127.0.0.1"], "both.test": ["2001:db8::1", "127.0.0.1"], "six.test": ["2001:db8::1"]}, ttl=60)
    t.file("workspace/families.py", FAMILIES)
    words = [f"{name}.test:{port}" for name in ("four", "both", "six")]
    hosts = [f"{name}.test:{port}" for name in ("four", "both", "six")] + [f"127.0.0.1:{port}"]
    for mode, more in (("allow", []), ("allow", ["2001:db8::/32"]), ("guarded", [])):
        rules = policy(hosts + more, resolver.port, mode=mode)
        result = t.run("/usr/bin/python3", "families.py", *words, policy=rules, preexec=without_ipv6)
        t.ran(result)
        for name in ("four", "both"):
            t.verdict(result, f"{name}.test:{port}", "hello")
        t.verdict(result, f"six.test:{port}", "EHOSTUNREACH")
        for word in words:
            t.verdict(result, f"took {word}", "no time")
        for name in ("four", "both", "six"):
            t.verdict(result, f"A {name}.test", "0 1")
            t.verdict(result, f"AAAA {name}.test", "0 0")
    blunt = t.outside("/usr/bin/python3", "-c", "import socket\ntry: socket.socket(socket.AF_INET6)\nexcept OSError as e: print(e.errno)",
                      preexec=without_ipv6, bare=True)
    t.check(blunt.text == "97\n", f"the probe is blunt: there is IPv6 ({blunt})")


@alone
def n2g(t):
    """a host with nothing but IPv6, its name server included: names and bare addresses"""
    t.only_aegix()
    if os.geteuid() != 0:
        raise Skip("network namespaces joined by veth need root")
    place = Place(t)
    place.need("ip", "/usr/sbin/dnsmasq")
    there = "2001:db8:77::2"
    apart = Apart(t, place, ["2001:db8:77::1/64"], [f"{there}/64"], there, {"far.test": there})
    apart.greet(there, 443, 5432)
    t.file("workspace/families.py", FAMILIES)
    words = ["far.test:443", "far.test:5432", f"{there}:443", "other.test:443"]

    def run(rules, far, bare):
        result = apart.run(["/usr/bin/python3", "families.py", *words], rules)
        t.ran(result)
        t.verdict(result, "far.test:443", "far away")
        t.verdict(result, "far.test:5432", far)
        t.verdict(result, f"{there}:443", bare)
        # One that isn't allowed doesn't exist; in guarded it is asked for, and the name server refuses to say.
        t.verdict(result, "other.test:443", "-2" if "allow" in rules else "-3")
        for word in words:
            t.verdict(result, f"took {word}", "no time")
        t.verdict(result, "A far.test", "0 1")
        t.verdict(result, "AAAA far.test", "0 0")
        t.check(entries(result, kind="connect", name="far.test", address=there, port=443, decision="allow"), "the record lacks it")

    run('[network]\nmode = "allow"\nallow = ["far.test"]\n', "ECONNREFUSED", "ENETUNREACH")
    run(f'[network]\nmode = "allow"\nallow = ["far.test", "{there}"]\nresolvers = ["{there}"]\n', "ECONNREFUSED", "far away")
    run('[network]\nmode = "guarded"\n', "far away", "far away")


MANY_NAMES = """
import socket, struct, sys
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(10); u.connect((open("/etc/resolv.conf").read().split()[1], 53))
for number in range(40000):
    name = b"name-%d.evil.test" % number
    u.send(b"\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0" + b"".join(bytes([len(p)]) + p for p in name.split(b".")) + b"\\0" + struct.pack("!HH", 1, 1))
    if u.recv(512)[3] & 15 != 3: sys.exit("answered")
    if number % 1000 == 0: print(number, flush=True)
"""


def n2h(t):
    """40,000 names that aren't allowed: the supervisor stops growing, and the record says how much it has left out"""
    t.only_aegix()
    resolver = Resolver(t, {"good.test": ["127.0.0.1"]}, ttl=60)
    t.file("workspace/names.py", MANY_NAMES)
    child = t.box.spawn(["/usr/bin/python3", "names.py"], t, policy=policy(["good.test"], resolver.port))
    sizes = {}
    for line in child.stdout:
        try:
            with open(f"/proc/{child.pid}/statm") as f:
                sizes[int(line)] = int(f.read().split()[1]) * 4096
        except (OSError, ValueError):
            break
    code = child.wait(30)
    t.check(code == 0 and len(sizes) == 40, f"exit {code}, {len(sizes)} thousand: {child.stderr.read()[-300:]!r}")
    if 39000 in sizes:
        # Full at 20,000 entries.
        grown = sizes[39000] - sizes[22000]
        t.check(grown < 2 << 20, f"the supervisor grew by {grown >> 10} KiB over the last 17,000 names")
        t.note(f"{sizes[1000] >> 20} MiB after 1,000 names, {sizes[22000] >> 20} after 22,000, {grown >> 10} KiB more after 39,000")
    t.check(not resolver.asked, f"asked: {resolver.asked[:3]}")
    record = t.record_of(sorted(t.run_ids())[-1]) or {}
    cut = record.get("cut", {}).get("network", {})
    t.check(len(record.get("network", [])) == cut.get("kept", 0) <= 20000 and cut.get("of") == 40000, f"cut: {cut}")
    t.check(record.get("cut", {}).get("violations") == {"kept": len(record.get("violations", [])), "of": None}, f"cut: {record.get('cut')}")
