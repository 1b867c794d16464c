#include "czstd.h"
#include "frames.h"
#include <string.h>
#include <xxhash.h>

/// The largest window that is read, the default limit of the zstd tool.
#define WINDOW_MAXIMUM (1ull << 27)

static inline uint16_t load16(const uint8_t *p) { uint16_t x; memcpy(&x, p, 2); return x; }
static inline uint32_t load32(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return x; }

uint64_t czstd_xxh64(const void *bytes, size_t count) { return XXH64(bytes, count, 0); }

// Writing.

size_t czstd_stored_byte_count(size_t count) {
    uint8_t header[13];
    size_t blocks = count == 0 ? 1 : (count + CZSTD_BLOCK_MAXIMUM - 1) / CZSTD_BLOCK_MAXIMUM;
    return czstd_put_header(header, count) + 3 * blocks + count + 4;
}

size_t czstd_frame_bound(size_t count) {
    size_t stored = czstd_stored_byte_count(count), compressed = ZSTD_compressBound(count) + 17;
    return stored > compressed ? stored : compressed;
}

size_t czstd_store(uint8_t *frame, const uint8_t *bytes, size_t count) {
    size_t length = czstd_put_header(frame, count), done = 0;
    do {
        size_t size = count - done < CZSTD_BLOCK_MAXIMUM ? count - done : CZSTD_BLOCK_MAXIMUM;
        length += czstd_put_block_header(frame + length, done + size == count, CZSTD_RAW, size);
        memcpy(frame + length, bytes + done, size);
        length += size;
        done += size;
    } while (done < count);
    return length + czstd_put_checksum(frame + length, czstd_xxh64(bytes, count));
}

size_t czstd_repeat(uint8_t *frame, const uint8_t *bytes, size_t count) {
    size_t length = czstd_put_header(frame, count), done = 0;
    do {
        size_t size = count - done < CZSTD_BLOCK_MAXIMUM ? count - done : CZSTD_BLOCK_MAXIMUM;
        length += czstd_put_block_header(frame + length, done + size == count, CZSTD_REPEATED, size);
        frame[length++] = bytes[0];
        done += size;
    } while (done < count);
    return length + czstd_put_checksum(frame + length, czstd_xxh64(bytes, count));
}

int czstd_is_constant(const uint8_t *bytes, size_t count) {
    return count < 2 || memcmp(bytes, bytes + 1, count - 1) == 0;
}

size_t czstd_compress(
    ZSTD_CCtx *context, czstd_effort effort, uint8_t *frame, size_t capacity, const uint8_t *bytes, size_t count) {
    const struct { ZSTD_cParameter name; int value; } settings[] = {
        {ZSTD_c_compressionLevel, effort == CZSTD_ENTROPY ? -100000 : effort == CZSTD_FAST ? 1 : 9},
        {ZSTD_c_minMatch, effort == CZSTD_ENTROPY ? 7 : 0},
        {ZSTD_c_literalCompressionMode, ZSTD_ps_enable},
        {ZSTD_c_checksumFlag, 1},
        {ZSTD_c_contentSizeFlag, 1},
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        size_t result = ZSTD_CCtx_setParameter(context, settings[i].name, settings[i].value);
        if (ZSTD_isError(result)) return result;
    }
    return ZSTD_compress2(context, frame, capacity, bytes, count);
}

// Reading.

/// The descriptor's bit that means nothing; we want it 0, so that no bit of a file can change unnoticed.
#define UNUSED_BIT 0x10

