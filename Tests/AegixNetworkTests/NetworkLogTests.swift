// Pure. What of a run's network is kept, and what is only counted.

import AegixSystem
import Testing

@testable import AegixNetwork

struct NetworkLogTests {
    private func lookup(_ name: String, allowed: Bool = false) -> NetworkEvent {
        NetworkEvent(.lookup, time: 1, name: Bytes(name), isAllowed: allowed, rule: "r")
    }

    @Test func whatIsAlikeIsCounted() {
        let log = NetworkLog()
        for _ in 0..<50_000 { log.add(lookup("evil.test")) }
        #expect(log.events.count == 1 && log.events[0].count == 50_000 && log.leftOut == 0)
        // Each refusal is told, up to a bound until somebody takes them.
        #expect(log.takeDenials().count == NetworkLog.most && log.takeDenials().isEmpty)
        #expect(log.takeFresh().count == 1 && !log.hasNews)
    }

    @Test func whatIsTooMuchIsCountedOnly() {
        let log = NetworkLog()
        for number in 0..<NetworkLog.most + 500 { log.add(lookup("name-\(number).test")) }
        #expect(log.events.count == NetworkLog.most && log.leftOut == 500)
        // One that is known is still counted where it stands.
        log.add(lookup("name-0.test"))
        #expect(log.events[0].count == 2 && log.leftOut == 500)
        // An allowed one isn't the refused one.
        log.add(lookup("name-0.test", allowed: true))
        #expect(log.leftOut == 501)
    }
}
