// The few calls of the system and of the C library that the platform module for Swift leaves out.
#pragma once
#include <sys/types.h>

/// The number of processors this process may run on.
int csystem_processor_count(void);

/// rename(2) that fails with EEXIST instead of replacing.
int csystem_rename_without_replacing(const char *from, const char *to);

/// Whether a path is where a file system begins; 0 where the system does not say.
int csystem_is_mount_point(const char *path);

/// Exchanges two names in one step.
int csystem_exchange(const char *a, const char *b);

/// Copies bytes between files inside the kernel, sharing blocks where the file system can; like copy_file_range(2).
ssize_t csystem_copy_range(int from, off_t from_offset, int to, off_t to_offset, size_t byte_count);

/// Reserves the first bytes of a file on the disk. 0 also where the file system cannot, or is in memory; else -1 and errno.
int csystem_reserve(int descriptor, off_t byte_count);

/// A number as text, rounded to so many digits behind the point; with an exponent where that is wanted. Like snprintf(3),
/// which Swift reaches through lists of arguments only: those look protocols up, a millisecond at the start of a process.
int csystem_format(char *text, size_t capacity, double value, int digits, int with_exponent);

/// Gives memory of at least so many bytes back to the system as soon as it is freed, and keeps up to twice as many of
/// smaller pieces for the next.
void csystem_return_freed_memory(int from_byte_count);
