// Full-batch training of a small fully connected network, whole epochs in one launch.
//
// f(x) = W_L relu(... relu(W_1 x + b_1) ...) + b_L; the loss is the mean over n points and the outputs of (f(x) - y)^2.
// An epoch takes the loss and its gradient over all points and then one step of Adam or of gradient descent.
//
// Compiled for one network: the host writes before this text
//     constexpr int LAYERS, DIMS[LAYERS + 1];  // widths, inputs first; ReLU after every layer but the last
//     constexpr int THREADS, TILE, POINTS_EACH, BLOCKS_EACH; // a block's, points of a tile, of a thread, blocks an SM
// No library and no header is needed. With EMULATED defined it is C++17 for a CPU (emulate.h).
//
// One block or many work on a training (`parts`), to the same bytes: a tile's partial gradient does not depend on
// who computes it, tiles are added in the order of their index within a group of GROUP, and groups in theirs.
#ifdef EMULATED
#include "emulate.h"
#else
typedef unsigned long long u64;
#define DEVICE __device__ __forceinline__
#define FUNCTION __device__ __noinline__ // one copy of the code for all layers of the same widths

extern __shared__ float4 shared_memory[];
DEVICE float* shared() { return reinterpret_cast<float*>(shared_memory); }
DEVICE void block_barrier() { __syncthreads(); }

// From the lane whose number differs in `bit`: `count` values at once.
template <int COUNT, typename Number> DEVICE void exchange(const Number* sent, Number* received, int bit) {
#pragma unroll
    for (int k = 0; k < COUNT; k++) received[k] = __shfl_xor_sync(~0u, sent[k], bit);
}

// max(value, 0), but NaN of NaN: fmaxf would hide a training's end.
DEVICE float relu(float value) {
#if __CUDA_ARCH__ >= 800
    float result;
    asm("max.NaN.f32 %0, %1, 0f00000000;" : "=f"(result) : "f"(value));
    return result;
#else
    return value <= 0.0f ? 0.0f : value;
#endif
}

// What another block wrote is in the L2 cache; the L1 may hold older bytes.
template <typename Number> DEVICE Number read_shared_by_blocks(const Number* at) { return __ldcg(at); }

DEVICE void arrive_and_wait(unsigned* arrivals, unsigned goal) {
    __threadfence();
    atomicAdd(arrivals, 1u);
    unsigned seen;
    do {
        asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(arrivals) : "memory");
    } while (static_cast<int>(seen - goal) < 0);
    __threadfence();
}
#endif

// ---- The host's side: these structures lie in global memory, their offsets in the contract beside this file. ----

// Goes on from launch to launch; zero bytes are a training that has not begun.
struct State {
    u64 epoch;          // steps taken
    u64 quiet_epochs;   // in a row, with hardly any change of the loss
    double last_loss;
    int has_last;
    int ending;         // an Ending
    unsigned recorded;  // losses that the last launch wrote
    unsigned arrivals;  // of the barrier among a training's blocks; never set back, so it may wrap round
    unsigned rounds;    // `arrivals` before the launch
    unsigned unused;
};
enum Ending { RUNNING = 0, CONVERGED = 1, BELOW = 2, DIVERGED = 3, LAST_EPOCH = 4 };
enum Rule { ADAM = 0, SGD = 1 };

struct Training {
    float *theta, *first, *second; // second moments only for Adam; first are its means, or the velocity
    const float *x, *y;            // [n, inputs], [n, outputs]
    const float *validation_x, *validation_y;
    double *losses, *norms, *validation_losses; // [epochs of a launch]; the last two may be null
    float* scratch;
    State* state;
    double learning_rate, weight_decay, momentum;
    double tolerance, threshold; // a threshold of 0 or NaN is none
    u64 epochs, patience;
    int rule, validation_points;
};

// ---- Sizes, all known when compiling. ----

constexpr int INPUTS = DIMS[0], OUTPUTS = DIMS[LAYERS];
constexpr int WARPS = THREADS / 32;
constexpr int POINT_GROUPS = TILE / POINTS_EACH;        // threads side by side along the points
constexpr int ROW_GROUPS = THREADS / POINT_GROUPS;      // and along the rows of a weight matrix
constexpr int MOST_ROWS = POINTS_EACH == 8 ? 8 : 10;    // accumulators of a thread: points times rows
constexpr int GROUP = 32;                               // tiles whose partial gradients are added first
static_assert(THREADS % POINT_GROUPS == 0 && POINTS_EACH % 4 == 0 && THREADS % 32 == 0, "threads fit no tile");

