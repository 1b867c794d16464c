// How fast one file can be copied into a new one here, by the bare system calls and one or two threads: the bound of `assay convert`
// without digests, whatever is written around it.
//
//   cc -O2 -pthread Benchmarks/copies.c -o out/copies && out/copies FOLDER
//
// Each way is tried three times with 1 GiB that is in memory already; the best is printed.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { size = 1 << 30, piece = 8 << 20, populateForWriting = 23 };

static int input, output, threads;
static char *from, *into;

static void check(int holds, const char *what) {
    if (holds) return;
    perror(what);
    exit(1);
}

static void readAndWrite(off_t at, char *buffer) {
    check(pread(input, buffer, piece, at) == piece, "read");
    check(pwrite(output, buffer, piece, at) == piece, "write");
}

// What Python's safetensors does.
static void writeFromMapping(off_t at, char *buffer) { check(pwrite(output, from + at, piece, at) == piece, "write"); }

static void mappingToMapping(off_t at, char *buffer) { memcpy(into + at, from + at, piece); }

static void readIntoMapping(off_t at, char *buffer) { check(pread(input, into + at, piece, at) == piece, "read"); }

static void populateAndRead(off_t at, char *buffer) {
    check(madvise(into + at, piece, populateForWriting) == 0, "populate");
    readIntoMapping(at, buffer);
}

static void withinTheKernel(off_t at, char *buffer) {
    off_t source = at, target = at;
    for (size_t left = piece; left > 0;) {
        ssize_t copied = copy_file_range(input, &source, output, &target, left, 0);
        check(copied > 0, "copy_file_range");
        left -= (size_t)copied;
    }
}

static const struct way {
    const char *name;
    void (*copy)(off_t at, char *buffer);
} ways[] = {
    {"read, write", readAndWrite},           {"write from a mapping", writeFromMapping},
    {"mapping to mapping", mappingToMapping}, {"read into a mapping", readIntoMapping},
    {"populate, read", populateAndRead},     {"copy_file_range", withinTheKernel},
};
static const struct way *way;

static void *work(void *number) {
    char *buffer = aligned_alloc(4096, piece);
    for (off_t at = (off_t)(long)number * piece; at < size; at += (off_t)threads * piece) way->copy(at, buffer);
    free(buffer);
    return NULL;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double copyOnce(const char *path) {
    unlink(path);
    output = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    check(output >= 0, path);
    double start = now();
    check(ftruncate(output, size) == 0, "length");
    from = mmap(NULL, size, PROT_READ, MAP_SHARED, input, 0);
    into = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, output, 0);
    check(from != MAP_FAILED && into != MAP_FAILED, "map");
    pthread_t running[2];
    for (long number = 0; number < threads; number++) pthread_create(&running[number], NULL, work, (void *)number);
    for (int number = 0; number < threads; number++) pthread_join(running[number], NULL);
    munmap(from, size);
    munmap(into, size);
    close(output);
    unlink(path);
    return now() - start;
}

int main(int count, char **arguments) {
    if (count != 2) return fprintf(stderr, "usage: %s FOLDER\n", arguments[0]), 64;
    char source[4096], target[4096];
    snprintf(source, sizeof source, "%s/assay-copies-source", arguments[1]);
    snprintf(target, sizeof target, "%s/assay-copies-target", arguments[1]);
    input = open(source, O_RDWR | O_CREAT | O_EXCL, 0600);
    check(input >= 0, source);
    char *buffer = malloc(piece);
    for (int at = 0; at < piece; at++) buffer[at] = (char)rand();
    for (off_t at = 0; at < size; at += piece) check(pwrite(input, buffer, piece, at) == piece, "write");

    for (unsigned number = 0; number < sizeof ways / sizeof *ways; number++) {
        way = &ways[number];
        for (threads = 1; threads <= 2; threads++) {
            double best = 1e9;
            for (int trial = 0; trial < 3; trial++) {
                double seconds = copyOnce(target);
                if (seconds < best) best = seconds;
            }
            printf("%-22s %d thread%s %5.2f GB/s\n", way->name, threads, threads == 1 ? " " : "s", size / best / 1e9);
        }
    }
    free(buffer);
    unlink(source);
    return 0;
}
