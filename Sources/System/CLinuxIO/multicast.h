#ifndef POSTERN_CLINUXIO_MULTICAST_H
#define POSTERN_CLINUXIO_MULTICAST_H

#include <poll.h>

// Sockets for multicast DNS (RFC 6762 section 3), one for each family and interface. A function returns zero or more, or
// -errno.

enum { postern_mdns_most_sockets = 16 };

static inline socklen_t postern_mdns_group(
    int family, uint16_t port, unsigned int interface, union postern_sockaddr *group) {
    memset(group, 0, sizeof *group);
    if (family == 4) {
        group->v4.sin_family = AF_INET;
        group->v4.sin_port = htons(port);
        group->v4.sin_addr.s_addr = htonl(0xE00000FB);
        return sizeof group->v4;
    }
    group->v6.sin6_family = AF_INET6;
    group->v6.sin6_port = htons(port);
    group->v6.sin6_scope_id = interface;
    group->v6.sin6_addr.s6_addr[0] = 0xFF;
    group->v6.sin6_addr.s6_addr[1] = 0x02;
    group->v6.sin6_addr.s6_addr[15] = 0xFB;
    return sizeof group->v6;
}

// A socket on the group's own address: it hears what is sent to the group on this interface and nothing that is sent to
// this host alone, so that no answer comes from beyond the link, whoever else here speaks multicast DNS.
static inline int postern_mdns_open(int family, unsigned int interface, uint16_t port) {
    int file = socket(family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (file < 0) return -errno;
    const int yes = 1, no = 0, hops = 255;
    union postern_sockaddr group;
    socklen_t length = postern_mdns_group(family, port, interface, &group);
    setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(file, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
    int result;
    if (family == 4) {
        struct ip_mreqn request = {.imr_ifindex = (int)interface};
        request.imr_multiaddr = group.v4.sin_addr;
        setsockopt(file, IPPROTO_IP, IP_MULTICAST_TTL, &hops, sizeof hops);
        setsockopt(file, IPPROTO_IP, IP_MULTICAST_LOOP, &yes, sizeof yes);
        setsockopt(file, IPPROTO_IP, IP_MULTICAST_ALL, &no, sizeof no);
        result = bind(file, &group.any, length);
        if (result == 0) result = setsockopt(file, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
        if (result == 0) result = setsockopt(file, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request);
    } else {
        struct ipv6_mreq request = {.ipv6mr_interface = interface};
        request.ipv6mr_multiaddr = group.v6.sin6_addr;
        setsockopt(file, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
        setsockopt(file, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops);
        setsockopt(file, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &yes, sizeof yes);
        result = bind(file, &group.any, length);
        if (result == 0) result = setsockopt(file, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request, sizeof request);
        if (result == 0) result = setsockopt(file, IPPROTO_IPV6, IPV6_MULTICAST_IF, &interface, sizeof interface);
    }
    if (result == 0) return file;
    int error = errno;
    close(file);
    return -error;
}

static inline int postern_mdns_send(
    int file, int family, unsigned int interface, uint16_t port, const uint8_t *bytes, size_t count) {
    union postern_sockaddr group;
    socklen_t length = postern_mdns_group(family, port, interface, &group);
    return sendto(file, bytes, count, 0, &group.any, length) < 0 ? -errno : 0;
}

// Bytes of the next datagram; -EAGAIN where there is none.
static inline int postern_mdns_receive(int file, uint8_t *bytes, size_t capacity) {
    ssize_t count = recv(file, bytes, capacity, 0);
    return count < 0 ? -errno : (int)count;
}

// Waits until one of the sockets can be read. Returns how many can.
static inline int postern_mdns_wait(const int *sockets, int count, int milliseconds) {
    struct pollfd files[postern_mdns_most_sockets];
    if (count > postern_mdns_most_sockets) count = postern_mdns_most_sockets;
    for (int i = 0; i < count; i++) files[i] = (struct pollfd){.fd = sockets[i], .events = POLLIN};
    int result = poll(files, (nfds_t)count, milliseconds);
    return result < 0 ? -errno : result;
}

#endif
