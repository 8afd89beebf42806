/* The far side and the near side of bench_proxy.py, in one compiled program, so that what is measured is the proxy.
 *
 *   peer                                 listens on three free ports, prints {"echo", "sink", "http"}, serves until killed
 *   echo PORT COUNT SECONDS PAUSE_US     64-byte round trips on one connection, PAUSE_US apart
 *   steady PORT RATE SECONDS CONNECTIONS round trips at a steady rate, one at a time on each connection
 *   bulk PORT CONNECTIONS SECONDS        bytes per second towards a sink; SIGTERM ends it sooner
 *   churn PORT ABREAST SECONDS           connections per second, a round trip on each
 *   idle PORT COUNT                      opens COUNT connections, a round trip on each; holds them until standard input ends
 *   post PORT COUNT SECONDS FILE         POSTs the file's bytes on one keep-alive connection
 *   toxic PORT PROXY COUNT               adds and removes a toxic, COUNT times; what is timed is the adding
 *
 * Every client prints one line of JSON. No end of a stream is used as a mark: Toxiproxy drops both directions when one
 * ends. A sink reads frames (eight bytes of length, then as many bytes) and answers one byte to an empty one.
 * Everything is bounded: an alarm ends a client that hangs, and a peer ends with the process that started it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 20, FRAME = 1 << 20, ECHO = 64, FDS = 65536, SAMPLES = 1 << 20, HEAD = 4096, BODY = 1 << 20 };

static char buffer[PIECE];
static double samples[SAMPLES];
static int taken;
static volatile sig_atomic_t enough;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void sample(double us) {
    if (taken < SAMPLES) samples[taken++] = us;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_samples(void) {
    qsort(samples, (size_t)taken, sizeof *samples, by_size);
    if (!taken) exit(1);
    printf("{\"count\": %d, \"p50_us\": %.3f, \"p99_us\": %.3f, \"worst_us\": %.3f}\n", taken, samples[taken / 2],
           samples[(int)(taken * 0.99)], samples[taken - 1]);
}

static void no_delay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static struct sockaddr_in local(int port) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return where;
}

static int connect_to(int port) {
    struct timeval limit = {.tv_sec = 20};
    struct sockaddr_in where = local(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) fail("socket");
    if (connect(fd, (struct sockaddr *)&where, sizeof where)) fail("connect");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    no_delay(fd);
    return fd;
}

static void unblock(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

static void send_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) fail("send");
        data += sent;
        size -= (size_t)sent;
    }
}

static void receive(int fd, char *into, size_t size) {
    if (recv(fd, into, size, MSG_WAITALL) != (ssize_t)size) fail("recv");
}

static void round_trip(int fd) {
    send_all(fd, buffer, ECHO);
    receive(fd, buffer, ECHO);
}

static void watch(int epoll, int fd, uint32_t events, int how) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, how, fd, &event)) fail("epoll_ctl");
}

/* the peer */

enum kind { NONE, ECHOES, SINKS, ANSWERS };

struct far {
    enum kind kind;
    uint64_t left;   /* SINKS: bytes of the frame; ANSWERS: bytes of the body */
    int header;      /* SINKS: bytes of the length so far; ANSWERS: bytes of the head so far */
    uint64_t length;
    char *head;      /* ANSWERS */
};

static struct far fars[FDS];
static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";

static int listen_on_free(int *port) {
    struct sockaddr_in where = local(0);
    socklen_t size = sizeof where;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&where, sizeof where) || listen(fd, 4096)) fail("listen");
    getsockname(fd, (struct sockaddr *)&where, &size);
    *port = ntohs(where.sin_port);
    unblock(fd);
    return fd;
}

static void take_frames(int fd, struct far *far, const char *data, uint64_t size) {
    while (size) {
        if (far->left) {
            uint64_t part = far->left < size ? far->left : size;
            far->left -= part;
            data += part;
            size -= part;
            continue;
        }
        far->length = far->length << 8 | (unsigned char)*data++;
        size--;
        if (++far->header < 8) continue;
        far->left = far->length;
        far->length = 0;
        far->header = 0;
        if (!far->left) send_all(fd, "!", 1);
    }
}

