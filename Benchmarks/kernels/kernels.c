// How fast the floating-point kernels are: medians over runs, one thread and two.
//
// Build and run from the root of the repository, with the clang of the Swift toolchain:
//     clang -std=gnu17 -O2 -I Sources/CKernels/include Benchmarks/kernels/kernels.c Sources/CKernels/*.c -lm -lpthread -o out/kernels
//     out/kernels [scalar|avx2|avx512|neon]
// peers.py beside this file times the same shapes in NumPy and PyTorch.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include "ckernels.h"

static const ck_math *math;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *numbers(size_t count) {
    const size_t page = 2 << 20, bytes = count * sizeof(float), unit = bytes < page ? 64 : page;
    const size_t size = (bytes + unit - 1) / unit * unit;
    float *x = aligned_alloc(unit, size);
#ifdef MADV_HUGEPAGE
    if (bytes >= page) madvise(x, size, MADV_HUGEPAGE);  // as NumPy asks for its arrays
#endif
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525 + 1013904223;
        x[i] = (float)(int32_t)state * 0x1p-31f;
    }
    return x;
}

static int ascending(const void *a, const void *b) {
    return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b;
}

/// The median of several runs, after one that does not count.
static double median(void (*run)(void *), void *context, int runs) {
    double seconds[101];
    run(context);
    for (int i = 0; i < runs; i++) {
        const double start = now();
        run(context);
        seconds[i] = now() - start;
    }
    qsort(seconds, (size_t)runs, sizeof *seconds, ascending);
    return seconds[runs / 2];
}

/// One share of the work of a thread.
typedef struct { void (*share)(void *context, int index, int count); void *context; int index, count; } share;

static void *run_share(void *s) {
    const share *one = s;
    one->share(one->context, one->index, one->count);
    return NULL;
}

static void split(void (*work)(void *, int, int), void *context, int threads) {
    pthread_t others[8];
    share shares[8];
    for (int i = 0; i < threads; i++) shares[i] = (share){work, context, i, threads};
    for (int i = 1; i < threads; i++) pthread_create(&others[i], NULL, run_share, &shares[i]);
    run_share(&shares[0]);
    for (int i = 1; i < threads; i++) pthread_join(others[i], NULL);
}

// Products.

typedef struct {
    size_t m, k, n, k_stride, n_stride;
    const float *a, *w;
    float *packed, *c, *scratch;
    size_t scratch_count;
    int threads;
} product;

static void panels_of(const product *p, int index, int count, size_t *begin, size_t *end) {
    const size_t panels = (p->n + math->panel_width_f32 - 1) / math->panel_width_f32;
    *begin = panels * (size_t)index / (size_t)count;
    *end = panels * (size_t)(index + 1) / (size_t)count;
}

static void product_share(void *context, int index, int count) {
    const product *p = context;
    size_t begin, end;
    panels_of(p, index, count, &begin, &end);
    math->product_f32(p->a, p->k, p->packed + begin * p->k * math->panel_width_f32, p->c, p->n, p->m, p->k, p->n, begin, end);
}

static void unpacked_share(void *context, int index, int count) {
    const product *p = context;
    size_t begin, end;
    panels_of(p, index, count, &begin, &end);
    math->product_unpacked_f32(p->a, p->k, p->w, p->k_stride, p->n_stride, p->c, p->n, p->m, p->k, p->n, begin, end,
                               p->scratch + (size_t)index * p->scratch_count, p->scratch_count);
}

static void pack_share(void *context, int index, int count) {
    const product *p = context;
    size_t begin, end;
    panels_of(p, index, count, &begin, &end);
    math->pack_f32(p->w, p->k_stride, p->n_stride, p->k, p->n, begin, end, p->packed + begin * p->k * math->panel_width_f32);
}

static void run_product(void *context) { split(product_share, context, ((product *)context)->threads); }
static void run_unpacked(void *context) { split(unpacked_share, context, ((product *)context)->threads); }
static void run_pack(void *context) { split(pack_share, context, ((product *)context)->threads); }

