// Blocks of zstd that hold literals in prefix codes and no sequences (RFC 8878, sections 3.1.1.3.1 and 4.2), written by
// ourselves: for planes whose values repeat in numbers but not in sequences. libzstd makes the same of them at its most
// negative levels, at less than half the speed.
#include "czstd.h"
#include "frames.h"
#include <string.h>

enum {
    longest_code = 11,      // that literals may have
    most_symbols = 129,     // that the plain table of weights describes
    streams = 4,
    least_count = 1024,     // smaller blocks are not worth a table
    tail = 128,             // symbols at the end of a stream that are written byte by byte
};

static const size_t too_many = (size_t)-1;

typedef struct {
    uint16_t bits[256];
    uint8_t length[256];
    unsigned greatest;      // symbol
    unsigned longest;       // code
} prefix_code;

/// Symbols that occur, the rarest first; equal ones in their own order.
static unsigned sort_symbols(uint8_t *order, const uint32_t *counts) {
    unsigned count = 0;
    for (unsigned symbol = 0; symbol < 256; symbol++) {
        if (counts[symbol] == 0) continue;
        unsigned place = count++;
        for (; place > 0 && counts[order[place - 1]] > counts[symbol]; place--) order[place] = order[place - 1];
        order[place] = (uint8_t)symbol;
    }
    return count;
}

/// How many codes of every length an optimal code has, lengths above `longest_code` cut to it: `of_length[l]`.
static void count_lengths(unsigned *of_length, const uint8_t *order, unsigned count, const uint32_t *counts) {
    // Leaves 0 ..< count ascending, then the nodes in the order they are made, which ascend as well.
    uint32_t weight[2 * 256];
    uint16_t parent[2 * 256];
    for (unsigned i = 0; i < count; i++) weight[i] = counts[order[i]];
    unsigned leaf = 0, node = count, next = count;
    for (; next < 2 * count - 1; next++) {
        weight[next] = 0;
        for (int child = 0; child < 2; child++) {
            unsigned least = leaf < count && (node >= next || weight[leaf] <= weight[node]) ? leaf++ : node++;
            weight[next] += weight[least];
            parent[least] = (uint16_t)next;
        }
    }
    uint8_t depth[2 * 256];
    depth[next - 1] = 0;
    memset(of_length, 0, (longest_code + 1) * sizeof *of_length);
    for (unsigned i = next - 1; i-- > 0;) {
        depth[i] = (uint8_t)(depth[parent[i]] + 1);
        if (i < count) of_length[depth[i] < longest_code ? depth[i] : longest_code]++;
    }
}

/// Makes the lengths those of a complete code again after some were cut.
static void complete_lengths(unsigned *of_length) {
    unsigned sum = 0;
    for (unsigned length = 1; length <= longest_code; length++) sum += of_length[length] << (longest_code - length);
    while (sum > 1u << longest_code) {
        unsigned length = longest_code - 1;
        while (of_length[length] == 0) length--;
        of_length[length]--;
        of_length[length + 1]++;
        sum -= 1u << (longest_code - length - 1);
    }
    for (; sum < 1u << longest_code; sum++) {
        of_length[longest_code]--;
        of_length[longest_code - 1]++;
    }
}

/// Makes a code for at least two symbols.
static void make_code(prefix_code *code, const uint32_t *counts) {
    uint8_t order[256];
    unsigned of_length[longest_code + 1], count = sort_symbols(order, counts), place = 0;
    count_lengths(of_length, order, count, counts);
    complete_lengths(of_length);
    memset(code, 0, sizeof *code);
    uint16_t first[longest_code + 1], value = 0;
    for (unsigned length = longest_code; length > 0; length--) {
        if (of_length[length] > 0 && code->longest == 0) code->longest = length;
        for (unsigned i = 0; i < of_length[length]; i++) code->length[order[place++]] = (uint8_t)length;
        first[length] = value;
        value = (uint16_t)((value + of_length[length]) >> 1);
    }
    for (unsigned symbol = 0; symbol < 256; symbol++) {
        if (code->length[symbol] == 0) continue;
        code->bits[symbol] = first[code->length[symbol]]++;
        code->greatest = symbol;
    }
}

