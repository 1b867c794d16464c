// Dispatch levels: which instructions the inner loops may use. Every level gives the same bits.
#pragma once

typedef enum { CK_SCALAR = 0, CK_AVX2 = 1, CK_AVX512 = 2, CK_NEON = 3 } ck_level;

/// Whether this machine can run a level.
int ck_level_is_available(ck_level level);

/// The fastest level that this machine can run.
ck_level ck_best_level(void);