static void take_requests(int fd, struct far *far, const char *data, uint64_t size) {
    if (!far->head) far->head = malloc(HEAD + 1);
    while (size) {
        if (far->left) {
            uint64_t part = far->left < size ? far->left : size;
            far->left -= part;
            data += part;
            size -= part;
        } else {
            if (far->header == HEAD) fail("head too large");
            far->head[far->header++] = *data++;
            size--;
            if (far->header < 4 || memcmp(far->head + far->header - 4, "\r\n\r\n", 4)) continue;
            far->head[far->header] = 0;
            const char *length = strcasestr(far->head, "content-length:");
            far->left = length ? strtoull(length + 15, NULL, 10) : 0;
            far->header = 0;
        }
        if (!far->left) send_all(fd, ANSWER, sizeof ANSWER - 1);
    }
}

static void serve(int fd) {
    struct far *far = &fars[fd];
    ssize_t size = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
        free(far->head);
        memset(far, 0, sizeof *far);
        close(fd);
    } else if (far->kind == ECHOES) {
        send_all(fd, buffer, (size_t)size);
    } else if (far->kind == SINKS) {
        take_frames(fd, far, buffer, (uint64_t)size);
    } else {
        take_requests(fd, far, buffer, (uint64_t)size);
    }
}

/* The sinks have a process of their own, or an echo beside bulk would wait in the peer, not in the proxy. */
static void peer(void) {
    struct epoll_event events[256];
    int ports[3], listeners[3];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int n = 0; n < 3; n++) listeners[n] = listen_on_free(&ports[n]);
    printf("{\"echo\": %d, \"sink\": %d, \"http\": %d}\n", ports[0], ports[1], ports[2]);
    fflush(stdout);
    int sinks = fork() == 0, epoll = epoll_create1(0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int n = 0; n < 3; n++)
        if ((n == 1) == sinks) watch(epoll, listeners[n], EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        int count = epoll_wait(epoll, events, 256, -1);
        for (int n = 0; n < count; n++) {
            int fd = events[n].data.fd;
            if (fars[fd].kind != NONE) {
                serve(fd);
                continue;
            }
            int made;
            while ((made = accept(fd, NULL, NULL)) >= 0) {
                if (made >= FDS) fail("descriptors");
                no_delay(made);
                fars[made].kind = fd == listeners[0] ? ECHOES : fd == listeners[1] ? SINKS : ANSWERS;
                watch(epoll, made, EPOLLIN, EPOLL_CTL_ADD);
            }
        }
    }
}

/* the clients */

static void run_echo(int port, int count, double seconds, int pause_us) {
    int fd = connect_to(port);
    for (int n = 0; n < 20; n++) round_trip(fd);
    double end = now_us() + seconds * 1e6;
    for (int n = 0; n < count && now_us() < end; n++) {
        double began = now_us();
        round_trip(fd);
        sample(now_us() - began);
        if (pause_us) usleep((useconds_t)pause_us);
    }
    print_samples();
}

static void wait_until(int epoll, double due_us) {
    double left = due_us - now_us();
    if (left <= 0) return;
    struct timespec limit = {.tv_sec = (time_t)(left / 1e6)};
    limit.tv_nsec = (long)((left - (double)limit.tv_sec * 1e6) * 1e3);
    struct pollfd ready = {.fd = epoll, .events = POLLIN};
    ppoll(&ready, 1, &limit, NULL);
}

/* What finds all connections busy when it is due counts from then: a client that asks less often while it gets no answer
 * would hardly notice a standstill. */
