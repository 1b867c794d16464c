// libdeflate: zlib and gzip streams of known size, in one call.
#pragma once
#include <libdeflate.h>
