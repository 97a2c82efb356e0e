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
#include <malloc.h>
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

// Without delay: each message is a packet's worth, and the next one does not complete it.
static inline int postern_tcp_open(int family) {
    int fd = socket(family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
    return fd;
}

// A stream's: bytes, 0 at its end, or -errno. Writing to one that is closed raises no signal.
static inline long postern_stream_read(int fd, uint8_t *bytes, size_t capacity) {
    ssize_t count = recv(fd, bytes, capacity, 0);
    return count < 0 ? -errno : (long)count;
}

static inline long postern_stream_write(int fd, const uint8_t *bytes, size_t length) {
    ssize_t count = send(fd, bytes, length, MSG_NOSIGNAL);
    return count < 0 ? -errno : (long)count;
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

#include "datagrams.h"
#include "multicast.h"

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

// MARK: memory

// 1 on success. The second call keeps large buffers on the heap too, for the first ends the system's own adjustment.
static inline int postern_keep_freed(int bytes, int largest) {
    return mallopt(M_TRIM_THRESHOLD, bytes) && mallopt(M_MMAP_THRESHOLD, largest);
}

static inline int postern_errno(void) { return errno; }

#endif
