// Stands before Swift's Synchronization library while the thread sanitizer watches, and tells it of mutexes.
//
// `Mutex` of Swift 6.3 takes a free mutex by an atomic that is compiled into the caller, which the sanitizer sees. One that
// is taken goes through two functions of the library, which no sanitizer was compiled into: without a word of it every value
// that is handed from one waiting thread to the next would look like a race.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context))

typedef SWIFT void (*lock_function)(uint32_t thread, SELF void *mutex);
typedef SWIFT void (*unlock_function)(SELF void *mutex);
typedef void (*tell_function)(void *address);

static void tell(const char *name, void *mutex) {
    // Programs that nobody watches have no such function.
    tell_function function = (tell_function)dlsym(RTLD_DEFAULT, name);
    if (function) function(mutex);
}

// _MutexHandle._lockSlow(_: UInt32)
SWIFT void lock_slow(uint32_t thread, SELF void *mutex) __asm__("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
SWIFT void lock_slow(uint32_t thread, SELF void *mutex) {
    ((lock_function)dlsym(RTLD_NEXT, "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"))(thread, mutex);
    tell("__tsan_acquire", mutex);
}

// _MutexHandle._unlockSlow()
SWIFT void unlock_slow(SELF void *mutex) __asm__("$s15Synchronization12_MutexHandleV11_unlockSlowyyF");
SWIFT void unlock_slow(SELF void *mutex) {
    tell("__tsan_release", mutex);
    ((unlock_function)dlsym(RTLD_NEXT, "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"))(mutex);
}
