// [determinism]: each thing that is pinned, beside a run in which it isn't; and two runs that come out the same.

import Foundation
import Testing

extension Integration {
    @Suite struct DeterminismTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        private static let clock = "clock = \"2035-01-01T00:00:00Z\"\n"

        private func pinned(_ lines: String, _ rest: String = "") throws -> [String] {
            try ground.policy(rest + "[determinism]\n" + lines)
        }

        /// What a script prints under these keys.
        private func output(_ script: String, _ lines: String, _ rest: String = "") throws -> String {
            let ended = try ground.shell(script, try pinned(lines, rest))
            #expect(ended.code == 0, "\(ended.errorText)")
            return ended.text
        }

        private func pin(_ name: String) throws -> JSON? {
            try ground.record()["determinism"].array.first { $0["name"].string == name }
        }

        // MARK: - One by one

        @Test func hostname() throws {
            #expect(try output("hostname; cat /etc/hostname", "hostname = \"box\"") == "box\nbox\n")
            #expect(try pin("hostname")?["value"].string == "box")
            #expect(try output("hostname", "") == "aegix\n")
            let resolved = "python3 -c 'import socket; print(socket.gethostbyname(socket.gethostname()))'"
            #expect(try output(resolved, "hostname = \"box\"") == "127.0.0.1\n")
        }

        @Test func addresses() throws {
            let script = "python3 -c 'print(id(object()))'; grep -c . /proc/self/maps >/dev/null"
            #expect(try output(script, "aslr = false\nenv = true") == output(script, "aslr = false\nenv = true"))
            #expect(try pin("addresses")?["pinned"].bool == true)
            #expect(try output(script, "env = true") != output(script, "env = true"))
            // Nobody inside can have it back or take it away.
            let asked =
                "python3 -c 'import ctypes; l = ctypes.CDLL(None); print(l.personality(0), l.personality(0xffffffff))'"
            #expect(try output(asked, "aslr = false") == "-1 262144\n")
            #expect(try output(asked, "") == "0 0\n")
        }

