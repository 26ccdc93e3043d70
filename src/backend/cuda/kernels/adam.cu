// A step of Adam on numbers that lie in memory, for trainings whose gradient is libtorch's: one pass in one launch, as
// torch.optim.Adam has it (Kingma and Ba 2015).
//
// A thread has one number. The host writes before this text THREADS, those of a block. No library and no header is needed.
// With EMULATED defined it is C++17 for a CPU (emulate.h).
#ifdef EMULATED
#include "emulate.h"
#endif

// m += rest_1 (g - m); v = beta_2 v + rest_2 g²; θ -= step_size m / (√v / root_of_correction + epsilon).
extern "C" __global__ void __launch_bounds__(THREADS, 1)
adam(float* theta, const float* gradient, float* mean, float* squares, unsigned count, float rest_1, float beta_2,
     float rest_2, float step_size, float root_of_correction, float epsilon) {
    const unsigned at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= count) return;
    const float g = gradient[at], before = mean[at];
    const float m = fmaf(rest_1, g - before, before);
    const float v = fmaf(beta_2, squares[at], (rest_2 * g) * g);
    mean[at] = m;
    squares[at] = v;
    theta[at] = fmaf(-step_size, m / (sqrtf(v) / root_of_correction + epsilon), theta[at]);
}
