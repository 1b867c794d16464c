#include "ck_chunks.h"
#include <string.h>

#define CK_BODY "chunks_body.h"
#include "each_level.h"

const ck_chunks *ck_chunks_at(ck_level level) {
    switch (level) {
#if defined(__x86_64__)
    case CK_AVX2: return &chunks_avx2;
    case CK_AVX512: return &chunks_avx512;
#endif
    default: return &chunks_scalar; // NEON belongs to every 64-bit ARM, so the compiler uses it unasked.
    }
}

uint32_t ck_fletcher32(const uint8_t *bytes, size_t byte_count) {
    uint32_t sum1 = 0, sum2 = 0;
    size_t words = byte_count / 2;
    while (words > 0) {
        // 360 words are the most whose sums cannot overflow 32 bits.
        size_t part = words > 360 ? 360 : words;
        words -= part;
        for (size_t i = 0; i < part; i++, bytes += 2) {
            sum1 += (uint32_t)bytes[0] << 8 | bytes[1];
            sum2 += sum1;
        }
        sum1 = (sum1 & 0xFFFF) + (sum1 >> 16);
        sum2 = (sum2 & 0xFFFF) + (sum2 >> 16);
    }
    if (byte_count % 2) {
        sum1 += (uint32_t)bytes[0] << 8;
        sum2 += sum1;
        sum1 = (sum1 & 0xFFFF) + (sum1 >> 16);
        sum2 = (sum2 & 0xFFFF) + (sum2 >> 16);
    }
    sum1 = (sum1 & 0xFFFF) + (sum1 >> 16);
    sum2 = (sum2 & 0xFFFF) + (sum2 >> 16);
    return sum2 << 16 | sum1;
}

int ck_pack_bits(uint8_t *out, const uint8_t *in, size_t count, int bits) {
    unsigned seen = 0;
    if (bits == 4) {
        for (size_t i = 0; i < count; i += 2) {
            seen |= in[i] | in[i + 1];
            *out++ = (uint8_t)(in[i] | in[i + 1] << 4);
        }
    } else {
        for (size_t i = 0; i < count; i += 4) {
            seen |= in[i] | in[i + 1] | in[i + 2] | in[i + 3];
            uint32_t word = (uint32_t)in[i] | (uint32_t)in[i + 1] << 6 | (uint32_t)in[i + 2] << 12
                | (uint32_t)in[i + 3] << 18;
            *out++ = (uint8_t)word;
            *out++ = (uint8_t)(word >> 8);
            *out++ = (uint8_t)(word >> 16);
        }
    }
    return seen >> bits == 0;
}
