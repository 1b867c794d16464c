// The block types of ggml: N elements in M bytes, integers with scales of their own. convert_kernels.h includes this once
// for every dispatch level. The layouts, byte by byte, are in formats/gguf.md; every operation and its order is that of
// the gguf package, so that the float32 bits are too.

static inline __attribute__((always_inline)) float CK_NAME(half)(const uint8_t *bytes) {
    return float_of(CK_NAME(widened)(bytes[0] | (uint32_t)bytes[1] << 8, 15, 10, 15, CK_IEEE));
}

static inline __attribute__((always_inline)) uint32_t CK_NAME(word16)(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8;
}

static inline __attribute__((always_inline)) uint32_t CK_NAME(word32)(const uint8_t *bytes) {
    return CK_NAME(word16)(bytes) | CK_NAME(word16)(bytes + 2) << 16;
}

#define CK_DECODE(type) \
    static inline __attribute__((always_inline)) void CK_NAME(decode_##type)( \
        loose_f32 *restrict values, const uint8_t *restrict block)

// MARK: 32 elements, the first half in the low nibbles

CK_DECODE(q4_0) {
    float scale = CK_NAME(half)(block);
    for (int j = 0; j < 16; j++) {
        values[j] = scale * (float)((block[2 + j] & 15) - 8);
        values[j + 16] = scale * (float)((block[2 + j] >> 4) - 8);
    }
}

CK_DECODE(q4_1) {
    float scale = CK_NAME(half)(block), least = CK_NAME(half)(block + 2);
    for (int j = 0; j < 16; j++) {
        values[j] = scale * (float)(block[4 + j] & 15) + least;
        values[j + 16] = scale * (float)(block[4 + j] >> 4) + least;
    }
}

CK_DECODE(q5_0) {
    float scale = CK_NAME(half)(block);
    uint32_t high = CK_NAME(word32)(block + 2);
    for (int j = 0; j < 16; j++) {
        values[j] = scale * (float)((int)((block[6 + j] & 15) | (high >> j & 1) << 4) - 16);
        values[j + 16] = scale * (float)((int)((block[6 + j] >> 4) | (high >> (j + 16) & 1) << 4) - 16);
    }
}

CK_DECODE(q5_1) {
    float scale = CK_NAME(half)(block), least = CK_NAME(half)(block + 2);
    uint32_t high = CK_NAME(word32)(block + 4);
    for (int j = 0; j < 16; j++) {
        values[j] = scale * (float)(int)((block[8 + j] & 15) | (high >> j & 1) << 4) + least;
        values[j + 16] = scale * (float)(int)((block[8 + j] >> 4) | (high >> (j + 16) & 1) << 4) + least;
    }
}

CK_DECODE(q8_0) {
    float scale = CK_NAME(half)(block);
    for (int j = 0; j < 32; j++) values[j] = scale * (float)(int8_t)block[2 + j];
}

static const int8_t CK_NAME(iq4_values)[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
};

CK_DECODE(iq4_nl) {
    float scale = CK_NAME(half)(block);
    for (int j = 0; j < 16; j++) {
        values[j] = scale * (float)CK_NAME(iq4_values)[block[2 + j] & 15];
        values[j + 16] = scale * (float)CK_NAME(iq4_values)[block[2 + j] >> 4];
    }
}

