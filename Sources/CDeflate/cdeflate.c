#include "cdeflate.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

struct cdeflate_stream {
    z_stream z;
};

cdeflate_stream *cdeflate_open(void) {
    cdeflate_stream *stream = calloc(1, sizeof *stream);
    if (!stream) return NULL;
    if (inflateInit2(&stream->z, -MAX_WBITS) == Z_OK) return stream;
    free(stream);
    return NULL;
}

cdeflate_stream *cdeflate_copy(cdeflate_stream *stream) {
    cdeflate_stream *copy = calloc(1, sizeof *copy);
    if (!copy) return NULL;
    if (inflateCopy(&copy->z, &stream->z) == Z_OK) return copy;
    free(copy);
    return NULL;
}

void cdeflate_close(cdeflate_stream *stream) {
    inflateEnd(&stream->z);
    free(stream);
}

int cdeflate_inflate(
    cdeflate_stream *stream, const void *in, size_t in_count, size_t *taken, void *out, size_t out_count, size_t *made) {
    z_stream *z = &stream->z;
    uInt in_limit = in_count > UINT_MAX ? UINT_MAX : (uInt)in_count;
    uInt out_limit = out_count > UINT_MAX ? UINT_MAX : (uInt)out_count;
    z->next_in = (Bytef *)in;
    z->avail_in = in_limit;
    z->next_out = out;
    z->avail_out = out_limit;
    int code = inflate(z, Z_NO_FLUSH);
    *taken = in_limit - z->avail_in;
    *made = out_limit - z->avail_out;
    if (code == Z_STREAM_END) return 1;
    return code == Z_OK || code == Z_BUF_ERROR ? 0 : -1;
}

uint32_t cdeflate_crc32_join(uint32_t first, uint32_t second, size_t count) {
    return (uint32_t)crc32_combine(first, second, (z_off_t)count);
}
