// Order. Names that somebody is asked about, and what waits for the answer. Everything else goes on meanwhile.

import AegixPlan
import AegixSystem
import Glibc

/// A name that no rule covers, at first contact.
public struct NameQuestion: Equatable, Sendable {
    /// Of letters, digits, `-`, `_` and `.` only, as HostName.canonical gives it.
    public var name: String
    /// nil: it was looked up.
    public var port: UInt16?
    public var pid: Int32?
    /// With its place.
    public var rule: String
    public var origin: String?
}

/// What waits for the answers.
struct AskedNames {
    struct Waiting {
        var question: NameQuestion
        var lookups: [(question: DNSQuestion, from: sockaddr_in)] = []
        var flows: [Flow] = []
    }

    var waiting: [String: Waiting] = [:]
    /// Not taken yet.
    var fresh: [NameQuestion] = []
    var count = 0

    /// Nobody reads more of them, and a hostile command could ask about as many as there are names.
    static let most = 100
    /// Programs ask again and again; the last ones are those that still listen.
    static let mostLookups = 64
    static let mostFlows = 256
    static let exhausted = "more than \(most) questions in this run"

    /// Whether there is or was room for the question: one a name at a time.
    mutating func take(_ question: NameQuestion, _ add: (inout Waiting) -> Void) -> Bool {
        if waiting[question.name] == nil {
            if count >= AskedNames.most { return false }
            count += 1
            waiting[question.name] = Waiting(question: question)
            fresh.append(question)
        }
        if var all = waiting[question.name] {
            add(&all)
            if all.lookups.count > AskedNames.mostLookups { all.lookups.removeFirst() }
            if all.flows.count > AskedNames.mostFlows { all.flows.removeFirst() }
            waiting[question.name] = all
        }
        return true
    }
}

extension Relay {
    /// New since the last call.
    public func takeQuestions() -> [NameQuestion] {
        defer { asked.fresh.removeAll() }
        return asked.fresh
    }

    public var hasQuestions: Bool { !asked.fresh.isEmpty }

    /// Whoever waits gets what the rules say now.
    public func answer(_ question: NameQuestion, _ approval: Approval) {
        guard let waiting = asked.waiting.removeValue(forKey: question.name) else { return }
        switch approval.answer {
        case .once: decision.settle(question.name, .once)
        case .run, .remembered: decision.settle(question.name, .run)
        case .deny: decision.settle(question.name, .refused("the answer was no"))
        }
        let isAllowed = approval.answer != .deny
        var event = NetworkEvent(
            question.port == nil ? .lookup : .connect, time: Clock.realtime(), pid: question.pid,
            name: Bytes(question.name), port: question.port, isAllowed: isAllowed, rule: question.rule)
        event.approval = approval
        if !isAllowed { event.errno = question.port == nil ? ENOENT : ECONNREFUSED }
        log.add(event)
        for one in waiting.lookups {
            if isAllowed {
                _ = find(question.name, one.question, one.from)
            } else {
                send(DNSAnswer.noSuchName.bytes(to: one.question), to: one.from)
            }
        }
        for flow in waiting.flows where flows[flow.number] === flow { judge(arrived: flow, wasAsked: true) }
    }
}
