// Data. One connection of the command's, from its first packet to its end.

import AegixPolicy
import AegixSystem
import CAegix

final class Flow {
    /// Where from and where to, as the packets have it.
    struct Key: Hashable {
        var client: SocketAddress
        var server: SocketAddress
    }

    enum State { case asked, resolving, connecting, admitted, open }

    struct Attempt {
        var number: UInt64
        var descriptor: Int32
        var address: HostAddress
    }

    let number: UInt64
    let key: Key
    let began: UInt64
    var state = State.resolving
    /// Until the connection is admitted.
    var syn: aegix_syn
    var name: String?
    var pid: Int32?
    /// Of the name, or of the address that the command wrote.
    var verdict: NetworkDecision.Verdict
    var candidates: [HostAddress] = []
    var attempts: [Attempt] = []
    /// The last that the host said; what is told when all have failed.
    var refusal: (address: HostAddress, errno: Int32)?
    var denial: (address: HostAddress, rule: String)?
    /// When the next address is tried beside the first, or the wait for the command's side ends.
    var due: UInt64 = .max
    var inside: Int32 = -1
    var outside: Int32 = -1
    var up = Pump()
    var down = Pump()
    /// What the client has said while nobody could be told from it.
    var beginning = Bytes()
    var event: Int?

    init(_ number: UInt64, _ key: Key, _ syn: aegix_syn, _ verdict: NetworkDecision.Verdict, now: UInt64) {
        self.number = number
        self.key = key
        self.syn = syn
        self.verdict = verdict
        began = now
    }
}
