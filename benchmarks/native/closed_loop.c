/* Closed-loop load: N connections, each with one request at a time, the next as soon as the answer is whole.
 *
 *     closed_loop PORT REQUEST_FILE CONNECTIONS WARM_SECONDS SECONDS
 *
 * REQUEST_FILE holds one whole HTTP/1.1 request, head and body, which is sent as it is to 127.0.0.1:PORT. Connections
 * are kept alive; where the answer says `Connection: close`, the client waits for the server's end of the connection,
 * closes its own and connects again at once. wrk can do neither: it has one latency for all statuses, and counts an
 * announced close as an error.
 *
 * Latency runs from the start of connect() for the first request of a connection, from its first byte for the others,
 * to the last byte of the answer. What was answered in the first WARM_SECONDS is not counted.
 *
 * Prints one JSON object, times in milliseconds:
 *   statuses    by HTTP status: count, p50, p99, max
 *   resets      connections that the server (or the kernel for it) reset, before, in or after an answer
 *   refused     connects that failed
 *   cut         connections that ended before their answer was whole
 *   reconnects  connections opened again, for whatever reason
 *   oldest_ms   at the end, the longest that anybody was waiting for an answer, or for an announced end
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { STATUSES = 600, EVENTS = 512, ANSWER_MAX = 64 * 1024 };

enum state { ASKING, ENDING }; /* waiting for an answer; for the end that it announced */

struct connection {
    int fd;
    enum state state;
    size_t sent, received;
    double began;
    char answer[ANSWER_MAX + 1];
};

struct latencies {
    double *values;
    size_t count, capacity;
};

static struct latencies by_status[STATUSES];
static struct { long resets, refused, cut, reconnects; } counts;
static char *request;
static size_t request_size;
static struct sockaddr_in server;
static int poller;
static double counting_from;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void count(long *counter) {
    if (now() >= counting_from) ++*counter;
}

static void record(int status, double seconds) {
    struct latencies *all = &by_status[status];
    if (all->count == all->capacity) {
        all->capacity = all->capacity ? all->capacity * 2 : 4096;
        all->values = realloc(all->values, all->capacity * sizeof *all->values);
        if (!all->values) die("realloc");
    }
    all->values[all->count++] = seconds;
}

static void watch(struct connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, operation, c->fd, &event) < 0) die("epoll_ctl");
}

static void open_connection(struct connection *c) {
    int one = 1;
    c->state = ASKING;
    c->sent = c->received = 0;
    c->began = now();
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) {
        if (errno == EADDRNOTAVAIL) die("connect: no local port is left");
        count(&counts.refused);
    }
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void open_again(struct connection *c) {
    close(c->fd);
    count(&counts.reconnects);
    open_connection(c);
}

static void failed(struct connection *c, int error) {
    if (error == ECONNREFUSED) {
        count(&counts.refused);
        usleep(1000); /* nobody listens: don't spin */
    } else {
        count(&counts.resets);
    }
    open_again(c);
}

/* Send what can be sent; writability is only watched while something is left. */
static void send_request(struct connection *c) {
    while (c->sent < request_size) {
        ssize_t size = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL);
        if (size < 0) {
            if (errno != EAGAIN) failed(c, errno);
            else watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return;
        }
        c->sent += size;
    }
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

/* The value of a header field, NULL when it isn't there. `head` ends with a zero byte. */
static const char *field(const char *head, const char *name) {
    const char *found = strcasestr(head, name); /* name: "\nfield:" */
    if (!found) return NULL;
    found += strlen(name);
    return found + strspn(found, " \t");
}

/* The status once the answer is whole, else 0. */
static int whole_answer(struct connection *c, int *closes) {
    c->answer[c->received] = 0;
    char *end = strstr(c->answer, "\r\n\r\n");
    if (!end) return 0;
    *end = 0;
    int status = c->received > 12 ? atoi(c->answer + 9) : 0;
    const char *length = field(c->answer, "\ncontent-length:"), *connection = field(c->answer, "\nconnection:");
    size_t size = (end + 4 - c->answer) + (length ? strtoul(length, NULL, 10) : 0);
    *closes = connection && !strncasecmp(connection, "close", 5);
    *end = '\r';
    if (status < 100 || status >= STATUSES) {
        fprintf(stderr, "not an HTTP answer: %.40s\n", c->answer);
        exit(1);
    }
    if (size > ANSWER_MAX) {
        fprintf(stderr, "an answer of %zu bytes is more than this client reads\n", size);
        exit(1);
    }
    return c->received >= size ? status : 0;
}

