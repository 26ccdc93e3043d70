// Mini-batch training of multilayer perceptron classifiers: whole epochs of steps in one launch.
//
// The host writes the constants of a network and of a plan before this source:
//   LAYERS, DIMS[LAYERS + 1]   fully connected, ReLU between, none after the last
//   BATCH                      samples a step
//   THREADS                    a block's threads
//   TILE                       input columns a partial sum runs over; a multiple of 4
//   TILES_PER_BLOCK, SLICE     a block owns so many tiles of so many of the first layer's outputs (multiple of 4)
//   PASS                       outputs of the slice whose gradient is computed at a time; a multiple of 8
//   CHUNK                      samples a block takes through the upper layers at a time: 1, 2, 4 or 8
//   STAGED                     the upper layers from this one on are copied to shared memory for phase B
//   INPUT_BUFFERS              2 where the next batch's columns are fetched during a step, else 1
//   MOMENTS_SHARED             whether the first layer's moments stay in shared memory
//   BLOCKS_PER_SM              blocks the registers must leave room for on a multiprocessor
// DIMS, BATCH, THREADS and TILE are the problem's and fix the order of every sum. The others, and the number of
// blocks and trainings in a launch, change no bit of a result.
//
// A training is computed by a group of blocks that run at once. A step has three phases and two barriers:
//   A  every block: its columns' part of z1 = W1 x for the whole batch, from shared memory, to `partials`
//   -- barrier --
//   B  a block a chunk of samples: adds the parts, then all upper layers, the loss and the deltas down to the first
//   -- barrier --
//   C  every block: gradient and step of its slice of W1 (weights and batch are still in its shared memory), and of
//      tiles of the upper weights
// The barrier after the next step's A also orders C's weights before the next B. The first layer's weights leave
// their block only at the end of a launch.

#ifndef EMULATED
#define CONSTANT __device__ constexpr // of functions of constants
#define DEVICE __device__ __forceinline__
#define SHARED_MEMORY(name) extern __shared__ float4 name[]

DEVICE void arrive_release(unsigned* counter) {
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(counter) : "memory");
}

DEVICE unsigned load_acquire(const unsigned* counter) {
    unsigned value;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(counter) : "memory");
    return value;
}

// What another block wrote: from past the first cache, and never kept over a barrier by the compiler.
DEVICE float load_fresh(const float* from) {
    float value;
    asm volatile("ld.global.cg.f32 %0, [%1];" : "=f"(value) : "l"(from));
    return value;
}

DEVICE float4 load_fresh(const float4* from) {
    float4 value;
    asm volatile("ld.global.cg.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(value.x), "=f"(value.y), "=f"(value.z), "=f"(value.w) : "l"(from));
    return value;
}

DEVICE double load_fresh(const double* from) {
    double value;
    asm volatile("ld.global.cg.f64 %0, [%1];" : "=d"(value) : "l"(from));
    return value;
}

DEVICE int load_fresh(const int* from) {
    int value;
    asm volatile("ld.global.cg.s32 %0, [%1];" : "=r"(value) : "l"(from));
    return value;
}

// Copies to shared memory that run on while the thread does; of 16 bytes past the first cache, which other blocks'
// writes do not reach.
DEVICE void copy_16(float* to, const float* from) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((unsigned)__cvta_generic_to_shared(to)), "l"(from)
                 : "memory");
#else
    *(float4*)to = load_fresh((const float4*)from);
#endif
}

DEVICE void copy_4(void* to, const void* from) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"((unsigned)__cvta_generic_to_shared(to)), "l"(from)
                 : "memory");
#else
    *(float*)to = *(const float*)from;
#endif
}

DEVICE void copies_commit() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits for this thread's copies but those of the last `LEFT` commits.
template <int LEFT> DEVICE void copies_wait() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}
#endif

// ---- What the host passes ----

enum Ending { RUNNING = 0, DIVERGED = 1 };
enum Rule { SGD = 0, ADAM = 1 };

// Where a training stands between launches.
struct State {
    long long steps; // of the optimizer
    int epochs;      // complete ones
    int batch;       // batches done of the epoch after those
    int ending;
    int unused;
};

