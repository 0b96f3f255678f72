"""Servers of our own on the host's loopback: TLS and HTTP by nginx, names by dnsmasq, a database by PostgreSQL, and what only a
test needs: a resolver whose answers change, and a server that closes in every way there is."""

import glob
import os
import shutil
import socket
import struct
import subprocess
import threading
import time

from harness import Result, Skip, wait_until

NOBODY = 65534


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def as_nobody():
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


class Place:
    """A directory that servers write to, and the processes that are ended with the case."""

    def __init__(self, t):
        self.t, self.path = t, t.mkdir("servers")
        os.chmod(self.path, 0o777)

    def start(self, argv, **how):
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how)

        def end():
            child.terminate()
            child.wait()

        self.t.cleanup.append(end)
        return child

    def need(self, *programs):
        for program in programs:
            if not (os.path.exists(program) or shutil.which(program) or glob.glob(program)):
                raise Skip(f"{program} isn't installed")

    def dns(self, *names, address="127.0.0.1"):
        """dnsmasq, which knows these names only. Its port."""
        self.need("/usr/sbin/dnsmasq")
        # Somebody else may take the port meanwhile.
        for _ in range(5):
            port = free_port(socket.SOCK_DGRAM)
            child = self.start(["/usr/sbin/dnsmasq", "-k", "-p", str(port), "--listen-address=127.0.0.1", "--bind-interfaces",
                                "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file", "--user=", "--group=",
                                *[f"--address=/{name}/{address}" for name in names]])
            if wait_until(lambda: ask(port, names[0]) or child.poll() is not None, 10) and child.poll() is None:
                return port
        raise Skip("dnsmasq doesn't start")

    def certificates(self, *names):
        """A certificate for the names, and who vouches for it."""
        self.need("openssl")
        run = lambda *words: subprocess.run(["openssl", *words], cwd=self.path, check=True, capture_output=True)
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-days", "2", "-subj", "/CN=test authority", "-addext", "keyUsage=critical,keyCertSign")
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "request.pem",
            "-subj", f"/CN={names[0]}")
        with open(f"{self.path}/names", "w") as f:
            f.write("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\nextendedKeyUsage=serverAuth\n")
        run("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile",
            "names", "-out", "cert.pem")
        for name in ("key.pem", "cert.pem", "ca.pem"):
            os.chmod(f"{self.path}/{name}", 0o644)
        return f"{self.path}/ca.pem"

    def nginx(self, root):
        """Ports of HTTP and of TLS."""
        self.need("/usr/sbin/nginx")
        plain, tls = free_port(), free_port()
        scratch = "".join(f"{kind}_temp_path {self.path}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(f"{self.path}/nginx.conf", "w") as f:
            f.write(f"""
daemon off; worker_processes 1; pid {self.path}/nginx.pid; error_log {self.path}/error.log;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 4096; }}
http {{ access_log off; {scratch} keepalive_requests 100000; types {{ text/html html; }} default_type application/octet-stream;
  server {{ listen 127.0.0.1:{plain} backlog=4096; root {root}; autoindex on; }}
  server {{ listen 127.0.0.1:{tls} ssl; root {root}; autoindex on;
    ssl_certificate {self.path}/cert.pem; ssl_certificate_key {self.path}/key.pem; }} }}
""")
        self.start(["/usr/sbin/nginx", "-p", self.path, "-e", f"{self.path}/error.log", "-c", f"{self.path}/nginx.conf"])
        if not wait_until(lambda: answers(plain), 10):
            raise Skip("nginx doesn't start: " + open(f"{self.path}/error.log").read()[-300:])
        return plain, tls

    def postgres(self):
        self.need("/usr/lib/postgresql/*/bin/postgres")
        tools = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        data, port = f"{self.path}/data", free_port()
        subprocess.run([f"{tools}/initdb", "-D", data, "-A", "trust", "-U", "tester", "--no-sync"], check=True, capture_output=True,
                       cwd=self.path, env={"PATH": f"{tools}:/usr/bin:/bin", "LC_ALL": "C"}, **as_nobody())
        self.start([f"{tools}/postgres", "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k",
                    self.path], cwd=self.path, env={"PATH": f"{tools}:/usr/bin:/bin", "LC_ALL": "C"}, **as_nobody())
        query = ["psql", "-h", "127.0.0.1", "-p", str(port), "-U", "tester", "-d", "postgres", "-Atc", "select 1"]
        wait_until(lambda: subprocess.run(query, capture_output=True).returncode == 0, 20, 0.1)
        time.sleep(0.5)  # its helpers are processes, too, and come a moment later
        return port


GREETER = """
import socket, sys, threading
def go(s):
    while True:
        e, _ = s.accept(); e.sendall(b'far away\\n'); e.close()
everywhere, family = ("::", socket.AF_INET6) if ":" in sys.argv[1] else ("", socket.AF_INET)
for port in sys.argv[2:]: threading.Thread(target=go, args=(socket.create_server((everywhere, int(port)), family=family),)).start()
"""


class Apart:
    """Two network namespaces joined by veth: runs are made in the near one, whose resolv.conf names a dnsmasq in the far one."""

    def __init__(self, t, place, near, far, resolver, names):
        self.t, self.place = t, place
        self.near, self.far = f"aegix-near-{os.getpid()}", f"aegix-far-{os.getpid()}"
        t.cleanup.append(self.end)
        for name in (self.near, self.far):
            self.ip("netns", "add", name)
            self.ip("-n", name, "link", "set", "lo", "up")
        self.ip("-n", self.near, "link", "add", "out", "type", "veth", "peer", "name", "in", "netns", self.far)
        for name, link, addresses in ((self.near, "out", near), (self.far, "in", far)):
            for address in addresses:
                self.ip("-n", name, "address", "add", address, "dev", link, *(["nodad"] if ":" in address else []))
            self.ip("-n", name, "link", "set", link, "up")
        os.makedirs(f"/etc/netns/{self.near}")
        with open(f"/etc/netns/{self.near}/resolv.conf", "w") as f:
            f.write(f"search inside.test\nnameserver {resolver}\n")
        self.start("/usr/sbin/dnsmasq", "-k", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file", "--user=", "--group=",
                   f"--listen-address={resolver}", "--bind-interfaces", *[f"--address=/{name}/{address}" for name, address in names.items()])

    @staticmethod
    def ip(*words):
        return subprocess.run(["ip", *words], check=True, capture_output=True)

    def end(self):
        for name in (self.near, self.far):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        shutil.rmtree(f"/etc/netns/{self.near}", ignore_errors=True)

    def start(self, *argv):
        return self.place.start(["ip", "netns", "exec", self.far, *argv])

    def greet(self, address, *ports):
        """A server there that says `far away`, once it can be reached from the near side."""
        self.start("/usr/bin/python3", "-c", GREETER, address, *map(str, ports))
        reach = ["ip", "netns", "exec", self.near, "/usr/bin/python3", "-c",
                 f"import socket; socket.create_connection(('{address}', {ports[0]}), 1)"]
        wait_until(lambda: subprocess.run(reach, capture_output=True).returncode == 0, 10, 0.1)
        time.sleep(0.5)  # the others' turn, and dnsmasq's

    def run(self, argv, rules):
        t = self.t
        line = t.box.command(argv, t, policy=rules)
        before = t.run_ids()
        become = ["setpriv", f"--reuid={t.identity.uid}", f"--regid={t.identity.gid}", "--clear-groups"] if not t.identity.root else []
        began = time.monotonic()
        done = subprocess.run(["ip", "netns", "exec", self.near, *become, *line], cwd=t.workspace, env=t.box.environment(None),
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        found = Result(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
        fresh = sorted(t.run_ids() - before)
        found.record = t.record_of(fresh[-1]) if fresh else None
        return found


def question(name, kind=1):
    packed = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    return b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0" + packed + struct.pack("!HH", kind, 1)


def ask(port, name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.2)
        try:
            s.sendto(question(name), ("127.0.0.1", port))
            return s.recv(512)
        except OSError:
            return None


class Resolver:
    """Answers as `table` says at that moment, and notes each question. name → list of addresses; an absent name doesn't exist."""

    def __init__(self, t, table, ttl=0):
        self.table, self.ttl, self.asked = table, ttl, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.loop, daemon=True).start()
        t.cleanup.append(self.close)

    def close(self):
        self.socket.close()

    def loop(self):
        while True:
            try:
                data, who = self.socket.recvfrom(2048)
            except OSError:
                return
            labels, at = [], 12
            while data[at]:
                labels.append(data[at + 1:at + 1 + data[at]].decode("latin1"))
                at += data[at] + 1
            kind = struct.unpack("!H", data[at + 1:at + 3])[0]
            name = ".".join(labels).lower()
            self.asked.append(name)
            found = self.table.get(name)
            found = found(len(self.asked)) if callable(found) else found
            family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
            packed = [socket.inet_pton(family, a) for a in found or [] if family and (":" in a) == (kind == 28)]
            code = 0x8180 if found is not None else 0x8183
            body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, self.ttl, len(p)) + p for p in packed)
            answer = data[:2] + struct.pack("!HHHHH", code, 1, len(packed), 0, 0) + data[12:at + 5] + body
            try:
                self.socket.sendto(answer, who)
            except OSError:
                return


class Closer:
    """A server whose behaviour the first line says."""

    def __init__(self, t, address="127.0.0.1", banner=b""):
        self.seen, self.banner = [], banner
        self.listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, 0))
        self.listener.listen(4096)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.loop, daemon=True).start()
        t.cleanup.append(self.close)

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def loop(self):
        while True:
            try:
                end, who = self.listener.accept()
            except OSError:
                return
            self.seen.append(who)
            threading.Thread(target=self.serve, args=(end,), daemon=True).start()

    def serve(self, end):
        try:
            with end:
                if self.banner:
                    end.sendall(self.banner)
                file = end.makefile("rb")
                line = file.readline()
                if line == b"reset\n":
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    file.close()
                elif line == b"count\n":
                    total = 0
                    while piece := file.read(1 << 16):
                        total += len(piece)
                    self.seen.append(total)
                    end.sendall(b"%d\n" % total)
                elif line == b"half\n":
                    end.shutdown(socket.SHUT_WR)
                    self.seen.append(file.readline())
                else:
                    while line:
                        end.sendall(line)
                        line = file.readline()
        except OSError:
            pass
