// A libhdf5 file driver over a descriptor that somebody else opened. The library never gets a path, so it cannot open
// anything by itself; and a read of raw data can be *located* instead of carried out, which is how a chunk's place is
// learned by one search of its index (the library's own H5Dget_chunk_info walks the whole index for every chunk).
#define _GNU_SOURCE
#include "chdf5.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/// A file of the library: some bytes of one of the system, whose addresses begin at 0.
typedef struct {
    int descriptor;
    haddr_t begin, size;
} extent;

typedef struct {
    H5FD_t public; // Must be first: the library fills it.
    extent place;
    haddr_t end_of_allocation;
    haddr_t end_of_file;
} descriptor_file;

/// Handed from `chdf5_open` to the driver's open function, which the library calls once or twice for one file; the
/// library itself is called under one lock.
static extent pending = {-1, 0, 0};
static int last_errno = 0;

/// While set, reads of raw data note their place here and read nothing.
static struct {
    int is_active, count;
    haddr_t address;
    hsize_t size;
} location;

int chdf5_last_errno(void) { return last_errno; }
void chdf5_clear_errno(void) { last_errno = 0; }

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t maximum) {
    (void)name, (void)access, (void)maximum;
    if (pending.descriptor < 0) return NULL;
    descriptor_file *file = calloc(1, sizeof *file);
    if (!file) return NULL;
    file->place = pending;
    file->end_of_file = (flags & H5F_ACC_TRUNC) ? 0 : pending.size;
    return &file->public;
}

static herr_t driver_close(H5FD_t *file) {
    free(file);
    return 0;
}

static int driver_compare(const H5FD_t *a, const H5FD_t *b) { return a < b ? -1 : a > b; }

static herr_t driver_query(const H5FD_t *file, unsigned long *flags) {
    (void)file;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return ((const descriptor_file *)file)->end_of_allocation;
}

static herr_t driver_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t address) {
    (void)type;
    ((descriptor_file *)file)->end_of_allocation = address;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return ((const descriptor_file *)file)->end_of_file;
}

static herr_t driver_read(H5FD_t *raw, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, void *buffer) {
    (void)transfer;
    descriptor_file *file = (descriptor_file *)raw;
    if (location.is_active && type == H5FD_MEM_DRAW) {
        location.count++;
        location.address = address;
        location.size = size;
        return 0;
    }
    const extent *place = &file->place;
    if (address > INT64_MAX || size > INT64_MAX - address) return -1;
    unsigned char *bytes = buffer;
    // The library reads behind the end in places and expects zeros, not what lies behind it in the system's file.
    haddr_t there = address < place->size ? place->size - address : 0;
    if (size > there) {
        memset(bytes + there, 0, size - there);
        size = there;
    }
    while (size > 0) {
        ssize_t count = pread(place->descriptor, bytes, size, (off_t)(place->begin + address));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            last_errno = errno;
            return -1;
        }
        if (count == 0) { // Not written yet.
            memset(bytes, 0, size);
            return 0;
        }
        bytes += count, size -= (size_t)count, address += (haddr_t)count;
    }
    return 0;
}

static herr_t driver_write(
    H5FD_t *raw, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, const void *buffer) {
    (void)type, (void)transfer;
    descriptor_file *file = (descriptor_file *)raw;
    if (address > INT64_MAX || size > INT64_MAX - address) return -1;
    const unsigned char *bytes = buffer;
    while (size > 0) {
        ssize_t count = pwrite(file->place.descriptor, bytes, size, (off_t)address);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) {
            last_errno = count < 0 ? errno : EIO;
            return -1;
        }
        bytes += count, size -= (size_t)count, address += (haddr_t)count;
    }
    if (address > file->end_of_file) file->end_of_file = address;
    return 0;
}

static herr_t driver_truncate(H5FD_t *raw, hid_t transfer, hbool_t closing) {
    (void)transfer, (void)closing;
    descriptor_file *file = (descriptor_file *)raw;
    if (file->end_of_allocation == file->end_of_file) return 0;
    while (ftruncate(file->place.descriptor, (off_t)file->end_of_allocation) != 0) {
        if (errno == EINTR) continue;
        last_errno = errno;
        return -1;
    }
    file->end_of_file = file->end_of_allocation;
    return 0;
}

static const H5FD_class_t driver_class = {
#ifdef H5FD_CLASS_VERSION
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)600,
#endif
    .name = "descriptor",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .open = driver_open,
    .close = driver_close,
    .cmp = driver_compare,
    .query = driver_query,
    .get_eoa = driver_get_eoa,
    .set_eoa = driver_set_eoa,
    .get_eof = driver_get_eof,
    .read = driver_read,
    .write = driver_write,
    .truncate = driver_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

hid_t chdf5_access(void) {
    static hid_t driver = -1;
    if (driver < 0) driver = H5FDregister(&driver_class);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0 || driver < 0 || H5Pset_driver(access, driver, NULL) < 0) return -1;
    return access;
}

hid_t chdf5_open(int descriptor, haddr_t begin, haddr_t size, hid_t access_list) {
    if (begin > INT64_MAX || size > INT64_MAX - begin) return -1;
    pending = (extent){descriptor, begin, size};
    hid_t file = H5Fopen("descriptor", H5F_ACC_RDONLY, access_list);
    pending.descriptor = -1;
    return file;
}

hid_t chdf5_create(int descriptor, hid_t file_creation, hid_t access_list) {
    pending = (extent){descriptor, 0, INT64_MAX};
    hid_t file = H5Fcreate("descriptor", H5F_ACC_TRUNC, file_creation, access_list);
    pending.descriptor = -1;
    return file;
}

int chdf5_locate_chunk(hid_t dataset, const hsize_t *offset, haddr_t *address, hsize_t *size, uint32_t *filter_mask) {
    unsigned char nothing[1];
    char text[80];
    chdf5_error_text(text, sizeof text); // What failed before is not this.
    location.is_active = 1;
    location.count = 0;
    herr_t result = H5Dread_chunk(dataset, H5P_DEFAULT, offset, filter_mask, nothing);
    location.is_active = 0;
    if (result >= 0 && location.count == 1) {
        *address = location.address;
        *size = location.size;
        return 1;
    }
    if (result >= 0) return -1;
    chdf5_error_text(text, sizeof text);
    return strstr(text, "isn't defined") || strstr(text, "not initialized") || strstr(text, "not allocated") ? 0 : -1;
}
