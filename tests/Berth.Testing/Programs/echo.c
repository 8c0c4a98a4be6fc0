/*
 * An HTTP/1.1 server that sends back each request's body, for benchmarks of what stands in front of it: one thread in
 * epoll_wait(2), one recv and one send for each request whose head and body come together. Bodies have a
 * Content-Length and fit, with their head, into 64 KiB; whatever else is asked for ends the connection.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ROOM = 64 * 1024, EVENTS = 256 };

struct connection {
    int socket;
    size_t have;
    char buffer[ROOM + 1];
};

/* Length of the body; -1 when the head names none that is served here. */
static long body_length(const char *head, const char *end)
{
    const char *length = strcasestr(head, "\r\nContent-Length:");
    if (strcasestr(head, "\r\nTransfer-Encoding:") || (length && length >= end))
        return -1;
    return length ? strtol(length + 17, NULL, 10) : 0;
}

/* The answer leaves whole: an idle connection's buffer in the kernel takes 64 KiB. */
static int answer(int socket, char *body, size_t length)
{
    char head[64];
    struct iovec parts[] = {
        { head, (size_t)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length) },
        { body, length },
    };
    ssize_t size = (ssize_t)(parts[0].iov_len + length);
    return writev(socket, parts, 2) == size ? 0 : -1;
}

/* What there is of requests is answered; -1 to end the connection. */
static int serve(struct connection *c)
{
    ssize_t count;
    while ((count = recv(c->socket, c->buffer + c->have, ROOM - c->have, 0)) < 0 && errno == EINTR)
        ;
    if (count <= 0)
        return count < 0 && errno == EAGAIN ? 0 : -1;
    c->have += (size_t)count;
    c->buffer[c->have] = 0;
    char *end;
    while ((end = strstr(c->buffer, "\r\n\r\n"))) {
        long length = body_length(c->buffer, end);
        size_t head = (size_t)(end - c->buffer) + 4;
        if (length < 0 || head + (size_t)length > ROOM)
            return -1;
        size_t whole = head + (size_t)length;
        if (c->have < whole)
            return 0;
        if (answer(c->socket, c->buffer + head, (size_t)length))
            return -1;
        c->have -= whole;
        memmove(c->buffer, c->buffer + whole, c->have + 1);
    }
    return c->have < ROOM ? 0 : -1;
}

static int watch(int epoll, int descriptor, void *owner)
{
    struct epoll_event entry = { .events = EPOLLIN, .data.ptr = owner };
    return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &entry);
}

static void take(int epoll, int listener)
{
    int on = 1;
    int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (accepted < 0)
        return;
    setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *c = malloc(sizeof *c);
    if (c) {
        c->socket = accepted;
        c->have = 0;
    }
    if (!c || watch(epoll, accepted, c)) {
        free(c);
        close(accepted);
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const char *port = getenv("PORT");
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((unsigned short)atoi(port ? port : "8080")),
        .sin_addr.s_addr = htonl(INADDR_ANY),
    };
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)
        || watch(epoll, listener, NULL)) {
        perror("listen");
        return 1;
    }
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                take(epoll, listener);
            } else if (serve(c)) {
                close(c->socket);
                free(c);
            }
        }
    }
}
