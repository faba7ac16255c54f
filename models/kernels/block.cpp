// A whole state-space block of a lifter at inference, in float32: what models/blocks.py computes layer by layer.
//
// Between two layers only what other tokens need is written out: the local mixing looks at neighbouring frames, the
// scan at all of them, so the block falls into three passes over tiles of tokens with the scan between the last two.
#include "products.h"
#include "scan.h"

namespace sasmamba {

// Frames of a tile in the pass that looks at neighbouring frames.
constexpr int64_t TILE_FRAMES = 8;

// A block with its weights as the passes want them.
struct Block {
    int64_t width, channels, hidden, taps, routes, rank, states;
    bool strides; // the scan reads SasMamba's Eq. 12-14, not the features as they are
    const float *norm_w, *norm_b, *conv_b, *deform, *scan_norm_w, *scan_norm_b, *mlp_norm_w, *mlp_norm_b;
    Linear in, gate, offset, project, out, up, down;
    std::vector<float> plain, A;
    const float *dt_weight, *dt_bias, *D;
    float tap_t[32] = {}, tap_v[32] = {}; // each tap's own place in its window, in whole vectors

    int64_t projected() const { return routes * (rank + 2 * states); }

    // The arguments of sasmamba_block_keep.
    Block(const int64_t *n, const float *const *p)
        : width(n[0]), channels(n[1]), hidden(n[2]), taps(n[3]), routes(n[4]), rank(n[5]), states(n[6]),
          strides(n[7] != 0), norm_w(p[0]), norm_b(p[1]), conv_b(p[4]), deform(p[5]), scan_norm_w(p[13]),
          scan_norm_b(p[14]), mlp_norm_w(p[16]), mlp_norm_b(p[17]),
          in(dense(p[2], nullptr, channels, width)),
          gate(dense(p[2] + channels * width, nullptr, channels, width)),
          offset(taps > 1 ? 2 * taps : 0, 9, channels,
                 [&](int64_t o, int64_t tap, int64_t i) { return p[6][(frames_first(o) * channels + i) * 9 + tap]; },
                 [&](int64_t o) { return p[7][frames_first(o)]; }),
          project(dense(p[8], nullptr, projected(), channels)), out(dense(p[15], nullptr, width, channels)),
          up(dense(p[18], p[19], hidden, width)), down(dense(p[20], p[21], width, hidden)),
          plain(size_t(9 * channels)), A(size_t(routes * channels * states)), dt_weight(p[9]), dt_bias(p[10]),
          D(p[12]) {
        for (int64_t tap = 0; tap < 9; tap++)
            for (int64_t c = 0; c < channels; c++) plain[size_t(tap * channels + c)] = p[3][c * 9 + tap];
        for (size_t i = 0; i < A.size(); i++) A[i] = -std::exp(p[11][i]);
        const int64_t side = std::lround(std::sqrt(double(taps)));
        for (int64_t tap = 0; tap < taps; tap++)
            tap_t[tap] = float(tap / side - side / 2), tap_v[tap] = float(tap % side - side / 2);
    }

    // Offsets in frames and in joints alternate over the taps; here those in frames come first, then those in joints.
    int64_t frames_first(int64_t o) const { return o < taps ? 2 * o : 2 * (o - taps) + 1; }

    static Linear dense(const float *w, const float *bias, int64_t outputs, int64_t inputs) {
        return {outputs, 1, inputs, [=](int64_t o, int64_t, int64_t i) { return w[o * inputs + i]; },
                [=](int64_t o) { return bias ? bias[o] : 0.0f; }};
    }
};

// Calls body(first token, how many) for tiles of ROWS tokens; the rows beyond the end repeat the last one.
template <class Body> inline void for_tiles(int64_t begin, int64_t end, const Body &body) {
    for (int64_t token = begin; token < end; token += ROWS) body(token, int(std::min<int64_t>(ROWS, end - token)));
}

// What a window is made of, and which of it is asked for.
struct Grid {
    int64_t frames, joints, first; // frames before `first` are seen, but nobody asks what becomes of them
    const int64_t *order;          // (routes, tokens)

