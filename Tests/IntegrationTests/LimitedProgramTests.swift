// Programs of real life under limits: they finish where they fit, and where they don't the record names the limit.
//
// The limits were measured: each program ends well with half of the memory that it is given here, and can't with twice of
// what it is refused.

import Foundation
import Testing

extension Integration {
    @Suite struct LimitedProgramTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        private func with(memory: String, pids: Int = 64) -> [String] {
            ["--quiet", "--timeout", "50s", "--memory", memory, "--pids", "\(pids)"]
        }

        private func finishes(
            _ command: [String], _ limits: [String], prints output: String,
            at location: SourceLocation = #_sourceLocation
        ) throws {
            let ended = try ground.run(raw: (limits + command).map(bytes), deadline: 120, at: location)
            let outcome = try ground.record(at: location)["outcome"]
            #expect(
                ended.code == 0 && ended.text == output, "\(limits): \(ended.code) \(ended.text) \(ended.errorText)",
                sourceLocation: location)
            #expect(
                outcome["limit"].string == nil && outcome["status"].string == "exited", "\(limits): \(outcome)",
                sourceLocation: location)
        }

        private func isStopped(
            _ command: [String], _ limits: [String], by limit: String, at location: SourceLocation = #_sourceLocation
        ) throws {
            let ended = try ground.run(raw: (limits + command).map(bytes), deadline: 60, at: location)
            let outcome = try ground.record(at: location)["outcome"]
            #expect(
                ended.code != 0 && ended.code < 255 && ![123, 124, 125, 126, 127].contains(ended.code),
                "\(limits): \(ended.code) \(ended.text) \(ended.errorText)", sourceLocation: location)
            #expect(
                outcome["limit"].string == limit && outcome["rule"].string == "limits.\(limit)",
                "\(limits): \(outcome) \(ended.errorText)", sourceLocation: location)
            #expect(ended.seconds < 30, "stopped only after \(ended.seconds) s", sourceLocation: location)
        }

        @Test(.enabled(if: Ground.has("/usr/bin/javac"), "no javac")) func java() throws {
            try ground.write(
                "Main.java",
                """
                import java.util.*;
                import java.util.stream.*;
                public class Main {
                    public static void main(String[] words) throws Exception {
                        long sum = IntStream.range(2, 200000).parallel()
                            .filter(n -> IntStream.rangeClosed(2, (int) Math.sqrt(n)).noneMatch(d -> n % d == 0)).asLongStream().sum();
                        Map<Integer, String> map = new TreeMap<>();
                        for (int i = 0; i < 100000; i++) map.put(i, "value " + i);
                        Thread[] threads = new Thread[8];
                        for (int i = 0; i < 8; i++) { threads[i] = new Thread(() -> map.get(5).length()); threads[i].start(); }
                        for (Thread thread : threads) thread.join();
                        System.out.println(sum + " " + map.size());
                    }
                }

                """)
            let command = ["--", "java", "-Xmx128m", "Main.java"]
            try finishes(command, with(memory: "768MiB"), prints: "1709600813 100000\n")
            try isStopped(command, with(memory: "64MiB"), by: "memory")
            try isStopped(command, with(memory: "768MiB", pids: 8), by: "pids")
        }

        @Test(.enabled(if: Ground.has("/usr/bin/node"), "no node")) func node() throws {
            try ground.write(
                "work.js",
                """
                const { Worker, isMainThread, parentPort } = require("worker_threads");
                function work() {
                  const all = [];
                  for (let i = 0; i < 300000; i++) all.push({ key: i, text: "item " + i });
                  return all.reduce((sum, one) => sum + one.key, 0);
                }
                if (isMainThread) {
                  let sum = work(), left = 2;
                  for (let i = 0; i < 2; i++)
                    new Worker(__filename).on("message", (one) => { sum += one; if (--left === 0) console.log(sum); });
                } else parentPort.postMessage(work());

                """)
            let command = ["--", "node", "work.js"]
            try finishes(command, with(memory: "768MiB"), prints: "134999550000\n")
            try isStopped(command, with(memory: "64MiB"), by: "memory")
            try isStopped(command, with(memory: "768MiB", pids: 7), by: "pids")
        }

        @Test func parallelMake() throws {
            for number in 1...8 {
                let includes = ["stdio", "stdlib", "string", "math", "netdb"].map { "#include <\($0).h>\n" }.joined()
                try ground.write("part\(number).c", includes + "int part\(number)(void) { return \(number); }\n")
            }
            let declared = (1...8).map { "int part\($0)(void);\n" }.joined()
            let sum = (1...8).map { "part\($0)()" }.joined(separator: " + ")
            try ground.write(
                "main.c", "#include <stdio.h>\n\(declared)int main(void) { return printf(\"%d\\n\", \(sum)) < 0; }\n")
            try ground.write(
                "Makefile",
                "main: main.o $(foreach n,1 2 3 4 5 6 7 8,part$(n).o)\n\tgcc -o $@ $^\n%.o: %.c\n\tgcc -c -O2 $<\n")
            let command = ["--cmd", "make -s -j4 && ./main"]
            try finishes(command, with(memory: "256MiB", pids: 32), prints: "36\n")
            try isStopped(command, with(memory: "12MiB", pids: 32), by: "memory")
            try isStopped(command, with(memory: "256MiB", pids: 4), by: "pids")
        }

        @Test(
            .enabled(
                if: FileManager.default.fileExists(atPath: "/usr/lib/postgresql") || Ground.has("/usr/lib/postgresql"),
                "no PostgreSQL"))
        func postgres() throws {
            // It refuses to be root: then the workspace belongs to another, and so does the uid inside.
            if Ground.isRoot { chown(ground.workspace, 65534, 65534) }
            let query = """
                create table t(x int, y text); \
                insert into t select n, repeat(md5(n::text), 4) from generate_series(1,100000) n; \
                create index on t(y); select sum(x), count(distinct y) from t
                """
            let script = """
                set -e; bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
                $bin/initdb -D data -A trust -U me --no-sync > init.log 2>&1 || { cat init.log; exit 1; }
                $bin/pg_ctl -D data -w -l log -o '-k /tmp -c listen_addresses= -c max_connections=10' start > ctl.log 2>&1 || { cat ctl.log log; exit 1; }
                $bin/psql -q -h /tmp -U me -d postgres -Atc '\(query)'
                $bin/pg_ctl -D data -m fast stop > ctl.log 2>&1
                """
            let command = ["--", "bash", "-c", script]
            let disk = try ground.policy("[limits]\ndisk = \"1GiB\"\n")
            try finishes(command, disk + with(memory: "256MiB", pids: 32), prints: "5000050000|100000\n")
            try isStopped(command, with(memory: "24MiB", pids: 32), by: "memory")
            try isStopped(command, with(memory: "256MiB", pids: 4), by: "pids")
            let little = try ground.policy("[limits]\ndisk = \"32MiB\"\n")
            try isStopped(command, little + with(memory: "256MiB", pids: 32), by: "disk")
        }

        /// Where the toolchain is: the real place of the first swiftc in PATH, or of the container images.
        static let toolchain: String? = {
            let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
            for directory in path.split(separator: ":").map(String.init) + ["/opt/swift/usr/bin", "/usr/bin"] {
                guard access("\(directory)/swiftc", X_OK) == 0, let real = realpath("\(directory)/swiftc", nil)
                else { continue }
                defer { free(real) }
                // …/usr/bin/swift-driver
                let parts = String(cString: real).split(separator: "/").dropLast(3)
                if !parts.isEmpty { return "/" + parts.joined(separator: "/") }
            }
            return nil
        }()

        @Test(.enabled(if: toolchain != nil, "no Swift toolchain outside of the system")) func swiftCompile() throws {
            try ground.write(
                "main.swift",
                """
                var table: [Int: String] = [:]
                for n in 0..<100_000 { table[n] = "value \\(n)" }
                print(table.keys.reduce(0, +), table[99_999]!)

                """)
            let toolchain = try #require(LimitedProgramTests.toolchain)
            let command = [
                "--read", toolchain, "--cmd",
                "PATH=\(toolchain)/usr/bin:$PATH; swiftc -O -module-cache-path /tmp/cache main.swift -o main && ./main",
            ]
            try finishes(command, with(memory: "768MiB"), prints: "4999950000 value 99999\n")
            // With a little more, or with few threads, the driver waits for ever for what it couldn't start.
            try isStopped(command, with(memory: "16MiB"), by: "memory")
        }
    }
}
