/* Preloaded into a process: counts the calls that change files below one folder, fails the n-th,
   and records them all, so that a crash between any two can be played again.

   Nothing happens before crash_arm(). One lock makes the record's order that of the effects. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ONCE = 0, SHORT = 1, FULL = 2 };   /* how the n-th call fails */
enum { PASS = 0, FAIL = 1, HALF = 2 };    /* what is done about a call */

static char root[PATH_MAX];
static size_t root_length;
static long fail_at, count;
static int fail_errno, fail_mode, half_done, log_fd = -1, armed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void crash_arm(const char *folder, long at, int error, int mode, const char *log) {
    snprintf(root, sizeof root, "%s", folder);
    root_length = strlen(root);
    fail_at = at;
    fail_errno = error;
    fail_mode = mode;
    count = half_done = 0;
    if (*log) log_fd = REAL(open64)(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    armed = 1;
}

long crash_count(void) { return count; }

static int watched(const char *path) {
    return armed && !strncmp(path, root, root_length) && path[root_length] == '/';
}

static const char *path_at(int folder, const char *path, char *whole) {
    char link[64], base[PATH_MAX];
    if (path[0] == '/') return path;
    if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0) return path;
    base[length] = 0;
    if (snprintf(whole, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return path;
    return whole;
}

static int watched_fd(int fd, char *path) {
    char link[64];
    if (!armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return watched(path) || !strcmp(path, root);
}

static int decide(int writes) {
    long number = ++count;
    if (half_done && writes) {
        half_done = 0;
        return FAIL;
    }
    if (!fail_at || number < fail_at) return PASS;
    if (fail_mode == FULL) return writes ? FAIL : PASS;
    if (number > fail_at) return PASS;
    if (fail_mode == SHORT) return writes ? HALF : PASS;
    return FAIL;
}

static void put(const void *data, size_t size) {
    const char *from = data;
    while (size) {
        ssize_t done = REAL(write)(log_fd, from, size);
        if (done <= 0) return;
        from += done;
        size -= done;
    }
}

/* kind, a number, and two texts with their lengths */
static void record(char kind, int64_t number, const char *path, const void *data, size_t size) {
    if (log_fd < 0) return;
    struct { int64_t number; uint32_t path, data; } head = {number, strlen(path), size};
    put(&kind, 1);
    put(&head, sizeof head);
    put(path, head.path);
    put(data, size);
}

void crash_mark(long done) {
    pthread_mutex_lock(&lock);
    record('M', done, "", "", 0);
    pthread_mutex_unlock(&lock);
}

#define REFUSED(writes)                                                                            \
    (pthread_mutex_lock(&lock), verdict = decide(writes),                                          \
     verdict == FAIL ? (pthread_mutex_unlock(&lock), errno = fail_errno, 1) : 0)
#define RETURN(value) do { int kept = errno; pthread_mutex_unlock(&lock); errno = kept; return value; } while (0)

static int opened(int folder, const char *given, int flags, mode_t mode) {
    char whole[PATH_MAX];
    const char *path = path_at(folder, given, whole);
    int verdict;
    if ((flags & O_ACCMODE) == O_RDONLY || !watched(path))
        return REAL(openat64)(folder, given, flags, mode);
    if (REFUSED(flags & O_CREAT)) return -1;
    int there = REAL(access)(path, F_OK) == 0;
    int fd = REAL(openat64)(folder, given, flags, mode);
    if (fd >= 0 && (!there || (flags & O_TRUNC))) record(there ? 'T' : 'C', 0, path, "", 0);
    RETURN(fd);
}

#define MODE(flags) mode_t mode = 0; if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }

static ssize_t written(int fd, const void *data, size_t size, off64_t at, int placed) {
    char path[PATH_MAX];
    int verdict;
    if (!size || !watched_fd(fd, path))
        return placed ? REAL(pwrite64)(fd, data, size, at) : REAL(write)(fd, data, size);
    if (REFUSED(1)) return -1;
    if (verdict == HALF && size > 1) {
        size /= 2;
        half_done = 1;
    }
    ssize_t done = placed ? REAL(pwrite64)(fd, data, size, at) : REAL(write)(fd, data, size);
    if (done > 0) record('W', placed ? at : lseek64(fd, 0, SEEK_CUR) - done, path, data, done);
    RETURN(done);
}

ssize_t write(int fd, const void *data, size_t size) { return written(fd, data, size, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return written(fd, data, size, at, 1); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return written(fd, data, size, at, 1); }
ssize_t writev(int fd, const struct iovec *parts, int number) {
    char path[PATH_MAX];
    ssize_t all = 0;
    if (!watched_fd(fd, path)) return REAL(writev)(fd, parts, number);
    for (int i = 0; i < number; i++) {
        ssize_t done = written(fd, parts[i].iov_base, parts[i].iov_len, 0, 0);
        if (done < 0) return all ? all : -1;
        all += done;
        if ((size_t)done < parts[i].iov_len) break;
    }
    return all;
}

static int truncated(int fd, off64_t size) {
    char path[PATH_MAX];
    int verdict;
    if (!watched_fd(fd, path)) return REAL(ftruncate64)(fd, size);
    if (REFUSED(0)) return -1;
    int result = REAL(ftruncate64)(fd, size);
    if (!result) record('T', size, path, "", 0);
    RETURN(result);
}

int ftruncate(int fd, off_t size) { return truncated(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncated(fd, size); }

static int synced(int fd, int (*sync)(int)) {
    char path[PATH_MAX];
    int verdict;
    if (!watched_fd(fd, path)) return sync(fd);
    if (REFUSED(0)) return -1;
    int result = sync(fd);
    if (!result) record('S', 0, path, "", 0);
    RETURN(result);
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    char one[PATH_MAX], other[PATH_MAX];
    const char *path = path_at(from_folder, from, one), *target = path_at(to_folder, to, other);
    int verdict;
    if (!watched(path)) return REAL(renameat)(from_folder, from, to_folder, to);
    if (REFUSED(1)) return -1;
    int result = REAL(renameat)(from_folder, from, to_folder, to);
    if (!result) record('R', 0, path, target, strlen(target));
    RETURN(result);
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

static int removed(int folder, const char *given, int flags) {
    char whole[PATH_MAX];
    const char *path = path_at(folder, given, whole);
    int verdict;
    if (!watched(path)) return REAL(unlinkat)(folder, given, flags);
    if (REFUSED(0)) return -1;
    int result = REAL(unlinkat)(folder, given, flags);
    if (!result) record('U', 0, path, "", 0);
    RETURN(result);
}

int unlinkat(int folder, const char *path, int flags) { return removed(folder, path, flags); }
int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return removed(AT_FDCWD, path, AT_REMOVEDIR); }

static int made(int folder, const char *given, mode_t mode) {
    char whole[PATH_MAX];
    const char *path = path_at(folder, given, whole);
    int verdict;
    if (!watched(path)) return REAL(mkdirat)(folder, given, mode);
    if (REFUSED(1)) return -1;
    int result = REAL(mkdirat)(folder, given, mode);
    if (!result) record('D', 0, path, "", 0);
    RETURN(result);
}

int mkdirat(int folder, const char *path, mode_t mode) { return made(folder, path, mode); }
int mkdir(const char *path, mode_t mode) { return made(AT_FDCWD, path, mode); }