/// The weights of all symbols but the greatest, four bits each.
static size_t put_weights(uint8_t *out, const prefix_code *code) {
    out[0] = (uint8_t)(127 + code->greatest);
    for (unsigned symbol = 0; symbol < code->greatest; symbol++) {
        uint8_t weight = code->length[symbol] ? (uint8_t)(code->longest + 1 - code->length[symbol]) : 0;
        if (symbol % 2 == 0) out[1 + symbol / 2] = (uint8_t)(weight << 4);
        else out[1 + symbol / 2] |= weight;
    }
    return 1 + (code->greatest + 1) / 2;
}

/// One stream under construction, from its last symbol to its first. The bits that were not written yet are the topmost
/// `held_count` (its low byte; the rest is of no meaning) of `held`, later ones above earlier ones.
typedef struct {
    uint64_t held, held_count;
    uint8_t *out;
    const uint8_t *begin, *next;
} stream;

/// A code in the topmost bits, its length in the low byte, which does no harm below the bits that count.
typedef uint64_t code_entry;

#define INLINE static inline __attribute__((always_inline))

INLINE void add(stream *s, const code_entry *table, size_t back) {
    code_entry entry = table[s->next[-1 - (ptrdiff_t)back]];
    s->held = s->held >> (entry & 63) | entry;
    s->held_count += entry;
}

/// Writes 8 bytes, of which the whole ones count. At most 56 bits may be held, and at least one.
INLINE void flush(stream *s) {
    unsigned count = (uint8_t)s->held_count;
    uint64_t bits = s->held >> (64 - count);
    memcpy(s->out, &bits, 8);
    s->out += count >> 3;
    s->held_count = count & 7;
}

/// The rest of a stream, byte by byte, so that nothing behind it is touched.
static void put_tail(stream s, const code_entry *table) {
    unsigned count = (unsigned)s.held_count;
    uint64_t bits = count ? s.held >> (64 - count) : 0;
    for (; s.next > s.begin; s.next--) {
        code_entry entry = table[s.next[-1]];
        unsigned length = entry & 0xFF;
        bits |= entry >> (64 - length) << count;
        for (count += length; count >= 8; count -= 8, bits >>= 8) *s.out++ = (uint8_t)bits;
    }
    *s.out = (uint8_t)(bits | 1ull << count);   // with the mark that a reader begins behind
}

/// Two streams in step, so that neither waits for its own shifts.
INLINE void put_pair_in_step(stream a, stream b, const code_entry *table) {
    enum { step = 4 };   // 4 codes of 11 bits and 7 bits held are below 56
    size_t count = (size_t)(a.next - a.begin), other = (size_t)(b.next - b.begin);
    for (size_t left = count < other ? count : other; left >= tail + step; left -= step) {
#pragma clang loop unroll(full)
        for (size_t i = 0; i < step; i++) {
            add(&a, table, i);
            add(&b, table, i);
        }
        flush(&a);
        flush(&b);
        a.next -= step;
        b.next -= step;
    }
    put_tail(a, table);
    put_tail(b, table);
}

static void put_pair_anywhere(stream a, stream b, const code_entry *table) { put_pair_in_step(a, b, table); }

#if defined(__x86_64__)
/// With shifts by any register.
__attribute__((target("bmi2"))) static void put_pair_bmi2(stream a, stream b, const code_entry *table) {
    put_pair_in_step(a, b, table);
}

static void put_pair(stream a, stream b, const code_entry *table) {
    if (__builtin_cpu_supports("bmi2")) put_pair_bmi2(a, b, table);
    else put_pair_anywhere(a, b, table);
}
#else
static void put_pair(stream a, stream b, const code_entry *table) { put_pair_anywhere(a, b, table); }
#endif

