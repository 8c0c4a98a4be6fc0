/*
 * A small HTTP/1.1 server for tests and benchmarks: one thread for each connection, nothing but the C library.
 * The path says what it does:
 *   /echo          answers with the request's body, in pieces as they come when it is chunked
 *   /head          answers with the request's line and headers as they came
 *   /env/NAME      a variable of its environment
 *   /slow/MS       answers after so many milliseconds
 *   /events/N      N server-sent events, 50 ms apart
 *   /status/CODE   that status
 *   /raw           a header with a byte above 127
 *   /exit/CODE     ends the process while the caller waits
 *   /torn          announces more than it sends, and closes
 *   /count         calls that are under way now
 *   Upgrade        any path: switches protocols and echoes bytes
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 64 * 1024 };

static atomic_int under_way;

struct connection {
    int socket;
    size_t have;
    char buffer[ROOM + 1];
};

static int send_all(int socket, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(socket, data, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return -1;
        data += sent;
        length -= (size_t)sent;
    }
    return 0;
}

static int say(int socket, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return send_all(socket, text, (size_t)length);
}

static int answer(int socket, int status, const char *body, size_t length)
{
    char head[256];
    int size = snprintf(head, sizeof head,
        "HTTP/1.1 %d Said\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", status, length);
    if (length + (size_t)size <= 4096) {
        char whole[4096];
        memcpy(whole, head, (size_t)size);
        memcpy(whole + size, body, length);
        return send_all(socket, whole, (size_t)size + length);
    }
    return send_all(socket, head, (size_t)size) || send_all(socket, body, length);
}

/* More bytes into the buffer; 0 at the end. */
static ssize_t fill(struct connection *c)
{
    ssize_t count = recv(c->socket, c->buffer + c->have, ROOM - c->have, 0);
    if (count > 0) {
        c->have += (size_t)count;
        c->buffer[c->have] = 0;
    }
    return count;
}

static void drop(struct connection *c, size_t count)
{
    memmove(c->buffer, c->buffer + count, c->have - count);
    c->have -= count;
    c->buffer[c->have] = 0;
}

static const char *header(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, length) && line[2 + length] == ':')
            return line + 3 + length + strspn(line + 3 + length, " ");
    return NULL;
}

/* Passes a body of a known length back as it comes. */
static int echo_length(struct connection *c, size_t length)
{
    if (say(c->socket, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length))
        return -1;
    while (length > 0) {
        if (c->have == 0 && fill(c) <= 0)
            return -1;
        size_t part = c->have < length ? c->have : length;
        if (send_all(c->socket, c->buffer, part))
            return -1;
        drop(c, part);
        length -= part;
    }
    return 0;
}

