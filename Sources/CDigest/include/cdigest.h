// SHA-256 from the system's libcrypto. The one-block-at-a-time functions are used because they need no
// library initialization: the first digest of a process costs nothing extra.
// XXH3 from libxxhash.
#pragma once
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <xxhash.h>