static void run_steady(int port, double rate, double seconds, int connections) {
    static double began[FDS];
    struct epoll_event events[256];
    int idle[connections], epoll = epoll_create1(0), starved = 0, free_ones = connections;
    for (int n = 0; n < connections; n++) {
        idle[n] = connect_to(port);
        round_trip(idle[n]);
        watch(epoll, idle[n], EPOLLIN, EPOLL_CTL_ADD);
    }
    double start = now_us(), end = start + seconds * 1e6, due = start;
    while (due < end || free_ones < connections) {
        wait_until(epoll, due < end && free_ones ? due : now_us() + 1e6);
        int count = epoll_wait(epoll, events, 256, 0);
        for (int n = 0; n < count; n++) {
            int fd = events[n].data.fd;
            receive(fd, buffer, ECHO);
            sample(now_us() - began[fd]);
            idle[free_ones++] = fd;
        }
        for (; due < end && free_ones && now_us() >= due; due += 1e6 / rate) {
            int fd = idle[0];
            memmove(idle, idle + 1, (size_t)--free_ones * sizeof *idle); /* the one that rested longest */
            began[fd] = starved ? due : now_us();
            send_all(fd, buffer, ECHO);
        }
        starved = due < end && now_us() >= due;
    }
    print_samples();
}

struct sender {
    uint64_t left; /* of the frame's header and payload */
    int ending;
};

/* Puts as much as the socket takes; gives the bytes taken. */
static uint64_t put(int fd, struct sender *sender, int over) {
    uint64_t all = 0;
    for (int n = 0; n < 4; n++) {
        if (!sender->left) {
            unsigned char header[8] = {0};
            if (sender->ending) return all;
            sender->ending = over;
            if (!over) header[5] = FRAME >> 16;
            ssize_t sent = send(fd, header, 8, MSG_NOSIGNAL | (over ? 0 : MSG_MORE));
            if (sent < 0 && errno == EAGAIN) {
                sender->ending = 0;
                return all;
            }
            if (sent != 8) fail("header");
            sender->left = over ? 0 : FRAME;
            continue;
        }
        uint64_t part = sender->left < (1 << 18) ? sender->left : (1 << 18);
        ssize_t sent = send(fd, buffer, part, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) return all;
        if (sent <= 0) fail("bulk");
        sender->left -= (uint64_t)sent;
        all += (uint64_t)sent;
    }
    return all;
}

static void on_enough(int number) {
    (void)number;
    enough = 1;
}