template <int N> struct Constant {
    static constexpr int value = N;
};
constexpr int up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }
constexpr int over(int value, int divisor) { return (value + divisor - 1) / divisor; }
constexpr int least(int a, int b) { return a < b ? a : b; }
constexpr int most(int a, int b) { return a > b ? a : b; }

// A matrix of so many rows is taken in passes, `rows_each` rows a thread and pass.
constexpr int passes(int rows) { return over(rows, ROW_GROUPS * MOST_ROWS); }
constexpr int rows_each(int rows) { return over(rows, ROW_GROUPS * passes(rows)); }
constexpr int padded_rows(int rows) { return passes(rows) * ROW_GROUPS * rows_each(rows); }

// Where everything lies in shared memory, in floats; activations are [feature][point].
struct Layout {
    int parameter[LAYERS + 1]; // first index in θ of a layer; at the end their number
    int weights[LAYERS];       // [padded outputs][inputs up to 4]
    int transposed[LAYERS];    // [padded inputs][outputs up to 4], not of the first layer
    int bias[LAYERS];
    int activations[LAYERS + 1];
    int y, gradient, total, sums, work, end;
};
constexpr Layout layout_of_network() {
    Layout at{};
    int end = 0;
    for (int l = 0; l < LAYERS; l++) {
        const int in = DIMS[l], out = DIMS[l + 1];
        at.parameter[l + 1] = at.parameter[l] + (in + 1) * out;
        at.weights[l] = end, end += padded_rows(out) * up(in, 4);
        if (l > 0) at.transposed[l] = end, end += padded_rows(in) * up(out, 4);
        at.bias[l] = end, end += up(padded_rows(out), 4);
    }
    at.gradient = end, end += up(at.parameter[LAYERS], 4);
    at.total = end, end += up(at.parameter[LAYERS], 4);
    at.sums = end, end += up(WARPS, 4) + 16;
    at.work = end;
    for (int l = 0; l <= LAYERS; l++) at.activations[l] = end, end += DIMS[l] * TILE;
    at.y = end, end += OUTPUTS * TILE;
    at.end = end;
    return at;
}
constexpr Layout AT = layout_of_network();
constexpr int PARAMETERS = AT.parameter[LAYERS];
constexpr int PADDED = up(PARAMETERS, 4);
constexpr int BATCH = least(over(PARAMETERS, THREADS), 5); // parameters of a thread whose loads go out together
constexpr int CHUNKS = over(PARAMETERS, 32); // of 32 parameters, whose squares a warp adds

// Of a parameter, its places among the weights (or biases) and the transposed weights; 0 where it has none there.
struct Places {
    unsigned short weights[PADDED], transposed[PADDED];
};
constexpr Places places_of_parameters() {
    Places places{};
    for (int l = 0; l < LAYERS; l++) {
        const int in = DIMS[l], out = DIMS[l + 1];
        int k = AT.parameter[l];
        for (int o = 0; o < out; o++)
            for (int i = 0; i < in; i++, k++) {
                places.weights[k] = AT.weights[l] + o * up(in, 4) + i;
                places.transposed[k] = l > 0 ? AT.transposed[l] + i * up(out, 4) + o : 0;
            }
        for (int o = 0; o < out; o++, k++) places.weights[k] = AT.bias[l] + o, places.transposed[k] = 0;
    }
    return places;
}
__device__ constexpr Places PLACES = places_of_parameters();
static_assert(AT.gradient < 65536, "a place is a short");

// Scratch memory of a training, in floats: what `plan` reserves.
struct Scratch {
    float *losses, *validation_losses; // of the tiles
    double* squares;                   // of the chunks, of the gradient
    float *buffers, *partials;         // for many blocks: θ and moments twice; gradients of the tiles
};
DEVICE Scratch scratch_of(const Training& training, int tiles, int validation_tiles) {
    float* at = training.scratch;
    Scratch scratch;
    scratch.squares = reinterpret_cast<double*>(at), at += up(2 * CHUNKS, 4);
    scratch.losses = at, at += up(tiles, 4);
    scratch.validation_losses = at, at += up(validation_tiles, 4);
    scratch.buffers = at, at += 6 * PADDED;
    scratch.partials = at;
    return scratch;
}

// ---- Forward and backward: register tiles of POINTS_EACH points times some rows a thread. ----

