// Side effects: reads the memory of processes that wait in connect. What is seen is for the record, and decides nothing.

import AegixNetwork
import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// The run's network as the supervisor sees it: each connect before it goes on, and the relay where there is one.
final class ConnectWatch {
    let log: NetworkLog
    let relay: Relay?

    init(log: NetworkLog, relay: Relay?) {
        self.log = log
        self.relay = relay
    }

    /// The call goes on whatever it asks for: past the relay nothing leads out.
    func see(_ notice: aegix_notice, listener: Int32) {
        let pid = pid_t(bitPattern: notice.pid)
        let length = min(Int(UInt32(truncatingIfNeeded: notice.arguments.2)), 28)
        if length >= 8, let bytes = RemoteMemory.bytes(pid, notice.arguments.1, length),
            aegix_notice_valid(listener, notice.id) != 0, let place = SocketAddress.read(bytes), place.port != 0
        {
            see(place, pid)
        }
        _ = aegix_notice_continue(listener, notice.id)
    }

    private func see(_ place: SocketAddress, _ pid: pid_t) {
        if NetworkPlan.isInside(place.address) { return }
        if let relay, relay.isRouted(place.address) { return relay.expect(place, pid: pid) }
        var event = NetworkEvent(
            .connect, time: Clock.realtime(), pid: pid, name: nil, address: place.address, port: place.port,
            isAllowed: false,
            rule: relay == nil ? "network.mode = \"none\"" : "network.allow: no rule names the address")
        event.errno = ENETUNREACH
        log.add(event)
    }
}

extension NetworkEvent {
    var violation: Violation {
        Violation(
            control: "network", rule: subject, errno: errno, count: 1, firstTime: time, firstPid: pid ?? 0)
    }
}
