// libhdf5, and as functions what its headers offer only as macros that call or cast.
#pragma once
#ifndef H5_USE_110_API
#define H5_USE_110_API
#endif
#if __has_include(<hdf5/serial/hdf5.h>)
#include <hdf5/serial/hdf5.h>
#else
#include <hdf5.h>
#endif
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>

// Constants that are casts or calls.
static inline hid_t chdf5_default(void) { return H5P_DEFAULT; }
static inline hid_t chdf5_all(void) { return H5S_ALL; }
static inline haddr_t chdf5_undefined_address(void) { return HADDR_UNDEF; }
static inline hsize_t chdf5_unlimited(void) { return H5S_UNLIMITED; }
static inline size_t chdf5_variable(void) { return H5T_VARIABLE; }
static inline hid_t chdf5_ieee_f32_little(void) { return H5T_IEEE_F32LE; }
static inline hid_t chdf5_ieee_f64_little(void) { return H5T_IEEE_F64LE; }
static inline hid_t chdf5_c_string(void) { return H5T_C_S1; }
static inline hid_t chdf5_file_creation(void) { return H5P_FILE_CREATE; }
static inline hid_t chdf5_group_creation(void) { return H5P_GROUP_CREATE; }
static inline hid_t chdf5_dataset_creation(void) { return H5P_DATASET_CREATE; }
static inline hid_t chdf5_link_creation(void) { return H5P_LINK_CREATE; }

/// The little-endian integer type of `bits` bits (8, 16, 32 or 64).
hid_t chdf5_integer(int bits, int is_signed);

/// Prepares the library for files that nobody vouches for: no filter plugins, no external links, no messages on
/// standard error.
void chdf5_lock_down(void);

/// The process ends with the one that started it: whoever waits for a listing may be killed.
void chdf5_end_with_parent(void);

/// Keeps the library's messages off standard error and notes them; every thread has its own setting.
void chdf5_silence(void);

/// Whether a call failed on this thread since the last question.
int chdf5_has_failed(void);

/// The innermost message of the first failure on this thread since the last question, or "no message".
void chdf5_error_text(char *text, size_t capacity);

/// Opens or creates a file through a descriptor that the caller keeps open: libhdf5 never sees a path, so it opens
/// nothing by itself. What is opened is `size` bytes from `begin` on, which the library sees as a whole file.
hid_t chdf5_open(int descriptor, haddr_t begin, haddr_t size, hid_t access_list);
hid_t chdf5_create(int descriptor, hid_t file_creation, hid_t access_list);

/// A file access property list with the driver of `chdf5_open`.
hid_t chdf5_access(void);

/// errno of the last failed read or write of the driver, 0 where none failed.
int chdf5_last_errno(void);
void chdf5_clear_errno(void);

/// Where one chunk lies, found by one search of the chunk index; none of its bytes are read.
///
/// - Returns: 1 where it is stored, 0 where it is not, -1 where the index is damaged.
int chdf5_locate_chunk(hid_t dataset, const hsize_t *offset, haddr_t *address, hsize_t *size, uint32_t *filter_mask);

/// Has a process that is to be spawned close all descriptors from one on; nothing where the C library cannot say that.
void chdf5_close_from(posix_spawn_file_actions_t *actions, int first);

/// pipe(2) whose ends are closed in other programs, numbered 10 and above.
int chdf5_pipe(int ends[2]);

/// The kinds of links that a group holds.
typedef enum { CHDF5_HARD, CHDF5_SOFT, CHDF5_EXTERNAL, CHDF5_OTHER } chdf5_link_kind;

/// Called for every link of a group; `target` is a soft link's path or "FILE:PATH" of an external one. A negative
/// result ends the walk.
typedef int (*chdf5_link_visitor)(
    const char *name, chdf5_link_kind kind, haddr_t address, const char *target, void *context);

/// Visits the links of a group one by one; negative where the group is damaged or the visitor said so.
int chdf5_visit_links(hid_t group, chdf5_link_visitor visitor, void *context);

/// The address that identifies an object in its file, or the undefined address.
haddr_t chdf5_address(hid_t object);

/// Called for every attribute of an object.
typedef int (*chdf5_attribute_visitor)(const char *name, void *context);

/// Visits the attributes in the order in which they were made, where the file knows it.
int chdf5_visit_attributes(hid_t object, chdf5_attribute_visitor visitor, void *context);
