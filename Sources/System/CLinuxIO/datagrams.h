#ifndef POSTERN_CLINUXIO_DATAGRAMS_H
#define POSTERN_CLINUXIO_DATAGRAMS_H

// Batches of datagrams in and out, and the error queue. Part of shim.h, which has the includes and the addresses.

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

#endif