// Twice the values of the 4-bit float.
static const int8_t CK_NAME(fp4_values)[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

CK_DECODE(mxfp4) {
    // Half the power of two that the exponent stands for.
    uint32_t exponent = block[0];
    float scale = float_of(exponent < 2 ? 0x200000u << exponent : (exponent - 1) << 23);
    for (int j = 0; j < 16; j++) {
        values[j] = scale * (float)CK_NAME(fp4_values)[block[1 + j] & 15];
        values[j + 16] = scale * (float)CK_NAME(fp4_values)[block[1 + j] >> 4];
    }
}

/// Four groups of 16, each with an 8-bit scale whose sign bit means nothing.
CK_DECODE(nvfp4) {
    for (int group = 0; group < 4; group++) {
        uint32_t code = block[group];
        uint32_t magnitude = code == 0x7f ? 0 : code & 0x7f;
        // All ones is NaN where only the sign says otherwise: here it is a number, 480.
        float scale = 0.5f * float_of(CK_NAME(widened)(magnitude, 7, 3, 7, CK_FINITE));
        const uint8_t *codes = block + 4 + 8 * group;
        for (int j = 0; j < 8; j++) {
            values[16 * group + j] = scale * (float)CK_NAME(fp4_values)[codes[j] & 15];
            values[16 * group + j + 8] = scale * (float)CK_NAME(fp4_values)[codes[j] >> 4];
        }
    }
}

// MARK: 256 elements, groups with scales of few bits

CK_DECODE(q2_K) {
    float scale = CK_NAME(half)(block + 80), least = CK_NAME(half)(block + 82);
    for (int group = 0; group < 16; group++) {
        float step = scale * (float)(block[group] & 15), offset = least * (float)(block[group] >> 4);
        const uint8_t *codes = block + 16 + group / 8 * 32 + group % 2 * 16;
        int shift = group % 8 / 2 * 2;
        for (int j = 0; j < 16; j++) values[16 * group + j] = step * (float)(codes[j] >> shift & 3) - offset;
    }
}

CK_DECODE(q3_K) {
    float scale = CK_NAME(half)(block + 108);
    const uint8_t *scales = block + 96;
    for (int group = 0; group < 16; group++) {
        int low = scales[group % 8] >> group / 8 * 4 & 15, high = scales[8 + group % 4] >> group / 4 * 2 & 3;
        float step = scale * (float)((low | high << 4) - 32);
        const uint8_t *codes = block + 32 + group / 8 * 32 + group % 2 * 16, *mask = block + group % 2 * 16;
        int shift = group % 8 / 2 * 2, bit = group / 2;
        for (int j = 0; j < 16; j++) {
            // The bit set means that nothing is subtracted.
            int code = (codes[j] >> shift & 3) - (~mask[j] >> bit & 1) * 4;
            values[16 * group + j] = step * (float)code;
        }
    }
}

/// Scale and offset of one of the 8 groups of q4_K and q5_K: 6 bits each, in 12 bytes.
static inline __attribute__((always_inline)) void CK_NAME(six_bits)(
    const uint8_t *scales, int group, int *step, int *offset
) {
    if (group < 4) {
        *step = scales[group] & 63;
        *offset = scales[group + 4] & 63;
    } else {
        *step = (scales[group + 4] & 15) | (scales[group - 4] >> 2 & 48);
        *offset = scales[group + 4] >> 4 | (scales[group] >> 2 & 48);
    }
}

CK_DECODE(q4_K) {
    float scale = CK_NAME(half)(block), least = CK_NAME(half)(block + 2);
    for (int group = 0; group < 8; group++) {
        int step_code, offset_code;
        CK_NAME(six_bits)(block + 4, group, &step_code, &offset_code);
        float step = scale * (float)step_code, offset = least * (float)offset_code;
        const uint8_t *codes = block + 16 + group / 2 * 32;
        int shift = group % 2 * 4;
        for (int j = 0; j < 32; j++) values[32 * group + j] = step * (float)(codes[j] >> shift & 15) - offset;
    }
}

CK_DECODE(q5_K) {
    float scale = CK_NAME(half)(block), least = CK_NAME(half)(block + 2);
    for (int group = 0; group < 8; group++) {
        int step_code, offset_code;
        CK_NAME(six_bits)(block + 4, group, &step_code, &offset_code);
        float step = scale * (float)step_code, offset = least * (float)offset_code;
        const uint8_t *high = block + 16, *codes = block + 48 + group / 2 * 32;
        int shift = group % 2 * 4;
        for (int j = 0; j < 32; j++) {
            int code = (codes[j] >> shift & 15) | (high[j] >> group & 1) << 4;
            values[32 * group + j] = step * (float)code - offset;
        }
    }
}

CK_DECODE(q6_K) {
    float scale = CK_NAME(half)(block + 208);
    for (int group = 0; group < 16; group++) {
        float step = scale * (float)(int8_t)block[192 + group];
        const uint8_t *low = block + group / 8 * 64 + group % 4 * 16, *high = block + 128 + group / 8 * 32 + group % 2 * 16;
        int low_shift = group % 8 / 4 * 4, high_shift = group % 8 / 2 * 2;
        for (int j = 0; j < 16; j++) {
            int code = (low[j] >> low_shift & 15) | (high[j] >> high_shift & 3) << 4;
            values[16 * group + j] = step * (float)(code - 32);
        }
    }
}

CK_DECODE(iq4_xs) {
    float scale = CK_NAME(half)(block);
    uint32_t high = CK_NAME(word16)(block + 2);
    for (int group = 0; group < 8; group++) {
        int code = (block[4 + group / 2] >> group % 2 * 4 & 15) | (int)(high >> 2 * group & 3) << 4;
        float step = scale * (float)(code - 32);
        const uint8_t *codes = block + 8 + 16 * group;
        for (int j = 0; j < 16; j++) {
            values[32 * group + j] = step * (float)CK_NAME(iq4_values)[codes[j] & 15];
            values[32 * group + j + 16] = step * (float)CK_NAME(iq4_values)[codes[j] >> 4];
        }
    }
}

// MARK: 256 elements of three values

/// `digits` runs of `width` elements from as many bytes: digits in base 3 of a fraction of 256, the first the highest.
static inline __attribute__((always_inline)) void CK_NAME(trits)(
    loose_f32 *restrict values, const uint8_t *restrict codes, int width, int digits, float scale
) {
    static const uint8_t powers[5] = {1, 3, 9, 27, 81};
    for (int digit = 0; digit < digits; digit++) {
        for (int j = 0; j < width; j++) {
            uint8_t rest = (uint8_t)(codes[j] * powers[digit]);
            values[digit * width + j] = scale * (float)((rest * 3 >> 8) - 1);
        }
    }
}

CK_DECODE(tq1_0) {
    float scale = CK_NAME(half)(block + 52);
    CK_NAME(trits)(values, block, 32, 5, scale);
    CK_NAME(trits)(values + 160, block + 32, 16, 5, scale);
    CK_NAME(trits)(values + 240, block + 48, 4, 4, scale);
}

CK_DECODE(tq2_0) {
    float scale = CK_NAME(half)(block + 64);
    for (int run = 0; run < 8; run++) {
        const uint8_t *codes = block + run / 4 * 32;
        for (int j = 0; j < 32; j++) values[32 * run + j] = scale * (float)((codes[j] >> run % 4 * 2 & 3) - 1);
    }
}

// MARK: 256 elements, vectors from a code book

/// `count` elements of a vector with a sign bit each. The sign goes to the integer, so that NaN keeps its own.
static inline __attribute__((always_inline)) void CK_NAME(vector)(
    loose_f32 *restrict values, uint32_t vector, int count, const int8_t *book, uint32_t signs, float scale
) {
    int bits = 16 / count;
    for (int k = 0; k < count; k++) {
        int value = book[vector >> bits * k & ((1u << bits) - 1)];
        values[k] = scale * (float)(signs >> k & 1 ? -value : value);
    }
}

/// Seven signs, and the one that makes the number of minus signs even.
static inline __attribute__((always_inline)) uint32_t CK_NAME(even_signs)(uint32_t seven) {
    return seven | (uint32_t)(__builtin_popcount(seven) & 1) << 7;
}

CK_DECODE(iq2_xxs) {
    float scale = CK_NAME(half)(block);
    for (int group = 0; group < 8; group++) {
        const uint8_t *codes = block + 2 + 8 * group;
        uint32_t packed = CK_NAME(word32)(codes + 4);
        float step = scale * (0.5f + (float)(packed >> 28)) * 0.25f;
        for (int k = 0; k < 4; k++)
            CK_NAME(vector)(
                values + 32 * group + 8 * k, iq2_xxs_vectors[codes[k]], 8, iq2_xxs_values,
                CK_NAME(even_signs)(packed >> 7 * k & 127), step);
    }
}

CK_DECODE(iq2_xs) {
    float scale = CK_NAME(half)(block);
    for (int vector = 0; vector < 32; vector++) {
        uint32_t code = CK_NAME(word16)(block + 2 + 2 * vector);
        int nibble = block[66 + vector / 4] >> vector / 2 % 2 * 4 & 15;
        CK_NAME(vector)(
            values + 8 * vector, iq2_xs_vectors[code & 511], 8, iq2_xs_values, CK_NAME(even_signs)(code >> 9),
            scale * (0.5f + (float)nibble) * 0.25f);
    }
}

CK_DECODE(iq2_s) {
    float scale = CK_NAME(half)(block);
    for (int vector = 0; vector < 32; vector++) {
        int code = block[2 + vector] | (block[66 + vector / 4] >> vector % 4 * 2 & 3) << 8;
        int nibble = block[74 + vector / 4] >> vector / 2 % 2 * 4 & 15;
        CK_NAME(vector)(
            values + 8 * vector, iq2_s_vectors[code], 8, iq2_s_values, block[34 + vector],
            scale * (0.5f + (float)nibble) * 0.25f);
    }
}

CK_DECODE(iq3_xxs) {
    float scale = CK_NAME(half)(block);
    for (int group = 0; group < 8; group++) {
        const uint8_t *codes = block + 2 + 8 * group;
        uint32_t packed = CK_NAME(word32)(block + 66 + 4 * group);
        float step = scale * (0.5f + (float)(packed >> 28)) * 0.5f;
        for (int k = 0; k < 8; k++) {
            uint32_t signs = CK_NAME(even_signs)(packed >> k / 2 * 7 & 127);
            CK_NAME(vector)(
                values + 32 * group + 4 * k, iq3_xxs_vectors[codes[k]], 4, iq3_xxs_values, signs >> k % 2 * 4, step);
        }
    }
}

CK_DECODE(iq3_s) {
    float scale = CK_NAME(half)(block);
    for (int vector = 0; vector < 64; vector++) {
        int code = block[2 + vector] | (block[66 + vector / 8] >> vector % 8 & 1) << 8;
        int nibble = block[106 + vector / 16] >> vector / 8 % 2 * 4 & 15;
        CK_NAME(vector)(
            values + 4 * vector, iq3_s_vectors[code], 4, iq3_s_values, (uint32_t)block[74 + vector / 2] >> vector % 2 * 4,
            scale * (float)(1 + 2 * nibble));
    }
}

/// Eight elements of -1, 0 or 1, all moved by an eighth.
static inline __attribute__((always_inline)) void CK_NAME(moved)(
    loose_f32 *restrict values, uint32_t vector, float shift, float step
) {
    for (int k = 0; k < 8; k++) values[k] = step * ((float)iq1_values[vector >> 2 * k & 3] + shift);
}

CK_DECODE(iq1_s) {
    float scale = CK_NAME(half)(block);
    for (int vector = 0; vector < 32; vector++) {
        uint32_t high = CK_NAME(word16)(block + 34 + vector / 4 * 2);
        uint32_t code = block[2 + vector] | (high >> vector % 4 * 3 & 7) << 8;
        CK_NAME(moved)(
            values + 8 * vector, iq1_vectors[code], high & 0x8000 ? -0.125f : 0.125f,
            scale * (float)(2 * (int)(high >> 12 & 7) + 1));
    }
}

/// The scale of the block is spread over the topmost nibbles of the groups' scales.
CK_DECODE(iq1_m) {
    const uint8_t *scales = block + 48;
    uint8_t bytes[2] = {(uint8_t)(scales[1] >> 4 | (scales[3] & 0xf0)), (uint8_t)(scales[5] >> 4 | (scales[7] & 0xf0))};
    float scale = CK_NAME(half)(bytes);
    for (int vector = 0; vector < 32; vector++) {
        int high = block[32 + vector / 2] >> vector % 2 * 4 & 15;
        int code = block[vector] | (high & 7) << 8;
        int step = (int)(CK_NAME(word16)(scales + vector / 8 * 2) >> vector / 2 % 4 * 3 & 7);
        CK_NAME(moved)(
            values + 8 * vector, iq1_vectors[code], high & 8 ? -0.125f : 0.125f, scale * (float)(2 * step + 1));
    }
}

#undef CK_DECODE

// MARK: Choosing the integers

/// The low byte of the integer part; 0 of what is no 32-bit integer.
static inline __attribute__((always_inline)) uint8_t CK_NAME(low_byte)(float value) {
    return value > -0x1p31f && value < 0x1p31f ? (uint8_t)(int32_t)value : 0;
}

static inline __attribute__((always_inline)) float CK_NAME(inverse)(float scale) {
    return scale == 0 ? 0 : 1 / scale;
}

/// Writes float16; whether a finite value became infinite (0 or 1).
static inline __attribute__((always_inline)) uint32_t CK_NAME(put_half)(uint8_t *block, float value) {
    CK_NAME(rounded) result = CK_NAME(narrowed)(bits_of(value), 15, 10, 15, CK_IEEE);
    block[0] = (uint8_t)result.code;
    block[1] = (uint8_t)(result.code >> 8);
    return result.overflowed;
}

/// The value of largest magnitude with its sign, the first of equals; NaN where there is one.
static inline __attribute__((always_inline)) float CK_NAME(extreme)(const loose_f32 *values) {
    float extreme = values[0];
    for (int j = 1; j < 32; j++) {
        float value = values[j];
        int is_larger = __builtin_fabsf(value) > __builtin_fabsf(extreme);
        if (is_larger || (value != value && extreme == extreme)) extreme = value;
    }
    return extreme;
}

/// Least and greatest value; NaN both where there is one.
static inline __attribute__((always_inline)) void CK_NAME(range)(const loose_f32 *values, float *least, float *greatest) {
    *least = *greatest = values[0];
    for (int j = 1; j < 32; j++) {
        float value = values[j];
        if (value < *least || value != value) *least = value;
        if (value > *greatest || value != value) *greatest = value;
        if (value != value) return;
    }
}

/// Codes of 32 values, at most `limit`: low nibbles to `nibbles`; the fifth bits are returned, element j's in bit j.
static inline __attribute__((always_inline)) uint32_t CK_NAME(codes)(
    uint8_t *nibbles, const loose_f32 *values, float subtracted, float inverse, float added, int limit
) {
    uint8_t codes[32];
    uint32_t fifth = 0;
    for (int j = 0; j < 32; j++) {
        uint8_t code = CK_NAME(low_byte)((values[j] - subtracted) * inverse + added);
        codes[j] = code > limit ? (uint8_t)limit : code;
        fifth |= (uint32_t)(codes[j] >> 4) << j;
    }
    for (int j = 0; j < 16; j++) nibbles[j] = (uint8_t)((codes[j] & 15) | codes[j + 16] << 4);
    return fifth;
}

static inline __attribute__((always_inline)) void CK_NAME(put_word)(uint8_t *bytes, uint32_t word) {
    for (int k = 0; k < 4; k++) bytes[k] = (uint8_t)(word >> 8 * k);
}

/// Encodes a block; whether its scale or offset became infinite.
#define CK_ENCODE(type) \
    static inline __attribute__((always_inline)) uint32_t CK_NAME(encode_##type)( \
        uint8_t *restrict block, const loose_f32 *restrict values)

CK_ENCODE(q4_0) {
    float scale = CK_NAME(extreme)(values) / -8;
    CK_NAME(codes)(block + 2, values, 0, CK_NAME(inverse)(scale), 8.5f, 15);
    return CK_NAME(put_half)(block, scale);
}

CK_ENCODE(q4_1) {
    float least, greatest;
    CK_NAME(range)(values, &least, &greatest);
    float scale = (greatest - least) / 15;
    CK_NAME(codes)(block + 4, values, least, CK_NAME(inverse)(scale), 0.5f, 15);
    return CK_NAME(put_half)(block, scale) | CK_NAME(put_half)(block + 2, least);
}

CK_ENCODE(q5_0) {
    float scale = CK_NAME(extreme)(values) / -16;
    CK_NAME(put_word)(block + 2, CK_NAME(codes)(block + 6, values, 0, CK_NAME(inverse)(scale), 16.5f, 31));
    return CK_NAME(put_half)(block, scale);
}

CK_ENCODE(q5_1) {
    float least, greatest;
    CK_NAME(range)(values, &least, &greatest);
    float scale = (greatest - least) / 31;
    CK_NAME(put_word)(block + 4, CK_NAME(codes)(block + 8, values, least, CK_NAME(inverse)(scale), 0.5f, 31));
    return CK_NAME(put_half)(block, scale) | CK_NAME(put_half)(block + 2, least);
}

/// Rounded half away from zero.
CK_ENCODE(q8_0) {
    float scale = __builtin_fabsf(CK_NAME(extreme)(values)) / 127;
    float inverse = CK_NAME(inverse)(scale);
    for (int j = 0; j < 32; j++) {
        float value = values[j] * inverse, magnitude = __builtin_fabsf(value);
        float floored = __builtin_floorf(magnitude);
        float rounded = floored + __builtin_floorf(2 * (magnitude - floored));
        block[2 + j] = CK_NAME(low_byte)(value < 0 ? -rounded : rounded);
    }
    return CK_NAME(put_half)(block, scale);
}

#undef CK_ENCODE

// MARK: Kernels

#define CK_WIDEN_BLOCKS(type, constant, elements, byte_count) \
    static void CK_NAME(type##_f32)(void *restrict out, const void *restrict in, size_t count, ck_tally *tally) { \
        (void)tally; \
        const uint8_t *restrict block = in; \
        loose_f32 *restrict values = out; \
        for (size_t i = 0; i < count / (elements); i++, block += (byte_count), values += (elements)) \
            CK_NAME(decode_##type)(values, block); \
    }

#define CK_NARROW_BLOCKS(type, byte_count) \
    static void CK_NAME(f32_##type)(void *restrict out, const void *restrict in, size_t count, ck_tally *tally) { \
        const loose_f32 *restrict values = in; \
        uint8_t *restrict block = out; \
        for (size_t i = 0; i < count / 32; i++, block += (byte_count), values += 32) \
            tally->overflowed += 32 * CK_NAME(encode_##type)(block, values); \
    }

CK_BLOCK_TYPES(CK_WIDEN_BLOCKS)

CK_NARROW_BLOCKS(q4_0, 18)
CK_NARROW_BLOCKS(q4_1, 20)
CK_NARROW_BLOCKS(q5_0, 22)
CK_NARROW_BLOCKS(q5_1, 24)
CK_NARROW_BLOCKS(q8_0, 34)

#undef CK_WIDEN_BLOCKS
#undef CK_NARROW_BLOCKS
