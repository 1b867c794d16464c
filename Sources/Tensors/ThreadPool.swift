import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Threads that help others with their work, kept for as long as the process lives.
///
/// Whoever asks for help works too, and waits for those alone that came: where the system gives no threads, or all are
/// busy, the work is done without them. So work may ask for help itself, and nothing hangs on a thread that never came.
final class ThreadPool: @unchecked Sendable {  // reason: all state is guarded by the mutex
    static let shared = ThreadPool()

    /// Work that several threads may do at once: each calls `body` once.
    private final class Job {
        let body: () -> Void
        /// How many more may come.
        var openPlaces: Int
        /// How many came and have not left.
        var helpers = 0

        init(_ body: @escaping () -> Void, openPlaces: Int) { (self.body, self.openPlaces) = (body, openPlaces) }
    }

    /// As much as a process's first thread usually has, whatever its limit is: what is read may be nested.
    private static let stackByteCount = 8 << 20

    private var mutex = pthread_mutex_t()
    private var offered = pthread_cond_t()
    private var left = pthread_cond_t()
    /// Those with open places, oldest first.
    private var jobs: [Job] = []
    private var threadCount = 0
    private var idleCount = 0

    private init() {
        pthread_mutex_init(&mutex, nil)
        pthread_cond_init(&offered, nil)
        pthread_cond_init(&left, nil)
    }

    /// Calls `body` on this thread, and on at most `helpers` others meanwhile; returns when all are done.
    func run(helpers: Int, _ body: @Sendable () -> Void) {
        withoutActuallyEscaping(body) { body in
            let job = Job(body, openPlaces: helpers)
            locked {
                jobs.append(job)
                addThreads(upTo: helpers)
                for _ in 0..<min(helpers, idleCount) { pthread_cond_signal(&offered) }
            }
            body()
            locked {
                jobs.removeAll { $0 === job }
                while job.helpers > 0 { pthread_cond_wait(&left, &mutex) }
            }
        }
    }

    private func locked(_ body: () -> Void) {
        pthread_mutex_lock(&mutex)
        body()
        pthread_mutex_unlock(&mutex)
    }

    /// Makes threads until there are as many as ever were asked for at once, or no more can be had.
    private func addThreads(upTo count: Int) {
        guard threadCount < count else { return }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, Self.stackByteCount)
        pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        while threadCount < count {
            var thread = pthread_t()
            let status = pthread_create(
                &thread, &attributes,
                { _ in
                    ThreadPool.shared.help()
                    return nil
                }, nil)
            guard status == 0 else { return }
            threadCount += 1
        }
    }

    /// What a thread of the pool does all its life.
    private func help() {
        pthread_mutex_lock(&mutex)
        while true {
            guard let job = jobs.first else {
                idleCount += 1
                pthread_cond_wait(&offered, &mutex)
                idleCount -= 1
                continue
            }
            job.openPlaces -= 1
            job.helpers += 1
            if job.openPlaces == 0 { jobs.removeFirst() }
            pthread_mutex_unlock(&mutex)
            job.body()
            pthread_mutex_lock(&mutex)
            job.helpers -= 1
            if job.helpers == 0 { pthread_cond_broadcast(&left) }
        }
    }
}
