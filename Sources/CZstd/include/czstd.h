// libzstd, with the parameters that its stable interface leaves out (forced literal compression), and the
// XXH64 that zstd frames end with.
#pragma once
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>
