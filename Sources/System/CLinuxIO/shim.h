#ifndef POSTERN_CLINUXIO_SHIM_H
#define POSTERN_CLINUXIO_SHIM_H

// What Swift cannot reach in the Linux socket interface: control-message macros, recvmmsg and sendmmsg, and the
// socket options that need GNU declarations. _GNU_SOURCE must not be defined here, for Swift has already built the C
// library's module without it; the few declarations that hang on it are given below.
//
// A batch is one C structure with all its headers prepared, so that a packet costs no allocation and no crossing of
// the language border but a pointer.

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

extern const char *strerrorname_np(int);

#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#define POSTERN_UDP_SEGMENT 103
#define POSTERN_UDP_GRO 104
#define POSTERN_SO_RXQ_OVFL 40

struct postern_mmsghdr {
    struct msghdr header;
    unsigned int length;
};

struct postern_in6_pktinfo {
    struct in6_addr address;
    unsigned int interface_index;
};

// An address as two words in host order, IPv4 in the lower 32 bits; family 4, 6 or 0 for none.
struct postern_address {
    uint64_t upper;
    uint64_t lower;
    uint32_t scope;
    uint16_t port;
    uint8_t family;
};

union postern_sockaddr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

// MARK: addresses

static inline uint64_t postern_load64(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, 8);
    return __builtin_bswap64(value);
}

static inline void postern_store64(uint8_t *bytes, uint64_t value) {
    value = __builtin_bswap64(value);
    memcpy(bytes, &value, 8);
}

static inline void postern_words6(const struct in6_addr *from, struct postern_address *to) {
    to->family = 6;
    to->upper = postern_load64(from->s6_addr);
    to->lower = postern_load64(from->s6_addr + 8);
}

static inline void postern_words4(struct in_addr from, struct postern_address *to) {
    to->family = 4;
    to->upper = 0;
    to->lower = ntohl(from.s_addr);
}

static inline void postern_from_sockaddr(const struct sockaddr *from, struct postern_address *to) {
    memset(to, 0, sizeof *to);
    if (!from) return;
    if (from->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof v4);
        postern_words4(v4.sin_addr, to);
        to->port = ntohs(v4.sin_port);
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof v6);
        postern_words6(&v6.sin6_addr, to);
        to->port = ntohs(v6.sin6_port);
        to->scope = v6.sin6_scope_id;
    }
}

static inline socklen_t postern_to_sockaddr(struct postern_address from, union postern_sockaddr *to) {
    if (from.family == 4) {
        memset(&to->v4, 0, sizeof to->v4);
        to->v4.sin_family = AF_INET;
        to->v4.sin_port = htons(from.port);
        to->v4.sin_addr.s_addr = htonl((uint32_t)from.lower);
        return sizeof to->v4;
    }
    memset(&to->v6, 0, sizeof to->v6);
    to->v6.sin6_family = AF_INET6;
    to->v6.sin6_port = htons(from.port);
    to->v6.sin6_scope_id = from.scope;
    postern_store64(to->v6.sin6_addr.s6_addr, from.upper);
    postern_store64(to->v6.sin6_addr.s6_addr + 8, from.lower);
    return sizeof to->v6;
}

// MARK: one socket. These return 0 or more, or -errno.

static inline int postern_udp_open(int family) {
    int fd = socket(family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

static inline int postern_bind(int fd, struct postern_address address) {
    union postern_sockaddr name;
    socklen_t length = postern_to_sockaddr(address, &name);
    return bind(fd, &name.any, length) ? -errno : 0;
}

static inline int postern_connect(int fd, struct postern_address address) {
    union postern_sockaddr name;
    socklen_t length = postern_to_sockaddr(address, &name);
    return connect(fd, &name.any, length) ? -errno : 0;
}

static inline int postern_local_address(int fd, struct postern_address *to) {
    union postern_sockaddr name;
    socklen_t length = sizeof name;
    memset(&name, 0, sizeof name);
    if (getsockname(fd, &name.any, &length)) return -errno;
    postern_from_sockaddr(&name.any, to);
    return 0;
}

static inline int postern_set_option(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value) ? -errno : 0;
}

static inline int postern_get_option(int fd, int level, int option) {
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, option, &value, &length) ? -errno : value;
}

static inline int postern_v6_only(int fd) { return postern_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1); }

// The class of the buffer options that ignores the system's limit needs a privilege; without it, what is allowed.
static inline int postern_receive_buffer(int fd, int bytes) {
    if (postern_set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes)) postern_set_option(fd, SOL_SOCKET, SO_RCVBUF, bytes);
    return postern_get_option(fd, SOL_SOCKET, SO_RCVBUF);
}

