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
