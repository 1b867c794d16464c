// libdeflate: zlib, gzip and deflate streams of known size, in one call. zlib: streams that are decoded piece by piece.
#pragma once
#include <libdeflate.h>
#include <stddef.h>
#include <stdint.h>

// A decoder of a raw deflate stream; it can be copied where it stands.
typedef struct cdeflate_stream cdeflate_stream;

// NULL where memory is short.
cdeflate_stream *cdeflate_open(void);
cdeflate_stream *cdeflate_copy(cdeflate_stream *stream);
void cdeflate_close(cdeflate_stream *stream);

// Decodes from `in` into `out` as far as either lasts; `taken` and `made` get the bytes used of each.
// Returns 1 at the end of the stream, 0 before it, -1 where the data is damaged.
int cdeflate_inflate(
    cdeflate_stream *stream, const void *in, size_t in_count, size_t *taken, void *out, size_t out_count, size_t *made);

// The CRC-32 of bytes with the CRC-32 `first`, followed by `count` bytes with the CRC-32 `second`.
uint32_t cdeflate_crc32_join(uint32_t first, uint32_t second, size_t count);