    int64_t tokens() const { return frames * joints; }
};

// What the network does with a block's result: its layer norm, and then something added to all joints of a frame.
struct After {
    const float *norm_w = nullptr, *norm_b = nullptr, *add = nullptr;
};

// One window's passes.
struct Pass {
    const Block &b;
    const Grid &g;
    const After &after;
    const float *x;     // (tokens, width)
    float *local;       // (tokens + 1, channels), what enters the local mixing; the last row is zero, outside the grid
    float *scanned_in;  // (tokens, channels)
    float *maps;        // (tokens, projected)
    float *scanned;     // (tokens, channels)
    float *to;          // (tokens, width), may be x

    void rows_at(const float *from, int64_t stride, int64_t token, int count, const float **rows) const {
        for (int r = 0; r < ROWS; r++) rows[r] = from + (token + std::min(r, count - 1)) * stride;
    }

    void enter(int64_t begin, int64_t end) const {
        std::vector<float> normal(size_t(ROWS * b.width));
        for_tiles(begin, end, [&](int64_t token, int count) {
            const float *rows[ROWS];
            rows_at(x, b.width, token, count, rows);
            layer_norm(rows, b.width, b.norm_w, b.norm_b, normal.data());
            rows_at(normal.data(), b.width, 0, ROWS, rows);
            product(rows, b.in, [&](int r, int64_t first, vec v, int) {
                if (r < count) store(local + (token + r) * b.channels + first, v);
            });
        });
    }

    // Frames [begin, end): structure-aware convolution, SiLU, the strides, and the projections that the scan reads.
    void mix(int64_t begin, int64_t end) const {
        const int64_t E = b.channels, tile = TILE_FRAMES * g.joints;
        std::vector<float> offsets(size_t(2 * b.taps * tile + 2 * LANES)), mixed(size_t(tile * E));
        for (int64_t t = begin; t < end; t += TILE_FRAMES) {
            const int64_t first = t * g.joints, count = std::min(end - t, TILE_FRAMES) * g.joints;
            if (b.taps > 1) offsets_of(first, count, offsets.data());
            for (int64_t i = 0; i < count; i++) sample(first + i, offsets.data() + i * 2 * b.taps, mixed.data() + i * E);
            for (int64_t i = 0; i < count; i++) {
                const int64_t v = i % g.joints;
                hold(mixed.data() + (i - v) * E, v, scanned_in + (first + i) * E);
            }
            for_tiles(first, first + count, [&](int64_t token, int rows_here) {
                const float *rows[ROWS];
                rows_at(scanned_in, E, token, rows_here, rows);
                product(rows, b.project, [&](int r, int64_t o, vec v, int lanes) {
                    if (r < rows_here) store(maps + (token + r) * b.projected() + o, v, lanes);
                });
            });
        }
    }

    const float *neighbour(int64_t t, int64_t v, int64_t tap) const {
        const int64_t tt = t + tap / 3 - 1, vv = v + tap % 3 - 1;
        const bool inside = tt >= 0 && tt < g.frames && vv >= 0 && vv < g.joints;
        return local + (inside ? tt * g.joints + vv : g.tokens()) * b.channels;
    }

    void offsets_of(int64_t first, int64_t count, float *offsets) const {
        for_tiles(first, first + count, [&](int64_t token, int rows_here) {
            const float *rows[9 * ROWS];
            for (int r = 0; r < ROWS; r++) {
                const int64_t at = token + std::min(r, rows_here - 1);
                for (int64_t tap = 0; tap < 9; tap++) rows[tap * ROWS + r] = neighbour(at / g.joints, at % g.joints, tap);
            }
            product(rows, b.offset, [&](int r, int64_t o, vec v, int lanes) {
                if (r < rows_here) store(offsets + (token - first + r) * 2 * b.taps + o, v, lanes);
            });
        });
    }

