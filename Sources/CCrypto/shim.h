/* The direct SHA-256 functions are marked deprecated since OpenSSL 3.0, but are the ones without providers. Ed25519 is only
   to be had through them; what of that a run needs is loaded when something is signed or verified. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

static inline EVP_PKEY *_Nullable ed25519_private(const unsigned char *_Nonnull seed) {
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
}

static inline EVP_PKEY *_Nullable ed25519_public(const unsigned char *_Nonnull key) {
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, 32);
}

/* No configuration file of the host's has a say in how signatures are made. */
static inline void crypto_without_configuration(void) { OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL); }
