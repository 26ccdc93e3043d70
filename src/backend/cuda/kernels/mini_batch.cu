// A block's part in a training in mini-batches, and the kernel: phases A, B and C of a step, whole in one structure, as they
// share all of a block's memory. Comes behind mini_batch_sizes.cu, which says what the constants are.

// ---- A block's part in its group ----

struct Samples {
    const float* inputs;
    const int* labels;
    const int* order;
    int count;
};

CONSTANT int widest_divisor(int n, int limit) {
    int best = 1;
    for (int d = 2; d <= limit; d++)
        if (n % d == 0) best = d;
    return best;
}

struct Member {
    const Training job; // a copy: the barriers empty the first cache
    float* shared;
    unsigned* counter;
    unsigned awaited; // arrivals at the barriers so far
    int index, size;  // in the group
    bool owner;       // of weights of the first layer
    int first_tile, tiles, slice_at;

    DEVICE Member(const Training& job, float* shared, unsigned* counter, int index, int size)
        : job(job), shared(shared), counter(counter), awaited(0), index(index), size(size) {
        owner = index < OWNERS;
        first_tile = index % TILE_BLOCKS * TILES_PER_BLOCK;
        tiles = owner ? min(TILES_PER_BLOCK, TILES - first_tile) : 0;
        slice_at = index / TILE_BLOCKS * SLICE;
    }

    // The group's barrier in two halves: what others wrote before they arrived is there after the wait.
    DEVICE void arrive() {
        __syncthreads();
        awaited += size;
        if (threadIdx.x == 0 && size > 1) arrive_release(counter);
    }
    DEVICE void wait() {
        if (threadIdx.x == 0 && size > 1)
            while (load_acquire(counter) < awaited) {}
        __syncthreads();
    }

    DEVICE float* weights() { return shared + IN_WEIGHTS; }
    DEVICE float* mean() {
        if constexpr (MOMENTS_SHARED) return shared + IN_MOMENTS;
        else return job.scratch + MOMENTS_AT + (size_t)2 * index * BLOCK_WEIGHTS;
    }
    DEVICE float* squares() { return mean() + BLOCK_WEIGHTS; }
    DEVICE int* rows(int batch) { return (int*)(shared + IN_ROWS) + batch % 3 * ROWS; }
    DEVICE double* slot_losses() { return (double*)(shared + IN_LOSSES); }
    DEVICE int* slot_correct() { return (int*)(shared + IN_CORRECT); }
    DEVICE Rates* rates() { return (Rates*)(shared + IN_RATES); }

    // Visits the block's own weights of the first layer: their place in shared memory and in theta.
    template <class Visit> DEVICE void each_own(Visit visit) {
        constexpr int COLUMNS = TILES_PER_BLOCK * TILE;
        for (int i = threadIdx.x; owner && i < COLUMNS * SLICE; i += THREADS) {
            const int column = i % COLUMNS, output = i / COLUMNS, input = first_tile * TILE + column;
            if (input < INPUTS && slice_at + output < FIRST)
                visit(column * WEIGHT_STRIDE + output, (size_t)(slice_at + output) * INPUTS + input);
        }
    }

    template <int L> DEVICE void mirror() {
        if constexpr (L <= LAYERS) {
            constexpr int IN = DIMS[L - 1], OUT = DIMS[L], THETA = theta_at(L);
            constexpr int TRANSPOSED = transposed_at(L), STRAIGHT = straight_at(L);
            for (int i = index * THREADS + threadIdx.x; i < IN * OUT; i += size * THREADS) {
                const float weight = job.theta[THETA + i];
                job.scratch[TRANSPOSED + i % IN * padded(OUT) + i / IN] = weight;
                job.scratch[STRAIGHT + i / IN * padded(IN) + i % IN] = weight;
            }
            mirror<L + 1>();
        }
    }

    template <int L> DEVICE void mirror_biases() {
        if constexpr (L <= LAYERS) {
            constexpr int THETA = theta_at(L) + DIMS[L - 1] * DIMS[L], TO = biases_at(L);
            for (int i = index * THREADS + threadIdx.x; i < DIMS[L]; i += size * THREADS)
                job.scratch[TO + i] = job.theta[THETA + i];
            mirror_biases<L + 1>();
        }
    }

    DEVICE void load() {
        for (int i = threadIdx.x; i < SHARED_BYTES / 4; i += THREADS) shared[i] = 0.f;
        __syncthreads();
        each_own([&](int own, size_t at) { weights()[own] = job.theta[at]; });
        each_own([&](int own, size_t at) {
            mean()[own] = job.mean[at];
            if (job.rule == ADAM) squares()[own] = job.squares[at];
        });
        mirror<2>();
        mirror_biases<1>();
        __syncthreads();
    }

