// Side effects: stops the sandbox while somebody is asked. One question at a time, in the order in which they came.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

extension RunLoop {
    /// In this order, so that nothing of the command's comes after the prompt and nothing that was typed before counts.
    func ask<Observer: RunObserver>(_ question: Question, _ observer: inout Observer) {
        if ending != nil || isGone { return refuse(question, "the run ended", &observer) }
        if asking != nil { return unasked.append(question) }
        questions += 1
        let page = sandbox.page
        let slack = plan.approval.timeout &+ 2_000_000_000
        aegix_page_extend(page, paused &+ slack)
        if plan.approval.via != .deny {
            guard frost.freeze() else {
                frost.thaw()
                aegix_page_extend(page, paused)
                return refuse(question, "the sandbox couldn't be stopped for the question", &observer)
            }
            flush()
        }
        asking = Asking(
            ApprovalRequest(
                id: questions, run: io.run, question: question, workspace: plan.workspace,
                timeout: plan.approval.timeout, redactor: io.redactor), plan.approval)
    }

    func answer<Observer: RunObserver>(_ approval: Approval, _ observer: inout Observer) {
        guard let asking else { return }
        self.asking = nil
        paused += approval.duration
        aegix_page_extend(sandbox.page, paused)
        give(approval, to: asking.question, &observer)
        if plan.approval.via != .deny { frost.thaw() }
        stoppedUntil = nil
        while self.asking == nil, !unasked.isEmpty { ask(unasked.removeFirst(), &observer) }
    }

    private func refuse<Observer: RunObserver>(_ question: Question, _ reason: String, _ observer: inout Observer) {
        let approval = Approval(
            via: plan.approval.via.rawValue, by: nil, answer: .deny, message: reason,
            askedAt: Clock.realtime(),
            duration: 0, cwd: question.cwd)
        give(approval, to: question, &observer)
    }

    private func give<Observer: RunObserver>(
        _ approval: Approval, to question: Question, _ observer: inout Observer
    ) {
        switch question {
        case .exec(let question):
            if let seen = asOwner({ watch?.answer(question, approval) }) { take(seen, &observer) }
        case .name(let question):
            connects?.relay?.answer(question, approval)
            tellNetwork(&observer)
        }
    }

    /// Only who looked it up waits; other connections go on.
    func askOfNames<Observer: RunObserver>(_ observer: inout Observer) {
        guard let relay = connects?.relay, relay.hasQuestions else { return }
        for question in relay.takeQuestions() { ask(.name(question), &observer) }
    }

    private var frost: Frost { Frost(sandbox: sandbox, cgroup: cgroup, root: root.raw) }

    /// What was written so far goes out first; a caller that doesn't read isn't waited for.
    private func flush() {
        let end = Clock.monotonic() + 1_000_000_000
        while Clock.monotonic() < end {
            var (hasMore, isBehind) = (false, false)
            for stream in [streams.output, streams.errors, streams.echo] {
                if stream.isWaiting { stream.deliver() }
                var ready = pollfd(fd: stream.pollable, events: Int16(POLLIN), revents: 0)
                if !stream.isWaiting, poll(&ready, 1, 0) == 1 { hasMore = stream.receive() || hasMore }
                isBehind = isBehind || stream.isWaiting
            }
            if !hasMore, !isBehind { return }
            var pause = timespec(tv_sec: 0, tv_nsec: isBehind ? 5_000_000 : 0)
            _ = nanosleep(&pause, nil)
        }
    }
}
