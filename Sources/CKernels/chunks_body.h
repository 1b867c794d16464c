// The loops of ck_chunks.h, compiled once a level: no include guard on purpose.

// One loop for every plane count that matters, so that the compiler sees the stride.
#define CK_UNSHUFFLE(size) \
    static void CK_NAME(unshuffle##size)(uint8_t *restrict out, const uint8_t *restrict in, size_t count) { \
        for (size_t i = 0; i < count; i++) \
            for (size_t k = 0; k < size; k++) out[i * size + k] = in[k * count + i]; \
    } \
    static void CK_NAME(shuffle##size)(uint8_t *restrict out, const uint8_t *restrict in, size_t count) { \
        for (size_t i = 0; i < count; i++) \
            for (size_t k = 0; k < size; k++) out[k * count + i] = in[i * size + k]; \
    }
CK_UNSHUFFLE(2)
CK_UNSHUFFLE(4)
CK_UNSHUFFLE(8)
#undef CK_UNSHUFFLE

static void CK_NAME(unshuffle)(uint8_t *out, const uint8_t *in, size_t count, size_t size) {
    switch (size) {
    case 1: memcpy(out, in, count); return;
    case 2: CK_NAME(unshuffle2)(out, in, count); return;
    case 4: CK_NAME(unshuffle4)(out, in, count); return;
    case 8: CK_NAME(unshuffle8)(out, in, count); return;
    default:
        for (size_t k = 0; k < size; k++)
            for (size_t i = 0; i < count; i++) out[i * size + k] = in[k * count + i];
    }
}

static void CK_NAME(shuffle)(uint8_t *out, const uint8_t *in, size_t count, size_t size) {
    switch (size) {
    case 1: memcpy(out, in, count); return;
    case 2: CK_NAME(shuffle2)(out, in, count); return;
    case 4: CK_NAME(shuffle4)(out, in, count); return;
    case 8: CK_NAME(shuffle8)(out, in, count); return;
    default:
        for (size_t k = 0; k < size; k++)
            for (size_t i = 0; i < count; i++) out[k * count + i] = in[i * size + k];
    }
}

#define CK_SWAP(bits) \
    static void CK_NAME(swap##bits)(uint8_t *bytes, size_t count) { \
        for (size_t i = 0; i < count; i++) { \
            uint##bits##_t value; \
            memcpy(&value, bytes + i * sizeof value, sizeof value); \
            value = __builtin_bswap##bits(value); \
            memcpy(bytes + i * sizeof value, &value, sizeof value); \
        } \
    }
CK_SWAP(16)
CK_SWAP(32)
CK_SWAP(64)
#undef CK_SWAP

static void CK_NAME(swap)(uint8_t *bytes, size_t count, size_t size) {
    switch (size) {
    case 2: CK_NAME(swap16)(bytes, count); return;
    case 4: CK_NAME(swap32)(bytes, count); return;
    case 8: CK_NAME(swap64)(bytes, count); return;
    default: return;
    }
}

static const ck_chunks CK_NAME(chunks) = {
    .unshuffle = CK_NAME(unshuffle),
    .shuffle = CK_NAME(shuffle),
    .swap = CK_NAME(swap),
};