static inline int postern_send_buffer(int fd, int bytes) {
    if (postern_set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes)) postern_set_option(fd, SOL_SOCKET, SO_SNDBUF, bytes);
    return postern_get_option(fd, SOL_SOCKET, SO_SNDBUF);
}

static inline int postern_receive_buffer_size(int fd) { return postern_get_option(fd, SOL_SOCKET, SO_RCVBUF); }
static inline int postern_send_buffer_size(int fd) { return postern_get_option(fd, SOL_SOCKET, SO_SNDBUF); }

static inline int postern_report_packet_info(int fd, int family) {
    return family == 4 ? postern_set_option(fd, IPPROTO_IP, IP_PKTINFO, 1)
                       : postern_set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

static inline int postern_report_errors(int fd, int family) {
    return family == 4 ? postern_set_option(fd, IPPROTO_IP, IP_RECVERR, 1)
                       : postern_set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
}

static inline int postern_report_traffic_class(int fd, int family) {
    return family == 4 ? postern_set_option(fd, IPPROTO_IP, IP_RECVTOS, 1)
                       : postern_set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
}

static inline int postern_report_receive_drops(int fd) {
    return postern_set_option(fd, SOL_SOCKET, POSTERN_SO_RXQ_OVFL, 1);
}

static inline int postern_never_fragment(int fd, int family) {
    return family == 4 ? postern_set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
                       : postern_set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
}

static inline int postern_set_traffic_class(int fd, int family, int value) {
    return family == 4 ? postern_set_option(fd, IPPROTO_IP, IP_TOS, value)
                       : postern_set_option(fd, IPPROTO_IPV6, IPV6_TCLASS, value);
}

static inline int postern_coalesce_received(int fd, int on) {
    return postern_set_option(fd, SOL_UDP, POSTERN_UDP_GRO, on);
}

// Whether this kernel knows segmentation at all.
static inline int postern_knows_segmentation(int fd) {
    return postern_get_option(fd, SOL_UDP, POSTERN_UDP_SEGMENT) >= 0;
}

// Reads and so clears the error that the next call would fail with.
static inline int postern_take_error(int fd) { return postern_get_option(fd, SOL_SOCKET, SO_ERROR); }

// MARK: receiving

#define POSTERN_RECEIVE_MESSAGES 32
#define POSTERN_RECEIVE_CONTROL 256
// One coalesced datagram and 19 cache lines, so that buffers do not compete for the same lines of the cache.
#define POSTERN_RECEIVE_BUFFER (65536 + 19 * 64)

struct postern_received {
    struct postern_address remote;
    // Filled (family not 0) only where the socket reports packet info.
    struct postern_address local;
    uint32_t length;
    // Size of each datagram in a coalesced message, the last may be shorter; 0 for a single datagram.
    uint32_t segment;
    // The kernel's count of datagrams this socket lost to a full buffer, where has_drops.
    uint32_t drops;
    uint8_t traffic_class;
    uint8_t has_drops;
    uint8_t is_truncated;
};

struct postern_receive_batch {
    struct postern_mmsghdr messages[POSTERN_RECEIVE_MESSAGES];
    struct iovec vectors[POSTERN_RECEIVE_MESSAGES];
    union postern_sockaddr names[POSTERN_RECEIVE_MESSAGES];
    struct postern_received received[POSTERN_RECEIVE_MESSAGES];
    _Alignas(16) uint8_t control[POSTERN_RECEIVE_MESSAGES][POSTERN_RECEIVE_CONTROL];
    int used;
    uint8_t *buffers;
};

static inline struct postern_receive_batch *postern_receive_batch_create(void) {
    struct postern_receive_batch *batch = (struct postern_receive_batch *)calloc(1, sizeof *batch);
    if (!batch) return NULL;
    batch->buffers = (uint8_t *)malloc((size_t)POSTERN_RECEIVE_MESSAGES * POSTERN_RECEIVE_BUFFER);
    if (!batch->buffers) {
        free(batch);
        return NULL;
    }
    for (int i = 0; i < POSTERN_RECEIVE_MESSAGES; i++) {
        batch->vectors[i].iov_base = batch->buffers + (size_t)i * POSTERN_RECEIVE_BUFFER;
        batch->vectors[i].iov_len = POSTERN_RECEIVE_BUFFER;
        struct msghdr *header = &batch->messages[i].header;
        header->msg_iov = &batch->vectors[i];
        header->msg_iovlen = 1;
        header->msg_name = &batch->names[i];
        header->msg_control = batch->control[i];
    }
    batch->used = POSTERN_RECEIVE_MESSAGES;
    return batch;
}

static inline void postern_receive_batch_free(struct postern_receive_batch *batch) {
    if (batch) free(batch->buffers);
    free(batch);
}

static inline void postern_read_control(struct msghdr *header, struct postern_received *to) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == POSTERN_UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            to->segment = size > 0 ? (uint32_t)size : 0;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            to->traffic_class = *CMSG_DATA(c);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            int value;
            memcpy(&value, CMSG_DATA(c), sizeof value);
            to->traffic_class = (uint8_t)value;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            postern_words4(info.ipi_addr, &to->local);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct postern_in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            postern_words6(&info.address, &to->local);
            to->local.scope = info.interface_index;
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == POSTERN_SO_RXQ_OVFL) {
            memcpy(&to->drops, CMSG_DATA(c), sizeof to->drops);
            to->has_drops = 1;
        }
    }
}