/* Passes a chunked body back, chunk by chunk. */
static int echo_chunks(struct connection *c)
{
    if (say(c->socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
        return -1;
    for (;;) {
        char *end;
        while (!(end = strstr(c->buffer, "\r\n")))
            if (fill(c) <= 0)
                return -1;
        size_t size = strtoul(c->buffer, NULL, 16);
        drop(c, (size_t)(end - c->buffer) + 2);
        if (size > 0 && say(c->socket, "%zx\r\n", size))
            return -1;
        size_t left = size + 2;
        while (left > 0) {
            if (c->have == 0 && fill(c) <= 0)
                return -1;
            size_t part = c->have < left ? c->have : left;
            if (size > 0 && send_all(c->socket, c->buffer, part))
                return -1;
            drop(c, part);
            left -= part;
        }
        if (size == 0)
            return say(c->socket, "0\r\n\r\n");
    }
}

static int events(int socket, int count)
{
    if (say(socket, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"))
        return -1;
    for (int i = 1; i <= count; i++) {
        char event[64];
        int length = snprintf(event, sizeof event, "data: event %d\n\n", i);
        if (say(socket, "%x\r\n%s\r\n", length, event))
            return -1;
        usleep(50 * 1000);
    }
    return say(socket, "0\r\n\r\n");
}

static int upgrade(struct connection *c, const char *head)
{
    const char *protocol = header(head, "Upgrade");
    if (say(c->socket, "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: %.*s\r\n\r\n",
            (int)strcspn(protocol, "\r"), protocol))
        return -1;
    do {
        if (c->have > 0 && send_all(c->socket, c->buffer, c->have))
            return -1;
        c->have = 0;
    } while (fill(c) > 0);
    return -1;
}

/* Answers one request whose head is `head`; what follows it is in the buffer. */
static int serve(struct connection *c, const char *head)
{
    char path[1024] = "";
    sscanf(head, "%*s %1023s", path);
    const char *length_text = header(head, "Content-Length");
    const char *coding = header(head, "Transfer-Encoding");
    size_t length = length_text ? strtoul(length_text, NULL, 10) : 0;
    if (header(head, "Upgrade"))
        return upgrade(c, head);
    if (!strncmp(path, "/echo", 5))
        return coding ? echo_chunks(c) : echo_length(c, length);

    while (length > 0) {
        if (c->have == 0 && fill(c) <= 0)
            return -1;
        size_t part = c->have < length ? c->have : length;
        drop(c, part);
        length -= part;
    }

    if (!strncmp(path, "/head", 5))
        return answer(c->socket, 200, head, strlen(head));
    if (!strncmp(path, "/env/", 5)) {
        const char *value = getenv(path + 5);
        return answer(c->socket, value ? 200 : 404, value ? value : "", value ? strlen(value) : 0);
    }
    if (!strncmp(path, "/slow/", 6)) {
        usleep((useconds_t)atoi(path + 6) * 1000);
        return answer(c->socket, 200, "slow\n", 5);
    }
    if (!strncmp(path, "/events/", 8))
        return events(c->socket, atoi(path + 8));
    if (!strncmp(path, "/status/", 8))
        return answer(c->socket, atoi(path + 8), "said\n", 5);
    if (!strncmp(path, "/raw", 4))
        return say(c->socket, "HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nBerth-Forged: 1\r\nContent-Length: 0\r\n\r\n");
    if (!strncmp(path, "/exit/", 6)) {
        fprintf(stderr, "asked to exit\n");
        _exit(atoi(path + 6));
    }
    if (!strncmp(path, "/torn", 5)) {
        say(c->socket, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
        return -1;
    }
    if (!strncmp(path, "/count", 6)) {
        char text[32];
        int size = snprintf(text, sizeof text, "%d\n", atomic_load(&under_way));
        return answer(c->socket, 200, text, (size_t)size);
    }
    return answer(c->socket, 404, "no such path\n", 13);
}

static void *run(void *argument)
{
    struct connection *c = argument;
    for (;;) {
        char *end;
        while (!(end = strstr(c->buffer, "\r\n\r\n")))
            if (c->have == ROOM || fill(c) <= 0)
                goto over;
        size_t size = (size_t)(end - c->buffer) + 4;
        char head[16 * 1024];
        if (size >= sizeof head)
            goto over;
        memcpy(head, c->buffer, size);
        head[size] = 0;
        drop(c, size);
        atomic_fetch_add(&under_way, 1);
        int failed = serve(c, head);
        atomic_fetch_sub(&under_way, 1);
        if (failed)
            goto over;
    }
over:
    close(c->socket);
    free(c);
    return NULL;
}

int main(int count, char **arguments)
{
    signal(SIGPIPE, SIG_IGN);
    if (count > 1 && !strcmp(arguments[1], "fail")) {
        fprintf(stderr, "no configuration found\n");
        return 3;
    }
    if (count > 1 && !strcmp(arguments[1], "deaf"))
        pause();
    if (count > 1 && !strcmp(arguments[1], "late"))
        sleep(1);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const char *port = getenv("PORT");
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((unsigned short)atoi(port ? port : "8080")),
        .sin_addr.s_addr = htonl(INADDR_ANY),
    };
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) {
        perror("listen");
        return 1;
    }
    printf("listening on %s\n", port ? port : "8080");
    fflush(stdout);
    for (;;) {
        int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (accepted < 0)
            continue;
        setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *c = calloc(1, sizeof *c);
        c->socket = accepted;
        pthread_t thread;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, 256 * 1024);
        if (pthread_create(&thread, &attributes, run, c)) {
            close(accepted);
            free(c);
        }
        pthread_attr_destroy(&attributes);
    }
}
