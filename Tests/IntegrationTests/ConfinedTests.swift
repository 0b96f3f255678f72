// Tier confined, where namespaces are refused as a container's default profile refuses them: by a filter on the caller.

import Foundation
import Testing

extension Integration {
    @Suite struct ConfinedTests {
        let ground: Ground
        /// Run by its interpreter: a file just written can't be executed while a neighbour's fork still holds it open.
        private let container: String

        init() throws {
            ground = try Ground()
            container = try ground.write("\(ground.directory)/container", ConfinedTests.filter)
            // root becomes the workspace's owner.
            if Ground.isRoot { chown(ground.workspace, ConfinedTests.owner, ConfinedTests.owner) }
        }

        static let owner: uid_t = 54_321

        /// The host can, or it has to.
        static let works: Bool = {
            if ProcessInfo.processInfo.environment["AEGIX_MUST_WORK"] == "1" { return true }
            guard let ground = try? Ground(), let ended = try? ground.outside(ground.aegix, "doctor", "--json") else {
                return true
            }
            return (try? JSON(ended.out))?["capabilities"].array.contains {
                $0["id"].string == "landlock_scopes" && $0["have"].bool == true
            } ?? true
        }()

        /// unshare, setns, clone with namespaces and the mount calls give EPERM, clone3 isn't there.
        static let filter = """
            #!/usr/bin/python3
            import ctypes, os, platform, struct, sys
            x86 = platform.machine() == 'x86_64'
            clone, refused = (56, [272, 308, 165, 166, 155, 161]) if x86 else (220, [97, 268, 40, 39, 41, 51])
            refused += [428, 429, 430, 432, 442]
            EPERM, ENOSYS, ALLOW = 0x50001, 0x50026, 0x7fff0000
            program = [(0x20, 0, 0, 0)]
            for number in refused: program += [(0x15, 0, 1, number), (6, 0, 0, EPERM)]
            program += [(0x15, 0, 1, 435), (6, 0, 0, ENOSYS)]
            program += [(0x15, 0, 3, clone), (0x20, 0, 0, 16), (0x45, 0, 1, 0x7e020000), (6, 0, 0, EPERM)]
            program += [(6, 0, 0, ALLOW)]
            code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *line) for line in program))
            class Program(ctypes.Structure): _fields_ = [('length', ctypes.c_ushort), ('code', ctypes.c_void_p)]
            whole = Program(len(program), ctypes.addressof(code))
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(whole), 0, 0):
                sys.exit(os.strerror(ctypes.get_errno()))
            os.execvp(sys.argv[1], sys.argv[1:])

            """

        private func own(_ name: String, _ content: String, mode: mode_t = 0o644) throws {
            let path = try ground.write(name, content, mode: mode)
            if Ground.isRoot { chown(path, ConfinedTests.owner, ConfinedTests.owner) }
        }

        /// aegix in the container.
        private func inside(_ words: String...) throws -> Ended {
            try ground.outside(["/usr/bin/python3", container, ground.aegix] + words)
        }

        private func confined(
            _ script: String, _ options: [String] = [], at location: SourceLocation = #_sourceLocation
        ) throws -> Ended {
            let ended = try ground.outside(
                ["/usr/bin/python3", container, ground.aegix, "--require", "confined"] + options + ["--cmd", script])
            ground.nothingLeft(since: Leaks.mounts(), at: location)
            let kept = ground.runs.last.map { "\($0)/confined" } ?? ""
            #expect(access(kept, F_OK) != 0, "the copy is left", sourceLocation: location)
            return ended
        }

        /// Without namespaces, too: but for the host's name and HOME.
        @Test func whatIsPinned() throws {
            let options = try ground.policy(
                "[determinism]\nhostname = \"box\"\nseed = 1\ncpus = 1\nenv = true\nclock = \"2035-01-01T00:00:00Z\"\n")
            let script = "date +%s; nproc; for i in 1 2; do python3 -c 'import os; print(os.getrandom(8).hex())'; done"
            let ended = try confined(script, options)
            #expect(ended.text.hasPrefix("2051222400\n1\n"), "\(ended.text)\(ended.errorText)")
            #expect(try confined(script, options).text == ended.text)
            let pins = try ground.record()["determinism"].array
            let loose = pins.filter { $0["pinned"].bool == false }.map { $0["name"].string ?? "" }
            #expect(loose == ["hostname", "uid", "home", "addresses"])
            #expect(try confined("date +%s").text.hasPrefix("2051222400") == false)
        }