// A training in a launch. Scratch is zeroed before the first launch, and kept between launches.
struct Training {
    float* theta;
    float* mean;    // Adam's first moment, or the velocity
    float* squares; // Adam's second; null with SGD
    const float* inputs;
    const int* labels;
    const int* order; // [epochs][samples], from the epoch on in which the launch begins
    double* losses; // [epochs]: sums over the samples while training
    int* correct;   // [epochs]: as many were right
    State* state;
    float* scratch;
    double learning_rate, weight_decay, momentum;
    int samples, rule;
    int epochs; // the launch ends with the last of `order`,
    int steps;  // or after so many steps
};

// ---- Constants that follow ----

CONSTANT int up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }
CONSTANT int quads(int n) { return (n + 3) / 4; }
CONSTANT int padded(int n) { return up(n, 4); }
CONSTANT int least(int a, int b) { return a < b ? a : b; }
CONSTANT int most(int a, int b) { return a > b ? a : b; }

constexpr int INPUTS = DIMS[0], FIRST = DIMS[1], CLASSES = DIMS[LAYERS];
constexpr int FIRST_PADDED = padded(FIRST), FIRST_QUADS = quads(FIRST);
constexpr int ROWS = up(BATCH, 8); // of the arrays by sample; those beyond the batch stay zero
constexpr int TILES = (INPUTS + TILE - 1) / TILE;
constexpr int TILE_BLOCKS = (TILES + TILES_PER_BLOCK - 1) / TILES_PER_BLOCK;
constexpr int SLICES = (FIRST + SLICE - 1) / SLICE;
constexpr int OWNERS = TILE_BLOCKS * SLICES; // blocks that own weights of the first layer: no group is smaller
constexpr int CHUNKS = (BATCH + CHUNK - 1) / CHUNK;
static_assert(STAGED >= 2 && STAGED <= LAYERS + 1, "of the upper layers");
static_assert(TILE % 4 == 0 && SLICE % 4 == 0 && PASS % 8 == 0 && ROWS % CHUNK == 0, "a plan that does not fit");

// An odd number of quads a row: eight rows' quads at one column lie in different banks.
constexpr int INPUT_STRIDE = TILE + (TILE / 4 % 2 == 0 ? 4 : 0);

// A thread's rectangle of z1: the largest of which there is one for every thread.
CONSTANT int rectangles(int samples, int quads_each) {
    return TILES_PER_BLOCK * (ROWS / samples) * ((SLICE / 4 + quads_each - 1) / quads_each);
}
constexpr int SHAPE = rectangles(8, 2) >= THREADS ? 0 : rectangles(8, 1) >= THREADS ? 1
                    : rectangles(4, 1) >= THREADS ? 2 : 3;
constexpr int RECT_SAMPLES = SHAPE < 2 ? 8 : SHAPE == 2 ? 4 : 2, RECT_QUADS = SHAPE == 0 ? 2 : 1;
constexpr int WEIGHT_STRIDE = up(SLICE, 4 * RECT_QUADS);
constexpr int BLOCK_WEIGHTS = TILES_PER_BLOCK * TILE * WEIGHT_STRIDE;

// Gradients are sums over parts of the batch, each in order, that are added in order.
constexpr int FIRST_PARTS = 4, UPPER_PARTS = 8;
// A thread's rectangle of W1's gradient is 4 inputs by as many outputs.
constexpr int STEP_QUADS = TILES_PER_BLOCK * (TILE / 4) * (PASS / 8) >= THREADS / 2 ? 2 : 1;
constexpr int STEP_ITEMS = TILES_PER_BLOCK * (TILE / 4) * (PASS / 4 / STEP_QUADS);
// Where those are too few for the threads, the parts are computed side by side.
constexpr bool SPLIT = STEP_ITEMS * 2 < THREADS;
constexpr int SPLIT_SIZE = TILES_PER_BLOCK * TILE * PASS; // gradients of one part
// A tile of the upper weights.
constexpr int UNIT_INPUTS = 32, UNIT_OUTPUTS = 16;

// Parts of a product's inner sum, so that there is work for every thread.
CONSTANT int splits(int inner, int outer) {
    return most(1, least(THREADS / quads(outer), (inner + 3) / 4));
}

CONSTANT int theta_at(int layer) { // of the layer's weights, counted from 1
    int at = 0;
    for (int l = 1; l < layer; l++) at += (DIMS[l - 1] + 1) * DIMS[l];
    return at;
}
constexpr int PARAMETERS = theta_at(LAYERS + 1);
constexpr int UPPER_AT = INPUTS * FIRST; // everything but the first layer's weights