static void answered(struct connection *c, int status, int closes) {
    double at = now();
    if (at >= counting_from) record(status, at - c->began);
    if (closes) {
        c->state = ENDING;
        c->received = 0;
        c->began = at;
        watch(c, EPOLL_CTL_MOD, EPOLLIN); /* of the request nothing more is sent */
        return;
    }
    c->sent = c->received = 0;
    c->began = at;
    send_request(c);
}

static void receive(struct connection *c) {
    ssize_t size = recv(c->fd, c->answer + c->received, ANSWER_MAX - c->received, 0);
    if (size < 0) {
        if (errno != EAGAIN) failed(c, errno);
    } else if (size == 0) {
        if (c->state == ASKING) count(&counts.cut);
        open_again(c);
    } else if (c->state == ASKING) {
        int closes = 0, status;
        c->received += size;
        status = whole_answer(c, &closes);
        if (status) answered(c, status, closes);
    }
}

static void on_event(struct connection *c, uint32_t events) {
    int fd = c->fd;
    if (events & EPOLLIN) {
        receive(c); /* first: an answer may be there although sending failed */
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        failed(c, error ? error : ECONNRESET);
    } else if (events & EPOLLOUT && c->state == ASKING) {
        send_request(c);
    }
}

static void run(struct connection *all, int connections, double until) {
    struct epoll_event events[EVENTS];
    for (int i = 0; i < connections; i++) open_connection(&all[i]);
    while (now() < until) {
        int ready = epoll_wait(poller, events, EVENTS, 50);
        for (int i = 0; i < ready; i++) on_event(events[i].data.ptr, events[i].events);
    }
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Nearest rank: the smallest value that at least `share` of all don't exceed. */
static double percentile(const struct latencies *all, double share) {
    size_t rank = (size_t)(share * all->count);
    if (rank < share * all->count) rank++;
    return all->values[rank ? rank - 1 : 0] * 1e3;
}

static void report(const struct connection *all, int connections, double seconds) {
    double oldest = 0, at = now();
    const char *comma = "";
    for (int i = 0; i < connections; i++)
        if (at - all[i].began > oldest) oldest = at - all[i].began;
    printf("{\"seconds\": %.6f, \"resets\": %ld, \"refused\": %ld, \"cut\": %ld, \"reconnects\": %ld, "
           "\"oldest_ms\": %.3f, \"statuses\": {", seconds, counts.resets, counts.refused, counts.cut,
           counts.reconnects, oldest * 1e3);
    for (int status = 0; status < STATUSES; status++) {
        struct latencies *one = &by_status[status];
        if (!one->count) continue;
        qsort(one->values, one->count, sizeof *one->values, ascending);
        printf("%s\"%d\": {\"count\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}", comma, status,
               one->count, percentile(one, 0.50), percentile(one, 0.99), one->values[one->count - 1] * 1e3);
        comma = ", ";
    }
    printf("}}\n");
}

static void read_request(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    request_size = ftell(file);
    rewind(file);
    request = malloc(request_size);
    if (!request || fread(request, 1, request_size, file) != request_size) die(path);
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: closed_loop PORT REQUEST_FILE CONNECTIONS WARM_SECONDS SECONDS\n");
        return 2;
    }
    int connections = atoi(argv[3]);
    double seconds = atof(argv[5]);
    struct connection *all = calloc(connections, sizeof *all);
    if (!all) die("calloc");
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    read_request(argv[2]);
    poller = epoll_create1(0);
    counting_from = now() + atof(argv[4]);
    run(all, connections, counting_from + seconds);
    report(all, connections, now() - counting_from);
    return 0;
}