// acc[row][point] += Σ_k w[row][k] in[k][point]. A load of 16 bytes costs an SM as much as 16 multiply-adds of a warp,
// whatever it reads, so points and rows are both taken several at once.
template <int K, int COUNT, int ROWS>
DEVICE void add_columns(const float* in, const float* w, float (&acc)[ROWS][POINTS_EACH]) {
    float a[COUNT][POINTS_EACH];
#pragma unroll
    for (int k = 0; k < COUNT; k++)
#pragma unroll
        for (int q = 0; q < POINTS_EACH / 4; q++) {
            const float4 four = *reinterpret_cast<const float4*>(in + k * TILE + q * 4 * POINT_GROUPS);
            a[k][4 * q] = four.x, a[k][4 * q + 1] = four.y, a[k][4 * q + 2] = four.z, a[k][4 * q + 3] = four.w;
        }
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        const float4 four = *reinterpret_cast<const float4*>(w + row * up(K, 4));
        const float b[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
        for (int k = 0; k < COUNT; k++)
#pragma unroll
            for (int p = 0; p < POINTS_EACH; p++) acc[row][p] = fmaf(b[k], a[k][p], acc[row][p]);
    }
}

template <int K, int ROWS>
DEVICE void product(const float* in, const float* w, float (&acc)[ROWS][POINTS_EACH]) {
    // About as much as hides a load's latency: more takes registers, and the compiler's time.
    [[maybe_unused]] constexpr int UNROLLED = most(least(K / 4, 640 / (ROWS * POINTS_EACH * 4)), 1);
#pragma unroll UNROLLED
    for (int k = 0; k < K / 4 * 4; k += 4) add_columns<K, 4>(in + k * TILE, w + k, acc);
    if constexpr (K % 4 > 0) add_columns<K, K % 4>(in + K / 4 * 4 * TILE, w + K / 4 * 4, acc);
}

// Of a thread: its first point (4 side by side, the next 4 at + 4 POINT_GROUPS) and its group of rows.
DEVICE int first_point() { return 4 * (static_cast<int>(threadIdx.x) % POINT_GROUPS); }
DEVICE int row_group() { return static_cast<int>(threadIdx.x) / POINT_GROUPS; }

template <int ROWS> DEVICE void set_to_bias(const float* bias, float (&acc)[ROWS][POINTS_EACH]) {
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        const float value = bias ? bias[row] : 0.0f;
#pragma unroll
        for (int p = 0; p < POINTS_EACH; p++) acc[row][p] = value;
    }
}

// A hidden layer: out = relu(W in + b).
template <int K, int N> FUNCTION void forward(int in, int weights, int bias, int out) {
    float* const s = shared();
    constexpr int ROWS = rows_each(N);
#pragma unroll 1
    for (int pass = 0; pass < passes(N); pass++) {
        const int row0 = (pass * ROW_GROUPS + row_group()) * ROWS;
        if (row0 >= N) break;
        float acc[ROWS][POINTS_EACH];
        set_to_bias(s + bias + row0, acc);
        product<K>(s + in + first_point(), s + weights + row0 * up(K, 4), acc);
#pragma unroll
        for (int row = 0; row < ROWS; row++)
#pragma unroll
            for (int q = 0; q < POINTS_EACH / 4; q++) {
                const float* a = acc[row] + 4 * q;
                const float4 four = {relu(a[0]), relu(a[1]), relu(a[2]), relu(a[3])};
                float* const at = s + out + (row0 + row) * TILE + first_point() + q * 4 * POINT_GROUPS;
                if (N % ROWS == 0 || row0 + row < N) *reinterpret_cast<float4*>(at) = four;
            }
    }
}

// The last layer: out = ∂L/∂f = scale (f - y), and the sum of this thread's squares of f - y, of `valid` points.
template <int K, int N>
FUNCTION float output(int in, int weights, int bias, int out, int y, int valid, float scale) {
    float* const s = shared();
    constexpr int ROWS = rows_each(N);
    float squares = 0.0f;
#pragma unroll 1
    for (int pass = 0; pass < passes(N); pass++) {
        const int row0 = (pass * ROW_GROUPS + row_group()) * ROWS;
        if (row0 >= N) break;
        float acc[ROWS][POINTS_EACH];
        set_to_bias(s + bias + row0, acc);
        product<K>(s + in + first_point(), s + weights + row0 * up(K, 4), acc);
#pragma unroll
        for (int row = 0; row < ROWS; row++)
#pragma unroll
            for (int p = 0; p < POINTS_EACH; p++) {
                const int point = first_point() + p / 4 * 4 * POINT_GROUPS + p % 4;
                if (row0 + row < N) {
                    const int at = (row0 + row) * TILE + point;
                    const float residual = point < valid ? acc[row][p] - s[y + at] : 0.0f;
                    squares = fmaf(residual, residual, squares);
                    s[out + at] = scale * residual;
                }
            }
    }
    return squares;
}