    DEVICE void store() {
        __syncthreads();
        each_own([&](int own, size_t at) { job.theta[at] = weights()[own]; });
        each_own([&](int own, size_t at) {
            job.mean[at] = mean()[own];
            if (job.rule == ADAM) job.squares[at] = squares()[own];
        });
    }

    // ---- The batch's columns ----

    // Starts to fetch which rows a batch has.
    DEVICE void fetch_rows(const Samples& samples, int batch) {
        const int at = batch * BATCH, count = min(BATCH, samples.count - at);
        for (int s = threadIdx.x; s < count; s += THREADS) {
            copy_4(rows(batch) + s, samples.order + at + s);
        }
    }

    // Starts to fetch the block's columns of these rows.
    DEVICE void fetch(const Samples& samples, int batch) {
        float* to = shared + IN_INPUTS + batch % INPUT_BUFFERS * INPUT_SIZE;
        const int count = min(BATCH, samples.count - batch * BATCH);
        const int* row = rows(batch);
        constexpr int WIDTH = INPUTS % 4 == 0 ? 4 : 1, PIECES = TILE / WIDTH;
        for (int i = threadIdx.x; i < BATCH * TILES_PER_BLOCK * PIECES; i += THREADS) {
            const int piece = i % (TILES_PER_BLOCK * PIECES), s = i / (TILES_PER_BLOCK * PIECES);
            const int tile = piece / PIECES, column = piece % PIECES * WIDTH;
            if (tile >= tiles) continue;
            const int input = (first_tile + tile) * TILE + column;
            float* place = to + (tile * ROWS + s) * INPUT_STRIDE + column;
            if (s >= count) {
                for (int j = 0; j < WIDTH; j++) place[j] = 0.f;
            } else if (input < INPUTS) {
                const float* from = samples.inputs + (size_t)row[s] * INPUTS + input;
                if constexpr (WIDTH == 4) copy_16(place, from);
                else copy_4(place, from);
            }
        }
    }

    // ---- Phase A ----

