// The kernel on a CPU, with the host's call of a launch: compiled with -DPREFIX='"file"', the network's constants.
#include PREFIX
#define EMULATED
#include "full_batch_layers.cu"
// Behind it, not sorted.
#include "full_batch.cu"

static_assert(sizeof(State) == 48 && sizeof(Training) == 160, "the host's contract");

// 0, or 1 where the shared memory is not what the host reckons. Arguments as the kernel's, 8 bytes each.
extern "C" __attribute__((visibility("default"))) int launch(unsigned blocks, unsigned together, unsigned shared_bytes, const u64* arguments) {
    if (shared_bytes != AT.end * sizeof(float)) return 1;
    const auto trainings = reinterpret_cast<const Training*>(arguments[0]);
    const auto points = static_cast<int>(arguments[1]), parts = static_cast<int>(arguments[2]);
    const auto most_epochs = static_cast<unsigned>(arguments[3]);
    emulate(blocks, together, THREADS, shared_bytes, [=] { full_batch(trainings, points, parts, most_epochs); });
    return 0;
}
