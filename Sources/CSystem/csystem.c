#define _GNU_SOURCE
#include "csystem.h"
#include <errno.h>
#include <fcntl.h>
#if defined(__linux__)
#include <linux/magic.h>
#include <malloc.h>
#include <sys/vfs.h>
#endif
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int csystem_processor_count(void) {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int csystem_rename_without_replacing(const char *from, const char *to) {
#if defined(__linux__)
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
#endif
    // The file system has no such rename: the nearest is to look first.
    struct stat status;
    if (lstat(to, &status) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

int csystem_is_mount_point(const char *path) {
#if defined(__linux__) && defined(STATX_ATTR_MOUNT_ROOT)
    struct statx status;
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status) != 0) return 0;
    return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
#else
    (void)path;
    return 0;
#endif
}

int csystem_exchange(const char *a, const char *b) {
#if defined(__linux__)
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
#else
    (void)a;
    (void)b;
    errno = ENOSYS;
    return -1;
#endif
}

ssize_t csystem_copy_range(int from, off_t from_offset, int to, off_t to_offset, size_t byte_count) {
#if defined(__linux__)
    return copy_file_range(from, &from_offset, to, &to_offset, byte_count, 0);
#else
    (void)from, (void)from_offset, (void)to, (void)to_offset, (void)byte_count;
    errno = ENOSYS;
    return -1;
#endif
}

int csystem_reserve(int descriptor, off_t byte_count) {
#if defined(__linux__)
    // In memory there is nothing to reserve but the pages themselves, all of them on this thread before the others begin.
    struct statfs system;
    if (fstatfs(descriptor, &system) == 0 && system.f_type == TMPFS_MAGIC) return 0;
    // Not posix_fallocate: where the file system cannot reserve, that one writes into every block.
    int result;
    do result = fallocate(descriptor, 0, 0, byte_count);
    while (result != 0 && errno == EINTR);
    if (result == 0 || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) return 0;
    return -1;
#else
    (void)descriptor, (void)byte_count;
    return 0;
#endif
}

int csystem_format(char *text, size_t capacity, double value, int digits, int with_exponent) {
    return snprintf(text, capacity, with_exponent ? "%.*e" : "%.*f", digits, value);
}

void csystem_return_freed_memory(int from_byte_count) {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, from_byte_count);
    // With the one the library leaves the other alone: 128 kB, so that the next piece of a tensor would be new memory.
    mallopt(M_TRIM_THRESHOLD, 2 * from_byte_count);
#else
    (void)from_byte_count;
#endif
}