// ∂L/∂h in place of h: (Wᵀ d) where h > 0. Other threads may read h until the barrier within.
template <int K, int N> FUNCTION void backward(int d, int transposed, int h) {
    float* const s = shared();
    constexpr int ROWS = rows_each(N);
#pragma unroll 1
    for (int pass = 0; pass < passes(N); pass++) {
        const int row0 = (pass * ROW_GROUPS + row_group()) * ROWS;
        float acc[ROWS][POINTS_EACH];
        if (row0 < N) {
            set_to_bias(nullptr, acc);
            product<K>(s + d + first_point(), s + transposed + row0 * up(K, 4), acc);
        }
        if (pass == 0) block_barrier();
        if (row0 >= N) break;
#pragma unroll
        for (int row = 0; row < ROWS; row++)
#pragma unroll
            for (int q = 0; q < POINTS_EACH / 4; q++) {
                float* const at = s + h + (row0 + row) * TILE + first_point() + q * 4 * POINT_GROUPS;
                if (N % ROWS == 0 || row0 + row < N) {
                    float4 four = *reinterpret_cast<const float4*>(at);
                    four.x = four.x > 0.0f ? acc[row][4 * q] : 0.0f;
                    four.y = four.y > 0.0f ? acc[row][4 * q + 1] : 0.0f;
                    four.z = four.z > 0.0f ? acc[row][4 * q + 2] : 0.0f;
                    four.w = four.w > 0.0f ? acc[row][4 * q + 3] : 0.0f;
                    *reinterpret_cast<float4*>(at) = four;
                }
            }
    }
}

// ---- The weights' gradient of a tile: dW[o][i] = Σ_p d[o][p] h[i][p], db[o] = Σ_p d[o][p]. ----

// A thread takes `out` times `in` weights over every `strands`-th four points; then the strands, neighbouring lanes,
// add up. Few strands make the adding cheap, large rectangles the loading.
struct Shape {
    int out, in, strands;
};
constexpr int tiles_of(int width, int each) { return over(width, each); }
constexpr int cost(int in, int out, Shape shape) {
    const int warps = over(tiles_of(out, shape.out) * tiles_of(in, shape.in) * shape.strands, 32);
    const int steps = TILE / 4 / shape.strands, values = up(shape.out * (shape.in + 1), shape.strands);
    const int loads = steps * 4 * (shape.out + shape.in) + values;
    const int arithmetic = steps * 4 * shape.out * (shape.in + 1) + 4 * values;
    return warps * loads + over(warps, 4) * arithmetic / 2 + over(warps, WARPS) * 200;
}
constexpr Shape shape_of(int in, int out) {
    Shape best{1, 1, least(32, TILE / 4)};
    for (int o = 1; o <= least(out, 8); o++)
        for (int i = 1; i <= least(in, 8); i++)
            for (int strands = 8; strands <= least(32, TILE / 4); strands *= 2)
                if (o * (i + 1) <= 48 && cost(in, out, Shape{o, i, strands}) < cost(in, out, best))
                    best = Shape{o, i, strands};
    return best;
}