static void time_product(size_t m, size_t k, size_t n, int runs) {
    product p = {.m = m, .k = k, .n = n, .a = numbers(m * k), .w = numbers(k * n), .c = numbers(m * n),
                 .packed = numbers(math->packed_count_f32(k, n)), .scratch_count = 512 * 1024};
    p.scratch = numbers(8 * p.scratch_count);
    const double work = 2e-9 * (double)m * (double)k * (double)n, bytes = 4e-9 * (double)k * (double)n;
    for (p.threads = 1; p.threads <= 2; p.threads++) {
        printf("[%zu, %zu] x [%zu, %zu], %d thread%s\n", m, k, k, n, p.threads, p.threads > 1 ? "s" : "");
        for (int columns = 0; columns < 2; columns++) {
            p.k_stride = columns ? 1 : n;
            p.n_stride = columns ? k : 1;
            const char *orientation = columns ? "[out, in]" : "[in, out]";
            const double pack = median(run_pack, &p, runs), unpacked = median(run_unpacked, &p, runs);
            printf("  %s  pack %8.3f ms (%5.1f GB/s)   packing in the call %8.3f ms, %6.1f GFLOP/s, %5.1f GB/s of weights\n",
                   orientation, 1e3 * pack, bytes / pack, 1e3 * unpacked, work / unpacked, bytes / unpacked);
        }
        const double packed = median(run_product, &p, runs);
        printf("  packed before %8.3f ms, %6.1f GFLOP/s, %5.1f GB/s of weights\n", 1e3 * packed, work / packed, bytes / packed);
    }
    free((void *)p.a), free((void *)p.w), free(p.c), free(p.packed), free(p.scratch);
}

// A plain read of memory, the limit of products of one row: as one stream or as several at once, whatever is faster.

typedef struct { const float *x; size_t count, streams; int threads; float sum[8]; } reading;

#ifdef __x86_64__
#define WITH_AVX2 __attribute__((target("avx2")))
#else
#define WITH_AVX2
#endif