    // One token's plain and sampled taps, through SiLU. offset: in frames for each tap, then in joints.
    void sample(int64_t token, const float *offset, float *to_mixed) const {
        const int64_t E = b.channels, t = token / g.joints, v = token % g.joints;
        const float *near[9];
        for (int64_t tap = 0; tap < 9; tap++) near[tap] = neighbour(t, v, tap);
        Corners corners;
        for (int64_t tap = 0; tap < b.taps; tap += LANES) corners.find(*this, t, v, tap, offset);
        int64_t c = 0;
        for (; c + 3 * LANES <= E; c += 3 * LANES) gather<3>(near, corners, c, to_mixed);
        for (; c < E; c += LANES) gather<1>(near, corners, c, to_mixed);
    }

    // Where the four corners around each sampled place lie in `local`, and what share each has.
    struct Corners {
        static constexpr int MOST = 32; // taps, in whole vectors
        int32_t at[4][MOST];
        float share[4][MOST];

        void find(const Pass &pass, int64_t t, int64_t v, int64_t tap, const float *offset) {
            const Grid &g = pass.g;
            vec at_t = load(pass.b.tap_t + tap) + float(t), at_v = load(pass.b.tap_v + tap) + float(v);
            if (pass.b.taps > 1) at_t += load(offset + tap), at_v += load(offset + pass.b.taps + tap);
            // beyond two cells outside the grid it makes no difference how far: the integers must not overflow
            at_t = vmin(splat(float(g.frames) + 1), vmax(splat(-2.0f), at_t));
            at_v = vmin(splat(float(g.joints) + 1), vmax(splat(-2.0f), at_v));
            const ivec low_t = floor(at_t), low_v = floor(at_v);
            const vec part_t = at_t - __builtin_convertvector(low_t, vec);
            const vec part_v = at_v - __builtin_convertvector(low_v, vec);
            const ivec none = ivec{} + int32_t(g.tokens());
            for (int i = 0; i < 4; i++) {
                const ivec tt = low_t + i / 2, vv = low_v + i % 2;
                const ivec inside = (tt >= 0) & (tt < int32_t(g.frames)) & (vv >= 0) & (vv < int32_t(g.joints));
                const ivec row = inside ? tt * int32_t(g.joints) + vv : none;
                const vec part = (i / 2 ? part_t : 1.0f - part_t) * (i % 2 ? part_v : 1.0f - part_v);
                std::memcpy(at[i] + tap, &row, sizeof row);
                store(share[i] + tap, part);
            }
        }

        static ivec floor(vec x) {
            const ivec cut = __builtin_convertvector(x, ivec);
            return cut + (x < __builtin_convertvector(cut, vec)); // a comparison that holds is -1
        }
    };

    // `VECTORS` vectors of channels from c on.
    template <int VECTORS>
    void gather(const float *const *near, const Corners &corners, int64_t c, float *to_mixed) const {
        const int64_t E = b.channels;
        vec sum[VECTORS];
        for (int i = 0; i < VECTORS; i++) sum[i] = load(b.conv_b + c + i * LANES);
        for (int tap = 0; tap < 9; tap++)
            for (int i = 0; i < VECTORS; i++)
                sum[i] += load(b.plain.data() + tap * E + c + i * LANES) * load(near[tap] + c + i * LANES);
        for (int64_t tap = 0; tap < b.taps; tap++) {
            vec value[VECTORS] = {};
            for (int corner = 0; corner < 4; corner++) {
                const float *from = local + int64_t(corners.at[corner][tap]) * E + c;
                const vec share = splat(corners.share[corner][tap]);
                for (int i = 0; i < VECTORS; i++) value[i] += load(from + i * LANES) * share;
            }
            for (int i = 0; i < VECTORS; i++) sum[i] += load(b.deform + tap * E + c + i * LANES) * value[i];
        }
        for (int i = 0; i < VECTORS; i++) store(to_mixed + c + i * LANES, silu(sum[i]));
    }