// Adds to the gradient in shared memory, or, for many blocks, writes to `partial`.
template <int IN, int OUT> FUNCTION void weight_gradient(int h, int d, int parameter, float* partial) {
    constexpr Shape SHAPE = shape_of(IN, OUT);
    constexpr int ACROSS = tiles_of(IN, SHAPE.in), RECTANGLES = tiles_of(OUT, SHAPE.out) * ACROSS;
    constexpr int STRANDS = SHAPE.strands, VALUES = SHAPE.out * (SHAPE.in + 1), KEPT = up(VALUES, STRANDS);
    float* const s = shared();
    const int lane = threadIdx.x % 32;
    for (int job0 = threadIdx.x - lane; job0 < RECTANGLES * STRANDS; job0 += THREADS) {
        const int job = job0 + lane, strand = job % STRANDS;
        const bool is_job = job < RECTANGLES * STRANDS; // the others keep a warp together
        const int rectangle = is_job ? job / STRANDS : 0;
        const int out0 = rectangle / ACROSS * SHAPE.out, in0 = rectangle % ACROSS * SHAPE.in;
        // The last rectangles overlap those before them rather than reach beyond the edge.
        const int out_from = least(out0, OUT - SHAPE.out), in_from = least(in0, IN - SHAPE.in);
        float a[KEPT];
#pragma unroll
        for (int k = 0; k < KEPT; k++) a[k] = 0.0f;
        const float* const d_at = s + d + out_from * TILE + 4 * strand;
        const float* const h_at = s + h + in_from * TILE + 4 * strand;
#pragma unroll 2
        for (int step = 0; step < TILE / 4 / STRANDS; step++) {
            float4 dd[SHAPE.out];
#pragma unroll
            for (int o = 0; o < SHAPE.out; o++) {
                dd[o] = *reinterpret_cast<const float4*>(d_at + o * TILE + step * 4 * STRANDS);
                float& b = a[SHAPE.out * SHAPE.in + o];
                b += (dd[o].x + dd[o].y) + (dd[o].z + dd[o].w);
            }
#pragma unroll
            for (int i = 0; i < SHAPE.in; i++) {
                const float4 hh = *reinterpret_cast<const float4*>(h_at + i * TILE + step * 4 * STRANDS);
#pragma unroll
                for (int o = 0; o < SHAPE.out; o++) {
                    float& w = a[o * SHAPE.in + i];
                    w = fmaf(dd[o].x, hh.x, w), w = fmaf(dd[o].y, hh.y, w);
                    w = fmaf(dd[o].z, hh.z, w), w = fmaf(dd[o].w, hh.w, w);
                }
            }
        }
        // Each step halves what a lane keeps, so that KEPT values of STRANDS lanes take about KEPT exchanges.
        int first = 0;
        auto halve = [&](auto bit_of) {
            constexpr int BIT = decltype(bit_of)::value, HALF = KEPT * BIT / STRANDS;
            const bool upper = lane & BIT;
            float sent[HALF], received[HALF];
#pragma unroll
            for (int k = 0; k < HALF; k++) {
                sent[k] = upper ? a[k] : a[k + HALF];
                a[k] = upper ? a[k + HALF] : a[k];
            }
            exchange<HALF>(sent, received, BIT);
#pragma unroll
            for (int k = 0; k < HALF; k++) a[k] += received[k];
            first += upper ? HALF : 0;
        };
        if constexpr (STRANDS >= 32) halve(Constant<16>());
        if constexpr (STRANDS >= 16) halve(Constant<8>());
        halve(Constant<4>()), halve(Constant<2>()), halve(Constant<1>());
#pragma unroll
        for (int k = 0; k < KEPT / STRANDS; k++) {
            const int value = first + k;
            const bool is_bias = value >= SHAPE.out * SHAPE.in;
            const int o = out_from + (is_bias ? value - SHAPE.out * SHAPE.in : value / SHAPE.in);
            const int i = is_bias ? 0 : in_from + value % SHAPE.in;
            if (is_job && value < VALUES && o >= out0 && (is_bias ? in0 == 0 : i >= in0)) {
                const int at = parameter + (is_bias ? OUT * IN + o : o * IN + i);
                if (partial) partial[at] = a[k];
                else s[AT.gradient + at] += a[k];
            }
        }
    }
}

// ---- A tile. ----

struct Tile {
    const float *x, *y; // of all points
    float *loss, *partial;
    int first, points;
    bool is_training;
};

DEVICE void load_tile(const Tile& tile) {
    float* const s = shared();
    for (int k = threadIdx.x; k < TILE * INPUTS; k += THREADS) {
        const int point = k / INPUTS, feature = k % INPUTS;
        const bool is_one = tile.first + point < tile.points;
        const float value = is_one ? tile.x[static_cast<long long>(tile.first) * INPUTS + k] : 0.0f;
        s[AT.activations[0] + feature * TILE + point] = value;
    }
    for (int k = threadIdx.x; k < TILE * OUTPUTS; k += THREADS) {
        const int point = k / OUTPUTS, feature = k % OUTPUTS;
        const bool is_one = tile.first + point < tile.points;
        const float value = is_one ? tile.y[static_cast<long long>(tile.first) * OUTPUTS + k] : 0.0f;
        s[AT.y + feature * TILE + point] = value;
    }
}

template <int L> DEVICE float forward_from(int valid, float scale) {
    constexpr int in = AT.activations[L], weights = AT.weights[L], bias = AT.bias[L], out = AT.activations[L + 1];
    if constexpr (L == LAYERS - 1) {
        return output<DIMS[L], DIMS[L + 1]>(in, weights, bias, out, AT.y, valid, scale);
    } else {
        forward<DIMS[L], DIMS[L + 1]>(in, weights, bias, out);
        block_barrier();
        return forward_from<L + 1>(valid, scale);
    }
}

template <int L> DEVICE void backward_from(float* partial) {
    constexpr int h = AT.activations[L], d = AT.activations[L + 1];
    constexpr int parameter = AT.parameter[L], transposed = AT.transposed[L];
    weight_gradient<DIMS[L], DIMS[L + 1]>(h, d, parameter, partial);
    if constexpr (L > 0) {
        backward<DIMS[L + 1], DIMS[L]>(d, transposed, h);
        block_barrier();
        backward_from<L - 1>(partial);
    }
}

