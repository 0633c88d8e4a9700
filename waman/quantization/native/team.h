// Threads that work through the parts of a pass together.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

struct waman_team {
    explicit waman_team(int size) : size(size) {
        for (int number = 1; number < size; number++) threads_.emplace_back([this] { serve(); });
    }

    ~waman_team() {
        {
            const std::lock_guard<std::mutex> held(mutex_);
            ended_ = true;
        }
        woken_.notify_all();
        for (auto& thread : threads_) thread.join();
    }

    // Calls the work once in every thread, this one included, and waits for all. One caller at a time.
    void run(const std::function<void()>& work) {
        work_ = &work;
        {
            const std::lock_guard<std::mutex> held(mutex_);
            called_.fetch_add(1, std::memory_order_release);
        }
        woken_.notify_all();
        work();
        meet();
    }

    // Within the work: numbers 0 to count - 1, each in one thread; returns when all are done.
    template <class Do>
    void share(int count, Do&& todo) {
        int number;
        while ((number = next_.fetch_add(1, std::memory_order_relaxed)) < count) todo(number);
        meet();
    }

    const int size;

private:
    // Every thread waits here for the others; the last one makes the counter ready for what follows.
    void meet() {
        const int turn = turn_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size - 1) {
            next_.store(0, std::memory_order_relaxed);
            arrived_.store(0, std::memory_order_relaxed);
            turn_.store(turn + 1, std::memory_order_release);
            return;
        }
        for (int spun = 0; turn_.load(std::memory_order_acquire) == turn; spun++) {
            if (spun < kSpins)
                __builtin_ia32_pause();
            else
                std::this_thread::yield();  // somebody else has the others' processors
        }
    }

    void serve() {
        int seen = 0;
        while (true) {
            for (int spun = 0; spun < kSpinsBetween && called_.load(std::memory_order_acquire) == seen; spun++)
                __builtin_ia32_pause();
            if (called_.load(std::memory_order_acquire) == seen) {
                std::unique_lock<std::mutex> held(mutex_);
                woken_.wait(held, [&] { return ended_ || called_.load(std::memory_order_acquire) != seen; });
                if (ended_) return;
            }
            seen++;
            (*work_)();
            meet();
        }
    }

    static constexpr int kSpins = 2000;
    static constexpr int kSpinsBetween = 4000;  // some 100 microseconds: about what lies between two passes
    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::condition_variable woken_;
    bool ended_ = false;
    const std::function<void()>* work_ = nullptr;
    alignas(64) std::atomic<int> called_{0};
    alignas(64) std::atomic<int> next_{0};
    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<int> turn_{0};
};
