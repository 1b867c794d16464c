#define _GNU_SOURCE
#include "chdf5.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif
#include <unistd.h>

hid_t chdf5_integer(int bits, int is_signed) {
    switch (bits) {
    case 8: return is_signed ? H5T_STD_I8LE : H5T_STD_U8LE;
    case 16: return is_signed ? H5T_STD_I16LE : H5T_STD_U16LE;
    case 32: return is_signed ? H5T_STD_I32LE : H5T_STD_U32LE;
    default: return is_signed ? H5T_STD_I64LE : H5T_STD_U64LE;
    }
}

// The innermost message of the first failure that nobody has asked about: closing an identifier afterwards empties the
// library's own stack, so it is noted while the failing call returns.
static _Thread_local char first_message[200];

static herr_t keep_message(unsigned position, const H5E_error2_t *error, void *data) {
    (void)position, (void)data;
    if (!error->desc || !*error->desc) return 0;
    snprintf(first_message, sizeof first_message, "%s", error->desc);
    // Addresses in memory say nothing to anybody and differ from run to run.
    char *address = strstr(first_message, "0x");
    if (address) {
        *address = 0;
        char *colon = strrchr(first_message, ':');
        if (colon) *colon = 0;
    }
    return 1;
}

static herr_t note_failure(hid_t stack, void *data) {
    (void)data;
    if (!*first_message) H5Ewalk2(stack, H5E_WALK_UPWARD, keep_message, NULL);
    return 0;
}

void chdf5_silence(void) {
    H5Eset_auto2(H5E_DEFAULT, note_failure, NULL);
    *first_message = 0;
}

int chdf5_has_failed(void) { return *first_message != 0; }

void chdf5_error_text(char *text, size_t capacity) {
    snprintf(text, capacity, "%s", *first_message ? first_message : "no message");
    *first_message = 0;
}

// In the place of the library's class of external links: their targets can be read, for the message, and not followed.
static hid_t refuse_link(
    const char *name, hid_t group, const void *data, size_t size, hid_t access, hid_t transfer) {
    (void)name, (void)group, (void)data, (void)size, (void)access, (void)transfer;
    return -1;
}

static ssize_t copy_link(const char *name, const void *data, size_t size, void *buffer, size_t capacity) {
    (void)name;
    if (buffer) memcpy(buffer, data, size < capacity ? size : capacity);
    return (ssize_t)size;
}

static const H5L_class_t external_link = {
    .version = H5L_LINK_CLASS_T_VERS,
    .id = (H5L_type_t)H5L_TYPE_EXTERNAL,
    .comment = "external",
    .trav_func = refuse_link,
    .query_func = copy_link,
};

void chdf5_end_with_parent(void) {
#if defined(__linux__)
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

void chdf5_lock_down(void) {
    H5dont_atexit();
    H5open();
    chdf5_silence();
    H5PLset_loading_state(0);
    H5Lregister(&external_link);
}

void chdf5_close_from(posix_spawn_file_actions_t *actions, int first) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    posix_spawn_file_actions_addclosefrom_np(actions, first);
#else
    (void)actions, (void)first;
#endif
}

int chdf5_pipe(int ends[2]) {
    int raw[2], error = 0;
    if (pipe2(raw, O_CLOEXEC) != 0) return -1;
    for (int i = 0; i < 2; i++) {
        ends[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, 10);
        // EINVAL: there may be no descriptors of 10 and above at all.
        if (ends[i] < 0) error = errno == EINVAL ? EMFILE : errno;
    }
    close(raw[0]);
    close(raw[1]);
    if (!error) return 0;
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0) close(ends[i]);
    errno = error;
    return -1;
}

typedef struct {
    chdf5_link_visitor visitor;
    void *context;
} link_walk;

static const char *link_target(hid_t group, const char *name, const H5L_info_t *info, char *text, size_t capacity) {
    char value[4096];
    if (info->u.val_size > sizeof value || H5Lget_val(group, name, value, sizeof value, H5P_DEFAULT) < 0) return "?";
    value[sizeof value - 1] = 0;
    if (info->type == H5L_TYPE_SOFT) {
        snprintf(text, capacity, "%s", value);
        return text;
    }
    unsigned flags;
    const char *file, *path;
    if (H5Lunpack_elink_val(value, info->u.val_size, &flags, &file, &path) < 0) return "?";
    snprintf(text, capacity, "%s:%s", file, path);
    return text;
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *data) {
    link_walk *walk = data;
    char target[4200];
    switch (info->type) {
    case H5L_TYPE_HARD: return walk->visitor(name, CHDF5_HARD, info->u.address, "", walk->context);
    case H5L_TYPE_SOFT:
        return walk->visitor(
            name, CHDF5_SOFT, HADDR_UNDEF, link_target(group, name, info, target, sizeof target), walk->context);
    case H5L_TYPE_EXTERNAL:
        return walk->visitor(
            name, CHDF5_EXTERNAL, HADDR_UNDEF, link_target(group, name, info, target, sizeof target), walk->context);
    default: return walk->visitor(name, CHDF5_OTHER, HADDR_UNDEF, "", walk->context);
    }
}

int chdf5_visit_links(hid_t group, chdf5_link_visitor visitor, void *context) {
    link_walk walk = {visitor, context};
    return H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, visit_link, &walk);
}

haddr_t chdf5_address(hid_t object) {
    H5O_info_t info;
    return H5Oget_info2(object, &info, H5O_INFO_BASIC) < 0 ? HADDR_UNDEF : info.addr;
}

typedef struct {
    chdf5_attribute_visitor visitor;
    void *context;
} attribute_walk;

static herr_t visit_attribute(hid_t object, const char *name, const H5A_info_t *info, void *data) {
    (void)object, (void)info;
    attribute_walk *walk = data;
    return walk->visitor(name, walk->context);
}

int chdf5_visit_attributes(hid_t object, chdf5_attribute_visitor visitor, void *context) {
    attribute_walk walk = {visitor, context};
    return H5Aiterate2(object, H5_INDEX_CRT_ORDER, H5_ITER_INC, NULL, visit_attribute, &walk);
}
