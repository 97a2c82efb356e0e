#ifndef POSTERN_COPENSSL_SHIM_H
#define POSTERN_COPENSSL_SHIM_H

// RAND_METHOD and the SHA1_* calls are deprecated since 3.0 and present in every 3.x. They are used on purpose: the
// first is the only way to seed libcrypto that works from 3.0 on, the second hashes without allocating.
#ifndef OPENSSL_SUPPRESS_DEPRECATED
#define OPENSSL_SUPPRESS_DEPRECATED
#endif

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/srtp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>

// Macros of OpenSSL that Swift cannot import, one wrapper each.

static inline void postern_SSL_CTX_set_versions(SSL_CTX *context) {
    SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(context, DTLS1_2_VERSION);
}

// No session is ever resumed, renegotiated or compressed, and the MTU is ours to say. A server that does not know RFC 5746
// is let in: what that protects is renegotiation, and the attack needs a handshake whose fingerprint we would refuse.
static inline void postern_SSL_CTX_set_strict_options(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET
                                     | SSL_OP_NO_QUERY_MTU | SSL_OP_CIPHER_SERVER_PREFERENCE
                                     | SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION
                                     | SSL_OP_LEGACY_SERVER_CONNECT);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

static inline int postern_SSL_CTX_set_groups(SSL_CTX *context, const char *list) {
    return (int)SSL_CTX_set1_groups_list(context, list);
}

static inline int postern_SSL_CTX_set_signature_algorithms(SSL_CTX *context, const char *list) {
    return (int)SSL_CTX_set1_sigalgs_list(context, list);
}

static inline int postern_DTLS_set_link_mtu(SSL *ssl, long bytes) { return (int)DTLS_set_link_mtu(ssl, bytes); }
static inline int postern_SSL_set_mtu(SSL *ssl, long bytes) { return (int)SSL_set_mtu(ssl, bytes); }

// Microseconds until OpenSSL's DTLS timer expires by the wall clock; 0 is expired, -1 is not set.
static inline int64_t postern_DTLS_timeout(SSL *ssl) {
    struct timeval left = {0, 0};
    if (!DTLSv1_get_timeout(ssl, &left)) return -1;
    return (int64_t)left.tv_sec * 1000000 + (int64_t)left.tv_usec;
}

static inline int postern_DTLS_retransmit(SSL *ssl) { return (int)DTLSv1_handle_timeout(ssl); }

static inline void postern_BIO_set_would_block(BIO *bio) { BIO_set_retry_read(bio); }
static inline void postern_BIO_clear_would_block(BIO *bio) { BIO_clear_retry_flags(bio); }

static inline long postern_BIO_memory(BIO *bio, char **start) { return BIO_get_mem_data(bio, start); }

static inline EVP_PKEY *postern_EVP_P256_generate(void) { return EVP_EC_gen("P-256"); }

/// Adds an extension given in OpenSSL's text form, such as "DNS:localhost,IP:127.0.0.1". 1 when it is in.
static inline int postern_X509_add_extension(X509 *certificate, int nid, const char *value) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    if (extension == NULL) return 0;
    int added = X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return added;
}

// TLS over streams, for TURN servers: 1.2 and 1.3, no compression.
static inline void postern_SSL_CTX_set_stream_versions(SSL_CTX *context) {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
}

static inline int postern_SSL_set_server_name(SSL *ssl, const char *name) {
    return (int)SSL_set_tlsext_host_name(ssl, name);
}

#endif
