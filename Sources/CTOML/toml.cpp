// Pure. The only file that includes toml++; nothing of C++ leaves it.

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
// Each level of values may hold one line of dotted keys, and every table costs frames when the tree is freed.
#define TOML_MAX_NESTED_VALUES 8
// With it toml++ would tell the compiler that its assertions hold, whatever a stranger writes.
#undef NDEBUG

#include <string>
#include <string_view>
#include <vector>

// What toml++ is sure of and a text can break: `[#` and `[` with a NUL end the program, found by fuzzing. A document can't
// be read then. One assertion is passed over, because what follows it says where the key is missing.
namespace {
struct broken_assertion {};
constexpr std::string_view told_by_the_parser = "is_bare_key_character(*cp) || is_string_delimiter(*cp)";
[[noreturn]] void fail_assertion() { throw broken_assertion(); }
} // namespace
#define TOML_ASSERT(expr) ((expr) || #expr == told_by_the_parser ? static_cast<void>(0) : fail_assertion())

#include <toml++/toml.h>

#include "ctoml.h"

struct aegix_toml {
    toml::parse_result result;
    std::vector<aegix_toml_node> nodes;
    std::string error;
    uint32_t line = 0, column = 0;
};

namespace {

// Before toml++ sees the text, because it builds a table for every dot of a key and frees them by recursion.
bool within_bounds(aegix_toml &document, std::string_view text) {
    if (text.size() > AEGIX_TOML_MAX_BYTES) {
        document.error = "the file is longer than 1 MiB";
        document.line = document.column = 1;
        return false;
    }
    uint32_t line = 1;
    int dots = 0;
    for (char byte : text) {
        // No TOML has one, in comments and strings neither.
        if ((static_cast<unsigned char>(byte) < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7F) {
            document.error = "a control character, which no TOML has";
            document.line = line;
            document.column = 1;
            return false;
        }
        if (byte == '\n') {
            line += 1;
            dots = 0;
        } else if (byte == '.' && ++dots > AEGIX_TOML_MAX_DOTS) {
            document.error = "a line with more than 1024 dots; break it into several";
            document.line = line;
            document.column = 1;
            return false;
        }
    }
    return true;
}

bool flatten(aegix_toml &document, const toml::node &node, int32_t parent, const toml::key *key, int depth) {
    aegix_toml_node flat = {};
    flat.parent = parent;
    flat.line = node.source().begin.line;
    flat.column = node.source().begin.column;
    if (key) {
        flat.key = key->str().data();
        flat.key_length = key->str().size();
        flat.key_line = key->source().begin.line;
        flat.key_column = key->source().begin.column;
    }
    if (depth > AEGIX_TOML_MAX_DEPTH) {
        document.error = "nested deeper than 32 levels";
        document.line = flat.line;
        document.column = flat.column;
        return false;
    }
    const auto index = static_cast<int32_t>(document.nodes.size());
    switch (node.type()) {
    case toml::node_type::table: flat.kind = AEGIX_TOML_TABLE; break;
    case toml::node_type::array: flat.kind = AEGIX_TOML_ARRAY; break;
    case toml::node_type::string: {
        const std::string &text = **node.as_string();
        flat.kind = AEGIX_TOML_STRING;
        flat.text = text.data();
        flat.text_length = text.size();
        break;
    }
    case toml::node_type::integer:
        flat.kind = AEGIX_TOML_INTEGER;
        flat.integer = **node.as_integer();
        break;
    case toml::node_type::floating_point:
        flat.kind = AEGIX_TOML_FLOAT;
        flat.real = **node.as_floating_point();
        break;
    case toml::node_type::boolean:
        flat.kind = AEGIX_TOML_BOOLEAN;
        flat.integer = **node.as_boolean() ? 1 : 0;
        break;
    default: flat.kind = AEGIX_TOML_TIME; break;
    }
    document.nodes.push_back(flat);
    if (const toml::table *table = node.as_table()) {
        for (auto &&[child_key, child] : *table)
            if (!flatten(document, child, index, &child_key, depth + 1)) return false;
    } else if (const toml::array *array = node.as_array()) {
        for (auto &&child : *array)
            if (!flatten(document, child, index, nullptr, depth + 1)) return false;
    }
    return true;
}

} // namespace

extern "C" aegix_toml *aegix_toml_parse(const uint8_t *bytes, size_t length) {
    // No exception may pass the border to Swift. But for a broken assertion only memory can run out in here.
    aegix_toml *document = nullptr;
    try {
        document = new aegix_toml;
        const std::string_view text(reinterpret_cast<const char *>(bytes), bytes ? length : 0);
        if (!within_bounds(*document, text)) return document;
        document->result = toml::parse(text);
        if (!document->result) {
            const toml::parse_error &error = document->result.error();
            document->error = error.description();
            document->line = error.source().begin.line;
            document->column = error.source().begin.column;
            return document;
        }
        document->nodes.reserve(64);
        if (!flatten(*document, document->result.table(), -1, nullptr, 0)) document->nodes.clear();
        return document;
    } catch (const broken_assertion &) {
        document->nodes.clear();
        document->error = "the parser can't make sense of this text";
        document->line = document->column = 1;
        return document;
    } catch (...) {
        delete document;
        return nullptr;
    }
}

extern "C" void aegix_toml_free(aegix_toml *document) { delete document; }

extern "C" size_t aegix_toml_count(const aegix_toml *document) { return document->nodes.size(); }

extern "C" const aegix_toml_node *aegix_toml_nodes(const aegix_toml *document) { return document->nodes.data(); }

extern "C" const char *aegix_toml_error(const aegix_toml *document) {
    return document->error.empty() ? nullptr : document->error.c_str();
}

extern "C" uint32_t aegix_toml_error_line(const aegix_toml *document) { return document->line; }

extern "C" uint32_t aegix_toml_error_column(const aegix_toml *document) { return document->column; }