// Scratch memory, in floats.
constexpr int SLOTS_AT = 0; // a double and an int for every place in the batch
constexpr int PARTIALS_AT = 3 * ROWS;
constexpr int PARTIALS = TILES * ROWS * FIRST_PADDED;
CONSTANT int hidden_at(int layer) {
    int at = PARTIALS_AT + PARTIALS;
    for (int l = 1; l < layer; l++) at += ROWS * padded(DIMS[l]);
    return at;
}
CONSTANT int delta_at(int layer) {
    int at = hidden_at(LAYERS);
    for (int l = 1; l < layer; l++) at += ROWS * padded(DIMS[l]);
    return at;
}
CONSTANT int transposed_at(int layer) { // of layers from the second on: [inputs][outputs]
    int at = delta_at(LAYERS + 1);
    for (int l = 2; l < layer; l++) at += DIMS[l - 1] * padded(DIMS[l]);
    return at;
}
CONSTANT int straight_at(int layer) { // the same weights as [outputs][inputs]
    int at = transposed_at(LAYERS + 1);
    for (int l = 2; l < layer; l++) at += DIMS[l] * padded(DIMS[l - 1]);
    return at;
}
CONSTANT int biases_at(int layer) { // the biases of all layers, each from a multiple of 16 bytes on
    int at = straight_at(LAYERS + 1);
    for (int l = 1; l < layer; l++) at += padded(DIMS[l]);
    return at;
}
constexpr int MOMENTS_AT = biases_at(LAYERS + 1);
constexpr int SCRATCH = MOMENTS_AT + (MOMENTS_SHARED ? 0 : 2 * OWNERS * BLOCK_WEIGHTS);

// Shared memory, in floats. Phase B's arrays and phase C's take the same place.
CONSTANT int activation_at(int layer) {
    int at = 0;
    for (int l = 1; l < layer; l++) at += padded(DIMS[l]) * CHUNK;
    return at;
}
CONSTANT int product_parts() { // the largest of the products' parts
    int size = 0;
    for (int l = 2; l <= LAYERS; l++) {
        size = most(size, splits(DIMS[l - 1], DIMS[l]) * padded(DIMS[l]));
        size = most(size, splits(DIMS[l], DIMS[l - 1]) * padded(DIMS[l - 1]));
    }
    return size * CHUNK;
}
constexpr int INPUT_SIZE = TILES_PER_BLOCK * ROWS * INPUT_STRIDE;
constexpr int IN_INPUTS = 0;
constexpr int IN_WEIGHTS = IN_INPUTS + INPUT_BUFFERS * INPUT_SIZE;
constexpr int IN_MOMENTS = IN_WEIGHTS + BLOCK_WEIGHTS;
constexpr int IN_ROWS = IN_MOMENTS + (MOMENTS_SHARED ? 2 * BLOCK_WEIGHTS : 0);
constexpr int IN_LOSSES = IN_ROWS + 3 * ROWS + (3 * ROWS) % 2;
constexpr int IN_CORRECT = IN_LOSSES + 2 * ROWS;
constexpr int IN_RATES = IN_CORRECT + ROWS;
constexpr int IN_WORK = IN_RATES + 8;
constexpr int IN_PRODUCTS = IN_WORK + activation_at(LAYERS + 1);
constexpr int IN_STAGED = IN_PRODUCTS + product_parts(); // transposed and straight, then the biases of all
constexpr int STAGED_TRANSPOSED = transposed_at(LAYERS + 1) - transposed_at(STAGED);
constexpr int STAGED_STRAIGHT = straight_at(LAYERS + 1) - straight_at(STAGED);
CONSTANT int in_biases(int layer) { // of layers from the second on
    int at = IN_STAGED + STAGED_TRANSPOSED + STAGED_STRAIGHT;
    for (int l = 2; l < layer; l++) at += padded(DIMS[l]);
    return at;
}
constexpr int END_OF_B = in_biases(LAYERS + 1);
constexpr int GRADIENT_STRIDE = UNIT_OUTPUTS + 1;
constexpr int UNIT_GRADIENTS = UPPER_PARTS * (UNIT_INPUTS + 1) * GRADIENT_STRIDE;
constexpr int IN_UNIT_HIDDEN = IN_WORK;
constexpr int IN_UNIT_DELTAS = IN_UNIT_HIDDEN + (LAYERS > 1 ? ROWS * UNIT_INPUTS : 0);
constexpr int IN_DELTAS = IN_UNIT_DELTAS + (LAYERS > 1 ? ROWS * UNIT_OUTPUTS : 0);
constexpr int IN_GRADIENTS = IN_DELTAS + ROWS * PASS;
constexpr int GRADIENTS = most(SPLIT ? FIRST_PARTS * SPLIT_SIZE : 0,
                               most(FIRST_PARTS * PASS, LAYERS > 1 ? up(UNIT_GRADIENTS, 4) : 0));
