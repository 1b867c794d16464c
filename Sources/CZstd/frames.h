// The parts of zstd frames that we write ourselves (RFC 8878, section 3.1.1): single segment, content size, checksum.
#pragma once
#include "czstd.h"
#include <string.h>

/// The most that one block may hold.
#define CZSTD_BLOCK_MAXIMUM ((size_t)1 << 17)

enum { CZSTD_RAW = 0, CZSTD_REPEATED = 1, CZSTD_COMPRESSED = 2 };

static inline size_t czstd_put_header(uint8_t *out, size_t count) {
    // Bits 7-6: bytes of the content size (0: 1, 1: 2, 2: 4, 3: 8); bit 5: single segment; bit 2: checksum.
    unsigned code = count < 256 ? 0 : count < 65536 + 256 ? 1 : count <= 0xFFFFFFFFu ? 2 : 3;
    uint32_t magic = ZSTD_MAGICNUMBER;
    uint64_t size = code == 1 ? count - 256 : count;
    memcpy(out, &magic, 4);
    out[4] = (uint8_t)(code << 6 | 1 << 5 | 1 << 2);
    memcpy(out + 5, &size, (size_t)1 << code);
    return 5 + ((size_t)1 << code);
}

static inline size_t czstd_put_block_header(uint8_t *out, int is_last, unsigned type, size_t size) {
    uint32_t header = (uint32_t)(size << 3 | type << 1 | (unsigned)is_last);
    memcpy(out, &header, 3);
    return 3;
}

static inline size_t czstd_put_checksum(uint8_t *out, uint64_t hash) {
    uint32_t lower = (uint32_t)hash;
    memcpy(out, &lower, 4);
    return 4;
}
