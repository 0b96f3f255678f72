/* The direct SHA-256 functions are marked deprecated since OpenSSL 3.0, but are the ones without providers. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
