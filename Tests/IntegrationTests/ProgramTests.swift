// Programs of real life run unchanged.

import Foundation
import Testing

extension Integration {
    @Suite struct ProgramTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        @Test func bash() throws {
            let script =
                "set -euo pipefail; f() { local x=$(cat <(echo inner)); echo $x; }; f; coproc cat; echo co >&${COPROC[1]}; read -r l <&${COPROC[0]}; echo $l; cat <<< here; a=(1 2 3); echo ${a[@]}; trap 'echo bye' EXIT"
            #expect(try ground.run("--", "bash", "-c", script).text == "inner\nco\nhere\n1 2 3\nbye\n")
        }

        @Test func pythonWithProcessesAndThreads() throws {
            let code = """
                import multiprocessing as mp, concurrent.futures as cf, subprocess, tempfile, sqlite3, socket, asyncio, threading, os
                def square(x): return x * x
                if __name__ == '__main__':
                    with mp.get_context('fork').Pool(4) as p: print(sum(p.map(square, range(100))))
                    with cf.ThreadPoolExecutor(8) as p: print(sum(p.map(square, range(100))))
                    q = mp.Queue(); p = mp.Process(target=q.put, args=(7,)); p.start(); print(q.get()); p.join()
                    s = mp.shared_memory.SharedMemory(create=True, size=4096) if hasattr(mp, 'shared_memory') else None
                    print(subprocess.run(['echo', 'child'], capture_output=True, text=True).stdout.strip())
                    with tempfile.NamedTemporaryFile() as f: f.write(b'x'); f.flush(); print(os.path.getsize(f.name))
                    async def go():
                        server = await asyncio.start_server(lambda r, w: (w.write(b'hello'), w.close()), '127.0.0.1', 0)
                        r, w = await asyncio.open_connection(*server.sockets[0].getsockname())
                        return await r.read()
                    print(asyncio.run(go()))
                """
            let ended = try ground.run("--python", code)
            #expect(ended.text == "328350\n328350\n7\nchild\n1\nb'hello'\n", "\(ended.errorText)")
        }

        @Test func pythonByEachWayIn() throws {
            try ground.write("main.py", "import sys; print(sys.argv[1:])")
            #expect(try ground.run("--script", "main.py", "a", "--b").text == "['a', '--b']\n")
            #expect(try ground.run("--python", "import sys; print(sys.argv[1:])", "a", "--b").text == "['a', '--b']\n")
            try ground.write("tool", "#!/usr/bin/env python3\nprint('by shebang')", mode: 0o755)
            #expect(try ground.run("--script", "tool").text == "by shebang\n")
            try ground.write("plain.sh", "echo $0 $1")
            #expect(try ground.run("--script", "plain.sh", "x").text.hasSuffix("plain.sh x\n"))
        }

        @Test(.enabled(if: Ground.has("/usr/bin/node"), "no node")) func node() throws {
            let code =
                "const{Worker}=require('worker_threads');const cp=require('child_process');new Worker('require(\"worker_threads\").parentPort.postMessage(6*7)',{eval:true}).on('message',m=>{console.log(m);console.log(cp.execSync('echo child').toString().trim());require('fs').writeFileSync('out','x')})"
            let ended = try ground.run("--", "node", "-e", code)
            #expect(ended.text == "42\nchild\n", "\(ended.errorText)")
        }

        @Test(.enabled(if: Ground.has("/usr/bin/java"), "no java")) func java() throws {
            try ground.write(
                "Main.java",
                "public class Main { public static void main(String[] a) throws Exception { Thread t = new Thread(() -> System.out.println(\"thread\")); t.start(); t.join(); System.out.println(java.nio.file.Files.readString(java.nio.file.Path.of(\"Main.java\")).length() > 0); } }"
            )
            // Source launch needs the compiler; a runtime alone says its version, which starts the machine as well.
            let whole = access("/usr/bin/javac", X_OK) == 0
            let ended =
                whole ? try ground.run("--", "java", "-Xmx128m", "Main.java") : try ground.run("--", "java", "-version")
            #expect(ended.code == 0 && (!whole || ended.text == "thread\ntrue\n"), "\(ended.text) \(ended.errorText)")
        }

        @Test func gccAndMake() throws {
            try ground.write(
                "main.c",
                "#include <stdio.h>\n#include \"part.h\"\nint main(void) { return printf(\"%d\\n\", part()) < 0; }\n")
            try ground.write("part.c", "int part(void) { return 42; }\n")
            try ground.write("part.h", "int part(void);\n")
            try ground.write("Makefile", "main: main.o part.o\n\t$(CC) -o $@ $^\n%.o: %.c\n\t$(CC) -c -O2 $<\n")
            let ended = try ground.shell("make -s -j4 CC=gcc && ./main")
            #expect(ended.text == "42\n", "\(ended.errorText)")
        }

