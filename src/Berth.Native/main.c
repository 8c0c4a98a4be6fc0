/*
 * The executable holds two programs: the commands that talk to a server, compiled to machine code, and behind them,
 * as a bundle of .NET assemblies, all of Berth. The first starts at once and needs nothing installed. It starts the
 * file again with BERTH_PART=server for what only the second can do (Program.cs), and then this file does what .NET's
 * own application host does: finds the host library of the .NET installation and hands it the bundle.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PART "BERTH_PART"
#define EXIT_UNAVAILABLE 69

/* Where the bundle's header is in this file. The bundler finds the place by the 32 bytes behind it, which are the
   SHA-256 of ".net core bundle", and writes the offset before them. */
static volatile const unsigned char bundle[40] = {
    0, 0, 0, 0, 0, 0, 0, 0,
    0x8b, 0x12, 0x02, 0xb9, 0x6a, 0x61, 0x20, 0x38, 0x72, 0x7b, 0x93, 0x02, 0x14, 0xd7, 0xa0, 0x32,
    0x13, 0xf5, 0xb9, 0xe6, 0xef, 0xae, 0x33, 0x18, 0xee, 0x3b, 0x2d, 0xce, 0x24, 0xb3, 0x6a, 0xae};

typedef int (*run_bundle)(int argc, const char **argv, const char *host, const char *root, const char *app,
                          int64_t header);

extern int __managed__Main(int argc, char **argv);

/* The path of this file; 0 when there is none. */
static int find_self(char *self)
{
    ssize_t length = readlink("/proc/self/exe", self, PATH_MAX - 1);
    self[length > 0 ? length : 0] = 0;
    return length > 0;
}

/* The library of the newest version under ROOT/host/fxr; 0 when there is none. */
static int find_library(const char *root, char *library)
{
    char folder[PATH_MAX];
    int best[3] = {-1, -1, -1};
    if (snprintf(folder, sizeof folder, "%s/host/fxr", root) >= (int)sizeof folder)
        return 0;
    DIR *versions = opendir(folder);
    if (versions == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(versions)) != NULL;) {
        int version[3], end = 0;
        if (sscanf(entry->d_name, "%d.%d.%d%n", &version[0], &version[1], &version[2], &end) != 3
            || entry->d_name[end] != 0)
            continue;
        for (int i = 0; i < 3; i++) {
            if (version[i] == best[i])
                continue;
            if (version[i] > best[i])
                memcpy(best, version, sizeof best);
            break;
        }
    }
    closedir(versions);
    return best[0] >= 0
        && snprintf(library, PATH_MAX, "%s/%d.%d.%d/libhostfxr.so", folder, best[0], best[1], best[2]) < PATH_MAX
        && access(library, R_OK) == 0;
}

/* The places that .NET's application host looks at, in its order. */
static int find_dotnet(char *root, char *library)
{
    static const char *const variables[] = {"DOTNET_ROOT_X64", "DOTNET_ROOT"};
    static const char *const records[] = {"/etc/dotnet/install_location_x64", "/etc/dotnet/install_location"};
    static const char *const usual[] = {"/usr/share/dotnet", "/usr/lib/dotnet"};
    for (int i = 0; i < 2; i++) {
        const char *named = getenv(variables[i]);
        if (named != NULL && snprintf(root, PATH_MAX, "%s", named) < PATH_MAX && find_library(root, library))
            return 1;
    }
    for (int i = 0; i < 2; i++) {
        FILE *record = fopen(records[i], "re");
        if (record == NULL)
            continue;
        int found = fgets(root, PATH_MAX, record) != NULL;
        fclose(record);
        root[found ? strcspn(root, "\r\n") : 0] = 0;
        if (found && find_library(root, library))
            return 1;
    }
    for (int i = 0; i < 2; i++) {
        if (snprintf(root, PATH_MAX, "%s", usual[i]) < PATH_MAX && find_library(root, library))
            return 1;
    }
    return 0;
}

static int run_server_part(int argc, char **argv)
{
    char self[PATH_MAX], root[PATH_MAX], library[PATH_MAX], app[PATH_MAX];
    int64_t header;
    memcpy(&header, (const void *)bundle, sizeof header);
    if (header == 0 || !find_self(self)) {
        fprintf(stderr, "berth: this file holds no server: it is the commands alone.\n");
        return EXIT_UNAVAILABLE;
    }
    if (!find_dotnet(root, library)) {
        fprintf(stderr, "berth: '%s' needs the ASP.NET Core runtime 10, and no .NET was found: install it (see "
                        "https://dotnet.microsoft.com/download) or name its folder in DOTNET_ROOT.\n",
                argc > 1 ? argv[1] : "this");
        return EXIT_UNAVAILABLE;
    }
    void *host = dlopen(library, RTLD_LAZY);
    run_bundle run = host == NULL ? NULL : (run_bundle)dlsym(host, "hostfxr_main_bundle_startupinfo");
    if (run == NULL) {
        fprintf(stderr, "berth: %s can't be used: %s\n", library, dlerror());
        return EXIT_UNAVAILABLE;
    }
    char *slash = strrchr(self, '/');
    snprintf(app, sizeof app, "%.*s/berth.dll", (int)(slash - self), self);
    return run(argc, (const char **)argv, self, root, app, header);
}

static char **arguments;
static struct sigaction broken_pipe;

/* Goes on as the other program, as if it had been started in place of this one. Returns errno when it can't. */
int become_server_part(void)
{
    char self[PATH_MAX];
    if (!find_self(self))
        return errno;
    /* The runtime ignores it, and what is ignored stays so in the next program and in all that it starts. */
    sigaction(SIGPIPE, &broken_pipe, NULL);
    if (setenv(PART, "server", 1) != 0)
        return errno;
    execv(self, arguments);
    return errno;
}

int main(int argc, char **argv)
{
    if (getenv(PART) == NULL) {
        arguments = argv;
        sigaction(SIGPIPE, NULL, &broken_pipe);
        return __managed__Main(argc, argv);
    }
    unsetenv(PART);
    return run_server_part(argc, argv);
}