// The number of messages read, 0 when none waits, or -errno.
static inline int postern_receive(int fd, struct postern_receive_batch *batch) {
    for (int i = 0; i < batch->used; i++) {
        struct msghdr *header = &batch->messages[i].header;
        header->msg_namelen = sizeof batch->names[i];
        header->msg_controllen = POSTERN_RECEIVE_CONTROL;
        header->msg_flags = 0;
    }
    batch->used = 0;
    long count = syscall(SYS_recvmmsg, fd, batch->messages, POSTERN_RECEIVE_MESSAGES, MSG_DONTWAIT, NULL);
    if (count < 0) return errno == EAGAIN ? 0 : -errno;
    batch->used = (int)count;
    for (int i = 0; i < (int)count; i++) {
        struct msghdr *header = &batch->messages[i].header;
        struct postern_received *to = &batch->received[i];
        memset(to, 0, sizeof *to);
        postern_from_sockaddr(&batch->names[i].any, &to->remote);
        to->length = batch->messages[i].length;
        to->is_truncated = (header->msg_flags & MSG_TRUNC) != 0;
        postern_read_control(header, to);
    }
    return (int)count;
}

static inline const struct postern_received *postern_received_at(const struct postern_receive_batch *batch, int index) {
    return &batch->received[index];
}

static inline const uint8_t *postern_buffer_at(const struct postern_receive_batch *batch, int index) {
    return batch->buffers + (size_t)index * POSTERN_RECEIVE_BUFFER;
}

// MARK: sending

#define POSTERN_SEND_MESSAGES 64
#define POSTERN_SEND_CONTROL 64
#define POSTERN_SEND_ARENA (256 * 1024)

struct postern_send_batch {
    struct postern_mmsghdr messages[POSTERN_SEND_MESSAGES];
    struct iovec vectors[POSTERN_SEND_MESSAGES];
    union postern_sockaddr names[POSTERN_SEND_MESSAGES];
    // Datagrams in each message: 1, or more with segmentation.
    uint16_t datagrams[POSTERN_SEND_MESSAGES];
    _Alignas(16) uint8_t control[POSTERN_SEND_MESSAGES][POSTERN_SEND_CONTROL];
    int count;
    uint32_t fill;
    uint8_t *arena;
};

static inline struct postern_send_batch *postern_send_batch_create(void) {
    struct postern_send_batch *batch = (struct postern_send_batch *)calloc(1, sizeof *batch);
    if (!batch) return NULL;
    batch->arena = (uint8_t *)malloc(POSTERN_SEND_ARENA);
    if (!batch->arena) {
        free(batch);
        return NULL;
    }
    for (int i = 0; i < POSTERN_SEND_MESSAGES; i++) {
        struct msghdr *header = &batch->messages[i].header;
        header->msg_iov = &batch->vectors[i];
        header->msg_iovlen = 1;
        header->msg_name = &batch->names[i];
    }
    return batch;
}

static inline void postern_send_batch_free(struct postern_send_batch *batch) {
    if (batch) free(batch->arena);
    free(batch);
}

static inline void postern_send_reset(struct postern_send_batch *batch) {
    batch->count = 0;
    batch->fill = 0;
}

static inline int postern_send_has_room(const struct postern_send_batch *batch, uint32_t length) {
    return batch->count < POSTERN_SEND_MESSAGES && POSTERN_SEND_ARENA - batch->fill >= length;
}

static inline int postern_send_can_extend(const struct postern_send_batch *batch, uint32_t length) {
    return POSTERN_SEND_ARENA - batch->fill >= length;
}