// Sum over the lanes of a warp, the same in all of them.
template <typename Number> DEVICE Number sum_over_warp(Number value) {
    for (int bit = 16; bit > 0; bit /= 2) {
        Number received;
        exchange<1>(&value, &received, bit);
        value += received;
    }
    return value;
}

// The loss of a tile and, where `is_training`, its gradient: it is added to that in shared memory or, for many blocks,
// written to `partial`.
DEVICE void run_tile(const Tile& tile, float scale) {
    float* const s = shared();
    load_tile(tile);
    block_barrier();
    const float squares = sum_over_warp(forward_from<0>(tile.points - tile.first, scale));
    if (threadIdx.x % 32 == 0) s[AT.sums + threadIdx.x / 32] = squares;
    block_barrier();
    if (threadIdx.x == 0) {
        float sum = 0.0f;
        for (int warp = 0; warp < WARPS; warp++) sum += s[AT.sums + warp];
        *tile.loss = sum;
    }
    if (tile.is_training) backward_from<LAYERS - 1>(tile.partial);
    block_barrier();
}

// ---- Sums over tiles and chunks, and the step. ----

// By one warp: the sum of numbers of global memory in double precision, in an order that depends on `count` alone.
template <typename Number> DEVICE double sum_of(const Number* numbers, int count) {
    double sum = 0.0;
    for (int k = threadIdx.x % 32; k < count; k += 32) sum += static_cast<double>(read_shared_by_blocks(numbers + k));
    return sum_over_warp(sum);
}

DEVICE double power(double base, u64 exponent) {
    double result = 1.0;
    for (; exponent > 0; exponent /= 2, base *= base)
        if (exponent % 2) result *= base;
    return result;
}

// Numbers that one thread computes for all.
struct Common {
    double loss, validation_loss, squares;
    float step_size, root_of_correction;
};
static_assert(sizeof(Common) <= 16 * sizeof(float), "reserved in the layout");
DEVICE Common& common() { return *reinterpret_cast<Common*>(shared() + AT.sums + up(WARPS, 4)); }

// Adam's corrections of its `step`-th step (from 1), or the learning rate, for all threads after the next barrier.
DEVICE void prepare_step(const Training& training, u64 step) {
    const bool is_adam = training.rule == ADAM;
    const double correction = is_adam ? 1.0 - power(0.9, step) : 1.0;
    common().step_size = static_cast<float>(training.learning_rate / correction);
    common().root_of_correction = is_adam ? static_cast<float>(sqrt(1.0 - power(0.999, step))) : 1.0f;
}

// θ and the moments of one parameter.
struct Parameter {
    float theta, first, second;
};

// PyTorch's step. Every operation rounds as written, so that no compiler's choice parts one block from many.
DEVICE Parameter stepped(Parameter now, float gradient, const Training& training, bool is_first) {
    const float g = fmaf(static_cast<float>(training.weight_decay), now.theta, gradient);
    if (training.rule == ADAM) {
        // m += (1-β₁)(g - m); v = β₂v + (1-β₂)g²; θ -= η/(1-β₁ᵗ) m / (√v/√(1-β₂ᵗ) + ε).
        now.first = fmaf(0.1f, g - now.first, now.first);
        now.second = fmaf(0.999f, now.second, (0.001f * g) * g);
        const float denominator = sqrtf(now.second) / common().root_of_correction + 1e-8f;
        now.theta = fmaf(-common().step_size, now.first / denominator, now.theta);
    } else {
        const float momentum = static_cast<float>(training.momentum);
        now.first = is_first || momentum == 0.0f ? g : fmaf(momentum, now.first, g);
        now.theta = fmaf(-common().step_size, now.first, now.theta);
    }
    return now;
}

DEVICE void place(int k, float theta) {
    float* const s = shared();
    s[PLACES.weights[k]] = theta;
    if (PLACES.transposed[k] > 0) s[PLACES.transposed[k]] = theta;
}

// Where θ and the moments lie: the training's own arrays, or one of two buffers that many blocks write in turn.
struct Arrays {
    float *theta, *first, *second;
};
DEVICE Arrays arrays_of(const Training& training) { return {training.theta, training.first, training.second}; }
DEVICE Arrays buffer(const Scratch& scratch, unsigned epoch) {
    float* const at = scratch.buffers + epoch % 2 * 3 * PADDED;
    return {at, at + PADDED, at + 2 * PADDED};
}
DEVICE Parameter get(const Arrays& arrays, int k) {
    return {arrays.theta[k], arrays.first[k], arrays.second ? arrays.second[k] : 0.0f};
}
DEVICE void set(const Arrays& arrays, int k, Parameter value) {
    arrays.theta[k] = value.theta, arrays.first[k] = value.first;
    if (arrays.second) arrays.second[k] = value.second;
}

