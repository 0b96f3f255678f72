/* toml++ for Swift. The library is C++ templates over std::map; Swift needs a tree with the position of every key and
   value, and no exception may reach it. So the tree is handed over as one flat array, parents before children. */
#ifndef CTOML_H
#define CTOML_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma clang assume_nonnull begin

enum {
    AEGIX_TOML_TABLE,
    AEGIX_TOML_ARRAY,
    AEGIX_TOML_STRING,
    AEGIX_TOML_INTEGER,
    AEGIX_TOML_FLOAT,
    AEGIX_TOML_BOOLEAN,
    AEGIX_TOML_TIME, /* dates and times: no policy holds one, so only the kind is told */
};

/* What a document may be at most. The depth keeps every recursion, toml++'s destructors included, off a deep stack. */
enum {
    AEGIX_TOML_MAX_BYTES = 1 << 20,
    AEGIX_TOML_MAX_DEPTH = 32,
    AEGIX_TOML_MAX_DOTS = 1024, /* in one line: each may open a table */
};

struct aegix_toml_node {
    int32_t kind;
    int32_t parent; /* index; -1 for the root, which is node 0 */
    uint32_t line, column;         /* of the value, from 1, columns in code points */
    uint32_t key_line, key_column; /* of the key; 0 in an array */
    const char *_Nullable key;
    size_t key_length;
    const char *_Nullable text;
    size_t text_length;
    int64_t integer; /* a boolean too */
    double real;
};

typedef struct aegix_toml aegix_toml;

/* Never null but when memory ran out. The strings live until aegix_toml_free. */
aegix_toml *_Nullable aegix_toml_parse(const uint8_t *_Nullable bytes, size_t length);
void aegix_toml_free(aegix_toml *_Nullable document);

size_t aegix_toml_count(const aegix_toml *document);
const struct aegix_toml_node *_Nullable aegix_toml_nodes(const aegix_toml *document);

/* Null when the document is well-formed. */
const char *_Nullable aegix_toml_error(const aegix_toml *document);
uint32_t aegix_toml_error_line(const aegix_toml *document);
uint32_t aegix_toml_error_column(const aegix_toml *document);

#pragma clang assume_nonnull end
#ifdef __cplusplus
}
#endif
#endif
