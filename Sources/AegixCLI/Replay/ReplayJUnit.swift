// Pure. A replay's report in the form that CI systems show.

import AegixAudit

/// One case for each area. What may be a cause never fails by itself: only what came out does, as the exit code says.
struct ReplayJUnit {
    private let report: ReplayReport

    init(_ report: ReplayReport) { self.report = report }

    var text: String {
        let cases = areas() + report.variations.map(variation)
        let failures = cases.count { $0.isFailure }
        var lines = [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            "<testsuite name=\"aegix replay\" tests=\"\(cases.count)\" failures=\"\(failures)\" errors=\"0\" skipped=\"0\">",
            "  <properties>",
            "    <property name=\"run\" value=\"\(report.original)\"/>",
            "    <property name=\"replay\" value=\"\(report.replay)\"/>",
            "  </properties>",
        ]
        for one in cases {
            let head = "  <testcase classname=\"replay\" name=\"\(ReplayJUnit.escaped(one.name))\""
            if one.lines.isEmpty {
                lines.append(head + "/>")
                continue
            }
            let text = ReplayJUnit.escaped(one.lines.joined(separator: "\n"))
            lines.append(head + ">")
            lines.append(
                one.isFailure
                    ? "    <failure message=\"\(ReplayJUnit.escaped(one.lines[0]))\">\(text)</failure>"
                    : "    <system-out>\(text)</system-out>")
            lines.append("  </testcase>")
        }
        return (lines + ["</testsuite>"]).joined(separator: "\n") + "\n"
    }

    private struct Case {
        var name: String
        var isFailure: Bool
        var lines: [String]
    }

    private func areas() -> [Case] {
        Difference.Area.allCases.map { area in
            let found = (area.isOutput ? report.comparison.outputs : report.comparison.causes).filter {
                $0.area == area
            }
            return Case(
                name: area.rawValue, isFailure: area.isOutput && !found.isEmpty,
                lines: found.prefix(100).map {
                    ReplayText.line($0, among: area.isOutput ? report.comparison.causes : nil)
                })
        }
    }

    private func variation(_ variation: ReplayReport.Variation) -> Case {
        Case(
            name: "vary \(variation.name.rawValue)", isFailure: variation.isHiddenInput,
            lines: variation.comparison.outputs.prefix(100).map { ReplayText.line($0, among: nil) })
    }

    /// What is shown has no control characters any more; of the rest these five mean something in XML, and two can't be in it.
    private static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&apos;"
            case "\u{FFFE}", "\u{FFFF}": out += "\\u{\(String(scalar.value, radix: 16))}"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
