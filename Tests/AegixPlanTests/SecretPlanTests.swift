// How secrets get into a plan, and that no plan shows one.

import AegixPolicy
import AegixSystem
import Testing

@testable import AegixPlan

@Suite struct SecretPlanTests {
    private func made(_ secrets: [Secret], _ policy: Policy = Policy()) throws(Failure) -> Plan {
        var facts = Host().facts
        facts.secrets = secrets
        return try Plan.make(
            policy: policy, facts: facts, invocation: Invocation(.shell(Bytes("true"))),
            layer: LayerPlace(directory: Bytes("/state/runs/r/layer")))
    }

    @Test func aVariable() throws {
        let planned = try made([Secret(name: "TOKEN", value: Bytes("hunter2"))])
        let variable = planned.environment.first { $0.name == Bytes("TOKEN") }
        #expect(variable?.value == Bytes("hunter2") && variable?.source == .secret)
        let without = try made([])
        #expect(planned.steps == without.steps)
        #expect(!String(decoding: JSON.object(planned.json).canonical, as: UTF8.self).contains("hunter2"))
    }

    @Test func aFile() throws {
        let planned = try made([Secret(name: "KEY", value: Bytes("hunter2"), isFile: true)])
        #expect(planned.environment.first { $0.name == Bytes("KEY") }?.value == Bytes("/run/secrets/KEY"))
        #expect(planned.steps.contains(.file(Bytes("/run/secrets/KEY"), content: Bytes("hunter2"), mode: 0o400)))
        let text = String(decoding: JSON.object(planned.json).canonical, as: UTF8.self)
        #expect(!text.contains("hunter2") && text.contains("\"bytes\":null"))
    }

    @Test func whatCannotBeOne() {
        var policy = Policy()
        policy.env.set = ["SET": Bytes("x")]
        for name in ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SET"] {
            #expect(throws: Failure.self) { try made([Secret(name: name, value: Bytes("hunter2"))], policy) }
        }
    }

    @Test func nobodyPrintsOne() {
        let secret = Secret(name: "TOKEN", value: Bytes("hunter2"))
        #expect("\(secret)" == "TOKEN" && String(reflecting: secret) == "TOKEN")
    }
}