        @Test func processors() throws {
            let script = "nproc; python3 -c 'import os; print(os.cpu_count(), len(os.sched_getaffinity(0)))'"
            #expect(try output(script, "cpus = 1") == "1\n1 1\n")
            #expect(try pin("cpus")?["pinned"].bool == true)
            let there = sysconf(Int32(_SC_NPROCESSORS_ONLN))
            if there > 1 { #expect(try output("nproc", "") != "1\n") }
            #expect(try output("nproc", "cpus = 4096") == output("nproc", ""))
            #expect(try pin("cpus")?["pinned"].bool == false)
        }

        @Test func environment() throws {
            let pass = "[env]\npass = [\"LANG\", \"LC_*\", \"TZ\"]\n"
            let caller = ["TZ": bytes("Asia/Tokyo"), "LC_TIME": bytes("de_DE.UTF-8"), "LANG": bytes("de_DE.UTF-8")]
            func seen(_ lines: String) throws -> Set<Substring> {
                let options = try pinned(lines, pass)
                let ended = try ground.run(
                    raw: (options + ["--cmd", "env; umask; whoami"]).map(bytes), env: caller)
                return Set(ended.text.split(separator: "\n"))
            }
            let fixed = try seen("env = true\nseed = 7")
            for line in [
                "TZ=UTC", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "PYTHONHASHSEED=7", "SOURCE_DATE_EPOCH=946684800",
                "HOME=/home/aegix", "0022",
            ] { #expect(fixed.contains(Substring(line)), "\(line) in \(fixed)") }
            #expect(!fixed.contains { $0.hasPrefix("LC_TIME") })
            if !Ground.isRoot { #expect(fixed.contains("aegix") && fixed.contains("USER=aegix")) }
            let free = try seen("")
            #expect(free.contains("TZ=Asia/Tokyo") && free.contains("LC_TIME=de_DE.UTF-8"))
            #expect(!free.contains { $0.hasPrefix("PYTHONHASHSEED") })
            let hash = "python3 -c 'print(hash(\"a\"))'"
            #expect(try output(hash, "env = true") == output(hash, "env = true"))
            #expect(try output(hash, "") != output(hash, ""))
            let own = try output("echo $TZ", "env = true", "[env]\nset = { TZ = \"Asia/Tokyo\" }\n")
            #expect(own == "Asia/Tokyo\n")
        }

        // MARK: - Random numbers

        @Test func randomNumbers() throws {
            let script =
                "for i in 1 2; do python3 -c 'import os; print(os.getrandom(16).hex(), os.urandom(8).hex())'; done"
            let one = try output(script, "seed = 1")
            #expect(try output(script, "seed = 1") == one)
            let lines = one.split(separator: "\n")
            #expect(lines.count == 2 && lines[0] != lines[1], "each program has its own")
            #expect(try output(script, "seed = 2") != one)
            #expect(try output(script, "") != output(script, ""))
            #expect(try pin("random")?["pinned"].bool == false)
        }

        /// What the kernel puts on each new stack: where Go and others begin.
        @Test func theBytesOfAProgramsStart() throws {
            let script = """
                python3 -c 'import ctypes
                l = ctypes.CDLL(None); l.getauxval.restype = ctypes.c_ulong
                print(ctypes.string_at(l.getauxval(25), 16).hex(), l.getauxval(33))'
                """
            let seeded = try output(script, "seed = 1\naslr = false")
            #expect(try output(script, "seed = 1\naslr = false") == seeded)
            #expect(seeded.hasSuffix(" 0\n"), "no vDSO: \(seeded)")
            let free = try output(script, "")
            #expect(try output(script, "") != free && !free.hasSuffix(" 0\n"))
        }

        @Test func errorsAreTheKernels() throws {
            let script = """
                import ctypes, os
                l = ctypes.CDLL(None, use_errno=True)
                def call(*a):
                    r = l.getrandom(*a)
                    return r if r >= 0 else os.strerror(ctypes.get_errno())
                b = ctypes.create_string_buffer(64)
                print(call(None, 4, 0), call(ctypes.c_void_p(-4096), 4, 0), call(b, 4, 8), call(b, 4, 6), call(b, 0, 0), call(b, 64, 3))
                print(len(os.getrandom(1000000)), l.prctl(4, 0, 0, 0, 0), len(os.getrandom(8)))
                """
            try ground.write("tries.py", script)
            let wanted = "Bad address Bad address Invalid argument Invalid argument 0 64\n1000000 0 8\n"
            #expect(try output("python3 tries.py", "seed = 1") == wanted)
            #expect(try output("python3 tries.py", "") == wanted)
        }

        // MARK: - The clock

        private static let clocks: [(program: String, words: String)] = [
            ("/bin/sh", "date +%s"), ("/usr/bin/python3", "python3 -c 'import time; print(int(time.time()))'"),
            ("/usr/bin/node", "node -e 'console.log(Math.floor(Date.now() / 1000))'"),
            ("/usr/bin/perl", "perl -e 'print time, qq{\\n}'"),
            ("/usr/bin/java", "java -Xshare:auto T.java"),
            ("/usr/bin/python3", "python3 -c 'import time; print(int(time.clock_gettime(5)))'"),
        ]

        @Test(arguments: clocks.indices) func theWallClockStands(_ index: Int) throws {
            let (program, words) = Self.clocks[index]
            if !Ground.has(program) { return }
            try ground.write(
                "T.java",
                "public class T { public static void main(String[] a) { System.out.println(System.currentTimeMillis() / 1000); } }"
            )
            #expect(try output(words, Self.clock) == "2051222400\n")
            let now = try output(words, "").split(separator: "\n").first.flatMap { Int($0) } ?? 0
            #expect(abs(now - Int(Date().timeIntervalSince1970)) < 120)
        }

        @Test func aGoProgramSeesIt() throws {
            let go = "/usr/bin/go"
            if !Ground.has(go) { return }
            try ground.write(
                "t.go",
                "package main\nimport (\"fmt\"; \"time\")\nfunc main() { b := time.Now(); time.Sleep(20 * time.Millisecond); fmt.Println(b.Unix(), time.Since(b) >= 20*time.Millisecond) }\n"
            )
            let built = try ground.outside([
                "/usr/bin/env", "GOCACHE=\(ground.directory)/go", go, "build", "-o", "t", "t.go",
            ])
            #expect(built.code == 0, "\(built.errorText)")
            #expect(try output("./t", Self.clock) == "2051222400 true\n")
            #expect(try !output("./t", "").hasPrefix("2051222400"))
        }

        /// Waits are measured by the clock that goes on, so they end.
        @Test func waitsEnd() throws {
            try ground.write(
                "waits.py",
                """
                import concurrent.futures, queue, subprocess, sys, threading, time
                began = time.monotonic()
                try: queue.Queue().get(timeout=0.05)
                except queue.Empty: print("empty")
                print(threading.Event().wait(0.05))
                def one(i): return subprocess.run(["echo", str(i)], capture_output=True).stdout
                with concurrent.futures.ThreadPoolExecutor(8) as pool: print(list(pool.map(one, range(40))) == [b"%d\\n" % i for i in range(40)])
                try: subprocess.run(["/nope"])
                except FileNotFoundError: print("missing")
                print(time.monotonic() - began >= 0.1, time.time())
                sys.stdout.flush()
                import os
                threading.Thread(target=lambda: os.execv("/bin/echo", ["echo", "a thread's"])).start()
                time.sleep(10)
                """)
            let text = try output("timeout 5 sleep 0.1; echo $?; python3 waits.py", Self.clock)
            #expect(text == "0\nempty\nFalse\nTrue\nmissing\nTrue 2051222400.0\na thread's\n")
        }

        /// Until a time of day, too, where the kernel's own clock is years away from it.
        @Test func waitsUntilATimeOfDayEnd() throws {
            let gcc = "/usr/bin/gcc"
            if !Ground.has(gcc) { return }
            try ground.write(
                "w.c",
                """
                #include <errno.h>
                #include <pthread.h>
                #include <semaphore.h>
                #include <stdio.h>
                #include <time.h>
                #include <unistd.h>
                static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
                static struct timespec in(int s, long ms) {
                    struct timespec t;
                    clock_gettime(CLOCK_REALTIME, &t);
                    t.tv_sec += s + (t.tv_nsec + ms * 1000000) / 1000000000;
                    t.tv_nsec = (t.tv_nsec + ms * 1000000) % 1000000000;
                    return t;
                }
                static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
                static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
                static sem_t s;
                static void *wake(void *x) {
                    usleep(30000);
                    pthread_mutex_lock(&m), pthread_cond_signal(&c), pthread_mutex_unlock(&m);
                    usleep(30000);
                    sem_post(&s);
                    return x;
                }
                static void say(const char *what, int code, double began, double least, double most) {
                    double took = now() - began;
                    printf("%s %s %s\\n", what, code == ETIMEDOUT ? "timed out" : code ? "failed" : "ok",
                           took >= least && took < most ? "in time" : "at the wrong time");
                }
                int main(void) {
                    struct timespec t = in(0, 200);
                    double began = now();
                    pthread_mutex_lock(&m);
                    say("cond", pthread_cond_timedwait(&c, &m, &t), began, 0.199, 2);
                    sem_init(&s, 0, 0);
                    t = in(0, 100), began = now();
                    say("sem", sem_timedwait(&s, &t) < 0 ? errno : 0, began, 0.099, 2);
                    t = in(-1, 0), began = now();
                    say("past", pthread_cond_timedwait(&c, &m, &t), began, 0, 0.5);
                    pthread_t other;
                    pthread_create(&other, NULL, wake, NULL);
                    t = in(20, 0), began = now();
                    say("woken", pthread_cond_timedwait(&c, &m, &t), began, 0.02, 5);
                    pthread_mutex_unlock(&m);
                    say("posted", sem_timedwait(&s, &t) < 0 ? errno : 0, began, 0.04, 5);
                    return 0;
                }
                """)
            let built = try ground.outside([gcc, "-pthread", "-o", "w", "w.c"])
            #expect(built.code == 0, "\(built.errorText)")
            let wanted =
                "cond timed out in time\nsem timed out in time\npast timed out in time\nwoken ok in time\nposted ok in time\n"
            #expect(try output("./w", Self.clock) == wanted)
            #expect(try output("./w", "clock = \"2001-01-01T00:00:00Z\"") == wanted)
            #expect(try output("./w", "") == wanted)
        }

        @Test func withCommandRules() throws {
            let rules = "[[commands.rule]]\nargv = [\"id\", \"**\"]\ndecision = \"deny\"\n"
            try ground.write("s.sh", "#!/bin/sh\ndate +%s\n", mode: 0o755)
            let ended = try ground.shell("date +%s; ./s.sh; sh -c 'date +%s'; id", try pinned(Self.clock, rules))
            #expect(ended.code == 126 && ended.text == "2051222400\n2051222400\n2051222400\n")
            let command = try ground.run(raw: (try pinned(Self.clock, rules) + ["--", "date", "+%s"]).map(bytes))
            #expect(command.text == "2051222400\n")
        }

        /// A process that another one traces couldn't be held at its exec.
        @Test func nobodyInsideTraces() throws {
            let script =
                "python3 -c 'import ctypes; l = ctypes.CDLL(None, use_errno=True); print(l.ptrace(0, 0, 0, 0), ctypes.get_errno())'"
            #expect(try output(script, Self.clock) == "-1 1\n")
            #expect(try output(script, "") == "0 0\n")
        }

        // MARK: - All of it

        @Test func twoRunsAreTheSame() throws {
            let script = """
                python3 -c 'import os, socket, time, random, uuid
                print(hash("a"), os.urandom(8), id(object()), socket.gethostname(), os.umask(0), time.time(), os.cpu_count(), uuid.uuid4(), random.random(), os.getuid(), os.environ)'
                date; id; mktemp -u; echo $$ $RANDOM
                """
            var outputs: Set<String> = []
            for _ in 0..<3 {
                let ended = try ground.run("--policy", "reproducible", "--cmd", script)
                #expect(ended.code == 0, "\(ended.errorText)")
                outputs.insert(ended.text)
            }
            #expect(outputs.count == 1, "\(outputs)")
            let pins = try ground.record()["determinism"].array
            #expect(pins.count == 12)
            for one in pins { #expect(one["pinned"].bool == true && one["mechanism"].string != nil, "\(one)") }
            let shown = try ground.run("show", "last")
            #expect(
                shown.text.contains("clock 2035-01-01T00:00:00Z") && !shown.text.contains("  not: "), "\(shown.text)")
            var free: Set<String> = []
            for _ in 0..<2 { free.insert(try ground.run("--cmd", script).text) }
            #expect(free.count == 2)
        }

        @Test func planSaysIt() throws {
            let plain = try ground.run("plan", "--cmd", "true")
            #expect(plain.text.contains("\npinned     hostname aegix, umask 0022\n"))
            #expect(plain.text.contains("\nby chance  uid"))
            let all = try ground.run("plan", "--policy", "reproducible", "--cmd", "true")
            #expect(all.text.contains("addresses not random") && !all.text.contains("\nby chance"))
        }

        @Test func aLockHoldsAgainstTheWorkspace() throws {
            try ground.write("aegix.toml", "version = 1\n[determinism]\nseed = 2\n")
            let loose = try ground.shell("true", try pinned("seed = 1"))
            #expect(loose.code == 0, "\(loose.errorText)")
            let locked = try ground.shell("true", try pinned("seed = 1", "lock = [\"determinism\"]\n"))
            #expect(locked.code == 125 && locked.errorText.contains("[determinism] is locked"), "\(locked.errorText)")
        }
    }
}
