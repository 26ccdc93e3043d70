// The kernel on a CPU, with the host's call of a launch: compiled with -DPREFIX='"file"', the constants of network and plan.
#include "emulate_threads.h"
#include PREFIX
#include "mini_batch_sizes.cu"
// Behind it, not sorted.
#include "mini_batch.cu"

static_assert(sizeof(Training) == 120 && sizeof(State) == 24, "the host's layouts");

// 0, or 1 where the shared memory is not what the host reckons. Arguments as the kernel's, 8 bytes each.
extern "C" __attribute__((visibility("default"))) int launch(unsigned blocks, unsigned, unsigned shared_bytes, const unsigned long long* arguments) {
    if (shared_bytes != SHARED_BYTES) return 1;
    const auto trainings = reinterpret_cast<const Training*>(arguments[0]);
    const auto counters = reinterpret_cast<unsigned*>(arguments[1]);
    const auto group = static_cast<int>(arguments[2]);
    emulated::launch(blocks, THREADS, SHARED_BYTES, [=] { mini_batch(trainings, counters, group); });
    return 0;
}