// All of a warp: the sum of 32 gradients' squares, to `squares` of the chunk.
DEVICE void add_squares(float gradient, double* squares) {
    const double sum = sum_over_warp(static_cast<double>(gradient) * static_cast<double>(gradient));
    if (threadIdx.x % 32 == 0) *squares = sum;
}

// The barrier of a training's blocks.
struct Barrier {
    State* state;
    unsigned goal, parts;

    DEVICE void operator()() {
        goal += parts;
        block_barrier();
        if (parts > 1) {
            if (threadIdx.x == 0) arrive_and_wait(&state->arrivals, goal);
            block_barrier();
        }
    }
};

// Of many blocks, one's share of the parameters: gradients summed over the tiles, and the step from `from` to `to`,
// which counts only if the training does not end here. Chunk c is block c % parts's.
DEVICE void step_share(const Training& training, const Scratch& scratch, int tiles, int part, int parts, Arrays from,
                       Arrays to, bool is_first) {
    float* const sums = shared() + AT.work; // free between tiles
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, groups = over(tiles, GROUP);
    const int room = (AT.end - AT.work) / 32 / groups, mine = over(CHUNKS - part, parts);
    for (int done = 0; done < mine; done += room) {
        const int count = least(room, mine - done);
        for (int job = warp; job < count * groups; job += WARPS) {
            const int k = (part + (done + job / groups) * parts) * 32 + lane, group = job % groups;
            float sum = 0.0f;
            if (k < PARAMETERS) {
                const float* at = scratch.partials + static_cast<long long>(group) * GROUP * PADDED + k;
                const int end = least(GROUP, tiles - group * GROUP);
#pragma unroll 16
                for (int tile = 0; tile < end; tile++) sum += read_shared_by_blocks(at + tile * PADDED);
            }
            sums[job * 32 + lane] = sum;
        }
        block_barrier();
        for (int job = warp; job < count; job += WARPS) {
            const int chunk = part + (done + job) * parts, k = chunk * 32 + lane;
            float gradient = 0.0f;
            for (int group = 0; group < groups; group++) gradient += sums[(job * groups + group) * 32 + lane];
            if (k < PARAMETERS) set(to, k, stepped(get(from, k), gradient, training, is_first));
            add_squares(gradient, scratch.squares + chunk);
        }
        block_barrier();
    }
}

