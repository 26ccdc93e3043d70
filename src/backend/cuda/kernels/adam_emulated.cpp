// The kernel on a CPU, with the host's call of a launch: compiled with -DPREFIX='"file"', the constants before it.
#include PREFIX
#define EMULATED
#include "adam.cu"

static float number(u64 argument) {
    float value;
    std::memcpy(&value, &argument, sizeof value);
    return value;
}

// 0. Arguments as the kernel's, 8 bytes each, of which the first are the number's.
extern "C" __attribute__((visibility("default"))) int launch(unsigned blocks, unsigned together, unsigned, const u64* arguments) {
    const auto at = [=](int k) { return reinterpret_cast<float*>(arguments[k]); };
    const auto count = static_cast<unsigned>(arguments[4]);
    const auto of = [=](int k) { return number(arguments[k]); };
    emulate(blocks, together, THREADS, 0, [=] { adam(at(0), at(1), at(2), at(3), count, of(5), of(6), of(7), of(8), of(9), of(10)); });
    return 0;
}
