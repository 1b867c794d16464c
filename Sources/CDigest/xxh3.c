#include "cdigest_xxh3.h"
#include <string.h>

static const uint8_t secret[192] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

static const uint64_t prime32_1 = 0x9E3779B1u, prime32_2 = 0x85EBCA77u, prime32_3 = 0xC2B2AE3Du;
static const uint64_t prime1 = 0x9E3779B185EBCA87u, prime2 = 0xC2B2AE3D27D4EB4Fu, prime3 = 0x165667B19E3779F9u,
                      prime4 = 0x85EBCA77C2B2AE63u, prime5 = 0x27D4EB2F165667C5u;
static const uint64_t mix1 = 0x165667919E3779F9u, mix2 = 0x9FB21C651E98DF25u;

/// Stripes between two scramblings: a stripe's secret begins 8 bytes behind the last one's.
#define BLOCK_STRIPES ((sizeof secret - CDIGEST_XXH3_STRIPE) / 8)

static inline uint32_t load32(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return x; }
static inline uint64_t load64(const uint8_t *p) { uint64_t x; memcpy(&x, p, 8); return x; }
static inline uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static inline uint64_t folded_product(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t avalanche(uint64_t hash) {
    hash = (hash ^ hash >> 37) * mix1;
    return hash ^ hash >> 32;
}

static inline uint64_t avalanche64(uint64_t hash) {
    hash = (hash ^ hash >> 33) * prime2;
    hash = (hash ^ hash >> 29) * prime3;
    return hash ^ hash >> 32;
}

// Short input.

static inline uint64_t mix16(const uint8_t *p, const uint8_t *key) {
    return folded_product(load64(p) ^ load64(key), load64(p + 8) ^ load64(key + 8));
}

static uint64_t hash_to_16(const uint8_t *p, size_t count) {
    if (count > 8) {
        uint64_t low = load64(p) ^ load64(secret + 24) ^ load64(secret + 32);
        uint64_t high = load64(p + count - 8) ^ load64(secret + 40) ^ load64(secret + 48);
        return avalanche(count + __builtin_bswap64(low) + high + folded_product(low, high));
    }
    if (count >= 4) {
        uint64_t both = load32(p + count - 4) + ((uint64_t)load32(p) << 32);
        uint64_t hash = both ^ load64(secret + 8) ^ load64(secret + 16);
        hash ^= rotate(hash, 49) ^ rotate(hash, 24);
        hash *= mix2;
        hash ^= (hash >> 35) + count;
        hash *= mix2;
        return hash ^ hash >> 28;
    }
    if (count > 0) {
        uint32_t all = (uint32_t)p[0] << 16 | (uint32_t)p[count >> 1] << 24 | p[count - 1] | (uint32_t)count << 8;
        return avalanche64(all ^ (uint64_t)(load32(secret) ^ load32(secret + 4)));
    }
    return avalanche64(load64(secret + 56) ^ load64(secret + 64));
}

static uint64_t hash_to_240(const uint8_t *p, size_t count) {
    uint64_t hash = count * prime1;
    if (count <= 128) {
        for (size_t i = (count - 1) / 32 + 1; i-- > 0;)
            hash += mix16(p + 16 * i, secret + 32 * i) + mix16(p + count - 16 * (i + 1), secret + 32 * i + 16);
        return avalanche(hash);
    }
    size_t rounds = count / 16;
    for (size_t i = 0; i < 8; i++) hash += mix16(p + 16 * i, secret + 16 * i);
    hash = avalanche(hash);
    for (size_t i = 8; i < rounds; i++) hash += mix16(p + 16 * i, secret + 16 * (i - 8) + 3);
    return avalanche(hash + mix16(p + count - 16, secret + 136 - 17));
}

// Long input: eight lanes over stripes of 64 bytes.

/// Two lanes side by side, as every processor of today has them in one register.
typedef uint64_t pair __attribute__((vector_size(16), aligned(8)));

static inline pair load_pair(const uint8_t *p) { pair x; memcpy(&x, p, sizeof x); return x; }

static inline void take_stripe(pair *restrict lanes, const uint8_t *restrict p, const uint8_t *restrict key) {
    const pair low = {0xFFFFFFFFu, 0xFFFFFFFFu};
    for (size_t i = 0; i < 4; i++) {
        pair value = load_pair(p + 16 * i), keyed = value ^ load_pair(key + 16 * i);
        lanes[i] += __builtin_shufflevector(value, value, 1, 0) + (keyed & low) * (keyed >> 32);
    }
}

static void scramble(uint64_t *lanes) {
    const uint8_t *key = secret + sizeof secret - CDIGEST_XXH3_STRIPE;
    for (size_t i = 0; i < 8; i++) lanes[i] = (lanes[i] ^ lanes[i] >> 47 ^ load64(key + 8 * i)) * prime32_1;
}

static size_t take_stripes(uint64_t *lanes, size_t done, const uint8_t *p, size_t stripes) {
    while (stripes > 0) {
        size_t count = stripes < BLOCK_STRIPES - done ? stripes : BLOCK_STRIPES - done;
        pair held[4];
        memcpy(held, lanes, sizeof held);
        for (size_t i = 0; i < count; i++) take_stripe(held, p + CDIGEST_XXH3_STRIPE * i, secret + 8 * (done + i));
        memcpy(lanes, held, sizeof held);
        p += CDIGEST_XXH3_STRIPE * count;
        stripes -= count;
        done += count;
        if (done == BLOCK_STRIPES) {
            scramble(lanes);
            done = 0;
        }
    }
    return done;
}

void cdigest_xxh3_begin(cdigest_xxh3 *state) {
    *state = (cdigest_xxh3){
        .lanes = {prime32_3, prime1, prime2, prime3, prime4, prime32_2, prime5, prime32_1}};
}

// `kept` begins with the last stripe that was taken; behind it is what was not: never nothing, since the last bytes of the
// input are hashed in another way.
void cdigest_xxh3_update(cdigest_xxh3 *state, const void *bytes, size_t count) {
    const uint8_t *p = bytes;
    uint8_t *waiting = state->kept + CDIGEST_XXH3_STRIPE;
    state->count += count;
    if (state->kept_count + count <= CDIGEST_XXH3_KEPT) {
        memcpy(waiting + state->kept_count, p, count);
        state->kept_count += count;
        return;
    }
    if (state->kept_count > 0) {
        size_t filling = CDIGEST_XXH3_KEPT - state->kept_count;
        memcpy(waiting + state->kept_count, p, filling);
        p += filling;
        count -= filling;
        state->stripes = take_stripes(state->lanes, state->stripes, waiting, CDIGEST_XXH3_KEPT / CDIGEST_XXH3_STRIPE);
        memcpy(state->kept, waiting + CDIGEST_XXH3_KEPT - CDIGEST_XXH3_STRIPE, CDIGEST_XXH3_STRIPE);
    }
    if (count > CDIGEST_XXH3_KEPT) {
        size_t stripes = (count - 1) / CDIGEST_XXH3_STRIPE;
        state->stripes = take_stripes(state->lanes, state->stripes, p, stripes);
        p += stripes * CDIGEST_XXH3_STRIPE;
        count -= stripes * CDIGEST_XXH3_STRIPE;
        memcpy(state->kept, p - CDIGEST_XXH3_STRIPE, CDIGEST_XXH3_STRIPE);
    }
    memcpy(waiting, p, count);
    state->kept_count = count;
}

static uint64_t merged(const uint64_t *lanes, const uint8_t *key, uint64_t start) {
    for (size_t i = 0; i < 4; i++)
        start += folded_product(lanes[2 * i] ^ load64(key + 16 * i), lanes[2 * i + 1] ^ load64(key + 16 * i + 8));
    return avalanche(start);
}

uint64_t cdigest_xxh3_end(const cdigest_xxh3 *state) {
    const uint8_t *waiting = state->kept + CDIGEST_XXH3_STRIPE;
    if (state->count <= 16) return hash_to_16(waiting, state->count);
    if (state->count <= 240) return hash_to_240(waiting, state->count);
    uint64_t lanes[8];
    memcpy(lanes, state->lanes, sizeof lanes);
    take_stripes(lanes, state->stripes, waiting, (state->kept_count - 1) / CDIGEST_XXH3_STRIPE);
    const uint8_t *last = waiting + state->kept_count - CDIGEST_XXH3_STRIPE;
    pair held[4];
    memcpy(held, lanes, sizeof held);
    take_stripe(held, last, secret + sizeof secret - CDIGEST_XXH3_STRIPE - 7);
    memcpy(lanes, held, sizeof held);
    return merged(lanes, secret + 11, state->count * prime1);
}