    // partials[tile][sample][output] = sum over the tile's inputs of x w, in order.
    DEVICE void first_products(int batch, float* partials) {
        constexpr int S = RECT_SAMPLES, Q = RECT_QUADS, SAMPLE_GROUPS = ROWS / S, QUAD_GROUPS = WEIGHT_STRIDE / 4 / Q;
        // Eight neighbouring quads of outputs and four samples in a warp, where they go up.
        constexpr int SIDE = widest_divisor(QUAD_GROUPS, 8), ITEMS = SAMPLE_GROUPS * QUAD_GROUPS;
        const float* inputs = shared + IN_INPUTS + batch % INPUT_BUFFERS * INPUT_SIZE;
        for (int item = threadIdx.x; item < tiles * ITEMS; item += THREADS) {
            const int tile = item / ITEMS, rest = item % ITEMS;
            const int sample = rest / SIDE % SAMPLE_GROUPS;
            const int quad = rest / (SIDE * SAMPLE_GROUPS) * SIDE + rest % SIDE;
            const float* x = inputs + (tile * ROWS + sample) * INPUT_STRIDE;
            const float* w = weights() + tile * TILE * WEIGHT_STRIDE + quad * 4;
            float4 sum[S][Q];
#pragma unroll
            for (int i = 0; i < S; i++)
#pragma unroll
                for (int q = 0; q < Q; q++) sum[i][q] = zero4();
#pragma unroll(S* Q >= 16 ? 1 : 2)
            for (int k = 0; k < TILE; k += 4) {
                float4 of_x[S];
#pragma unroll
                for (int i = 0; i < S; i++) of_x[i] = *(const float4*)(x + i * SAMPLE_GROUPS * INPUT_STRIDE + k);
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    float4 of_w[Q];
#pragma unroll
                    for (int q = 0; q < Q; q++)
                        of_w[q] = *(const float4*)(w + (k + j) * WEIGHT_STRIDE + q * QUAD_GROUPS * 4);
#pragma unroll
                    for (int i = 0; i < S; i++)
#pragma unroll
                        for (int q = 0; q < Q; q++) add_scaled(sum[i][q], component(of_x[i], j), of_w[q]);
                }
            }
#pragma unroll
            for (int i = 0; i < S; i++)
#pragma unroll
                for (int q = 0; q < Q; q++) {
                    const int own = (quad + q * QUAD_GROUPS) * 4, output = slice_at + own;
                    const int row = (first_tile + tile) * ROWS + sample + i * SAMPLE_GROUPS;
                    if (own < SLICE && output < FIRST_PADDED)
                        *(float4*)(partials + (size_t)row * FIRST_PADDED + output) = sum[i][q];
                }
        }
    }

    // ---- Phase B ----

    template <int L> DEVICE float* activation() {
        constexpr int AT = activation_at(L);
        return shared + IN_WORK + AT;
    }

    // Parts of out[n][s] = sum over k of in[k][s] matrix[k][n], to be added by `total`.
    template <int INNER, int OUTER, bool IS_SHARED> DEVICE void product(const float* matrix, const float* in) {
        constexpr int QUADS = quads(OUTER), PARTS = splits(INNER, OUTER), EACH = (INNER + PARTS - 1) / PARTS;
        float4* parts = (float4*)(shared + IN_PRODUCTS);
        for (int item = threadIdx.x; item < QUADS * PARTS; item += THREADS) {
            const int quad = item % QUADS, part = item / QUADS;
            const int last = min(INNER, (part + 1) * EACH);
            const float4* column = (const float4*)matrix + quad;
            float4 sum[CHUNK];
#pragma unroll
            for (int s = 0; s < CHUNK; s++) sum[s] = zero4();
#pragma unroll(IS_SHARED ? 4 : CHUNK < 8 ? 16 : 8)
            for (int k = part * EACH; k < last; k++) {
                float4 w;
                if constexpr (IS_SHARED) w = column[k * QUADS];
                else w = load_fresh(column + k * QUADS);
                if constexpr (CHUNK % 4 == 0) {
#pragma unroll
                    for (int s = 0; s < CHUNK; s += 4) {
                        const float4 x = *(const float4*)(in + k * CHUNK + s);
#pragma unroll
                        for (int j = 0; j < 4; j++) add_scaled(sum[s + j], component(x, j), w);
                    }
                } else {
#pragma unroll
                    for (int s = 0; s < CHUNK; s++) add_scaled(sum[s], in[k * CHUNK + s], w);
                }
            }
#pragma unroll
            for (int s = 0; s < CHUNK; s++) parts[(s * PARTS + part) * QUADS + quad] = sum[s];
        }
    }

    template <int INNER, int OUTER> DEVICE float total(int sample, int output) {
        constexpr int STRIDE = padded(OUTER), PARTS = splits(INNER, OUTER);
        const float* parts = shared + IN_PRODUCTS + sample * PARTS * STRIDE + output;
        float sum = parts[0];
#pragma unroll 8
        for (int part = 1; part < PARTS; part++) sum += parts[part * STRIDE];
        return sum;
    }

    template <int L> DEVICE void forward(int slot) {
        if constexpr (L <= LAYERS) {
            constexpr int IN = DIMS[L - 1], OUT = DIMS[L], MATRIX = transposed_at(L), HIDDEN = hidden_at(L);
            constexpr int BIAS = in_biases(L);
            constexpr int IN_SHARED = IN_STAGED + MATRIX - transposed_at(least(L, STAGED));
            product<IN, OUT, (L >= STAGED)>(L >= STAGED ? shared + IN_SHARED : job.scratch + MATRIX,
                                            activation<L - 1>());
            __syncthreads();
            for (int i = threadIdx.x; i < CHUNK * OUT; i += THREADS) {
                const int output = i % OUT, s = i / OUT;
                float z = total<IN, OUT>(s, output) + shared[BIAS + output];
                if (L < LAYERS) {
                    z = z > 0.f || z != z ? z : 0.f; // a NaN stays one
                    job.scratch[HIDDEN + (slot + s) * padded(OUT) + output] = z;
                }
                activation<L>()[output * CHUNK + s] = z;
            }
            __syncthreads();
            forward<L + 1>(slot);
        }
    }

    // The deltas of the layer below, where its activations were.
    template <int L> DEVICE void backward(int slot) {
        if constexpr (L > 1) {
            constexpr int IN = DIMS[L - 1], OUT = DIMS[L], MATRIX = straight_at(L), DELTA = delta_at(L - 1);
            constexpr int IN_SHARED = IN_STAGED + STAGED_TRANSPOSED + MATRIX - straight_at(least(L, STAGED));
            product<OUT, IN, (L >= STAGED)>(L >= STAGED ? shared + IN_SHARED : job.scratch + MATRIX, activation<L>());
            __syncthreads();
            for (int i = threadIdx.x; i < CHUNK * IN; i += THREADS) {
                const int input = i % IN, s = i / IN;
                float& place = activation<L - 1>()[input * CHUNK + s];
                const float delta = place > 0.f ? total<OUT, IN>(s, input) : 0.f;
                place = delta;
                job.scratch[DELTA + (slot + s) * padded(IN) + input] = delta;
            }
            __syncthreads();
            backward<L - 1>(slot);
        }
    }

    // Loss, whether it is right, and the logits' delta: (softmax - 1 at the label) / count.
    DEVICE void head(int slot, int label, int count) {
        constexpr int DELTA = delta_at(LAYERS);
        if (threadIdx.x < CHUNK) {
            const int place = slot + threadIdx.x;
            float* z = activation<LAYERS>() + threadIdx.x;
            float* delta = job.scratch + DELTA + place * padded(CLASSES);
            if (place < count) {
                float highest = z[0];
                int best = 0;
#pragma unroll 16
                for (int c = 1; c < CLASSES; c++)
                    if (z[c * CHUNK] > highest) highest = z[c * CHUNK], best = c;
                const float of_label = z[label * CHUNK] - highest;
                float sum = 0.f;
#pragma unroll 16
                for (int c = 0; c < CLASSES; c++) {
                    const float e = expf(z[c * CHUNK] - highest);
                    z[c * CHUNK] = e;
                    sum += e;
                }
                slot_losses()[place] += double(logf(sum) - of_label);
                slot_correct()[place] += best == label;
                const float factor = 1.f / (sum * float(count)), one = 1.f / float(count);
#pragma unroll 16
                for (int c = 0; c < CLASSES; c++) {
                    const float d = fmaf(z[c * CHUNK], factor, c == label ? -one : 0.f);
                    z[c * CHUNK] = d;
                    delta[c] = d;
                }
            } else {
                for (int c = 0; c < CLASSES; c++) z[c * CHUNK] = 0.f, delta[c] = 0.f;
            }
        }
        __syncthreads();
    }

    // Starts to fetch the upper layers' weights.
    DEVICE void fetch_upper() {
        constexpr int TRANSPOSED = transposed_at(STAGED), STRAIGHT = straight_at(STAGED);
        constexpr int BIASES = biases_at(2), COUNT = biases_at(LAYERS + 1) - BIASES, TO = in_biases(2);
        for (int i = threadIdx.x * 4; i < COUNT; i += THREADS * 4) copy_16(shared + TO + i, job.scratch + BIASES + i);
        for (int i = threadIdx.x * 4; i < STAGED_TRANSPOSED; i += THREADS * 4)
            copy_16(shared + IN_STAGED + i, job.scratch + TRANSPOSED + i);
        for (int i = threadIdx.x * 4; i < STAGED_STRAIGHT; i += THREADS * 4)
            copy_16(shared + IN_STAGED + STAGED_TRANSPOSED + i, job.scratch + STRAIGHT + i);
    }

    // The group's samples through everything above the first products.
    DEVICE void upper(const Samples& samples, int batch, const float* partials) {
        const int count = min(BATCH, samples.count - batch * BATCH);
        constexpr int HIDDEN = hidden_at(1), BIASES = biases_at(1);
        if (index >= CHUNKS) return;
        fetch_upper();
        copies_commit();
        for (int chunk = index; chunk < CHUNKS; chunk += size) {
            const int slot = chunk * CHUNK;
            int label = 0;
            if (threadIdx.x < CHUNK && slot + (int)threadIdx.x < count)
                label = samples.labels[rows(batch)[slot + threadIdx.x]];
            for (int i = threadIdx.x; i < CHUNK * FIRST_QUADS; i += THREADS) {
                const int quad = i % FIRST_QUADS, s = i / FIRST_QUADS;
                const float4* part = (const float4*)(partials + (size_t)(slot + s) * FIRST_PADDED) + quad;
                const float4 bias = load_fresh((const float4*)(job.scratch + BIASES) + quad);
                float4 sum = zero4();
#pragma unroll 14
                for (int tile = 0; tile < TILES; tile++) add(sum, load_fresh(part + (size_t)tile * ROWS * FIRST_QUADS));
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    const int output = quad * 4 + j;
                    if (output < FIRST) {
                        float z = component(sum, j) + component(bias, j);
                        if (LAYERS > 1) {
                            z = z > 0.f || z != z ? z : 0.f;
                            job.scratch[HIDDEN + (slot + s) * FIRST_PADDED + output] = z;
                        }
                        activation<1>()[output * CHUNK + s] = z;
                    }
                }
            }
            copies_wait<0>();
            __syncthreads();
            forward<2>(slot);
            head(slot, label, count);
            backward<LAYERS>(slot);
        }
    }

    // ---- Phase C ----

    // A tile of an upper layer's weights.
    struct Unit {
        const float *hidden, *deltas;
        float *transposed, *straight, *biases;
        int theta, in, out, first_in, first_out;
    };

    // The group's unit of that number; false where there are not so many.
    template <int L> DEVICE bool find(int number, Unit& unit) {
        if constexpr (L <= LAYERS) {
            constexpr int IN = DIMS[L - 1], OUT = DIMS[L], HIDDEN = hidden_at(L - 1), DELTA = delta_at(L);
            constexpr int TRANSPOSED = transposed_at(L), STRAIGHT = straight_at(L), THETA = theta_at(L);
            constexpr int BIASES = biases_at(L);
            constexpr int ACROSS = (IN + UNIT_INPUTS - 1) / UNIT_INPUTS;
            constexpr int COUNT = ACROSS * ((OUT + UNIT_OUTPUTS - 1) / UNIT_OUTPUTS);
            if (number >= COUNT) return find<L + 1>(number - COUNT, unit);
            unit.hidden = job.scratch + HIDDEN, unit.deltas = job.scratch + DELTA;
            unit.transposed = job.scratch + TRANSPOSED, unit.straight = job.scratch + STRAIGHT;
            unit.biases = job.scratch + BIASES, unit.theta = THETA, unit.in = IN, unit.out = OUT;
            unit.first_in = number % ACROSS * UNIT_INPUTS, unit.first_out = number / ACROSS * UNIT_OUTPUTS;
            return true;
        }
        return false;
    }

    // Starts to fetch what a unit's gradient takes.
    DEVICE void fetch_unit(const Unit& unit) {
        const int in = padded(unit.in), out = padded(unit.out);
        for (int i = threadIdx.x; i < ROWS * UNIT_INPUTS / 4; i += THREADS) {
            const int s = i / (UNIT_INPUTS / 4), column = i % (UNIT_INPUTS / 4) * 4;
            if (unit.first_in + column < in)
                copy_16(shared + IN_UNIT_HIDDEN + s * UNIT_INPUTS + column,
                        unit.hidden + s * in + unit.first_in + column);
        }
        for (int i = threadIdx.x; i < ROWS * UNIT_OUTPUTS / 4; i += THREADS) {
            const int s = i / (UNIT_OUTPUTS / 4), column = i % (UNIT_OUTPUTS / 4) * 4;
            if (unit.first_out + column < out)
                copy_16(shared + IN_UNIT_DELTAS + s * UNIT_OUTPUTS + column,
                        unit.deltas + s * out + unit.first_out + column);
        }
    }

    // Place in theta of a unit's weight, biases after the weights; -1 where there is none.
    DEVICE int place(const Unit& unit, int i, int& in, int& out) {
        in = i < UNIT_INPUTS * UNIT_OUTPUTS ? i % UNIT_INPUTS : UNIT_INPUTS;
        out = i < UNIT_INPUTS * UNIT_OUTPUTS ? i / UNIT_INPUTS : i - UNIT_INPUTS * UNIT_OUTPUTS;
        const int k = unit.first_in + in, o = unit.first_out + out;
        if (i >= (UNIT_INPUTS + 1) * UNIT_OUTPUTS || o >= unit.out) return -1;
        if (in == UNIT_INPUTS) return unit.first_in == 0 ? unit.theta + unit.in * unit.out + o : -1;
        return k < unit.in ? unit.theta + o * unit.in + k : -1;
    }

    // Gradient and step of a unit, whose arrays' copies were the last commit, or with `overlapped` that before it.
    DEVICE void step_unit(const Unit& unit, bool overlapped) {
        constexpr int EACH = ((UNIT_INPUTS + 1) * UNIT_OUTPUTS + THREADS - 1) / THREADS, PART = ROWS / UPPER_PARTS;
        constexpr int ACROSS = UNIT_INPUTS / 4, ITEMS = ACROSS * (UNIT_OUTPUTS / 4);
        float theta[EACH] = {}, mean[EACH] = {}, squares[EACH] = {};
        int at[EACH], in[EACH], out[EACH];
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            at[e] = place(unit, e * THREADS + threadIdx.x, in[e], out[e]);
            if (at[e] < 0) continue;
            theta[e] = load_fresh(job.theta + at[e]);
            mean[e] = load_fresh(job.mean + at[e]);
            squares[e] = rates()->rule == ADAM ? load_fresh(job.squares + at[e]) : 0.f;
        }
        if (overlapped) copies_wait<1>();
        else copies_wait<0>();
        __syncthreads();
        float* gradients = shared + IN_GRADIENTS;
        for (int item = threadIdx.x; item < ITEMS * UPPER_PARTS; item += THREADS) {
            const int part = item / ITEMS, k = item % ACROSS * 4, o = item % ITEMS / ACROSS * 4;
            const float* x = shared + IN_UNIT_HIDDEN + part * PART * UNIT_INPUTS + k;
            const float* d = shared + IN_UNIT_DELTAS + part * PART * UNIT_OUTPUTS + o;
            float4 sum[4] = {zero4(), zero4(), zero4(), zero4()};
#pragma unroll 4
            for (int s = 0; s < PART; s++) {
                const float4 of_x = *(const float4*)(x + s * UNIT_INPUTS);
                const float4 of_d = *(const float4*)(d + s * UNIT_OUTPUTS);
#pragma unroll
                for (int j = 0; j < 4; j++) add_scaled(sum[j], component(of_x, j), of_d);
            }
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int c = 0; c < 4; c++)
                    gradients[(part * (UNIT_INPUTS + 1) + k + j) * GRADIENT_STRIDE + o + c] = component(sum[j], c);
        }
        for (int item = threadIdx.x; item < UNIT_OUTPUTS * UPPER_PARTS; item += THREADS) {
            const int part = item / UNIT_OUTPUTS, o = item % UNIT_OUTPUTS;
            const float* d = shared + IN_UNIT_DELTAS + part * PART * UNIT_OUTPUTS + o;
            float sum = 0.f;
#pragma unroll 8
            for (int s = 0; s < PART; s++) sum += d[s * UNIT_OUTPUTS];
            gradients[(part * (UNIT_INPUTS + 1) + UNIT_INPUTS) * GRADIENT_STRIDE + o] = sum;
        }
        __syncthreads();
        const Rates now = *rates();
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            if (at[e] < 0) continue;
            float gradient = 0.f;