/// Counts the bytes of each stream.
static void count_streams(uint32_t counts[streams][256], const uint8_t *bytes, size_t quarter, size_t last) {
    memset(counts, 0, streams * 256 * sizeof(uint32_t));
    const uint8_t *a = bytes, *b = a + quarter, *c = b + quarter, *d = c + quarter;
    for (size_t i = 0; i < last; i++) {
        counts[0][a[i]]++;
        counts[1][b[i]]++;
        counts[2][c[i]]++;
        counts[3][d[i]]++;
    }
    for (size_t i = last; i < quarter; i++) {
        counts[0][a[i]]++;
        counts[1][b[i]]++;
        counts[2][c[i]]++;
    }
}

/// Writes a block's contents: literals in four streams, no sequences.
///
/// - Returns: bytes, 0 where it would not be smaller, or `too_many` symbols.
static size_t put_literals(uint8_t *out, const uint8_t *bytes, size_t count) {
    size_t quarter = (count + 3) / 4, last = count - 3 * quarter;
    uint32_t counts[streams][256], all[256];
    count_streams(counts, bytes, quarter, last);
    unsigned symbols = 0, greatest = 0;
    for (unsigned symbol = 0; symbol < 256; symbol++) {
        all[symbol] = counts[0][symbol] + counts[1][symbol] + counts[2][symbol] + counts[3][symbol];
        if (all[symbol]) symbols++, greatest = symbol;
    }
    if (greatest >= most_symbols) return too_many;
    if (symbols < 2) return 0;
    prefix_code code;
    make_code(&code, all);

    // Head: 5 bytes of sizes, the weights, 6 bytes of stream sizes. Its last byte says that there are no sequences.
    code_entry table[256];
    size_t size[streams] = {0}, weights = put_weights(out + 5, &code), total = weights + 6;
    for (unsigned symbol = 0; symbol <= code.greatest; symbol++) {
        unsigned length = code.length[symbol];
        table[symbol] = length ? (code_entry)code.bits[symbol] << (64 - length) | length : 0;
        for (int i = 0; i < streams; i++) size[i] += (size_t)counts[i][symbol] * length;
    }
    for (int i = 0; i < streams; i++) total += size[i] = size[i] / 8 + 1;   // a mark of one bit, and up to whole bytes
    if (5 + total + 1 >= count) return 0;
    uint64_t head = 2 | 3 << 2 | (uint64_t)count << 4 | (uint64_t)total << 22;
    memcpy(out, &head, 5);
    uint8_t *at = out + 5 + weights;
    for (int i = 0; i < 3; i++) {
        uint16_t stream_size = (uint16_t)size[i];
        memcpy(at + 2 * i, &stream_size, 2);
    }
    at += 6;
    stream s[streams];
    for (int i = 0; i < streams; i++) {
        const uint8_t *begin = bytes + (size_t)i * quarter;
        s[i] = (stream){0, 0, at, begin, begin + (i < 3 ? quarter : last)};
        at += size[i];
    }
    put_pair(s[0], s[1], table);
    put_pair(s[2], s[3], table);
    *at++ = 0;
    return (size_t)(at - out);
}

size_t czstd_prefix(uint8_t *frame, const uint8_t *bytes, size_t count) {
    size_t length = czstd_put_header(frame, count), done = 0;
    do {
        size_t size = count - done < CZSTD_BLOCK_MAXIMUM ? count - done : CZSTD_BLOCK_MAXIMUM, written = 0;
        int is_last = done + size == count;
        if (size >= least_count) written = put_literals(frame + length + 3, bytes + done, size);
        if (written == too_many) return 0;
        czstd_put_block_header(frame + length, is_last, written ? CZSTD_COMPRESSED : CZSTD_RAW, written ? written : size);
        if (written == 0) memcpy(frame + length + 3, bytes + done, size);
        length += 3 + (written ? written : size);
        done += size;
    } while (done < count);
    return length + czstd_put_checksum(frame + length, czstd_xxh64(bytes, count));
}
