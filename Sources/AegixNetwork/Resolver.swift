// Side effects: asks the host's name servers, through c-ares; never waits.

import AegixPolicy
import AegixSystem
import CAegix
import CAres
import Glibc

/// Names to addresses, as the host sees them: its /etc/hosts, then its name servers. No search list.
final class Resolver {
    enum Answer {
        case addresses([HostAddress], seconds: UInt32)
        case noSuchName
        case nothing
        case failed
    }

    private var channel: ares_channel?
    private let epoll: Int32
    private let tag: UInt64
    private var watched: Set<Int32> = []
    private var waiting: [String: [(Answer) -> Void]] = [:]

    /// At once; a question beyond is dropped, and asked again.
    static let most = 512

    /// - tag: of the descriptors in `epoll`; their numbers are added.
    init(servers: [ResolverAddress], epoll: Int32, tag: UInt64) throws(Failure) {
        self.epoll = epoll
        self.tag = tag
        var options = ares_options()
        options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES
        options.timeout = 2500
        options.tries = 3
        options.ndots = 0
        options.ndomains = 0
        options.sock_state_cb = { data, descriptor, reads, writes in
            guard let data else { return }
            Unmanaged<Resolver>.fromOpaque(data).takeUnretainedValue().watch(descriptor, reads != 0, writes != 0)
        }
        options.sock_state_cb_data = Unmanaged.passUnretained(self).toOpaque()
        let mask =
            ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_DOMAINS
            | ARES_OPT_SOCK_STATE_CB
        var code = ares_library_init(ARES_LIB_INIT_ALL)
        if code == ARES_SUCCESS { code = ares_init_options(&channel, &options, mask) }
        if code == ARES_SUCCESS, !servers.isEmpty {
            let list = servers.map {
                $0.address.isIPv6 ? "[\($0.address.text)]:\($0.port)" : "\($0.address.text):\($0.port)"
            }
            code = ares_set_servers_ports_csv(channel, list.joined(separator: ","))
        }
        if code != ARES_SUCCESS {
            throw Failure(
                "network.resolver", "can't prepare the lookup of names: \(String(cString: ares_strerror(code)))")
        }
    }

    func end() {
        waiting = [:]
        if let channel { ares_destroy(channel) }
        channel = nil
    }

    /// false: too many are waiting.
    func resolve(_ name: String, _ then: @escaping (Answer) -> Void) -> Bool {
        if waiting[name] != nil {
            waiting[name]?.append(then)
            return true
        }
        guard let channel, waiting.count < Resolver.most else { return false }
        waiting[name] = [then]
        var hints = ares_addrinfo_hints()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        let asked = Unmanaged.passRetained(Asked(self, name))
        ares_getaddrinfo(
            channel, name, nil, &hints,
            { argument, status, _, found in
                guard let argument else { return }
                let asked = Unmanaged<Asked>.fromOpaque(argument).takeRetainedValue()
                let answer = Resolver.answer(status, found)
                if let found { ares_freeaddrinfo(found) }
                asked.resolver?.deliver(asked.name, answer)
            }, asked.toOpaque())
        return true
    }

    private final class Asked {
        weak var resolver: Resolver?
        let name: String
        init(_ resolver: Resolver, _ name: String) {
            self.resolver = resolver
            self.name = name
        }
    }

    private func deliver(_ name: String, _ answer: Answer) {
        for then in waiting.removeValue(forKey: name) ?? [] { then(answer) }
    }

    private static func answer(_ status: Int32, _ found: UnsafeMutablePointer<ares_addrinfo>?) -> Answer {
        switch status {
        case ARES_SUCCESS: break
        case ARES_ENOTFOUND: return .noSuchName
        case ARES_ENODATA: return .nothing
        default: return .failed
        }
        var addresses: [HostAddress] = []
        var seconds = UInt32.max
        var node = found?.pointee.nodes
        while let one = node?.pointee {
            if let address = one.ai_addr.flatMap({ SocketAddress.read($0) })?.address, !addresses.contains(address),
                addresses.count < 32
            {
                addresses.append(address)
                seconds = min(seconds, UInt32(max(0, one.ai_ttl)))
            }
            node = one.ai_next
        }
        return addresses.isEmpty ? .nothing : .addresses(addresses, seconds: seconds)
    }

    // MARK: - The loop

    private func watch(_ descriptor: Int32, _ reads: Bool, _ writes: Bool) {
        let events = (reads ? AEGIX_READABLE : 0) | (writes ? AEGIX_WRITABLE : 0)
        let number = tag | UInt64(UInt32(bitPattern: descriptor))
        if events == 0 {
            if watched.remove(descriptor) != nil { aegix_epoll_remove(epoll, descriptor) }
        } else if watched.insert(descriptor).inserted {
            aegix_epoll_add(epoll, descriptor, events, number)
        } else {
            aegix_epoll_change(epoll, descriptor, events, number)
        }
    }

    func ready(_ descriptor: Int32, _ events: UInt32) {
        guard let channel else { return }
        let reads = events & ~AEGIX_WRITABLE != 0
        let writes = events & AEGIX_WRITABLE != 0
        ares_process_fd(channel, reads ? descriptor : -1, writes ? descriptor : -1)
    }

    /// Nanoseconds until it has to be looked at; nil: never.
    var patience: UInt64? {
        guard let channel, !waiting.isEmpty else { return nil }
        var time = timeval()
        if ares_timeout(channel, nil, &time) == nil { return nil }
        return UInt64(max(0, time.tv_sec)) * 1_000_000_000 + UInt64(max(0, time.tv_usec)) * 1000
    }

    func late() {
        if let channel { ares_process_fd(channel, -1, -1) }
    }
}
