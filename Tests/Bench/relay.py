#!/usr/bin/python3
"""What the relay costs: relay.py --aegix PATH. Prints the figures, and exits with 1 where a limit is missed.

A server on the host's loopback, reached directly and through the relay: the median of a connect, bytes a second of one connection,
1,000 connections at once, and the size of the supervisor over 10,000 connects with a lookup each.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../Conformance"))
from servers import Resolver  # noqa: E402

CLIENT = """
import json, resource, socket, statistics, sys, time
host, port, bulk, connects = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
out = {}
address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4]
def once():
    s = socket.socket(); began = time.perf_counter(); s.connect(address); took = time.perf_counter() - began; s.close()
    return took
for _ in range(50): once()
taken = sorted(once() for _ in range(1000))
out["connect_us"], out["connect_p99_us"] = statistics.median(taken) * 1e6, taken[990] * 1e6
best, room = 0, bytearray(1 << 20)
for _ in range(3):
    with socket.create_connection((host, bulk)) as s:
        total, began = 0, time.perf_counter()
        while got := s.recv_into(room): total += got
        best = max(best, total / (time.perf_counter() - began))
out["bytes_per_second"] = best
began = time.perf_counter()
many = [socket.create_connection((host, port)) for _ in range(1000)]
for s in many: s.sendall(b"x")
out["thousand"] = sum(s.recv(1) == b"x" for s in many)
out["thousand_s"] = time.perf_counter() - began
for s in many: s.close()
for _ in range(connects):
    socket.create_connection((host, port)).close()
print(json.dumps(out))
"""


class Server:
    """Echoes in one thread; sends 2 GiB in a process of its own."""

    def __init__(self):
        self.echo, self.bulk = socket.create_server(("127.0.0.1", 0), backlog=4096), socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.echoes, daemon=True).start()
        self.sender = os.fork()
        if self.sender == 0:
            piece = bytes(1 << 20)
            while True:
                end, _ = self.bulk.accept()
                try:
                    for _ in range(2048):
                        end.sendall(piece)
                except OSError:
                    pass
                end.close()

    def echoes(self):
        import selectors
        ready = selectors.DefaultSelector()
        self.echo.setblocking(False)
        ready.register(self.echo, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is self.echo:
                    end, _ = self.echo.accept()
                    end.setblocking(False)
                    ready.register(end, selectors.EVENT_READ)
                    continue
                try:
                    data = key.fileobj.recv(4096)
                    if data:
                        key.fileobj.send(data)
                        continue
                except OSError:
                    pass
                ready.unregister(key.fileobj)
                key.fileobj.close()


class Place:
    """What a Resolver wants of a case."""

    def __init__(self):
        self.cleanup = []


def size(pid):
    try:
        with open(f"/proc/{pid}/statm") as f:
            return int(f.read().split()[1]) * 4096
    except (OSError, ValueError, IndexError):
        return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aegix", default="dist/aegix")
    aegix = os.path.abspath(parser.parse_args().aegix)
    server = Server()
    names = Resolver(Place(), {"bench.test": ["127.0.0.1"]}, ttl=60)
    port, bulk = server.echo.getsockname()[1], server.bulk.getsockname()[1]
    bare = json.loads(subprocess.run([sys.executable, "-c", CLIENT, "127.0.0.1", str(port), str(bulk), "0"],
                                     capture_output=True, check=True, preexec_fn=more_files).stdout)
    sizes = []
    with tempfile.TemporaryDirectory() as place:
        policy = os.path.join(place, "policy.toml")
        with open(policy, "w") as f:
            f.write(f"""version = 1
[network]
mode = "allow"
allow = ["bench.test:{port}", "bench.test:{bulk}", "127.0.0.1:{port}", "127.0.0.1:{bulk}"]
resolvers = ["127.0.0.1:{names.port}"]
[limits]
open_files = 8192
""")
        os.mkdir(f"{place}/workspace")
        child = subprocess.Popen(
            [aegix, "--state-dir", f"{place}/state", "--policy", policy, "--workspace", f"{place}/workspace", "--quiet", "--", "/usr/bin/python3",
             "-c", CLIENT, "bench.test", str(port), str(bulk), "10000"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        while child.poll() is None:
            sizes.append(size(child.pid))
            time.sleep(0.1)
        relayed = json.loads(child.stdout.read())
    os.kill(server.sender, 9)
    os.waitpid(server.sender, 0)
    late = [s for s in sizes[len(sizes) // 2:] if s]
    figures = {
        "a connect, directly": f"{bare['connect_us']:.0f} µs",
        "a connect, relayed": f"{relayed['connect_us']:.0f} µs median, {relayed['connect_p99_us']:.0f} µs 99 %",
        "one connection, directly": f"{bare['bytes_per_second'] / 1e9:.2f} GB/s",
        "one connection, relayed": f"{relayed['bytes_per_second'] / 1e9:.2f} GB/s",
        "1,000 connections": f"{relayed['thousand']} answered in {relayed['thousand_s'] * 1000:.0f} ms",
        "the supervisor": f"{max(sizes) >> 20} MiB at most, {(max(late) - min(late)) >> 10} KiB more over the second half",
    }
    for name, value in figures.items():
        print(f"{name:<28}{value}")
    missed = []
    if relayed["connect_us"] - bare["connect_us"] > 300:
        missed.append("a connect takes more than 300 µs longer")
    if relayed["bytes_per_second"] < 1e9:
        missed.append("less than 1 GB/s")
    if relayed["thousand"] != 1000:
        missed.append("not all of 1,000 connections")
    print("\n".join(f"missed: {one}" for one in missed))
    return 1 if missed else 0


def more_files():
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))


if __name__ == "__main__":
    more_files()
    sys.exit(main())
