// A CPU as a GPU, for tests: a block's threads are coroutines of one thread, or, with EMULATED_BY_THREADS for a race
// detector, threads. Linux only.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>
#ifdef EMULATED_BY_THREADS
#include <pthread.h>
#include <thread>
#else
#include <ucontext.h>
#endif

typedef unsigned long long u64;
struct float4 {
    float x, y, z, w;
};
struct float2 {
    float x, y;
};
struct Index {
    unsigned x;
};
#ifdef EMULATED_BY_THREADS
#define OF_A_THREAD thread_local
#else
#define OF_A_THREAD
#endif
inline OF_A_THREAD Index threadIdx, blockIdx;

#define __device__
#define __global__
#define __launch_bounds__(threads, blocks)
#define DEVICE inline
#define FUNCTION __attribute__((noinline))

#ifdef EMULATED_BY_THREADS
inline void let_others_run() { std::this_thread::yield(); }

class ThreadBarrier {
    pthread_barrier_t barrier;

public:
    explicit ThreadBarrier(unsigned threads) { pthread_barrier_init(&barrier, nullptr, threads); }
    ~ThreadBarrier() { pthread_barrier_destroy(&barrier); }
    ThreadBarrier(const ThreadBarrier&) = delete;
    void wait() { pthread_barrier_wait(&barrier); }
};
#else
void let_others_run();

class ThreadBarrier {
    unsigned threads, arrived = 0, generation = 0;

public:
    explicit ThreadBarrier(unsigned threads) : threads(threads) {}
    void wait() {
        const unsigned now = generation;
        if (++arrived == threads) arrived = 0, generation += 1;
        while (generation == now) let_others_run();
    }
};
#endif

struct EmulatedWarp {
    ThreadBarrier barrier{32};
    char values[32][512];
};

struct EmulatedBlock {
    ThreadBarrier barrier;
    std::vector<float4> memory;
    std::vector<std::unique_ptr<EmulatedWarp>> warps;
    EmulatedBlock(unsigned threads, size_t bytes) : barrier(threads), memory(bytes / sizeof(float4) + 1) {
        // Shared memory holds anything at first.
        std::memset(memory.data(), 0xff, memory.size() * sizeof(float4));
        for (unsigned k = 0; k < threads / 32; k++) warps.push_back(std::make_unique<EmulatedWarp>());
    }
};
inline OF_A_THREAD EmulatedBlock* emulated_block;

DEVICE float* shared() { return reinterpret_cast<float*>(emulated_block->memory.data()); }
DEVICE void block_barrier() { emulated_block->barrier.wait(); }

template <int COUNT, typename Number> DEVICE void exchange(const Number* sent, Number* received, int bit) {
    EmulatedWarp& warp = *emulated_block->warps[threadIdx.x / 32];
    const unsigned lane = threadIdx.x % 32;
    static_assert(COUNT * sizeof(Number) <= sizeof(warp.values[0]), "too many values at once");
    std::memcpy(warp.values[lane], sent, COUNT * sizeof(Number));
    warp.barrier.wait();
    std::memcpy(received, warp.values[lane ^ bit], COUNT * sizeof(Number));
    warp.barrier.wait();
}

DEVICE float relu(float value) { return value <= 0.0f ? 0.0f : value; }

template <typename Number> DEVICE Number read_shared_by_blocks(const Number* at) { return *at; }

DEVICE void arrive_and_wait(unsigned* arrivals, unsigned goal) {
    __atomic_fetch_add(arrivals, 1u, __ATOMIC_ACQ_REL);
    while (static_cast<int>(__atomic_load_n(arrivals, __ATOMIC_ACQUIRE) - goal) < 0) let_others_run();
}

#ifndef EMULATED_BY_THREADS
// A thread of a block; they take turns, each until it waits.
struct Coroutine {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    EmulatedBlock* block;
    Index thread_index, block_index;
    bool is_done = false;
};
inline ucontext_t emulator;
inline Coroutine* running;
inline const void* emulated_kernel;

inline void let_others_run() { swapcontext(&running->context, &emulator); }

template <typename Kernel> void run_coroutine() {
    (*static_cast<const Kernel*>(emulated_kernel))();
    running->is_done = true;
    let_others_run();
}
#endif

// `kernel` by blocks of so many threads; `together` of them at a time. One launch at a time.
template <typename Kernel>
void emulate(unsigned blocks, unsigned together, unsigned threads, size_t bytes, const Kernel& kernel) {
    for (unsigned first = 0; first < blocks; first += together) {
        std::vector<std::unique_ptr<EmulatedBlock>> memory;
        for (unsigned block = 0; block < together; block++)
            memory.push_back(std::make_unique<EmulatedBlock>(threads, bytes));
#ifdef EMULATED_BY_THREADS
        std::vector<std::thread> all;
        for (unsigned k = 0; k < together * threads; k++)
            all.emplace_back([&, k, first] {
                emulated_block = memory[k / threads].get(), threadIdx.x = k % threads, blockIdx.x = first + k / threads;
                kernel();
            });
        for (std::thread& thread : all) thread.join();
#else
        constexpr size_t STACK = 256 << 10;
        std::vector<Coroutine> all(together * threads);
        emulated_kernel = &kernel;
        for (unsigned k = 0; k < all.size(); k++) {
            Coroutine& one = all[k];
            one.stack.reset(new char[STACK]);
            one.block = memory[k / threads].get();
            one.thread_index.x = k % threads, one.block_index.x = first + k / threads;
            getcontext(&one.context);
            one.context.uc_stack.ss_sp = one.stack.get(), one.context.uc_stack.ss_size = STACK;
            makecontext(&one.context, run_coroutine<Kernel>, 0);
        }
        for (size_t done = 0; done < all.size();)
            for (Coroutine& one : all) {
                if (one.is_done) continue;
                running = &one, emulated_block = one.block, threadIdx = one.thread_index, blockIdx = one.block_index;
                swapcontext(&emulator, &one.context);
                done += one.is_done;
            }
#endif
    }
}
