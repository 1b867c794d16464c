// Inner loops over the bytes of HDF5 chunks. Every level gives the same bytes.
#pragma once
#include "ck_level.h"
#include <stddef.h>
#include <stdint.h>

typedef struct {
    /// `count` elements of `size` bytes, stored as `size` planes of `count` bytes, put together again.
    void (*unshuffle)(uint8_t *out, const uint8_t *in, size_t count, size_t size);

    /// The reverse: byte k of every element goes to plane k.
    void (*shuffle)(uint8_t *out, const uint8_t *in, size_t count, size_t size);

    /// Reverses the bytes of `count` elements of `size` bytes (2, 4 or 8) in place.
    void (*swap)(uint8_t *bytes, size_t count, size_t size);
} ck_chunks;

/// The loops of one level, which this machine must be able to run.
const ck_chunks *ck_chunks_at(ck_level level);

/// HDF5's Fletcher checksum: 16-bit big-endian words, an odd last byte padded with a zero.
uint32_t ck_fletcher32(const uint8_t *bytes, size_t byte_count);

/// Elements of 4 or 6 bits, one in the low bits of each byte, packed without gaps, first element lowest.
///
/// - Parameter count: a multiple of 2 (4 bits) or 4 (6 bits).
/// - Returns: 0 where a byte has bits above the element's, else 1.
int ck_pack_bits(uint8_t *out, const uint8_t *in, size_t count, int bits);