#pragma unroll
            for (int part = 0; part < UPPER_PARTS; part++)
                gradient += gradients[(part * (UNIT_INPUTS + 1) + in[e]) * GRADIENT_STRIDE + out[e]];
            optimize(theta[e], gradient, mean[e], squares[e], now);
            job.theta[at[e]] = theta[e];
            job.mean[at[e]] = mean[e];
            if (now.rule == ADAM) job.squares[at[e]] = squares[e];
            const int k = unit.first_in + in[e], o = unit.first_out + out[e];
            if (in[e] == UNIT_INPUTS) {
                unit.biases[o] = theta[e];
                continue;
            }
            unit.transposed[k * padded(unit.out) + o] = theta[e];
            unit.straight[o * padded(unit.in) + k] = theta[e];
        }
        __syncthreads();
    }

    // Starts to fetch the first layer's deltas of the outputs of a pass.
    DEVICE void fetch_deltas(int pass_at) {
        constexpr int DELTA = delta_at(1);
        for (int i = threadIdx.x; i < ROWS * PASS / 4; i += THREADS) {
            const int s = i / (PASS / 4), own = i % (PASS / 4) * 4, output = slice_at + pass_at + own;
            if (pass_at + own < SLICE && output < FIRST_PADDED)
                copy_16(shared + IN_DELTAS + s * PASS + own, job.scratch + DELTA + s * FIRST_PADDED + output);
        }
    }

    // The gradient of 4 inputs by STEP_QUADS quads of outputs over a part of the batch.
    DEVICE void part_of_first(const float* x, const float* d, float4 (&sum)[4][STEP_QUADS]) {
        constexpr int PART = ROWS / FIRST_PARTS;
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int q = 0; q < STEP_QUADS; q++) sum[j][q] = zero4();
#pragma unroll 4
        for (int s = 0; s < PART; s++) {
            const float4 of_x = *(const float4*)(x + s * INPUT_STRIDE);
            float4 of_d[STEP_QUADS];
#pragma unroll
            for (int q = 0; q < STEP_QUADS; q++)
                of_d[q] = *(const float4*)(d + s * PASS + q * (PASS / STEP_QUADS));
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int q = 0; q < STEP_QUADS; q++) add_scaled(sum[j][q], component(of_x, j), of_d[q]);
        }
    }

    // Gradient and step of the block's slice of W1, of the outputs of a pass, whose deltas are there.
    DEVICE void step_first(int batch, int pass_at) {
        constexpr int GROUPS = PASS / 4 / STEP_QUADS, PART = ROWS / FIRST_PARTS, ACROSS = TILE / 4;
        const float* inputs = shared + IN_INPUTS + batch % INPUT_BUFFERS * INPUT_SIZE;
        const float* deltas = shared + IN_DELTAS;
        const Rates now = *rates();
        float* gradients = shared + IN_GRADIENTS;
        // The block of the first inputs also owns the biases; they are loaded while the products run.
        constexpr int EACH = (PASS + THREADS - 1) / THREADS, BIASES = biases_at(1);
        float theta[EACH] = {}, mean_of[EACH] = {}, squares_of[EACH] = {};
        const int biases = first_tile == 0 ? min(PASS, min(SLICE - pass_at, FIRST - slice_at - pass_at)) : 0;
        const int first_bias = UPPER_AT + slice_at + pass_at;
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            const int i = e * THREADS + threadIdx.x;
            if (i >= biases) continue;
            theta[e] = load_fresh(job.theta + first_bias + i);
            mean_of[e] = load_fresh(job.mean + first_bias + i);
            squares_of[e] = now.rule == ADAM ? load_fresh(job.squares + first_bias + i) : 0.f;
        }
        if constexpr (!SPLIT) {
            for (int item = threadIdx.x; item < tiles * ACROSS * GROUPS; item += THREADS) {
                const int group = item % GROUPS, k = item / GROUPS % ACROSS * 4, tile = item / (GROUPS * ACROSS);
                const float* x = inputs + tile * ROWS * INPUT_STRIDE + k;
                const float* d = deltas + group * 4;
                float4 all[4][STEP_QUADS], sum[4][STEP_QUADS];
#pragma unroll
                for (int j = 0; j < 4; j++)
#pragma unroll
                    for (int q = 0; q < STEP_QUADS; q++) all[j][q] = zero4();
#pragma unroll 1
                for (int part = 0; part < FIRST_PARTS; part++) {
                    part_of_first(x + part * PART * INPUT_STRIDE, d + part * PART * PASS, sum);
#pragma unroll
                    for (int j = 0; j < 4; j++)
#pragma unroll
                        for (int q = 0; q < STEP_QUADS; q++) add(all[j][q], sum[j][q]);
                }
#pragma unroll
                for (int q = 0; q < STEP_QUADS; q++) {
                    const int own = pass_at + group * 4 + q * (PASS / STEP_QUADS);
                    if (own >= SLICE) continue;
#pragma unroll
                    for (int j = 0; j < 4; j++) {
                        const int at = (tile * TILE + k + j) * WEIGHT_STRIDE + own;
                        optimize4(weights() + at, all[j][q], mean() + at, squares() + at, now);
                    }
                }
            }
        } else {
            for (int item = threadIdx.x; item < STEP_ITEMS * FIRST_PARTS; item += THREADS) {
                const int part = item / STEP_ITEMS, rest = item % STEP_ITEMS;
                const int group = rest % GROUPS, k = rest / GROUPS % ACROSS * 4, tile = rest / (GROUPS * ACROSS);
                if (tile >= tiles) continue;
                float4 sum[4][STEP_QUADS];
                part_of_first(inputs + (tile * ROWS + part * PART) * INPUT_STRIDE + k,
                              deltas + part * PART * PASS + group * 4, sum);
#pragma unroll
                for (int j = 0; j < 4; j++)
#pragma unroll
                    for (int q = 0; q < STEP_QUADS; q++)
                        *(float4*)(gradients + part * SPLIT_SIZE + (tile * TILE + k + j) * PASS + group * 4 +
                                   q * (PASS / STEP_QUADS)) = sum[j][q];
            }
            __syncthreads();
            for (int i = threadIdx.x; i < tiles * TILE * (PASS / 4); i += THREADS) {
                const int own = pass_at + i % (PASS / 4) * 4, at = i / (PASS / 4) * WEIGHT_STRIDE + own;
                if (own >= SLICE) continue;
                float4 all = zero4();
#pragma unroll
                for (int part = 0; part < FIRST_PARTS; part++)
                    add(all, *(const float4*)(gradients + part * SPLIT_SIZE + i * 4));
                optimize4(weights() + at, all, mean() + at, squares() + at, now);
            }
            __syncthreads();
        }
        if (first_tile != 0) return;
        for (int i = threadIdx.x; i < FIRST_PARTS * PASS; i += THREADS) {
            float sum = 0.f;
#pragma unroll 8
            for (int s = 0; s < PART; s++) sum += deltas[(i / PASS * PART + s) * PASS + i % PASS];
            gradients[i] = sum;
        }
        __syncthreads();
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            const int i = e * THREADS + threadIdx.x;
            if (i >= biases) continue;
            float gradient = 0.f;
            for (int part = 0; part < FIRST_PARTS; part++) gradient += gradients[part * PASS + i];
            optimize(theta[e], gradient, mean_of[e], squares_of[e], now);
            job.theta[first_bias + i] = theta[e], job.mean[first_bias + i] = mean_of[e];
            if (now.rule == ADAM) job.squares[first_bias + i] = squares_of[e];
            job.scratch[BIASES + slice_at + pass_at + i] = theta[e];
        }
    }

    DEVICE void step(int batch) {
        Unit unit;
        // From the last block on: those that own no weights of the first layer come first.
        int number = size - 1 - index;
        bool found = find<2>(number, unit), overlapped = true;
        if (found) fetch_unit(unit);
        copies_commit();
        for (int pass_at = 0; pass_at == 0 || (owner && pass_at < SLICE); pass_at += PASS) {
            if (owner) fetch_deltas(pass_at);
            copies_commit();
            // The units' steps while the first pass's deltas come.
            while (found) {
                step_unit(unit, overlapped);
                overlapped = false, number += size;
                found = find<2>(number, unit);
                if (found) fetch_unit(unit);
                copies_commit();
            }
            copies_wait<0>();
            __syncthreads();
            if (owner) step_first(batch, pass_at);
            if (pass_at + PASS < SLICE) __syncthreads();
        }
    }

    // ---- Runs of batches ----

    // Batches [first, last) of the samples, and a step after each: the first is the optimizer's `number`th, from 1.
    DEVICE void run(const Samples& samples, int first, int last, long long number) {
        fetch_rows(samples, first);
        copies_commit();
        copies_wait<0>();
        __syncthreads();
        fetch(samples, first);
        if (first + 1 < last) fetch_rows(samples, first + 1);
        copies_commit();
        for (int batch = first; batch < last; batch++) {
            copies_wait<0>();
            __syncthreads();
            float* partials = job.scratch + PARTIALS_AT;
            first_products(batch, partials);
            arrive();
            // While the others arrive.
            if (INPUT_BUFFERS == 2 && batch + 1 < last) {
                fetch(samples, batch + 1);
                if (batch + 2 < last) fetch_rows(samples, batch + 2);
                copies_commit();
            }
            if (threadIdx.x == THREADS - 1) *rates() = rates_of(job, number + (batch - first));
            wait();
            upper(samples, batch, partials);
            arrive();
            wait();
            step(batch);
            if (INPUT_BUFFERS == 1 && batch + 1 < last) {
                __syncthreads();
                fetch(samples, batch + 1);
                if (batch + 2 < last) fetch_rows(samples, batch + 2);
                copies_commit();
            }
        }
        __syncthreads();
    }

    // Whether the block sums the losses of this place in the batch.
    DEVICE bool own_slot(int slot) { return slot / CHUNK % size == index; }

    DEVICE void clear_slots() {
        for (int slot = threadIdx.x; slot < BATCH; slot += THREADS) slot_losses()[slot] = 0.0, slot_correct()[slot] = 0;
        __syncthreads();
    }

    DEVICE double* kept_losses() { return (double*)(job.scratch + SLOTS_AT); }
    DEVICE int* kept_correct() { return (int*)(job.scratch + SLOTS_AT + 2 * ROWS); }

    DEVICE void load_slots() {
        for (int slot = threadIdx.x; slot < BATCH; slot += THREADS)
            if (own_slot(slot)) slot_losses()[slot] = kept_losses()[slot], slot_correct()[slot] = kept_correct()[slot];
        __syncthreads();
    }

    DEVICE void store_slots() {
        for (int slot = threadIdx.x; slot < BATCH; slot += THREADS)
            if (own_slot(slot)) kept_losses()[slot] = slot_losses()[slot], kept_correct()[slot] = slot_correct()[slot];
    }

    // Sums of the batches since the slots were cleared, the same in every block and thread, after a barrier.
    DEVICE void sums(double& loss, int& correct) {
        store_slots();
        arrive();
        wait();
        for (int slot = threadIdx.x; slot < BATCH; slot += THREADS) {
            slot_losses()[slot] = load_fresh(kept_losses() + slot);
            slot_correct()[slot] = load_fresh(kept_correct() + slot);
        }
        __syncthreads();
        loss = 0.0, correct = 0;
#pragma unroll 8
        for (int slot = 0; slot < BATCH; slot++) loss += slot_losses()[slot], correct += slot_correct()[slot];
        __syncthreads();
    }

    // Trains over what the launch covers.
    DEVICE void launch() {
        State state = *job.state;
        const int batches = (job.samples + BATCH - 1) / BATCH;
        int left = job.steps;
        if (state.ending != RUNNING || left <= 0 || job.epochs <= 0) return;
        load();
        if (state.batch > 0) load_slots();
        for (int epoch = 0; epoch < job.epochs && left > 0 && state.ending == RUNNING; epoch++) {
            const int first = state.batch, last = min(batches, first + left);
            if (first == 0) clear_slots();
            run({job.inputs, job.labels, job.order + (size_t)epoch * job.samples, job.samples}, first, last, state.steps + 1);
            state.steps += last - first, state.batch = last, left -= last - first;
            if (last < batches) {
                store_slots();
                break;
            }
            double loss;
            int correct;
            sums(loss, correct);
            if (index == 0 && threadIdx.x == 0) job.losses[epoch] = loss, job.correct[epoch] = correct;
            state.batch = 0, state.epochs++;
            if (!isfinite(loss)) state.ending = DIVERGED;
        }
        store();
        if (index == 0 && threadIdx.x == 0) *job.state = state;
    }
};

// A launch of trainings * group blocks, all resident at once; `counters` has 32 zeros a training.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
mini_batch(const Training* trainings, unsigned* counters, int group) {
    SHARED_MEMORY(memory);
    const int training = blockIdx.x / group;
    Member member(trainings[training], (float*)memory, counters + 32 * training, blockIdx.x % group, group);
    member.launch();
}
