// Pure. Hosts and addresses as a policy writes them, and what is wrong with them.

import AegixSystem
import Testing

@testable import AegixPolicy

struct NetworkRuleTests {
    private func pattern(_ text: String) throws -> HostPattern { try HostPattern(text) }

    private func defect(_ text: String) -> String? {
        do throws(HostPattern.Defect) {
            _ = try HostPattern(text)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test(arguments: [
        "pypi.org", "pypi.org:443", "*.pythonhosted.org:443", "10.1.2.3", "10.1.2.0/24:5432", "[2001:db8::]/32",
        "[2001:db8::1]:80", "[2001:db8::]/32:443", "xn--mnchen-3ya.example", "a_b.example", "0.0.0.0/0",
    ])
    func itsTextReadsAsItself(_ text: String) throws {
        let one = try pattern(text)
        #expect(one.text == text)
        #expect(try pattern(one.text) == one)
    }

    @Test func caseAndBareIPv6DoNotMatter() throws {
        #expect(try pattern("PyPI.Org:443").text == "pypi.org:443")
        #expect(try pattern("2001:DB8:0::1").text == "[2001:db8::1]")
        #expect(try pattern("2001:db8::/32").text == "[2001:db8::]/32")
    }

    @Test(arguments: [
        "10.1.2.3/24", "10.1.2.0/33", "10.1.2", "010.1.2.3", "0x7f.0.0.1", "2130706433", "127.1", "1.2.3.4.5", "[::1",
        "[1.2.3.4]", "::ffff:10.0.0.1", "2001:db8::1/32", "fe80::1%eth0", "a..b", ".a", "a.", "-a.b", "a-.b", "*",
        "*.*.a", "a*.b",
        "a.*", "http://a.b", "a.b:0", "a.b:65536", "a.b:http", "a.b:", "a b", "münchen.de", "a.1", "a.0x1", "", "a:b:c",
        String(repeating: "a", count: 64) + ".b", String(repeating: "a.", count: 127) + "aa", "a.b/24", "[::1]x",
    ])
    func whatIsNoHostIsRefused(_ text: String) {
        #expect(defect(text) != nil)
        let found = errors(
            "version = 1\n[network]\nmode = \"allow\"\nallow = [\n  \"ok.example\", \(PolicyText.quote(text))]")
        #expect(found.count == 1 && found[0].hasPrefix("5:17: network.allow: "), "\(found)")
    }

    @Test func hostBitsAreToldWithTheRange() {
        #expect(defect("10.1.2.3/24")?.contains("\"10.1.2.0/24\"") == true)
        #expect(defect("2001:db8::1/32")?.contains("2001:db8::/32") == true)
    }

    @Test func aWildcardCoversWhatLiesBelow() throws {
        let star = try pattern("*.a.b")
        for name in ["x.a.b", "y.x.a.b"] { #expect(star.covers(name: name)) }
        for name in ["a.b", "xa.b", "x.a.b.c", "a.b.x"] { #expect(!star.covers(name: name)) }
    }

    @Test(arguments: [
        ("allow = [\"a.b\"]\nmode = \"none\"", "network.mode = \"none\""),
        ("allow = [\"a.b\"]\nmode = \"host\"", "network.mode = \"host\""),
        ("mode = \"allow\"\nallow = [\"a.b:443\"]\ndeny = [\"a.b\"]", "denied whole"),
        ("mode = \"allow\"\nallow = [\"x.a.b\"]\ndeny = [\"*.a.b\"]", "denied whole"),
        ("mode = \"allow\"\nallow = [\"10.1.0.0/16\"]\ndeny = [\"10.0.0.0/8\"]", "denied whole"),
        ("resolvers = [\"name.server\"]\nmode = \"allow\"", "isn't the address of a name server"),
    ])
    func contradictionsAreErrors(_ text: String, _ words: String) {
        let found = errors("version = 1\n[network]\n" + text)
        #expect(found.count == 1 && found[0].contains(words), "\(found)")
    }

    @Test func aListWithoutAModeIsAnError() throws {
        #expect(throws: PolicyErrors.self) { try policy("[network]\nallow = [\"a.b\"]") }
        #expect(try policy("[network]\ndeny = [\"a.b\"]").network.mode == .none)
    }

    @Test func whatIsInForceReadsAgain() throws {
        var layered = try LayeredPolicy(
            chain("version = 1\n[network]\nmode = \"allow\"\nallow = [\"a.b\", \"c.d\"]"), anchors: anchors)
        try layered.layWorkspace(
            chain("version = 1\n[network]\ndeny = [\"a.b\"]"), trusted: false, remedy: "")
        #expect(layered.policy.network.allow.map(\.pattern.text) == ["c.d"])
        #expect(errors(String(decoding: layered.policy.toml, as: UTF8.self)) == [])
        try layered.layWorkspace(
            chain("version = 1\n[network]\nmode = \"none\""), trusted: false, remedy: "")
        #expect(errors(String(decoding: layered.policy.toml, as: UTF8.self)) == [])
    }

    @Test func optionsOpenUnlessLockedOrCapped() throws {
        var overrides = PolicyOverrides()
        overrides.allowHosts = [try HostPattern("a.b:443")]
        var open = try LayeredPolicy(chain("version = 1"), anchors: anchors)
        try open.apply(overrides, ceiling: nil)
        #expect(
            open.policy.network.mode == .allow && open.policy.network.allow.map(\.text) == ["a.b:443 (--allow-host)"])
        var locked = try LayeredPolicy(chain("version = 1\nlock = [\"network\"]"), anchors: anchors)
        #expect(throws: Failure.self) { try locked.apply(overrides, ceiling: nil) }
        let ceiling = try Ceiling(
            chain("version = 1\n[network]\nmode = \"allow\"\nallow = [\"*.c\"]"), anchors: anchors)
        var capped = try LayeredPolicy(chain("version = 1"), anchors: anchors)
        #expect(throws: Failure.self) { try capped.apply(overrides, ceiling: ceiling) }
        overrides.allowHosts = [try HostPattern("a.c:443")]
        capped = try LayeredPolicy(chain("version = 1"), anchors: anchors)
        try capped.apply(overrides, ceiling: ceiling)
        #expect(capped.policy.network.allow.count == 1)
    }

    @Test(arguments: ["resolvers = [\"9.9.9.9\"]", "inspect = false", "deny = []"])
    func aWorkspaceCannotPrepareWhatAnOptionOpens(_ key: String) throws {
        var layered = try LayeredPolicy(chain("version = 1\n[network]\ndeny = [\"evil.test\"]"), anchors: anchors)
        #expect(throws: PolicyErrors.self) {
            try layered.layWorkspace(chain("version = 1\n[network]\n" + key), trusted: false, remedy: "")
        }
    }

    @Test func aCeilingThatListsHostsCapsTheModeToo() throws {
        let ceiling = try Ceiling(
            chain("version = 1\n[network]\nmode = \"allow\"\nallow = [\"*.c\"]"), anchors: anchors)
        let wide = try chain("version = 1\n[network]\nmode = \"guarded\"")
        var layered = try LayeredPolicy(wide, anchors: anchors)
        #expect(throws: PolicyErrors.self) { try layered.cut(to: ceiling, wide) }
    }

    @Test(arguments: [
        ("0.0.0.0", "this host"), ("10.255.255.255", "private"), ("100.64.0.0", "shared"),
        ("100.127.255.255", "shared"),
        ("127.255.0.1", "loopback"), ("169.254.169.254", "link-local and metadata"), ("172.31.0.1", "private"),
        ("192.168.1.1", "private"), ("198.19.0.1", "benchmarks"), ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified, loopback and IPv4-compatible"), ("::1", "unspecified, loopback and IPv4-compatible"),
        ("::ffff:8.8.8.8", "IPv4-mapped"), ("64:ff9b::808:808", "NAT64"), ("2002:808:808::1", "6to4"),
        ("fd00::1", "private"),
        ("fe80::1", "link-local"), ("ff02::1", "multicast"),
    ])
    func closedClasses(_ text: String, _ name: String) throws {
        #expect(AddressClass.name(of: try #require(HostAddress(Substring(text)))) == name)
    }

    @Test(arguments: [
        "8.8.8.8", "11.0.0.1", "100.128.0.1", "172.32.0.1", "198.20.0.1", "2001:4860:4860::8888", "2a00::1",
    ])
    func openAddresses(_ text: String) throws {
        let address = try #require(HostAddress(Substring(text)))
        #expect(AddressClass.name(of: address) == nil)
        #expect(address.text == text)
        #expect(HostAddress(address.bytes) == address)
    }
}
