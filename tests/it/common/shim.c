// Preloaded into hw1: a machine that has not what this one has. What is not named in the environment stays as it is.
//
//   SHIM_FLOCK, SHIM_LINK, SHIM_SYNC_FOLDER   the errno of flock, of hard links, of fsync of folders
//   SHIM_UNLISTED                             a listing of a folder is stale: it has no names that end so
//   SHIM_READ_ONLY                            nothing changes below this absolute path
//   SHIM_CPUS                                 so many processors
//   SHIM_THREADS                              more threads at a time than so many end the process
//   SHIM_ROOT                                 /proc/self/cgroup, /proc/meminfo and /sys/fs/cgroup are below this folder
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define REAL(name) ((__typeof__(name)*)dlsym(RTLD_NEXT, #name))

static int fails(const char* name) {
    const char* text = getenv(name);
    if (!text) return 0;
    errno = atoi(text);
    return 1;
}

static int below(const char* path, const char* folder) {
    size_t length = strlen(folder);
    return !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int kept(const char* path) {
    const char* folder = getenv("SHIM_READ_ONLY");
    if (!folder || !below(path, folder)) return 0;
    errno = EROFS;
    return 1;
}

static const char* moved(const char* path, char* buffer) {
    const char* root = getenv("SHIM_ROOT");
    if (!root || (strcmp(path, "/proc/self/cgroup") && strcmp(path, "/proc/meminfo") && !below(path, "/sys/fs/cgroup")))
        return path;
    snprintf(buffer, 4096, "%s%s", root, path);
    return buffer;
}

int flock(int fd, int operation) { return fails("SHIM_FLOCK") ? -1 : REAL(flock)(fd, operation); }

int link(const char* from, const char* to) { return fails("SHIM_LINK") ? -1 : REAL(link)(from, to); }

int linkat(int a, const char* from, int b, const char* to, int flags) {
    return fails("SHIM_LINK") ? -1 : REAL(linkat)(a, from, b, to, flags);
}

struct dirent64* readdir64(DIR* folder) {
    const char* end = getenv("SHIM_UNLISTED");
    struct dirent64* entry;
    while ((entry = ((struct dirent64 * (*)(DIR*)) dlsym(RTLD_NEXT, "readdir64"))(folder)) && end) {
        size_t length = strlen(entry->d_name);
        if (length < strlen(end) || strcmp(entry->d_name + length - strlen(end), end)) break;
    }
    return entry;
}

int fsync(int fd) {
    struct stat about;
    if (!fstat(fd, &about) && S_ISDIR(about.st_mode) && fails("SHIM_SYNC_FOLDER")) return -1;
    return REAL(fsync)(fd);
}

#define OPEN(name)                                                                    \
    int name(const char* path, int flags, ...) {                                      \
        va_list list;                                                                 \
        va_start(list, flags);                                                        \
        mode_t mode = va_arg(list, mode_t);                                           \
        va_end(list);                                                                 \
        char buffer[4096];                                                            \
        if ((flags & (O_ACCMODE | O_CREAT)) && kept(path)) return -1;                 \
        return REAL(name)(moved(path, buffer), flags, mode);                          \
    }
OPEN(open)
OPEN(open64)

int statx(int fd, const char* restrict path, int flags, unsigned mask, struct statx* restrict about) {
    char buffer[4096];
    return REAL(statx)(fd, moved(path, buffer), flags, mask, about);
}

int mkdir(const char* path, mode_t mode) {
    struct stat about;
    return stat(path, &about) && kept(path) ? -1 : REAL(mkdir)(path, mode);
}
int unlink(const char* path) { return kept(path) ? -1 : REAL(unlink)(path); }
int rename(const char* from, const char* to) { return kept(to) ? -1 : REAL(rename)(from, to); }

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t* set) {
    const char* cpus = getenv("SHIM_CPUS");
    if (!cpus) return REAL(sched_getaffinity)(pid, size, set);
    CPU_ZERO_S(size, set);
    for (int cpu = 0; cpu < atoi(cpus); cpu++) CPU_SET_S(cpu, size, set);
    return 0;
}

// No more than SHIM_THREADS threads at a time, beside the first.
#include <pthread.h>

struct started {
    void* (*work)(void*);
    void* given;
};
static int threads;

static void* counted(void* pointer) {
    struct started started = *(struct started*)pointer;
    free(pointer);
    void* result = started.work(started.given);
    __sync_fetch_and_sub(&threads, 1);
    return result;
}

int pthread_create(pthread_t* restrict thread, const pthread_attr_t* restrict attributes, void* (*work)(void*),
                   void* restrict given) {
    const char* most = getenv("SHIM_THREADS");
    if (__sync_add_and_fetch(&threads, 1) > (most ? atoi(most) : 1 << 20)) {
        fprintf(stderr, "too many threads\n");
        abort();
    }
    struct started* started = malloc(sizeof *started);
    *started = (struct started){work, given};
    return REAL(pthread_create)(thread, attributes, counted, started);
}