czstd_fault czstd_check_header(const uint8_t *frame, size_t length, size_t count, uint64_t *said) {
    ZSTD_frameHeader header;
    *said = 0;
    if (length < 5 || load32(frame) != ZSTD_MAGICNUMBER)
        return length >= 4 && (load32(frame) & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START
            ? CZSTD_SKIPPABLE : CZSTD_NOT_A_FRAME;
    // A window log beyond what libzstd knows is an error there, so it is judged here: bits 7-3 plus 10.
    if (!(frame[4] & 0x20) && length > 5 && (frame[5] >> 3) + 10 > 27) {
        *said = 1ull << ((frame[5] >> 3) + 10);
        return CZSTD_WINDOW;
    }
    if (ZSTD_getFrameHeader(&header, frame, length) != 0 || frame[4] & UNUSED_BIT) return CZSTD_NOT_A_FRAME;
    if (header.dictID != 0) return CZSTD_DICTIONARY;
    if (header.frameContentSize == ZSTD_CONTENTSIZE_UNKNOWN) return CZSTD_NO_SIZE;
    *said = header.frameContentSize;
    if (header.frameContentSize != count) return CZSTD_OTHER_SIZE;
    *said = header.windowSize;
    if (header.windowSize > WINDOW_MAXIMUM) return CZSTD_WINDOW;
    return header.checksumFlag ? CZSTD_FINE : CZSTD_NO_CHECKSUM;
}

/// Copies a frame whose blocks are all stored.
///
/// - Returns: 1, or 0 where the frame is of another kind or broken, which libzstd finds out.
static int copy_stored(uint8_t *bytes, size_t count, const uint8_t *frame, size_t length) {
    size_t at = ZSTD_frameHeaderSize(frame, length), done = 0;
    while (1) {
        if (length - at < 3) return 0;
        uint32_t header = (uint32_t)load16(frame + at) | (uint32_t)frame[at + 2] << 16;
        size_t size = header >> 3;
        at += 3;
        if ((header >> 1 & 3) != CZSTD_RAW || size > CZSTD_BLOCK_MAXIMUM || size > length - at || size > count - done) return 0;
        memcpy(bytes + done, frame + at, size);
        done += size;
        at += size;
        if (header & 1) break;
    }
    return done == count && length - at == 4;
}

/// Decodes a frame of exactly `length` bytes by libzstd.
///
/// - Parameter made: the bytes of its content, at most `count`.
static czstd_fault decompress(
    ZSTD_DCtx *context, ZSTD_forceIgnoreChecksum_e checksum, uint8_t *bytes, size_t count, const uint8_t *frame,
    size_t length, size_t *made) {
    size_t ends = ZSTD_findFrameCompressedSize(frame, length);
    if (ZSTD_isError(ends)) return CZSTD_BLOCKS;
    if (ends != length) return CZSTD_OTHER_LENGTH;
    ZSTD_DCtx_setParameter(context, ZSTD_d_forceIgnoreChecksum, checksum);
    *made = ZSTD_decompressDCtx(context, bytes, count, frame, length);
    if (!ZSTD_isError(*made)) return CZSTD_FINE;
    return ZSTD_getErrorCode(*made) == ZSTD_error_checksum_wrong ? CZSTD_CHECKSUM : CZSTD_BLOCKS;
}

czstd_fault czstd_decode(
    ZSTD_DCtx *context, int is_vouched_for, uint8_t *bytes, size_t count, const uint8_t *frame, size_t length,
    uint64_t *said) {
    czstd_fault fault = czstd_check_header(frame, length, count, said);
    if (fault != CZSTD_FINE) return fault;
    if (copy_stored(bytes, count, frame, length)) {
        if (is_vouched_for || (uint32_t)czstd_xxh64(bytes, count) == load32(frame + length - 4)) return CZSTD_FINE;
        return CZSTD_CHECKSUM;
    }
    size_t made;
    fault = decompress(
        context, is_vouched_for ? ZSTD_d_ignoreChecksum : ZSTD_d_validateChecksum, bytes, count, frame, length, &made);
    if (fault != CZSTD_FINE) return fault;
    return made == count ? CZSTD_FINE : CZSTD_BLOCKS;
}

/// The descriptor's bit that says that a checksum follows the blocks.
#define CHECKSUM_BIT 0x04

czstd_fault czstd_inflate(
    ZSTD_DCtx *context, int needs_checksum, uint8_t *bytes, size_t count, const uint8_t *frame, size_t length,
    int64_t checksum, uint64_t *said) {
    czstd_fault fault = czstd_check_header(frame, length, count, said);
    if (fault != CZSTD_FINE && fault != CZSTD_NO_SIZE && fault != CZSTD_NO_CHECKSUM) return fault;
    int has_checksum = frame[4] & CHECKSUM_BIT;
    if (!has_checksum && needs_checksum) return CZSTD_NO_CHECKSUM;
    size_t made;
    fault = decompress(context, ZSTD_d_validateChecksum, bytes, count, frame, length, &made);
    if (fault != CZSTD_FINE) return fault;
    *said = made;
    if (made != count) return CZSTD_OTHER_SIZE;
    if (checksum < 0) return CZSTD_FINE;
    uint32_t found = has_checksum ? load32(frame + length - 4) : (uint32_t)czstd_xxh64(bytes, count);
    return found == (uint32_t)checksum ? CZSTD_FINE : CZSTD_CHECKSUM;
}

size_t czstd_frame_length(const uint8_t *frame, size_t length) {
    size_t result = ZSTD_findFrameCompressedSize(frame, length);
    return ZSTD_isError(result) || result > length ? 0 : result;
}
