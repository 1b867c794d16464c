// libzstd, with the parameters that its stable interface leaves out (forced literal compression), and planes as zstd
// frames of their own.
#pragma once
#define ZSTD_STATIC_LINKING_ONLY
#include <stddef.h>
#include <stdint.h>
#include <zstd.h>
#include <zstd_errors.h>

/// XXH64 with seed 0, the checksum of zstd frames (which keep its lower 32 bits).
uint64_t czstd_xxh64(const void *bytes, size_t count);

/// How a plane is compressed.
typedef enum {
    /// Entropy coding alone, without a search for matches: exponents.
    CZSTD_ENTROPY = 0,
    /// The usual search at level 1: integers.
    CZSTD_FAST = 1,
    /// Small things: level 9.
    CZSTD_SMALL = 2,
} czstd_effort;

/// Room that any frame of `count` bytes fits into.
size_t czstd_frame_bound(size_t count);

/// The bytes of a frame whose blocks are stored as they are.
size_t czstd_stored_byte_count(size_t count);

/// Writes a frame with content size and checksum whose blocks are stored as they are.
///
/// - Returns: the frame's bytes. `frame` has room for `czstd_frame_bound(count)`.
size_t czstd_store(uint8_t *frame, const uint8_t *bytes, size_t count);

/// Writes a frame with content size and checksum whose blocks all repeat the first byte: for constant bytes.
size_t czstd_repeat(uint8_t *frame, const uint8_t *bytes, size_t count);

/// Writes a frame with content size and checksum whose blocks hold literals in prefix codes, or are stored: entropy
/// coding alone, for bytes that repeat in numbers but not in sequences.
///
/// - Returns: the frame's bytes, or 0 where bytes above 128 occur. `frame` has room for `czstd_frame_bound(count)`.
size_t czstd_prefix(uint8_t *frame, const uint8_t *bytes, size_t count);

/// Whether all bytes are the same; true for none.
int czstd_is_constant(const uint8_t *bytes, size_t count);

/// Writes a frame with content size and checksum, compressed.
///
/// - Returns: the frame's bytes, or an error of libzstd (`ZSTD_isError`).
size_t czstd_compress(
    ZSTD_CCtx *context, czstd_effort effort, uint8_t *frame, size_t capacity, const uint8_t *bytes, size_t count);

/// What is wrong with a frame; 0 is nothing.
typedef enum {
    CZSTD_FINE = 0,
    CZSTD_NOT_A_FRAME,        ///< another magic number, or no readable header
    CZSTD_SKIPPABLE,
    CZSTD_WINDOW,             ///< a window above 2^27 bytes
    CZSTD_DICTIONARY,
    CZSTD_NO_SIZE,            ///< the header does not say the content size
    CZSTD_OTHER_SIZE,         ///< the header says another content size
    CZSTD_NO_CHECKSUM,
    CZSTD_OTHER_LENGTH,       ///< the blocks do not end where the frame does
    CZSTD_BLOCKS,             ///< a block cannot be decoded, or they hold more or less than the content size
    CZSTD_CHECKSUM,
} czstd_fault;

/// Checks the header of a frame of `length` bytes that is to hold `count` bytes.
///
/// - Parameter said: the content size that the header says; set for CZSTD_OTHER_SIZE and CZSTD_WINDOW (the window).
czstd_fault czstd_check_header(const uint8_t *frame, size_t length, size_t count, uint64_t *said);

/// Checks and decodes a frame of exactly `length` bytes into exactly `count` bytes. Writes nothing outside `bytes`,
/// whatever the frame says, and allocates nothing.
///
/// - Parameter is_vouched_for: the frame's bytes were verified before, so that its checksum need not be.
czstd_fault czstd_decode(
    ZSTD_DCtx *context, int is_vouched_for, uint8_t *bytes, size_t count, const uint8_t *frame, size_t length, uint64_t *said);

/// Checks and decodes a frame of somebody else's, which may leave out its content size and, where the caller allows, its
/// checksum. Otherwise as `czstd_decode`.
///
/// - Parameter checksum: the lower half of the content's XXH64 as known elsewhere; negative where it is not.
czstd_fault czstd_inflate(
    ZSTD_DCtx *context, int needs_checksum, uint8_t *bytes, size_t count, const uint8_t *frame, size_t length,
    int64_t checksum, uint64_t *said);

/// The bytes of the frame that begins here, skippable or not, judged by its headers alone; 0 where it is none or does
/// not end within `length` bytes.
size_t czstd_frame_length(const uint8_t *frame, size_t length);
