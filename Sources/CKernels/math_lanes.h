// The sixteen virtual lanes of row reductions and of everything elementwise. The compiler cuts a vector of
// sixteen into as many registers as the level needs.

typedef REAL OF(lanes) __attribute__((ext_vector_type(CK_LANES)));
typedef INTEGER OF(bits) __attribute__((ext_vector_type(CK_LANES)));
typedef NATURAL OF(natural_bits) __attribute__((ext_vector_type(CK_LANES)));

// One register.
enum { OF(REGISTER_WIDTH) = REGISTER_BYTES / sizeof(REAL) };
typedef REAL OF(reg) __attribute__((ext_vector_type(REGISTER_BYTES / sizeof(REAL))));

INLINE OF(lanes) OF(load)(const REAL *from) {
    OF(lanes) x;
    __builtin_memcpy(&x, from, sizeof x);
    return x;
}

INLINE void OF(store)(REAL *to, OF(lanes) x) { __builtin_memcpy(to, &x, sizeof x); }

/// The first `count` lanes from memory, the others `fill`.
INLINE OF(lanes) OF(load_some)(const REAL *from, size_t count, REAL fill) {
    OF(lanes) x = fill;
    __builtin_memcpy(&x, from, count * sizeof *from);
    return x;
}

INLINE void OF(store_some)(REAL *to, OF(lanes) x, size_t count) { __builtin_memcpy(to, &x, count * sizeof *to); }

/// Sixteen elements at `i`, or those that are left.
INLINE OF(lanes) OF(load_at)(const REAL *from, size_t i, size_t count, REAL fill) {
    return count - i >= CK_LANES ? OF(load)(from + i) : OF(load_some)(from + i, count - i, fill);
}

/// One NaN for all: which payload survives an operation differs between processors.
INLINE OF(lanes) OF(settled)(OF(lanes) x) { return x == x ? x : (OF(lanes))(REAL)__builtin_nan(""); }

/// Writes sixteen elements at `i`, or those that are left.
INLINE void OF(settle_at)(REAL *to, size_t i, size_t count, OF(lanes) x) {
    x = OF(settled)(x);
    if (count - i >= CK_LANES) OF(store)(to + i, x);
    else OF(store_some)(to + i, x, count - i);
}

INLINE OF(lanes) OF(fma)(OF(lanes) a, OF(lanes) b, OF(lanes) c) { return __builtin_elementwise_fma(a, b, c); }

INLINE OF(lanes) OF(greater)(OF(lanes) a, OF(lanes) b) { return b > a ? b : a; }

INLINE OF(lanes) OF(magnitude)(OF(lanes) x) {
    return (OF(lanes))((OF(bits))x & (INTEGER)(~(NATURAL)0 >> 1));
}

/// A magnitude with the sign of another number.
INLINE OF(lanes) OF(signed_as)(OF(lanes) magnitude, OF(lanes) x) {
    return (OF(lanes))((OF(bits))magnitude | ((OF(bits))x & (INTEGER)((NATURAL)1 << (8 * sizeof(REAL) - 1))));
}

/// The sum of all lanes, by halves.
INLINE REAL OF(joined)(OF(lanes) x) {
    const __typeof__(x.lo) eight = x.lo + x.hi;
    const __typeof__(eight.lo) four = eight.lo + eight.hi;
    const __typeof__(four.lo) two = four.lo + four.hi;
    return two.x + two.y;
}

/// The greatest of all lanes, by halves.
INLINE REAL OF(greatest)(OF(lanes) x) {
    const __typeof__(x.lo) eight = x.hi > x.lo ? x.hi : x.lo;
    const __typeof__(eight.lo) four = eight.hi > eight.lo ? eight.hi : eight.lo;
    const __typeof__(four.lo) two = four.hi > four.lo ? four.hi : four.lo;
    return two.y > two.x ? two.y : two.x;
}
