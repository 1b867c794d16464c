#if canImport(Glibc)
    import Glibc
#endif

/// Lets numbered pieces through one after the other, whichever threads they are on.
///
/// Pieces must be started in ascending order, so that the one whose turn it is never waits behind another.
final class Turnstile: @unchecked Sendable {  // reason: all state is guarded by the mutex
    private var mutex = pthread_mutex_t()
    private var moved = pthread_cond_t()
    private var next = 0
    private var isAborted = false

    /// The pieces that were waiting when another one failed.
    struct Aborted: Error {}

    init() {
        pthread_mutex_init(&mutex, nil)
        pthread_cond_init(&moved, nil)
    }

    deinit {
        pthread_cond_destroy(&moved)
        pthread_mutex_destroy(&mutex)
    }

    /// Runs `body` when all pieces before `number` have passed.
    ///
    /// - Throws: what `body` throws, after which nobody passes any more; `Aborted` where that happened before.
    func pass(_ number: Int, _ body: () throws -> Void) throws {
        pthread_mutex_lock(&mutex)
        while next != number && !isAborted { pthread_cond_wait(&moved, &mutex) }
        let aborted = isAborted
        pthread_mutex_unlock(&mutex)
        if aborted { throw Aborted() }
        do { try body() } catch {
            abort()
            throw error
        }
        pthread_mutex_lock(&mutex)
        next += 1
        pthread_cond_broadcast(&moved)
        pthread_mutex_unlock(&mutex)
    }

    /// Sends everybody away who waits or comes.
    func abort() {
        pthread_mutex_lock(&mutex)
        isAborted = true
        pthread_cond_broadcast(&moved)
        pthread_mutex_unlock(&mutex)
    }
}
