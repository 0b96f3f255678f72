"""N: no network by default; loopback inside works."""

import os
import socket

from harness import hang_up, serve

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
