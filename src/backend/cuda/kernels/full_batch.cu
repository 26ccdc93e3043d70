// Full-batch training, behind full_batch_layers.cu, which says what the constants are: a tile through all layers, the sums over
// tiles, the step, and the kernel.

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