        @Test func git() throws {
            // A repository that the host made: nothing in it looks changed, and git doesn't call its owner a stranger.
            let host = Process()
            host.executableURL = URL(fileURLWithPath: "/bin/sh")
            host.arguments = [
                "-c",
                "cd '\(ground.workspace)' && git init -q && echo one > file && git add file && git -c user.name=t -c user.email=t@t commit -qm one",
            ]
            try host.run()
            host.waitUntilExit()
            #expect(host.terminationStatus == 0)
            let index = ground.read("\(ground.workspace)/.git/index")
            let status = try ground.shell("git status --porcelain && git log --oneline | wc -l && git diff --stat")
            #expect(status.code == 0 && status.text == "1\n", "\(status.text) \(status.errorText)")
            let commit = try ground.shell(
                "echo two >> file; git -c user.name=t -c user.email=t@t commit -qam two && git log --oneline | wc -l && git status --porcelain && git stash list && git checkout -q -b new && git gc -q"
            )
            #expect(commit.code == 0 && commit.text == "2\n", "\(commit.errorText)")
            #expect(ground.read("\(ground.workspace)/.git/index") == index, "the host's index was rewritten")
        }

        @Test func sqlite() throws {
            let script =
                "sqlite3 db 'pragma journal_mode=wal; create table t(x); insert into t values (1),(2); select sum(x) from t;'"
            if access("/usr/bin/sqlite3", X_OK) == 0 { #expect(try ground.shell(script).text == "wal\n3\n") }
            let code =
                "import sqlite3; c = sqlite3.connect('db2'); print(c.execute('pragma journal_mode=wal').fetchone()[0]); c.execute('create table t(x)'); c.execute('insert into t values (3)'); c.commit(); print(c.execute('select x from t').fetchone()[0])"
            let ended = try ground.run("--python", code)
            #expect(ended.text == "wal\n3\n", "\(ended.errorText)")
        }

        @Test(.enabled(if: Ground.has("/usr/bin/cargo"), "no cargo")) func cargo() throws {
            try FileManager.default.createDirectory(
                atPath: "\(ground.workspace)/src", withIntermediateDirectories: false)
            try ground.write("Cargo.toml", "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2021\"\n")
            try ground.write(
                "src/main.rs",
                "fn main() { println!(\"{}\", (1..=4).map(|x| std::thread::spawn(move || x).join().unwrap()).sum::<i32>()); }\n"
            )
            let ended = try ground.shell("CARGO_HOME=$PWD/.cargo /usr/bin/cargo run -q --offline", deadline: 120)
            #expect(ended.text == "10\n", "\(ended.errorText)")
        }

        @Test(
            .enabled(
                if: FileManager.default.fileExists(atPath: "/usr/lib/postgresql") || Ground.has("/usr/lib/postgresql"),
                "no PostgreSQL"))
        func postgres() throws {
            // It refuses to be root: then the workspace belongs to another, and so does the uid inside.
            if Ground.isRoot { chown(ground.workspace, 65534, 65534) }
            let script = """
                set -e; bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
                $bin/initdb -D data -A trust -U me --no-sync > init.log 2>&1 || { cat init.log; exit 1; }
                $bin/pg_ctl -D data -w -l log -o '-k /tmp -c listen_addresses= -c max_connections=10' start > ctl.log 2>&1 || { cat ctl.log log; exit 1; }
                $bin/psql -h /tmp -U me -d postgres -Atc 'create table t(x int); insert into t select generate_series(1,100); select sum(x) from t'
                $bin/pg_ctl -D data -m fast stop > ctl.log 2>&1
                """
            let ended = try ground.run("--", "bash", "-c", script, deadline: 120)
            #expect(ended.text.hasSuffix("5050\n") && ended.code == 0, "\(ended.text) \(ended.errorText)")
        }

        @Test func aThousandSmallProcesses() throws {
            let ended = try ground.shell("i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done; echo $i")
            #expect(ended.text == "1000\n")
            #expect(try ground.record()["usage"]["execs"].int == 1001)
        }

        @Test func dates() throws {
            #expect(
                try ground.shell("TZ=Asia/Tokyo date -d @0 +%H; getent passwd $(id -u) | wc -l; hostname").text
                    .hasPrefix("09\n1\n"))
        }
    }
}