    // What the scan reads of joint v: half of the channels its own, a quarter each those of every second and third
    // joint before it.
    void hold(const float *frame, int64_t v, float *to_u) const {
        const int64_t E = b.channels, quarter = b.strides ? E / 4 : 0, own = E - 2 * quarter;
        std::memcpy(to_u, frame + v * E, size_t(own) * sizeof(float));
        if (!quarter) return;
        std::memcpy(to_u + own, frame + v / 2 * 2 * E + own, size_t(quarter) * sizeof(float));
        std::memcpy(to_u + own + quarter, frame + v / 3 * 3 * E + own + quarter, size_t(quarter) * sizeof(float));
    }

    void scan(int threads) const {
        const int64_t wide = b.rank + 2 * b.states;
        std::fill_n(scanned, g.tokens() * b.channels, 0.0f);
        const Scan s{1, g.tokens(), b.channels, b.routes, b.states, b.rank, scanned_in, maps, maps + b.rank,
                     maps + b.rank + b.states, b.projected(), wide, b.A.data(), b.D, b.dt_bias, b.dt_weight, g.order, g.first * g.joints};
        forward(s, scanned, nullptr, threads);
    }

    // Gate, both projections back, and the residual branches.
    void leave(int64_t begin, int64_t end) const {
        const int64_t C = b.width, E = b.channels;
        std::vector<float> narrow(size_t(ROWS * C)), wide(size_t(ROWS * std::max(E, b.hidden)));
        for_tiles(begin, end, [&](int64_t token, int count) {
            const float *rows[ROWS], *own[ROWS];
            rows_at(scanned, E, token, count, rows);
            layer_norm(rows, E, b.scan_norm_w, b.scan_norm_b, wide.data());
            rows_at(x, C, token, count, own);
            layer_norm(own, C, b.norm_w, b.norm_b, narrow.data());
            rows_at(narrow.data(), C, 0, ROWS, rows);
            product(rows, b.gate, [&](int r, int64_t first, vec v, int) {
                float *at = wide.data() + r * E + first;
                store(at, load(at) * silu(v));
            });
            rows_at(wide.data(), E, 0, ROWS, rows);
            float *out[ROWS];
            for (int r = 0; r < ROWS; r++) out[r] = to + (token + std::min(r, count - 1)) * C;
            product(rows, b.out, [&](int r, int64_t first, vec v, int) {
                if (r < count) store(out[r] + first, load(own[r] + first) + v);
            });
            rows_at(to, C, token, count, own);
            layer_norm(own, C, b.mlp_norm_w, b.mlp_norm_b, narrow.data());
            rows_at(narrow.data(), C, 0, ROWS, rows);
            product(rows, b.up, [&](int r, int64_t first, vec v, int) {
                store(wide.data() + r * b.hidden + first, gelu(v));
            });
            rows_at(wide.data(), b.hidden, 0, ROWS, rows);
            product(rows, b.down, [&](int r, int64_t first, vec v, int) {
                if (r < count) store(out[r] + first, load(out[r] + first) + v);
            });
            if (!after.norm_w) return;
            layer_norm(own, C, after.norm_w, after.norm_b, narrow.data());
            for (int r = 0; r < count; r++) {
                const float *add = after.add ? after.add + (token + r) / g.joints * C : nullptr;
                for (int64_t c = 0; c < C; c += LANES)
                    store(out[r] + c, add ? load(narrow.data() + r * C + c) + load(add + c) : load(narrow.data() + r * C + c));
            }
        });
    }

