// Pure. The system part of the root: /usr, a minimal /etc, private /dev, /proc, /tmp and home.

import AegixSystem

public enum BaseView {
    /// What the survey looks for beneath /etc. Nothing in it holds credentials: keys, host names and accounts stay out.
    public static let etcNames = [
        "alternatives", "crypto-policies", "fonts", "ld.so.cache", "localtime", "maven", "os-release", "pki/ca-trust",
        "pki/tls/certs", "ssl/certs", "ssl/openssl.cnf",
    ].map { Bytes($0) }
    /// Java keeps its configuration in /etc/java-17-openjdk; the runtimes themselves lie here.
    public static let javaRuntimes = Bytes("/usr/lib/jvm")
    public static let rootPaths = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"].map { Bytes($0) }
    static let devices = ["null", "zero", "full", "random", "urandom", "tty"]

    static func steps(
        facts: HostFacts, identity: IdentityPlan, home: Bytes, scratch: [Bytes], network: NetworkPlan,
        hostname: String = Plan.hostname
    ) -> [Step] {
        var steps: [Step] = []
        var tree = Ancestors()
        // System binds first: everything later may lie on top of them.
        for entry in facts.base {
            tree.make(entry.path, in: &steps)
            switch entry.kind {
            case .symlink(let target): steps.append(.symlink(entry.path, to: target))
            case .directory(let device, let inode, let source):
                steps.append(.directory(entry.path, mode: 0o755))
                steps.append(
                    .bind(entry.path, source: .host(source, device: device, inode: inode), flags: .readOnly))
            case .file(let device, let inode, let source):
                steps.append(.file(entry.path, content: [], mode: 0o444))
                steps.append(
                    .bind(entry.path, source: .host(source, device: device, inode: inode), flags: .readOnly))
            }
        }
        tree.make(Bytes("/etc/x"), in: &steps)
        etcFiles(identity: identity, home: home, hostname: hostname, steps: &steps)
        networkFiles(network, facts, hostname: hostname, steps: &steps)
        tree.make(Bytes("/dev/x"), in: &steps)
        for name in devices {
            let path = Bytes("/dev/" + name)
            steps.append(.file(path, content: [], mode: 0o666))
            steps.append(.bind(path, source: .host(path, device: 0, inode: 0), flags: .devices))
        }
        steps += [
            .symlink(Bytes("/dev/fd"), to: Bytes("/proc/self/fd")),
            .symlink(Bytes("/dev/stdin"), to: Bytes("/proc/self/fd/0")),
            .symlink(Bytes("/dev/stdout"), to: Bytes("/proc/self/fd/1")),
            .symlink(Bytes("/dev/stderr"), to: Bytes("/proc/self/fd/2")),
            .symlink(Bytes("/dev/ptmx"), to: Bytes("pts/ptmx")),
            .directory(Bytes("/dev/pts"), mode: 0o755), .devpts(Bytes("/dev/pts")),
            .directory(Bytes("/proc"), mode: 0o555), .proc(Bytes("/proc")),
            // With uid 0 mapped the network's own sysctls would be ours to write.
            .bind(Bytes("/proc/sys"), source: .inside(Bytes("/proc/sys")), flags: .readOnly),
        ]
        for path in scratch {
            tree.make(path, in: &steps)
            steps.append(.directory(path, mode: path == home ? 0o700 : 0o1777))
            steps.append(.bind(path, source: .inside(path), flags: []))
        }
        return steps
    }

    private static func etcFiles(identity: IdentityPlan, home: Bytes, hostname: String, steps: inout [Step]) {
        let uid = String(identity.insideUID)
        let gid = String(identity.insideGID)
        let user = String(decoding: identity.userName, as: UTF8.self)
        let homePath = String(decoding: home, as: UTF8.self)
        var passwd = "\(user):x:\(uid):\(gid):\(user):\(homePath):/bin/sh\n"
        var group = "\(user):x:\(gid):\n"
        if identity.insideUID != 0 { passwd += "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n" }
        if identity.insideGID != 0 { group += "root:x:0:\n" }
        if identity.insideUID != 65534 { passwd += "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n" }
        if identity.insideGID != 65534 { group += "nogroup:x:65534:\n" }
        func file(_ path: String, _ content: String) {
            steps.append(.file(Bytes(path), content: Bytes(content), mode: 0o644))
        }
        file("/etc/passwd", passwd)
        file("/etc/group", group)
        file("/etc/hostname", "\(hostname)\n")
        file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n")
        file("/etc/services", services)
        file("/etc/protocols", protocols)
    }

    private static func networkFiles(
        _ network: NetworkPlan, _ facts: HostFacts, hostname: String, steps: inout [Step]
    ) {
        let own = "127.0.0.1 localhost \(hostname)\n::1 localhost\n"
        let hosts = network.mode == .host ? facts.networkFiles?.hosts ?? [] : []
        steps.append(.file(Bytes("/etc/hosts"), content: Bytes(own) + hosts, mode: 0o644))
        steps.append(.file(Bytes("/etc/resolv.conf"), content: network.resolverFile(facts), mode: 0o644))
    }

    /// What programs look up by name; the host's own lists are long and rarely needed.
    private static let services = """
        ftp 21/tcp
        ssh 22/tcp
        smtp 25/tcp
        domain 53/tcp
        domain 53/udp
        http 80/tcp
        ntp 123/udp
        imap2 143/tcp
        https 443/tcp
        https 443/udp
        submission 587/tcp
        ldaps 636/tcp
        imaps 993/tcp
        mysql 3306/tcp
        postgresql 5432/tcp
        redis 6379/tcp
        http-alt 8080/tcp

        """
    private static let protocols = """
        ip 0 IP
        icmp 1 ICMP
        tcp 6 TCP
        udp 17 UDP
        ipv6 41 IPv6
        ipv6-icmp 58 IPv6-ICMP

        """
}

/// Remembers which directories of the new root there are, so that each is made once, parents first.
struct Ancestors {
    /// Few: a set would only cost the making of its type.
    private var made: [Bytes] = [[Path.slash]]

    /// Adds what is missing above `path`.
    mutating func make(_ path: Bytes, in steps: inout [Step]) {
        let parent = Path.parent(path)
        if made.contains(parent) { return }
        make(parent, in: &steps)
        made.append(parent)
        steps.append(.directory(parent, mode: 0o755))
    }
}
