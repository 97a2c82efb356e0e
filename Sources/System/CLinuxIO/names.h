#ifndef POSTERN_NAMES_H
#define POSTERN_NAMES_H

// DNS records other than addresses, with the system's stub resolver.

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <stdint.h>
#include <string.h>

// An SRV record (RFC 2782: priority, weight, port, target), or a NAPTR record (RFC 3403 §4.1: order, preference, flags, service,
// replacement; one with a regular expression has `is_rewriting`).
struct postern_record {
    uint16_t first, second, port;
    int is_rewriting;
    char flags[256], service[256], target[NS_MAXDNAME];
};

static inline int postern_type_srv(void) { return ns_t_srv; }
static inline int postern_type_naptr(void) { return ns_t_naptr; }

// A character string of a record (RFC 1035 §3.3). Gives what follows it, or NULL when it goes beyond the end.
static inline const unsigned char *postern_character_string(
    const unsigned char *from, const unsigned char *end, char to[256]) {
    if (!from || from >= end || end - from < 1 + *from) return NULL;
    memcpy(to, from + 1, *from);
    to[*from] = 0;
    return from + 1 + *from;
}

static inline int postern_read_record(ns_msg *message, ns_rr *rr, struct postern_record *to) {
    const unsigned char *data = ns_rr_rdata(*rr), *end = data + ns_rr_rdlen(*rr);
    memset(to, 0, sizeof *to);
    if (end - data < 4) return 0;
    to->first = ns_get16(data);
    to->second = ns_get16(data + 2);
    data += 4;
    if (ns_rr_type(*rr) == ns_t_srv) {
        if (end - data < 3) return 0;
        to->port = ns_get16(data);
        data += 2;
    } else {
        char expression[256];
        data = postern_character_string(data, end, to->flags);
        data = postern_character_string(data, end, to->service);
        data = postern_character_string(data, end, expression);
        if (!data || data >= end) return 0;
        to->is_rewriting = expression[0] != 0;
    }
    return ns_name_uncompress(ns_msg_base(*message), ns_msg_end(*message), data, to->target, sizeof to->target) >= 0;
}

// The records of a type that a name has: their number, 0 where there are none, -1 where no name server answered. `server` is asked
// in place of the system's when it is not NULL.
static inline int postern_query(
    const char *name, int type, const char *server, uint16_t port, struct postern_record *to, int limit) {
    struct __res_state state;
    unsigned char answer[16384];
    ns_msg message;
    memset(&state, 0, sizeof state);
    if (res_ninit(&state) != 0) return -1;
    if (server) {
        state.nscount = 1;
        state.nsaddr_list[0].sin_family = AF_INET;
        state.nsaddr_list[0].sin_port = htons(port);
        inet_pton(AF_INET, server, &state.nsaddr_list[0].sin_addr);
    }
    // Lookups that are given up keep their thread so long.
    state.retrans = 2;
    state.retry = 2;
    int length = res_nquery(&state, name, ns_c_in, type, answer, sizeof answer);
    int error = state.res_h_errno;
    res_nclose(&state);
    if (length < 0) return error == HOST_NOT_FOUND || error == NO_DATA ? 0 : -1;
    if (length > (int)sizeof answer) length = sizeof answer;
    if (ns_initparse(answer, length, &message) < 0) return 0;
    int count = 0;
    for (int i = 0; i < ns_msg_count(message, ns_s_an) && count < limit; i++) {
        ns_rr rr;
        if (ns_parserr(&message, ns_s_an, i, &rr) < 0) break;
        if (ns_rr_type(rr) == type && ns_rr_class(rr) == ns_c_in) count += postern_read_record(&message, &rr, &to[count]);
    }
    return count;
}

#endif
