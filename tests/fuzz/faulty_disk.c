// A disk that fails when it is told to: preloaded, it stands before the C library's calls on files below one folder.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, WRITE, RENAME, READ, OPEN };

static char folder[4096];
static volatile int kind, when, error, lasting, seen;

// From now on the `n`th call of a kind (1 is the first) below `below` fails with `number`; lasting: all after it, too.
void faulty_arm(const char *below, int which, int n, int number, int stays) {
    strncpy(folder, below, sizeof folder - 1);
    seen = 0, when = n, error = number, lasting = stays;
    kind = which;
}

// Ends that; how many calls of that kind there were.
int faulty_disarm(void) {
    kind = NONE;
    return seen;
}

static int fails(int which) {
    if (kind != which)
        return 0;
    int now = __sync_add_and_fetch(&seen, 1);
    if (now != when && !(lasting && now > when))
        return 0;
    errno = error;
    return 1;
}

static int below(const char *path) {
    return folder[0] && strncmp(path, folder, strlen(folder)) == 0;
}

static int fails_on(int which, int fd) {
    char link[64], path[4096];
    if (kind != which)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return below(path) && fails(which);
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t n) {
    REAL(write);
    return fails_on(WRITE, fd) ? -1 : real(fd, data, n);
}

ssize_t writev(int fd, const struct iovec *parts, int n) {
    REAL(writev);
    return fails_on(WRITE, fd) ? -1 : real(fd, parts, n);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    REAL(pwrite);
    return fails_on(WRITE, fd) ? -1 : real(fd, data, n, at);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    REAL(pwrite64);
    return fails_on(WRITE, fd) ? -1 : real(fd, data, n, at);
}

ssize_t read(int fd, void *data, size_t n) {
    REAL(read);
    return fails_on(READ, fd) ? -1 : real(fd, data, n);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return kind == RENAME && below(from) && fails(RENAME) ? -1 : real(from, to);
}

int renameat(int a, const char *from, int b, const char *to) {
    REAL(renameat);
    return kind == RENAME && below(from) && fails(RENAME) ? -1 : real(a, from, b, to);
}

// Only calls that make a file: what cannot be made cannot be half written.
#define OPENING(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & O_CREAT ? va_arg(rest, int) : 0; \
        va_end(rest); \
        return (flags & O_CREAT) && kind == OPEN && below(path) && fails(OPEN) ? -1 : real(path, flags, mode); \
    }
OPENING(open)
OPENING(open64)
