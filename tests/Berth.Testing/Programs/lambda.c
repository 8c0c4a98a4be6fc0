/*
 * A function for AWS Lambda's Runtime API, with nothing but the C library: asks for an event, does what it says, answers.
 * A word in the event decides:
 *   exit     ends the process
 *   slow     never answers
 *   fail     reports an error
 *   env NAME answers with a variable of its environment
 *   other    an event with anything else is the answer
 * With the argument "broken" it reports that it can't be initialized. What it gets it also writes to standard error.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 8 * 1024 * 1024 };

static char answer[ROOM + 1];

/* One request over one connection; the answer, head and body, stands in `answer`. */
static char *ask(const char *method, const char *path, const char *body)
{
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
    char host[64];
    int port;
    if (!api || sscanf(api, "%63[^:]:%d", host, &port) != 2)
        exit(64);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    inet_pton(AF_INET, host, &to.sin_addr);
    if (connect(s, (struct sockaddr *)&to, sizeof to) < 0) {
        perror("connect");
        exit(65);
    }
    dprintf(s, "%s /2018-06-01/runtime/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
            method, path, api, strlen(body));
    for (size_t sent = 0, all = strlen(body); sent < all;) {
        ssize_t count = write(s, body + sent, all - sent);
        if (count <= 0)
            exit(66);
        sent += count;
    }
    size_t have = 0;
    for (ssize_t count; (count = read(s, answer + have, ROOM - have)) > 0;)
        have += count;
    close(s);
    answer[have] = 0;
    char *end = strstr(answer, "\r\n\r\n");
    if (!end)
        exit(67);
    end[2] = 0;
    return end + 4;
}

static void report(const char *path, const char *type, const char *message)
{
    char text[256];
    snprintf(text, sizeof text, "{\"errorMessage\":\"%s\",\"errorType\":\"%s\"}", message, type);
    ask("POST", path, text);
}

int main(int count, char **words)
{
    if (count > 1 && !strcmp(words[1], "broken")) {
        report("init/error", "Runtime.ImportModuleError", "no module 'app'");
        return 1;
    }
    for (;;) {
        char *got = strdup(ask("GET", "invocation/next", ""));
        char id[64] = "", path[128], name[64];
        char *header = strcasestr(answer, "\r\nLambda-Runtime-Aws-Request-Id: ");
        if (!header || sscanf(header, "\r\n%*[^:]: %63[^\r]", id) != 1)
            return 68;
        fprintf(stderr, "%s got %.200s\n", getenv("_HANDLER"), got);
        snprintf(path, sizeof path, "invocation/%s/%s", id, strstr(got, "fail") ? "error" : "response");
        if (strstr(got, "exit"))
            return 3;
        while (strstr(got, "slow"))
            pause();
        if (strstr(got, "fail")) {
            report(path, "Boom", "it is bad");
        } else if (sscanf(got, "\"env %63[A-Z_]\"", name) == 1) {
            char text[512];
            snprintf(text, sizeof text, "\"%s\"", getenv(name) ? getenv(name) : "");
            ask("POST", path, text);
        } else {
            ask("POST", path, got);
        }
        free(got);
    }
}
