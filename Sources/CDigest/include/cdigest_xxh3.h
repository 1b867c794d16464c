// XXH3 with 64 bits of hash, seed 0 and the default secret, by its specification (xxhash.com: doc/xxhash_spec.md).
#pragma once
#include <stddef.h>
#include <stdint.h>

#define CDIGEST_XXH3_STRIPE 64
/// What is kept of the input, so that the last stripe can reach back.
#define CDIGEST_XXH3_KEPT 256

/// The state of a hash over bytes that arrive in pieces.
typedef struct {
    uint64_t lanes[8];
    uint64_t count;
    /// Stripes since the lanes were scrambled last.
    size_t stripes;
    /// The input's first bytes, until there are more than `CDIGEST_XXH3_KEPT`; then those not taken yet, behind the last
    /// stripe that was.
    uint8_t kept[CDIGEST_XXH3_STRIPE + CDIGEST_XXH3_KEPT];
    size_t kept_count;
} cdigest_xxh3;

void cdigest_xxh3_begin(cdigest_xxh3 *state);
void cdigest_xxh3_update(cdigest_xxh3 *state, const void *bytes, size_t count);

/// The hash of what was taken so far; more may follow.
uint64_t cdigest_xxh3_end(const cdigest_xxh3 *state);