        @Test func secrets() throws {
            let place = try ground.write("\(ground.directory)/key", "s3cret-value-x\n")
            let ended = try confined("echo ${#T} $T; echo $T >leak", ["--secret", "T=file:\(place)"])
            #expect(ended.text == "14 [redacted:T]\n", "\(ended.errorText)")
            let record = try ground.record()
            #expect(record["changes"][0]["flags"].array.compactMap(\.string) == ["secret"])
            #expect(record["enforcement"]["controls"].array.contains { $0["name"].string == "secrets" })
            // There is no file system of the run's own to keep it in.
            let refused = try confined("true", ["--secret-file", "T=file:\(place)"])
            #expect(refused.code == 125 && refused.errorText.contains("tier confined"), "\(refused.errorText)")
        }

        /// What is read isn't watched, and the record says so; watching must not let go what this tier judges.
        @Test func inputs() throws {
            try own("a", "a\n")
            func options(_ inputs: String) throws -> [String] {
                try ground.policy("[audit]\ndetail = \"files\"\ninputs = \"\(inputs)\"\n")
            }
            let script = "cat a; chmod 4755 a; truncate -s 0 /etc/passwd; mv /usr/bin/cat /usr/bin/dog; mv a b; ls"
            let plain = try confined(script)
            let ended = try confined(script, options("all"))
            #expect(ended.text == plain.text && ended.text == "a\nb\n", "\(ended.text) \(ended.errorText)")
            let record = try ground.record()
            let reads = record["enforcement"]["controls"].array.first { $0["name"].string == "reads" }
            #expect(reads?["held"].bool == false && record["retention"]["contents"].int == 1)
            #expect(try ground.record()["inputs"][0]["path"].string == "a")
            #expect(try confined("cat a", options("read")).code == 0)
            #expect(try ground.record()["retention"]["error"].string?.contains("confined") == true)
        }

        /// One line of python's for each: its name, and OK or the errno.
        private func tried(_ cases: [(String, String)], _ options: [String] = []) throws -> [String: String] {
            let lines = cases.map { "t('\($0.0)', lambda: \($0.1))" }.joined(separator: "\n")
            try own(
                "tries.py",
                """
                import ctypes, errno, os, signal, socket
                libc = ctypes.CDLL(None, use_errno=True)
                def call(*words):
                    if libc.syscall(*words) < 0: raise OSError(ctypes.get_errno(), '')
                def t(name, act):
                    try: act(); print(name, 'OK')
                    except OSError as error: print(name, errno.errorcode[error.errno])
                \(lines)

                """)
            let ended = try confined("python3 tries.py", options)
            #expect(ended.code == 0, "\(ended.errorText)")
            var found: [String: String] = [:]
            for line in ended.text.split(separator: "\n") {
                let words = line.split(separator: " ").map(String.init)
                found[words[0]] = words.count > 1 ? words[1] : ""
            }
            return found
        }

        /// Processes with this word on their command line, zombies aside.
        private func alive(_ word: String) -> Int {
            let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
            return all.filter { name in
                guard pid_t(name) != nil, let line = ground.read("/proc/\(name)/cmdline") else { return false }
                return line.split(separator: 0).contains { $0.elementsEqual(word.utf8) }
            }.count
        }

        /// Until it holds, for at most 10 seconds.
        private func eventually(_ holds: () -> Bool) -> Bool {
            for _ in 0..<1000 {
                if holds() { return true }
                usleep(10_000)
            }
            return holds()
        }

        // MARK: -

        @Test(.enabled(if: works)) func exitCodesAndOutput() throws {
            for (script, code) in [("echo hello", 0), ("echo hello; exit 7", 7), ("echo hello; kill -TERM $$", 143)] {
                let ended = try confined(script)
                #expect(ended.text == "hello\n" && ended.code == Int32(code), "\(ended.errorText)")
            }
            let record = try ground.record()
            #expect(record["enforcement"]["tier"].string == "confined")
            let missing = record["enforcement"]["controls"].array.filter { $0["held"].bool == false }
            #expect(Set(missing.compactMap { $0["name"].string }) == ["namespaces", "names", "process numbers"])
            #expect(try confined("true; nothing-of-that-name").code == 127)
        }