// Begins a message of one datagram. `source` (family not 0) chooses the source address of a wildcard socket.
// The caller has asked for room.
static inline void postern_send_begin(
    struct postern_send_batch *batch, struct postern_address to, struct postern_address source, const uint8_t *bytes,
    uint32_t length
) {
    int i = batch->count++;
    struct msghdr *header = &batch->messages[i].header;
    header->msg_namelen = postern_to_sockaddr(to, &batch->names[i]);
    header->msg_control = NULL;
    header->msg_controllen = 0;
    header->msg_flags = 0;
    if (source.family == 4) {
        struct in_pktinfo info;
        memset(&info, 0, sizeof info);
        info.ipi_spec_dst.s_addr = htonl((uint32_t)source.lower);
        header->msg_control = batch->control[i];
        header->msg_controllen = CMSG_SPACE(sizeof info);
        struct cmsghdr *c = CMSG_FIRSTHDR(header);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
    } else if (source.family == 6) {
        struct postern_in6_pktinfo info;
        memset(&info, 0, sizeof info);
        postern_store64(info.address.s6_addr, source.upper);
        postern_store64(info.address.s6_addr + 8, source.lower);
        info.interface_index = source.scope;
        header->msg_control = batch->control[i];
        header->msg_controllen = CMSG_SPACE(sizeof info);
        struct cmsghdr *c = CMSG_FIRSTHDR(header);
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
    }
    batch->datagrams[i] = 1;
    batch->vectors[i].iov_base = batch->arena + batch->fill;
    batch->vectors[i].iov_len = length;
    if (length) memcpy(batch->arena + batch->fill, bytes, length);
    batch->fill += length;
}

// One more datagram of the newest message.
static inline void postern_send_extend(struct postern_send_batch *batch, const uint8_t *bytes, uint32_t length) {
    int i = batch->count - 1;
    batch->datagrams[i]++;
    batch->vectors[i].iov_len += length;
    memcpy(batch->arena + batch->fill, bytes, length);
    batch->fill += length;
}

// Ends the newest message, which the kernel is to cut into pieces of `segment` bytes.
static inline void postern_send_segment(struct postern_send_batch *batch, uint16_t segment) {
    int i = batch->count - 1;
    struct msghdr *header = &batch->messages[i].header;
    size_t before = header->msg_controllen;
    header->msg_control = batch->control[i];
    header->msg_controllen = before + CMSG_SPACE(sizeof segment);
    struct cmsghdr *c = (struct cmsghdr *)(batch->control[i] + before);
    c->cmsg_level = SOL_UDP;
    c->cmsg_type = POSTERN_UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(c), &segment, sizeof segment);
}

static inline int postern_send_datagrams_in(const struct postern_send_batch *batch, int index) {
    return batch->datagrams[index];
}

static inline uint64_t postern_send_bytes_in(const struct postern_send_batch *batch, int index) {
    return batch->vectors[index].iov_len;
}

static inline void postern_send_destination(
    const struct postern_send_batch *batch, int index, struct postern_address *to
) {
    postern_from_sockaddr(&batch->names[index].any, to);
}