static void run_bulk(int port, int connections, double seconds) {
    static struct sender senders[FDS];
    struct epoll_event events[256];
    int epoll = epoll_create1(0), open = connections;
    uint64_t all = 0;
    signal(SIGTERM, on_enough);
    for (int n = 0; n < connections; n++) {
        int fd = connect_to(port);
        unblock(fd);
        watch(epoll, fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
    }
    double start = now_us(), end = start + seconds * 1e6;
    while (open) {
        int count = epoll_wait(epoll, events, 256, 1000);
        int over = enough || now_us() >= end;
        for (int n = 0; n < count; n++) {
            int fd = events[n].data.fd;
            if (events[n].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                if (recv(fd, buffer, 1, 0) != 1 || !senders[fd].ending) fail("bulk answer");
                close(fd);
                open--;
                continue;
            }
            all += put(fd, &senders[fd], over);
            if (senders[fd].ending && !senders[fd].left) watch(epoll, fd, EPOLLIN, EPOLL_CTL_MOD);
        }
    }
    printf("{\"bytes_s\": %.1f}\n", (double)all / (now_us() - start) * 1e6);
}

static int begin_connection(int epoll, int port) {
    struct sockaddr_in where = local(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) fail("socket");
    no_delay(fd);
    if (connect(fd, (struct sockaddr *)&where, sizeof where) && errno != EINPROGRESS) fail("connect");
    watch(epoll, fd, EPOLLOUT, EPOLL_CTL_ADD);
    return fd;
}

static void run_churn(int port, int abreast, double seconds) {
    static int got[FDS];
    struct epoll_event events[256];
    int epoll = epoll_create1(0), done = 0;
    double start = now_us(), end = start + seconds * 1e6;
    for (int n = 0; n < abreast; n++) got[begin_connection(epoll, port)] = 0;
    while (now_us() < end) {
        int count = epoll_wait(epoll, events, 256, 1000);
        for (int n = 0; n < count; n++) {
            int fd = events[n].data.fd;
            if (events[n].events & EPOLLOUT) {
                send_all(fd, buffer, ECHO);
                watch(epoll, fd, EPOLLIN, EPOLL_CTL_MOD);
                continue;
            }
            ssize_t size = recv(fd, buffer, ECHO, 0);
            if (size <= 0) fail("churn");
            got[fd] += (int)size;
            if (got[fd] < ECHO) continue;
            close(fd);
            done++;
            got[begin_connection(epoll, port)] = 0;
        }
    }
    printf("{\"connections_s\": %.1f}\n", done / (now_us() - start) * 1e6);
}

static void run_idle(int port, int count) {
    for (int n = 0; n < count; n++) round_trip(connect_to(port));
    printf("{\"open\": %d}\n", count);
    fflush(stdout);
    while (read(0, buffer, sizeof buffer) > 0) continue;
}

/* Sends a request and reads its whole answer; gives the status. */
static int ask(int fd, const char *request, size_t size) {
    static char head[HEAD + 1];
    size_t got = 0;
    send_all(fd, request, size);
    for (;;) {
        ssize_t part = recv(fd, head + got, HEAD - got, 0);
        if (part <= 0) fail("answer");
        got += (size_t)part;
        head[got] = 0;
        const char *body = strstr(head, "\r\n\r\n");
        if (!body) continue;
        const char *length = strcasestr(head, "content-length:");
        if (length && got - (size_t)(body + 4 - head) < strtoull(length + 15, NULL, 10)) continue;
        return atoi(head + 9);
    }
}

static void run_post(int port, int count, double seconds, const char *path) {
    static char request[BODY + HEAD];
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    size_t body = fread(buffer, 1, BODY, file);
    int head = snprintf(request, HEAD,
                        "POST /v1/score HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n", body);
    memcpy(request + head, buffer, body);
    int fd = connect_to(port);
    double end = now_us() + seconds * 1e6;
    for (int n = -20; n < count && now_us() < end; n++) {
        double began = now_us();
        if (ask(fd, request, (size_t)head + body) != 200) fail("status");
        if (n >= 0) sample(now_us() - began);
    }
    print_samples();
}

static void run_toxic(int port, const char *proxy, int count) {
    static const char BODY_OF[] = "{\"name\":\"t\",\"type\":\"latency\",\"attributes\":{\"latency\":1,\"jitter\":0}}";
    char add[HEAD], remove[HEAD];
    int fd = connect_to(port);
    int add_size = snprintf(add, HEAD,
                            "POST /proxies/%s/toxics HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                            "Content-Length: %zu\r\n\r\n%s", proxy, sizeof BODY_OF - 1, BODY_OF);
    int remove_size = snprintf(remove, HEAD, "DELETE /proxies/%s/toxics/t HTTP/1.1\r\nHost: bench\r\n\r\n", proxy);
    for (int n = 0; n < count; n++) {
        double began = now_us();
        if (ask(fd, add, (size_t)add_size) != 200) fail("adding");
        sample(now_us() - began);
        if (ask(fd, remove, (size_t)remove_size) != 204) fail("removing");
    }
    print_samples();
}

int main(int count, char **words) {
    struct rlimit most;
    const char *what = count > 1 ? words[1] : "";
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    signal(SIGPIPE, SIG_IGN);
    if (!strcmp(what, "peer")) peer();
    alarm(60);
    int port = count > 2 ? atoi(words[2]) : 0;
    if (!strcmp(what, "echo") && count == 6) run_echo(port, atoi(words[3]), atof(words[4]), atoi(words[5]));
    else if (!strcmp(what, "steady") && count == 6) run_steady(port, atof(words[3]), atof(words[4]), atoi(words[5]));
    else if (!strcmp(what, "bulk") && count == 5) run_bulk(port, atoi(words[3]), atof(words[4]));
    else if (!strcmp(what, "churn") && count == 5) run_churn(port, atoi(words[3]), atof(words[4]));
    else if (!strcmp(what, "idle") && count == 4) run_idle(port, atoi(words[3]));
    else if (!strcmp(what, "post") && count == 6) run_post(port, atoi(words[3]), atof(words[4]), words[5]);
    else if (!strcmp(what, "toxic") && count == 5) run_toxic(port, words[3], atoi(words[4]));
    else {
        fprintf(stderr, "usage: see the top of proxy_peer.c\n");
        return 2;
    }
    return 0;
}