// Blocks part, part + 1, ... of `parts` work on training blockIdx.x / parts, for at most `most_epochs` epochs.
// With several parts all of a launch's blocks must be on the device at the same time.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_EACH)
full_batch(const Training* trainings, int points, int parts, unsigned most_epochs) {
    const Training& training = trainings[blockIdx.x / parts];
    const int part = blockIdx.x % parts, thread = threadIdx.x, warp = thread / 32;
    const int tiles = over(points, TILE), validation_tiles = over(training.validation_points, TILE);
    const Scratch scratch = scratch_of(training, tiles, validation_tiles);
    const float scale = static_cast<float>(2.0 / (static_cast<double>(points) * OUTPUTS));
    float* const s = shared();
    State state = *training.state;
    Barrier barrier{training.state, state.rounds, static_cast<unsigned>(parts)};
    state.recorded = 0;
    const bool is_alone = parts == 1, wants_norm = training.norms || training.threshold > 0.0;
    Arrays now = arrays_of(training);
    Tile work;

    for (int k = thread; k < AT.gradient; k += THREADS) s[k] = 0.0f;
    block_barrier();
    for (int k = thread; k < PARAMETERS; k += THREADS) place(k, training.theta[k]);
    block_barrier();

    while (state.ending == RUNNING) {
        if (state.quiet_epochs >= training.patience) state.ending = CONVERGED;
        else if (state.epoch >= training.epochs) state.ending = LAST_EPOCH;
        if (state.ending != RUNNING || state.recorded == most_epochs) break;

        if (is_alone)
            for (int k = thread; k < AT.sums - AT.gradient; k += THREADS) s[AT.gradient + k] = 0.0f;
        if (thread == 0) prepare_step(training, state.epoch + 1);
        // The tiles of validation come after the others.
        const int all_tiles = tiles + (training.validation_losses ? validation_tiles : 0);
#pragma unroll 1
        for (int tile = part; tile < all_tiles; tile += parts) {
            const bool is_training = tile < tiles;
            float* const partial = is_alone ? nullptr : scratch.partials + static_cast<long long>(tile) * PADDED;
            if (is_training)
                work = Tile{training.x, training.y, scratch.losses + tile, partial, tile * TILE, points, true};
            else
                work = Tile{training.validation_x, training.validation_y, scratch.validation_losses + tile - tiles,
                            nullptr, (tile - tiles) * TILE, training.validation_points, false};
            run_tile(work, scale);
            if (is_alone && is_training && ((tile + 1) % GROUP == 0 || tile + 1 == tiles)) {
                for (int k = thread; k < PARAMETERS; k += THREADS) {
                    s[AT.total + k] += s[AT.gradient + k];
                    s[AT.gradient + k] = 0.0f;
                }
                block_barrier();
            }
        }
        barrier();

        if (warp == 0) {
            const double loss = sum_of(scratch.losses, tiles);
            if (thread == 0) common().loss = loss / (static_cast<double>(points) * OUTPUTS);
        }
        if (warp == WARPS - 1 && training.validation_losses) {
            const double loss = sum_of(scratch.validation_losses, validation_tiles);
            const double terms = static_cast<double>(training.validation_points) * OUTPUTS;
            if (thread % 32 == 0) common().validation_loss = loss / terms;
        }
        const Arrays next = buffer(scratch, state.recorded);
        if (is_alone) {
            if (wants_norm)
                for (int chunk = warp; chunk < CHUNKS; chunk += WARPS) {
                    const int k = chunk * 32 + thread % 32;
                    add_squares(k < PARAMETERS ? s[AT.total + k] : 0.0f, scratch.squares + chunk);
                }
        } else {
            step_share(training, scratch, tiles, part, parts, now, next, state.epoch == 0);
        }
        barrier();
        if (wants_norm) {
            if (warp == 0) {
                const double squares = sum_of(scratch.squares, CHUNKS);
                if (thread == 0) common().squares = squares;
            }
            block_barrier();
        }

        const double loss = common().loss, norm = wants_norm ? sqrt(common().squares) : 0.0;
        const bool is_finite = loss - loss == 0.0;
        if (part == 0 && thread == 0) {
            training.losses[state.recorded] = loss;
            if (is_finite && training.norms) training.norms[state.recorded] = norm;
            if (is_finite && training.validation_losses)
                training.validation_losses[state.recorded] = common().validation_loss;
        }
        const double change = fabs(loss - state.last_loss);
        const bool is_quiet = state.has_last && change < training.tolerance;
        state.recorded += 1;
        state.last_loss = loss, state.has_last = 1;
        if (!is_finite) {
            state.ending = DIVERGED;
        } else if (norm < training.threshold) {
            state.ending = BELOW;
        } else {
            if (is_alone) {
                for (int first = thread; first < PARAMETERS; first += BATCH * THREADS) {
                    Parameter before[BATCH];
#pragma unroll
                    for (int q = 0; q < BATCH; q++) before[q] = get(now, least(first + q * THREADS, PARAMETERS - 1));
#pragma unroll
                    for (int q = 0; q < BATCH; q++) {
                        const int k = first + q * THREADS;
                        if (k >= PARAMETERS) continue;
                        const Parameter after = stepped(before[q], s[AT.total + k], training, state.epoch == 0);
                        set(now, k, after);
                        place(k, after.theta);
                    }
                }
            } else {
                now = next;
                for (int first = thread; first < PARAMETERS; first += BATCH * THREADS) {
                    float theta[BATCH];
#pragma unroll
                    for (int q = 0; q < BATCH; q++)
                        theta[q] = read_shared_by_blocks(now.theta + least(first + q * THREADS, PARAMETERS - 1));
#pragma unroll
                    for (int q = 0; q < BATCH; q++)
                        if (first + q * THREADS < PARAMETERS) place(first + q * THREADS, theta[q]);
                }
            }
            state.quiet_epochs = is_quiet ? state.quiet_epochs + 1 : 0;
            state.epoch += 1;
        }
        block_barrier(); // before `common` and the weights are read or written again
    }

    // Every chunk is still its block's own.
    if (now.theta != training.theta)
        for (int chunk = part + warp * parts; chunk < CHUNKS; chunk += WARPS * parts) {
            const int k = chunk * 32 + thread % 32;
            if (k < PARAMETERS) set(arrays_of(training), k, get(now, k));
        }
    barrier(); // all have read the state
    if (part == 0 && thread == 0) {
        State& kept = *training.state;
        kept.epoch = state.epoch, kept.quiet_epochs = state.quiet_epochs, kept.last_loss = state.last_loss;
        kept.has_last = state.has_last, kept.ending = state.ending, kept.recorded = state.recorded;
        if (parts > 1) kept.rounds = barrier.goal;
    }
}