WITH_AVX2 static void read_share(void *context, int index, int count) {
    reading *r = context;
    typedef float wide __attribute__((ext_vector_type(8)));
    enum { STEP = 4 };
    const size_t share = r->count / 8 / (size_t)count, length = share / r->streams / STEP * STEP;
    const wide *x = (const wide *)r->x + share * (size_t)index;
    wide sums[STEP] = {0};
    for (size_t i = 0; i < length; i += STEP)
        for (size_t s = 0; s < r->streams; s++)
            for (size_t j = 0; j < STEP; j++) sums[j] += x[s * length + i + j];
    const wide sum = sums[0] + sums[1] + sums[2] + sums[3];
    r->sum[index] = sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

static void run_reading(void *context) { split(read_share, context, ((reading *)context)->threads); }

static void time_reading(size_t count, int runs) {
    reading r = {.x = numbers(count), .count = count};
    for (r.threads = 1; r.threads <= 2; r.threads++)
        for (r.streams = 1; r.streams <= 8; r.streams *= 2)
            printf("plain read of %zu MB, %d thread%s, %zu stream%s: %.1f GB/s\n", count * 4 / 1000000, r.threads,
                   r.threads > 1 ? "s" : "", r.streams, r.streams > 1 ? "s" : "",
                   4e-9 * (double)count / median(run_reading, &r, runs));
    free((void *)r.x);
}

// Attention: 12 heads of 64, causal, heads divided among the threads.

typedef struct { size_t time, heads, width; const float *qkv; float *out, *scratch; size_t *end; size_t rows; int threads; } attention;

static void attention_share(void *context, int index, int count) {
    const attention *a = context;
    const size_t stride = 3 * a->heads * a->width, inner = a->heads * a->width;
    float *scratch = a->scratch + (size_t)index * math->attention_scratch_count_f32(a->width);
    for (size_t h = (size_t)index; h < a->heads; h += (size_t)count) {
        const float *q = a->qkv + h * a->width;
        const size_t first = a->time - a->rows;
        const ck_attention_f32 head = {
            .q = q + first * stride, .q_stride = stride, .k = q + inner, .k_stride = stride, .v = q + 2 * inner,
            .v_stride = stride, .out = a->out + first * inner + h * a->width, .out_stride = inner, .rows = a->rows,
            .width = a->width, .value_width = a->width, .scale = 0.125f, .end = a->end + first,
        };
        math->attention_f32(&head, scratch);
    }
}

static void run_attention(void *context) { split(attention_share, context, ((attention *)context)->threads); }

static void time_attention(size_t time, size_t rows, int runs) {
    attention a = {.time = time, .heads = 12, .width = 64, .rows = rows};
    a.qkv = numbers(time * 3 * 768);
    a.out = numbers(time * 768);
    a.scratch = numbers(8 * math->attention_scratch_count_f32(64));
    a.end = malloc(time * sizeof *a.end);
    for (size_t i = 0; i < time; i++) a.end[i] = i + 1;
    for (a.threads = 1; a.threads <= 2; a.threads++)
        printf("attention, 12 heads of 64, %zu keys, %zu queries, causal, %d thread%s: %.3f ms\n", time, rows, a.threads,
               a.threads > 1 ? "s" : "", 1e3 * median(run_attention, &a, runs));
    free((void *)a.qkv), free(a.out), free(a.scratch), free(a.end);
}

// Rows and elements: [512, 3072] and [512, 768], in the cache's reach.

typedef struct { ck_unary_f32 *function; const float *in, *weight; float *out; size_t rows, columns; } rows;

static void run_unary(void *context) {
    const rows *r = context;
    r->function(r->in, r->out, r->rows * r->columns);
}
static void run_norm(void *context) {
    const rows *r = context;
    math->layer_norm_f32(r->in, r->weight, r->weight, 1e-5, r->out, r->rows, r->columns);
}
static void run_rms(void *context) {
    const rows *r = context;
    math->rms_norm_f32(r->in, r->weight, 1e-5, r->out, r->rows, r->columns);
}
static void run_softmax(void *context) {
    const rows *r = context;
    math->softmax_rows_f32(r->in, r->out, r->rows, r->columns);
}

static void time_rows(void) {
    rows r = {.in = numbers(512 * 3072), .weight = numbers(3072), .out = numbers(512 * 3072), .rows = 512, .columns = 3072};
    const struct { const char *name; ck_unary_f32 *function; } unary[] = {
        {"gelu_tanh", math->gelu_tanh_f32}, {"gelu_erf", math->gelu_erf_f32}, {"silu", math->silu_f32},
        {"exp", math->exp_f32}, {"tanh", math->tanh_f32}, {"erf", math->erf_f32},
    };
    for (size_t i = 0; i < sizeof unary / sizeof *unary; i++) {
        r.function = unary[i].function;
        printf("%-10s [512, 3072]: %.3f ms\n", unary[i].name, 1e3 * median(run_unary, &r, 51));
    }
    printf("softmax    [512, 3072]: %.3f ms\n", 1e3 * median(run_softmax, &r, 51));
    r.columns = 768;
    printf("layer_norm [512, 768]:  %.3f ms\n", 1e3 * median(run_norm, &r, 51));
    printf("rms_norm   [512, 768]:  %.3f ms\n", 1e3 * median(run_rms, &r, 51));
    free((void *)r.in), free((void *)r.weight), free(r.out);
}

int main(int count, char **arguments) {
    const char *names[] = {"scalar", "avx2", "avx512", "neon"};
    ck_level level = ck_best_level();
    for (int i = 0; i < 4; i++)
        if (count > 1 && strcmp(arguments[1], names[i]) == 0) level = (ck_level)i;
    math = ck_math_at(level);
    if (!math) return puts("this machine cannot run that level"), 1;
    printf("level %s\n", names[level]);
    time_product(512, 768, 3072, level == CK_SCALAR ? 1 : 41);
    time_product(512, 3072, 768, level == CK_SCALAR ? 1 : 41);
    time_product(1, 768, 196608, 11);  // 604 MB of weights
    time_reading(768 * 196608, 11);
    time_attention(512, 512, 41);
    time_attention(1024, 1, 101);
    time_rows();
}