        @Test(.enabled(if: works)) func isolatedIsStillRefused() throws {
            let ended = try inside("--cmd", "true")
            #expect(ended.code == 125 && ended.errorText.contains("seccomp filter"), "\(ended.errorText)")
            #expect(ended.errorText.contains("--require confined"))
            #expect(try ground.record()["outcome"]["rule"].string == "tier.namespaces")
        }

        @Test(.enabled(if: works)) func planSaysTheTier() throws {
            let plan = try Ground.document(try inside("plan", "--json", "--require", "confined", "--cmd", "true"))
            #expect(plan["tier"].string == "confined")
            #expect(plan["confined"]["reason"].string?.contains("refuses namespaces") == true)
            #expect(plan["confined"]["copy"]["from"].string == ground.workspace)
        }

        @Test(.enabled(if: works)) func theWorkspaceIsACopyAndChangesGoToTheLayer() throws {
            for name in ["same", "changed", "gone"] { try own(name, name) }
            let made = "mkdir -p new/deep && echo x > new/deep/file && ln -s same link"
            let ended = try confined("pwd; cat same; echo more >> changed; rm gone; chmod 600 same; \(made)")
            #expect(ended.code == 0 && !ended.text.hasPrefix(ground.workspace), "\(ended.errorText)")
            let names = try FileManager.default.contentsOfDirectory(atPath: ground.workspace).sorted()
            #expect(names == ["changed", "gone", "same"])
            #expect(ground.read("\(ground.workspace)/changed") == bytes("changed"))
            let upper = try #require(ground.runs.last) + "/layer/upper"
            let layer = try FileManager.default.contentsOfDirectory(atPath: upper).sorted()
            #expect(layer == ["changed", "gone", "link", "new", "same"])
            #expect(ground.read("\(upper)/changed") == bytes("changedmore\n"))
            #expect(ground.read("\(upper)/new/deep/file") == bytes("x\n"))
            var facts = stat()
            #expect(lstat("\(upper)/gone", &facts) == 0 && facts.st_mode & S_IFMT == S_IFCHR && facts.st_rdev == 0)
            // Nothing changed: no layer.
            _ = try confined("cat same")
            let second = try #require(ground.runs.last) + "/layer/upper"
            #expect(try FileManager.default.contentsOfDirectory(atPath: second) == [])
        }

