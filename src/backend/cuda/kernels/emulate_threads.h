// What the kernels use of CUDA, for a CPU: a block's threads as threads, all blocks of a launch at once.
//
// Shared memory is the block's, __syncthreads a barrier of its threads; asynchronous copies are plain ones, done at
// once. No shuffles: the kernels have none.
#pragma once
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <thread>
#include <vector>

#define EMULATED
#define __global__
#define __launch_bounds__(...)
#define CONSTANT constexpr
#define DEVICE inline
#define SHARED_MEMORY(name) float4* name = emulated::block->shared.data()

struct alignas(16) float4 {
    float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

namespace emulated {
struct Index {
    unsigned x;
};
struct Block {
    std::vector<float4> shared;
    pthread_barrier_t barrier;
};
inline thread_local Block* block;
} // namespace emulated

inline thread_local emulated::Index threadIdx, blockIdx;

inline void __syncthreads() { pthread_barrier_wait(&emulated::block->barrier); }
template <class T> T load_fresh(const T* from) { return *from; }
inline void arrive_release(unsigned* counter) { __atomic_fetch_add(counter, 1u, __ATOMIC_RELEASE); }
inline unsigned load_acquire(const unsigned* counter) {
    sched_yield();
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}
inline void copy_16(float* to, const float* from) { std::memcpy(to, from, 16); }
inline void copy_4(void* to, const void* from) { std::memcpy(to, from, 4); }
inline void copies_commit() {}
template <int> void copies_wait() {}
using std::isfinite;
using std::min;

namespace emulated {
// Runs `kernel` in so many blocks of so many threads.
template <class Kernel> void launch(int blocks, int threads, std::size_t shared_bytes, Kernel kernel) {
    std::vector<Block> all(blocks);
    std::vector<std::thread> running;
    for (int b = 0; b < blocks; b++) {
        // Not zeros, which nobody promises.
        all[b].shared.assign((shared_bytes + 15) / 16, float4{NAN, NAN, NAN, NAN});
        pthread_barrier_init(&all[b].barrier, nullptr, threads);
        for (int t = 0; t < threads; t++)
            running.emplace_back([&, b, t] {
                block = &all[b], blockIdx.x = b, threadIdx.x = t;
                kernel();
            });
    }
    for (auto& thread : running) thread.join();
    for (auto& b : all) pthread_barrier_destroy(&b.barrier);
}
} // namespace emulated