    void run(int threads) const {
        std::fill_n(local + g.tokens() * b.channels, b.channels, 0.0f);
        parallel(g.tokens(), threads, [&](int, int64_t begin, int64_t end) { enter(begin, end); });
        parallel(g.frames, threads, [&](int, int64_t begin, int64_t end) { mix(begin, end); });
        scan(threads);
        const int64_t unasked = g.first * g.joints;
        parallel(g.tokens() - unasked, threads, [&](int, int64_t begin, int64_t end) { leave(unasked + begin, unasked + end); });
    }
};

// Blocks one after the other, of x (batch, frames, joints, width) into out; asked for are frames of the last one's.
inline void run_blocks(const std::vector<const Block *> &blocks, const After *after, const Grid &grid, int64_t batch,
                       const float *x, float *out, int threads) {
    const Grid whole{grid.frames, grid.joints, 0, grid.order};
    const int64_t tokens = grid.tokens(), width = blocks[0]->width;
    int64_t E = 0, projected = 0;
    for (const Block *b : blocks) E = std::max(E, b->channels), projected = std::max(projected, b->projected());
    const auto windows = [&](int64_t begin, int64_t end, int threads_each) {
        float *local = kept_room<0>((tokens + 1) * E), *u = kept_room<1>(tokens * E), *y = kept_room<2>(tokens * E);
        float *maps = kept_room<3>(tokens * projected);
        for (int64_t i = begin; i < end; i++) {
            const int64_t at = i * tokens * width;
            for (size_t k = 0; k < blocks.size(); k++) {
                const Grid &g = k + 1 < blocks.size() ? whole : grid;
                Pass{*blocks[k], g, after[k], (k ? out : x) + at, local, u, maps, y, out + at}.run(threads_each);
            }
        }
    };
    if (batch < threads) windows(0, batch, threads);
    else parallel(batch, threads, [&](int, int64_t begin, int64_t end) { windows(begin, end, 1); });
}

} // namespace sasmamba

using namespace sasmamba;

// Keeps a block with its weights as the passes want them; they must not change, nor go, before it is dropped.
// sizes: width, channels, hidden, taps, routes, rank, states, strides (0 or 1); width, channels and hidden are multiples
// of sixteen, taps 0, 1, 9 or 25.
// in: norm weight, bias; in_proj; conv weight, bias; deform; offset weight, bias; x_proj; dt_weight, dt_bias; A_log; D;
// scan norm weight, bias; out_proj; MLP norm weight, bias; first layer's weight, bias; second's. As PyTorch has them.
EXPORT void *sasmamba_block_keep(const int64_t *sizes, const float *const *in) { return new Block(sizes, in); }

EXPORT void sasmamba_block_drop(void *block) { delete static_cast<Block *>(block); }

// Blocks of one width and the same routes, one after the other.
// sizes: blocks, batch, frames, joints, first frame of those asked for: out has nothing in those before it.
// norms: of each block weight and bias of the layer norm that follows, and (frames, width) added after that, or null.
// order (routes, tokens). x and out (batch, frames, joints, width).
EXPORT void sasmamba_blocks_forward(const int64_t *sizes, void *const *kept, const float *const *norms,
                                    const int64_t *order, const float *x, float *out, int threads) {
    std::vector<const Block *> blocks;
    std::vector<After> after;
    for (int64_t i = 0; i < sizes[0]; i++) {
        blocks.push_back(static_cast<const Block *>(kept[i]));
        after.push_back({norms[3 * i], norms[3 * i + 1], norms[3 * i + 2]});
    }
    run_blocks(blocks, after.data(), {sizes[2], sizes[3], sizes[4], order}, sizes[1], x, out, threads);
}

// One block, its weights read anew. sizes: batch, frames, joints, then those of sasmamba_block_keep.
EXPORT void sasmamba_block_forward(const int64_t *sizes, const float *const *in, const int64_t *order, const float *x,
                                   float *out, int threads) {
    const Block block(sizes + 3, in);
    const After nothing;
    run_blocks({&block}, &nothing, {sizes[1], sizes[2], 0, order}, sizes[0], x, out, threads);
}
