#include "measure.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

static const struct measure_cost refused = {-1, -1};

static int tag_length(enum measure_profile profile) { return profile == MEASURE_CM_SHA1 ? 10 : 16; }

// Packets in a row, each with room for the tag; sequence numbers from `first`.
static unsigned char *make_packets(int packets, int length, int stride) {
    unsigned char *all = malloc((size_t)packets * (size_t)stride);
    if (!all) return NULL;
    for (int i = 0; i < packets; i++) {
        unsigned char *packet = all + (size_t)i * (size_t)stride;
        memset(packet, i & 0xFF, (size_t)stride);
        packet[0] = 0x80;
        packet[1] = 96;
        packet[2] = (unsigned char)(i >> 8);
        packet[3] = (unsigned char)i;
        memset(packet + 4, 0, 4);
        memcpy(packet + 8, "\x12\x34\x56\x78", 4);
    }
    (void)length;
    return all;
}

// MARK: libsrtp2

static srtp_t make_session(enum measure_profile profile, int is_inbound) {
    unsigned char key[64];
    for (int i = 0; i < 64; i++) key[i] = (unsigned char)(i * 7 + 3);
    srtp_policy_t policy;
    memset(&policy, 0, sizeof policy);
    switch (profile) {
    case MEASURE_GCM_128:
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
        break;
    case MEASURE_GCM_256:
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp);
        break;
    case MEASURE_CM_SHA1:
        srtp_crypto_policy_set_rtp_default(&policy.rtp);
        srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
        break;
    }
    policy.ssrc.type = is_inbound ? ssrc_any_inbound : ssrc_any_outbound;
    policy.key = key;
    policy.window_size = 1024;
    srtp_t session = NULL;
    return srtp_create(&session, &policy) == srtp_err_status_ok ? session : NULL;
}

struct measure_cost measure_libsrtp(enum measure_profile profile, int packets, int length) {
    // A second call, after the program's own, says that it failed.
    (void)srtp_init();
    int stride = length + SRTP_MAX_TRAILER_LEN;
    unsigned char *all = make_packets(packets, length, stride);
    srtp_t outbound = make_session(profile, 0);
    srtp_t inbound = make_session(profile, 1);
    struct measure_cost cost = refused;
    int size = 0;
    if (!all || !outbound || !inbound) goto done;
    int64_t start = measure_thread_nanoseconds();
    for (int i = 0; i < packets; i++) {
        size = length;
        if (srtp_protect(outbound, all + (size_t)i * (size_t)stride, &size) != srtp_err_status_ok) goto done;
    }
    int64_t middle = measure_thread_nanoseconds();
    for (int i = 0; i < packets; i++) {
        int protected_size = size;
        if (srtp_unprotect(inbound, all + (size_t)i * (size_t)stride, &protected_size) != srtp_err_status_ok) goto done;
    }
    int64_t end = measure_thread_nanoseconds();
    cost.protect = (double)(middle - start) / packets;
    cost.unprotect = (double)(end - middle) / packets;
done:
    if (outbound) srtp_dealloc(outbound);
    if (inbound) srtp_dealloc(inbound);
    free(all);
    return cost;
}

// MARK: OpenSSL

static int gcm(EVP_CIPHER_CTX *context, const unsigned char *iv, unsigned char *packet, int length, int encrypts) {
    int written = 0;
    unsigned char *tag = packet + length;
    if (EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) != 1) return 0;
    if (EVP_CipherUpdate(context, NULL, &written, packet, 12) != 1) return 0;
    if (!encrypts && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, tag) != 1) return 0;
    if (EVP_CipherUpdate(context, packet + 12, &written, packet + 12, length - 12) != 1) return 0;
    if (EVP_CipherFinal_ex(context, tag, &written) != 1) return 0;
    return !encrypts || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1;
}

static int authenticate(EVP_MAC_CTX *mac, const unsigned char *packet, int length, unsigned char *tag) {
    static const unsigned char rollover[4] = {0};
    size_t size = 0;
    return EVP_MAC_init(mac, NULL, 0, NULL) == 1 && EVP_MAC_update(mac, packet, (size_t)length) == 1
        && EVP_MAC_update(mac, rollover, 4) == 1 && EVP_MAC_final(mac, tag, &size, 20) == 1;
}

static int counter_mode(
    EVP_CIPHER_CTX *context, EVP_MAC_CTX *mac, const unsigned char *iv, unsigned char *packet, int length, int encrypts) {
    int written = 0;
    unsigned char tag[20];
    if (!encrypts) {
        if (!authenticate(mac, packet, length, tag)) return 0;
        if (CRYPTO_memcmp(tag, packet + length, 10) != 0) return 0;
    }
    if (EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) != 1) return 0;
    if (EVP_CipherUpdate(context, packet + 12, &written, packet + 12, length - 12) != 1) return 0;
    if (encrypts) {
        if (!authenticate(mac, packet, length, tag)) return 0;
        memcpy(packet + length, tag, 10);
    }
    return 1;
}

static double run_evp(enum measure_profile profile, int packets, int length, unsigned char *all, int stride, int encrypts) {
    unsigned char key[32];
    unsigned char iv[16] = {0};
    for (int i = 0; i < 32; i++) key[i] = (unsigned char)(i * 7 + 3);
    const EVP_CIPHER *cipher = profile == MEASURE_GCM_128 ? EVP_aes_128_gcm()
        : profile == MEASURE_GCM_256                      ? EVP_aes_256_gcm()
                                                          : EVP_aes_128_ctr();
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(algorithm);
    OSSL_PARAM digest[] = {OSSL_PARAM_construct_utf8_string("digest", "SHA1", 0), OSSL_PARAM_construct_end()};
    double cost = -1;
    if (!context || !mac || EVP_CipherInit_ex(context, cipher, NULL, key, NULL, encrypts) != 1
        || EVP_MAC_init(mac, key, 20, digest) != 1)
        goto done;
    int64_t start = measure_thread_nanoseconds();
    for (int i = 0; i < packets; i++) {
        unsigned char *packet = all + (size_t)i * (size_t)stride;
        // The index goes where each profile wants it; what counts is that every packet has an IV of its own.
        iv[10] = packet[2];
        iv[11] = packet[3];
        int is_done = profile == MEASURE_CM_SHA1 ? counter_mode(context, mac, iv, packet, length, encrypts)
                                                 : gcm(context, iv, packet, length, encrypts);
        if (!is_done) goto done;
    }
    cost = (double)(measure_thread_nanoseconds() - start) / packets;
done:
    EVP_MAC_CTX_free(mac);
    EVP_MAC_free(algorithm);
    EVP_CIPHER_CTX_free(context);
    return cost;
}

struct measure_cost measure_evp(enum measure_profile profile, int packets, int length) {
    int stride = length + tag_length(profile);
    unsigned char *all = make_packets(packets, length, stride);
    if (!all) return refused;
    struct measure_cost cost;
    cost.protect = run_evp(profile, packets, length, all, stride, 1);
    cost.unprotect = run_evp(profile, packets, length, all, stride, 0);
    free(all);
    return cost;
}