// The number of messages sent, at least 1, or -errno of the first one.
static inline int postern_send(int fd, struct postern_send_batch *batch, int first, int count) {
    long sent = syscall(SYS_sendmmsg, fd, &batch->messages[first], count, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : (int)sent;
}

// MARK: the error queue

struct postern_socket_error {
    // Where the datagram that failed was going; family 0 if unknown.
    struct postern_address destination;
    // Who says so; family 0 for this host.
    struct postern_address offender;
    uint32_t code;
    uint32_t info;
    uint8_t origin;
    uint8_t type;
    uint8_t icmp_code;
};

// 1 with an error read, 0 when none waits, or -errno.
static inline int postern_read_error(int fd, struct postern_socket_error *to) {
    uint8_t payload[64];
    _Alignas(16) uint8_t control[512];
    union postern_sockaddr name;
    struct iovec vector = {payload, sizeof payload};
    struct msghdr header;
    memset(&header, 0, sizeof header);
    memset(&name, 0, sizeof name);
    memset(to, 0, sizeof *to);
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_name = &name;
    header.msg_namelen = sizeof name;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    if (recvmsg(fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return errno == EAGAIN ? 0 : -errno;
    if (header.msg_namelen) postern_from_sockaddr(&name.any, &to->destination);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
        int isV4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
        int isV6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;
        if (!isV4 && !isV6) continue;
        struct sock_extended_err error;
        memcpy(&error, CMSG_DATA(c), sizeof error);
        to->code = error.ee_errno;
        to->info = error.ee_info;
        to->origin = error.ee_origin;
        to->type = error.ee_type;
        to->icmp_code = error.ee_code;
        size_t needed = sizeof error + (isV4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        if (c->cmsg_len >= CMSG_LEN(needed)) {
            union postern_sockaddr offender;
            memset(&offender, 0, sizeof offender);
            memcpy(&offender, CMSG_DATA(c) + sizeof error, needed - sizeof error);
            postern_from_sockaddr(&offender.any, &to->offender);
        }
    }
    return 1;
}

// MARK: the loop

static inline int postern_epoll_create(void) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static inline int postern_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t identity) {
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = events;
    event.data.u64 = identity;
    return epoll_ctl(epoll, operation, fd, &event) ? -errno : 0;
}

static inline int postern_epoll_add(int epoll, int fd, uint32_t events, uint64_t identity) {
    return postern_epoll_control(epoll, EPOLL_CTL_ADD, fd, events, identity);
}

static inline int postern_epoll_change(int epoll, int fd, uint32_t events, uint64_t identity) {
    return postern_epoll_control(epoll, EPOLL_CTL_MOD, fd, events, identity);
}

static inline int postern_epoll_remove(int epoll, int fd) {
    return postern_epoll_control(epoll, EPOLL_CTL_DEL, fd, 0, 0);
}

#define POSTERN_EVENTS 64

struct postern_events {
    struct epoll_event events[POSTERN_EVENTS];
};

// The number of descriptors ready, 0 on time-out or interruption, or -errno.
static inline int postern_epoll_wait(int epoll, struct postern_events *to, int milliseconds) {
    int count = epoll_wait(epoll, to->events, POSTERN_EVENTS, milliseconds);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    return count;
}

static inline uint32_t postern_event_flags(const struct postern_events *events, int index) {
    return events->events[index].events;
}

static inline uint64_t postern_event_identity(const struct postern_events *events, int index) {
    return events->events[index].data.u64;
}

static inline uint32_t postern_epoll_flags(int read, int write, int edge) {
    return (read ? EPOLLIN : 0u) | (write ? EPOLLOUT : 0u) | (edge ? EPOLLET : 0u);
}
static inline int postern_is_readable(uint32_t flags) { return (flags & (EPOLLIN | EPOLLRDHUP)) != 0; }
static inline int postern_is_writable(uint32_t flags) { return (flags & EPOLLOUT) != 0; }
static inline int postern_is_failed(uint32_t flags) { return (flags & EPOLLERR) != 0; }
static inline int postern_is_hung_up(uint32_t flags) { return (flags & EPOLLHUP) != 0; }

static inline int postern_timer_create(void) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

// One expiry at an absolute time on CLOCK_MONOTONIC; at or below 0 it is disarmed.
static inline int postern_timer_set(int fd, int64_t nanoseconds) {
    struct itimerspec when;
    memset(&when, 0, sizeof when);
    if (nanoseconds > 0) {
        when.it_value.tv_sec = nanoseconds / 1000000000;
        when.it_value.tv_nsec = nanoseconds % 1000000000;
    }
    return timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL) ? -errno : 0;
}

static inline int postern_event_create(void) {
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static inline void postern_event_signal(int fd) {
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {}
}

static inline int64_t postern_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
static inline int64_t postern_monotonic(void) { return postern_clock(CLOCK_MONOTONIC); }
static inline int64_t postern_realtime(void) { return postern_clock(CLOCK_REALTIME); }

// 15 bytes and a zero.
static inline void postern_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
static inline void postern_thread_name(char *name) { prctl(PR_GET_NAME, name, 0, 0, 0); }

// MARK: interfaces

static inline unsigned postern_flag_up(void) { return IFF_UP; }
static inline unsigned postern_flag_running(void) { return IFF_RUNNING; }
static inline unsigned postern_flag_loopback(void) { return IFF_LOOPBACK; }
static inline unsigned postern_flag_point_to_point(void) { return IFF_POINTOPOINT; }

static inline struct sockaddr *postern_peer(const struct ifaddrs *entry) { return entry->ifa_dstaddr; }

// MARK: names

static inline int postern_resolve(const char *name, struct addrinfo **to) {
    struct addrinfo hints;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_DGRAM;
    return getaddrinfo(name, NULL, &hints, to);
}

// 1 no such name or no address, 2 try again later, 0 anything else.
static inline int postern_resolve_verdict(int code) {
    if (code == EAI_NONAME || code == -5 /* EAI_NODATA */) return 1;
    return code == EAI_AGAIN ? 2 : 0;
}

static inline int postern_errno(void) { return errno; }

#endif