        @Test(.enabled(if: works)) func filesOutsideStayAsTheyAre() throws {
            let (outside, file) = ("\(ground.directory)/outside", "\(ground.directory)/outside/file")
            try FileManager.default.createDirectory(atPath: outside, withIntermediateDirectories: false)
            try own(file, "theirs")
            if Ground.isRoot { chown(outside, ConfinedTests.owner, ConfinedTests.owner) }
            try own("file", "ours")
            var cases: [(String, String)] = []
            // Each beside the same on a file of its own.
            for (what, path) in [("out", file), ("in", "file")] {
                cases += [
                    ("\(what)-read", "open('\(path)').read()"), ("\(what)-write", "open('\(path)', 'a').close()"),
                    ("\(what)-chmod", "os.chmod('\(path)', 0o604)"), ("\(what)-utime", "os.utime('\(path)', (1, 1))"),
                    ("\(what)-chown", "os.chown('\(path)', os.getuid(), os.getgid())"),
                    ("\(what)-xattr", "os.setxattr('\(path)', 'user.aegix', b'x')"),
                    ("\(what)-truncate", "os.truncate('\(path)', 0)"),
                ]
            }
            cases += [
                ("out-list", "os.listdir('\(outside)')"), ("out-make", "open('\(outside)/new', 'w')"),
                ("out-link", "os.link('\(file)', 'linked')"), ("out-unlink", "os.unlink('\(file)')"),
                ("in-setuid", "os.chmod('file', 0o4700)"), ("in-none", "os.chmod('none', 0o600)"),
                ("in-tmp", "open(os.environ['TMPDIR'] + '/x', 'w')"),
                ("in-home", "open(os.environ['HOME'] + '/x', 'w')"),
                ("out-tmp", "open('/tmp/aegix-confined', 'w')"), ("out-shm", "open('/dev/shm/aegix-confined', 'w')"),
            ]
            let found = try tried(cases)
            for act in ["read", "write", "truncate", "list", "make", "unlink", "tmp", "shm"] {
                #expect(found["out-\(act)"] == "EACCES", "\(act): \(found["out-\(act)"] ?? "")")
            }
            for act in ["chmod", "utime", "chown", "xattr"] { #expect(found["out-\(act)"] == "EPERM", "\(act)") }
            #expect(["EXDEV", "EACCES"].contains(found["out-link"]))
            for act in ["read", "write", "chmod", "utime", "chown", "truncate", "tmp", "home"] {
                #expect(found["in-\(act)"] == "OK", "\(act): \(found["in-\(act)"] ?? "")")
            }
            #expect(["OK", "ENOTSUP"].contains(found["in-xattr"]))  // a file system may have none
            #expect(found["in-setuid"] == "EPERM" && found["in-none"] == "ENOENT")
            #expect(ground.read(file) == bytes("theirs"))
            var facts = stat()
            #expect(stat(file, &facts) == 0 && facts.st_mode & 0o777 == 0o644 && facts.st_mtim.tv_sec != 1)
        }

        @Test(.enabled(if: works)) func noChannelToTheHost() throws {
            let sleeper = try ground.outside("/bin/sh", "-c", "exec sleep 1000 >/dev/null 2>&1 & echo $!")
            let host = try #require(pid_t(sleeper.text.trimmingCharacters(in: .whitespacesAndNewlines)))
            ground.atEnd {
                kill(host, SIGKILL)
                waitpid(host, nil, 0)
            }
            let found = try tried([
                ("tcp", "socket.socket(socket.AF_INET, socket.SOCK_STREAM)"),
                ("udp", "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)"),
                ("unix", "socket.socket(socket.AF_UNIX)"),
                ("datagrams", "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)"), ("pair", "socket.socketpair()"),
                ("parent", "os.kill(os.getppid(), 0)"), ("init", "os.kill(os.getsid(0), 0)"),
                ("host", "os.kill(\(host), 0)"), ("self", "os.kill(os.getpid(), 0)"),
                ("environ", "open('/proc/\(host)/environ')"), ("cmdline", "open('/proc/\(host)/cmdline')"),
                ("mem", "open('/proc/\(host)/mem')"), ("nice", "os.setpriority(os.PRIO_PROCESS, \(host), 19)"),
                ("affinity", "os.sched_setaffinity(\(host), {0})"), ("own-nice", "os.nice(1)"),
                ("meminfo", "open('/proc/meminfo')"),
                ("queue", "call(\(ConfinedTests.queueCall), b'x', 0o100, 0o600, 0)"),
            ])
            for name in ["tcp", "udp", "unix", "datagrams", "host", "nice", "affinity", "queue"] {
                #expect(found[name] == "EPERM", "\(name): \(found[name] ?? "")")
            }
            for name in ["environ", "cmdline", "mem"] { #expect(found[name] == "EACCES", "\(name)") }
            for name in ["pair", "self", "own-nice", "meminfo"] { #expect(found[name] == "OK", "\(name)") }
            let rules = Set(try ground.record()["violations"].array.compactMap { $0["rule"].string })
            #expect(rules.isSuperset(of: ["socket(AF_INET)", "socket(AF_INET6)", "socket(AF_UNIX)", "mq_open"]))
        }

        /// mq_open
        #if arch(x86_64)
            private static let queueCall = 240
        #else
            private static let queueCall = 180
        #endif

        @Test(.enabled(if: works)) func daemonsEndWithTheRun() throws {
            let word = "90\(getpid())1"
            let daemon = "setsid sh -c '(trap \"\" TERM HUP; sleep \(word) & sleep \(word)) &' &"
            let ended = try confined("\(daemon) sleep \(word) & echo started; exit 3")
            #expect(ended.text == "started\n" && ended.code == 3)
            #expect(alive(word) == 0)
            // One that hands itself on, faster than it can be listed.
            let runner = "import os\nwhile True:\n  if os.fork(): os._exit(0)\n"
            try own("runner.py", runner)
            let late = try confined("python3 runner.py \(word) & sleep 30", ["--timeout", "500ms"])
            #expect(late.code == 124 && late.seconds < 20, "\(late.errorText)")
            #expect(alive(word) == 0)
        }

        @Test(.enabled(if: works), arguments: ["aegix", "init"])
        func whoeverIsKilledNothingIsLeft(_ victim: String) throws {
            let word = "91\(getpid())2"
            let pairs = ground.environment.map { bytes($0.key) + bytes("=") + $0.value }
            let script = "(setsid sleep \(word) &); echo up; sleep \(word)"
            var child = try Child(
                ["/usr/bin/python3", container, ground.aegix, "--require", "confined", "--cmd", script].map(bytes),
                environment: pairs,
                directory: bytes(ground.workspace))
            #expect(child.line() == "up")
            #expect(eventually { alive(word) == 2 })
            let path = "/proc/\(child.pid)/task/\(child.pid)/children"
            let children = try String(contentsOfFile: path, encoding: .utf8)
            let reaper = try #require(children.split(separator: " ").first.flatMap { pid_t($0) })
            kill(victim == "aegix" ? child.pid : reaper, SIGKILL)
            let ended = child.finish(deadline: 20)
            #expect(ended.seconds < 20)
            #expect(eventually { alive(word) == 0 })
            // Orphans come to the test's own process.
            #expect(eventually { waitpid(reaper, nil, WNOHANG) != 0 })
            if victim == "init" { #expect(ended.code == 125, "\(ended.errorText)") }
            #expect(try confined("true").code == 0)  // closes the record, and takes the copy away
            let left = ground.runs.filter { access("\($0)/confined", F_OK) == 0 }
            #expect(left == [])
            let status = try JSON(try #require(ground.read("\(ground.runs[0])/audit.json")))["outcome"]["status"].string
            #expect(status == (victim == "aegix" ? "interrupted" : "failed"))
        }

        @Test(.enabled(if: works)) func whatIsDeniedIsntCopied() throws {
            try own("secret", "token")
            try own("open", "text")
            let deny = "require = \"confined\"\n[files]\ndeny = [\"secret\"]\n"
            let policy = try ground.policy(deny)
            let ended = try confined("ls; cat secret; cat \(ground.workspace)/secret", policy)
            #expect(ended.text == "open\n" && !ended.errorText.contains("token"))
            let view = try ground.policy(deny + "[workspace]\nmode = \"read-only\"\n")
            let refused = try confined("ls", view)
            #expect(refused.code == 125 && refused.errorText.contains("secret"), "\(refused.errorText)")
        }

        @Test(.enabled(if: works)) func readOnlyAndDirect() throws {
            try own("file", "text")
            for (mode, code) in [("read-only", Int32(2)), ("direct", 0)] {
                let policy = try ground.policy("require = \"confined\"\n[workspace]\nmode = \"\(mode)\"\n")
                let ended = try confined("pwd; cat file && echo more >> file && chmod 600 file", policy)
                #expect(ended.code == code && ended.text == "\(ground.workspace)\ntext", "\(mode): \(ended.errorText)")
            }
            #expect(ground.read("\(ground.workspace)/file") == bytes("textmore\n"))
            mkfifo("\(ground.workspace)/fifo", 0o644)
            let policy = try ground.policy("require = \"confined\"\n[workspace]\nmode = \"read-only\"\n")
            let refused = try confined("ls", policy)
            #expect(refused.code == 125 && refused.errorText.contains("FIFO"))
            // A copy leaves it out.
            #expect(try confined("ls").text == "file\n")
        }

        @Test(.enabled(if: works)) func processesAreCounted() throws {
            let many = "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait"
            let ended = try confined(many, ["--pids", "5"])
            #expect(ended.code == 137, "\(ended.errorText)")
            #expect(try ground.record()["outcome"]["limit"].string == "pids")
            #expect(try confined("sleep 0.1 & wait", ["--pids", "5"]).code == 0)
        }

        @Test(.enabled(if: works && Ground.isRoot)) func rootsOwnWorkspaceIsRefused() throws {
            chown(ground.workspace, 0, 0)
            let refused = try confined("id")
            #expect(refused.code == 125 && refused.errorText.contains("isn't for root"), "\(refused.errorText)")
            chown(ground.workspace, ConfinedTests.owner, ConfinedTests.owner)
            try ground.write("roots", "secret", mode: 0o600)
            let ended = try confined("id -u; id -G; cat roots; touch made; stat -c %u made")
            #expect(ended.text == "54321\n54321\n54321\n" && !ended.errorText.contains("secret"), "\(ended.errorText)")
        }
    }
}