constexpr int END_OF_C = IN_GRADIENTS + GRADIENTS;
constexpr int SHARED_BYTES = 4 * most(END_OF_B, END_OF_C);

// ---- Arithmetic ----

DEVICE float4 zero4() { return make_float4(0.f, 0.f, 0.f, 0.f); }

// Of constant indices only, or it goes through memory.
DEVICE float component(const float4& v, int i) { return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w; }

DEVICE void add_scaled(float4& sum, float factor, const float4& v) {
    sum.x = fmaf(factor, v.x, sum.x);
    sum.y = fmaf(factor, v.y, sum.y);
    sum.z = fmaf(factor, v.z, sum.z);
    sum.w = fmaf(factor, v.w, sum.w);
}

DEVICE void add(float4& sum, const float4& v) { sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w; }

// base^exponent, by the exponent's bits.
DEVICE double power(double base, long long exponent) {
    double result = 1.0;
    for (; exponent > 0; exponent >>= 1, base *= base)
        if (exponent & 1) result *= base;
    return result;
}

// What a step of the optimizer depends on.
struct Rates {
    float rate, inverse_root, decay, momentum;
    int rule;
};

DEVICE Rates rates_of(const Training& job, long long step) {
    const bool adam = job.rule == ADAM;
    Rates rates;
    rates.rate = float(adam ? job.learning_rate / (1.0 - power(0.9, step)) : job.learning_rate);
    rates.inverse_root = adam ? float(1.0 / sqrt(1.0 - power(0.999, step))) : 1.f;
    rates.decay = float(job.weight_decay);
    rates.momentum = float(job.momentum);
    rates.rule = job.rule;
    return rates;
}

// m += (1-b1)(g - m); v = b2 v + (1-b2) g^2; theta -= rate m / (sqrt(v / (1-b2^t)) + eps), rate = lr / (1-b1^t).
DEVICE void adam(float& theta, float gradient, float& mean, float& squares, const Rates& rates) {
    gradient = fmaf(rates.decay, theta, gradient);
    mean = fmaf(0.1f, gradient - mean, mean);
    squares = fmaf(0.999f, squares, 0.001f * gradient * gradient);
    theta = fmaf(-rates.rate, mean / fmaf(sqrtf(squares), rates.inverse_root, 1e-8f), theta);
}

// m = momentum m + g; theta -= lr m. From a velocity of zero the first step takes the gradient itself.
DEVICE void heavy_ball(float& theta, float gradient, float& mean, const Rates& rates) {
    mean = fmaf(rates.momentum, mean, fmaf(rates.decay, theta, gradient));
    theta = fmaf(-rates.rate, mean, theta);
}

DEVICE void optimize(float& theta, float gradient, float& mean, float& squares, const Rates& rates) {
    if (rates.rule == ADAM) adam(theta, gradient, mean, squares, rates);
    else heavy_ball(theta, gradient, mean, rates);
}

// Four in one branch, so that their roots and divisions overlap.
DEVICE void optimize4(float* theta, const float4& gradient, float* mean, float* squares, const Rates& rates) {
    float4 t = *(float4*)theta, m = *(float4*)mean;
    if (rates.rule == ADAM) {
        float4 s = *(float4*)squares;
        adam(t.x, gradient.x, m.x, s.x, rates);
        adam(t.y, gradient.y, m.y, s.y, rates);
        adam(t.z, gradient.z, m.z, s.z, rates);
        adam(t.w, gradient.w, m.w, s.w, rates);
        *(float4*)squares = s;
    } else {
        heavy_ball(t.x, gradient.x, m.x, rates);
        heavy_ball(t.y, gradient.y, m.y, rates);
        heavy_ball(t.z, gradient.z, m.z, rates);
        heavy_ball(t.w, gradient.w, m.w, rates);
    }
    *(float4*)theta = t, *(float4*)mean = m;
}
