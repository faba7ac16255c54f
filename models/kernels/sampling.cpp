// Structure-aware convolution on a (T, V) grid, channels last: depthwise deformable taps plus a plain depthwise 3x3
// convolution, forward and backward, in float32. Same function as models/sampling.py's reference.
#include "common.h"
#include <cmath>

namespace sasmamba {

struct Grid {
    int64_t batch, frames, joints, channels, taps; // taps: 0 (plain convolution alone) or side * side
    const float *x;         // (batch, frames, joints, channels)
    const float *offset;    // (batch, frames, joints, taps, 2): frames, joints
    const float *deform;    // (taps, channels)
    const float *plain;     // (9, channels)
    const float *bias;      // (channels)
};

struct GridGradients {
    float *x, *offset, *deform, *plain, *bias;
};

// The four grid points around a sampling position with their bilinear weights; a point outside has token -1.
struct Corners {
    int64_t token[4];
    float weight[4], t_fraction, v_fraction;

    Corners(const Grid &g, int64_t b, float t, float v) {
        float t_floor = std::floor(t), v_floor = std::floor(v);
        t_fraction = t - t_floor, v_fraction = v - v_floor;
        for (int i = 0; i < 4; i++) {
            float tt = t_floor + float(i / 2), vv = v_floor + float(i % 2);
            // compared as floats: a wild offset must not overflow the integer
            bool inside = tt >= 0 && tt < float(g.frames) && vv >= 0 && vv < float(g.joints);
            token[i] = inside ? (b * g.frames + int64_t(tt)) * g.joints + int64_t(vv) : -1;
            weight[i] = (i / 2 ? t_fraction : 1 - t_fraction) * (i % 2 ? v_fraction : 1 - v_fraction);
        }
    }

    vec value(const Grid &g, int i, int64_t c, int lanes) const {
        return token[i] < 0 ? vec{} : load(g.x + token[i] * g.channels + c, lanes);
    }
};

// Calls tap(index, frame, joint) for the neighbours of (t, v) that lie on the grid, in a 3x3 window.
template <class Tap> void neighbours(const Grid &g, int64_t t, int64_t v, const Tap &tap) {
    for (int64_t i = -1; i <= 1; i++)
        for (int64_t j = -1; j <= 1; j++)
            if (t + i >= 0 && t + i < g.frames && v + j >= 0 && v + j < g.joints)
                tap((i + 1) * 3 + j + 1, t + i, v + j);
}

inline Corners corners(const Grid &g, int64_t b, int64_t t, int64_t v, int64_t tap, int64_t side) {
    const float *offset = g.offset + (((b * g.frames + t) * g.joints + v) * g.taps + tap) * 2;
    return Corners(g, b, float(t + tap / side - side / 2) + offset[0], float(v + tap % side - side / 2) + offset[1]);
}

void forward_row(const Grid &g, int64_t b, int64_t t, float *out) {
    const int64_t side = int64_t(std::lround(std::sqrt(double(g.taps))));
    for (int64_t v = 0; v < g.joints; v++) {
        float *to = out + ((b * g.frames + t) * g.joints + v) * g.channels;
        std::memcpy(to, g.bias, size_t(g.channels) * sizeof(float));
        neighbours(g, t, v, [&](int64_t tap, int64_t tt, int64_t vv) {
            const float *from = g.x + ((b * g.frames + tt) * g.joints + vv) * g.channels;
            for (int64_t c = 0; c < g.channels; c++) to[c] += g.plain[tap * g.channels + c] * from[c];
        });
        for (int64_t tap = 0; tap < g.taps; tap++) {
            Corners at = corners(g, b, t, v, tap, side);
            for (int64_t c = 0; c < g.channels; c += LANES) {
                int lanes = int(g.channels - c);
                vec sample{};
                for (int i = 0; i < 4; i++) sample += at.value(g, i, c, lanes) * at.weight[i];
                accumulate(to + c, load(g.deform + tap * g.channels + c, lanes) * sample, lanes);
            }
        }
    }
}

// Gradients of the channels [c0, c1) of one batch element.
void backward_part(const Grid &g, const GridGradients &d, int64_t b, int64_t c0, int64_t c1, const float *dout) {
    const int64_t side = int64_t(std::lround(std::sqrt(double(g.taps))));
    Sums sums;
    for (int64_t t = 0; t < g.frames; t++)
        for (int64_t v = 0; v < g.joints; v++) {
            const int64_t here = (b * g.frames + t) * g.joints + v;
            const float *dy = dout + here * g.channels;
            for (int64_t c = c0; c < c1; c++) d.bias[c] += dy[c];
            neighbours(g, t, v, [&](int64_t tap, int64_t tt, int64_t vv) {
                const int64_t there = ((b * g.frames + tt) * g.joints + vv) * g.channels;
                const float *from = g.x + there, *weight = g.plain + tap * g.channels;
                float *d_from = d.x + there, *d_weight = d.plain + tap * g.channels;
                for (int64_t c = c0; c < c1; c++) d_from[c] += weight[c] * dy[c];
                for (int64_t c = c0; c < c1; c++) d_weight[c] += from[c] * dy[c];
            });
            for (int64_t tap = 0; tap < g.taps; tap++) {
                Corners at = corners(g, b, t, v, tap, side);
                vec d_t{}, d_v{};
                for (int64_t c = c0; c < c1; c += LANES) {
                    int lanes = int(std::min<int64_t>(LANES, c1 - c));
                    vec dy_c = load(dy + c, lanes), d_sample = dy_c * load(g.deform + tap * g.channels + c, lanes);
                    vec x00 = at.value(g, 0, c, lanes), x01 = at.value(g, 1, c, lanes);
                    vec x10 = at.value(g, 2, c, lanes), x11 = at.value(g, 3, c, lanes);
                    vec low = x00 + (x01 - x00) * at.v_fraction, high = x10 + (x11 - x10) * at.v_fraction;
                    accumulate(d.deform + tap * g.channels + c, dy_c * (low + (high - low) * at.t_fraction), lanes);
                    d_t += d_sample * (high - low);
                    d_v += d_sample * ((x01 - x00) * (1 - at.t_fraction) + (x11 - x10) * at.t_fraction);
                    for (int i = 0; i < 4; i++)
                        if (at.token[i] >= 0)
                            accumulate(d.x + at.token[i] * g.channels + c, d_sample * at.weight[i], lanes);
                }
                float *d_offset = d.offset + (here * g.taps + tap) * 2;
                sums.add(d_offset, d_t);
                sums.add(d_offset + 1, d_v);
            }
        }
    sums.flush();
}

} // namespace sasmamba

using namespace sasmamba;

static Grid pack(const int64_t *sizes, const float *const *in) {
    return {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], in[0], in[1], in[2], in[3], in[4]};
}

// sizes: batch, frames, joints, channels, taps. in: x, offset, deform, plain, bias.
EXPORT void sasmamba_sampling_forward(const int64_t *sizes, const float *const *in, float *out, int threads) {
    Grid g = pack(sizes, in);
    parallel(g.batch * g.frames, threads, [&](int, int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) forward_row(g, row / g.frames, row % g.frames, out);
    });
}

// gradients: x, offset, deform, plain, bias, dense and zero. Threads take ranges of (batch element, LANES channels);
// x is then theirs alone, what they share is summed from private copies.
EXPORT void sasmamba_sampling_backward(const int64_t *sizes, const float *const *in, const float *dout,
                                       float *const *gradients, int threads) {
    Grid g = pack(sizes, in);
    GridGradients shared{gradients[0], gradients[1], gradients[2], gradients[3], gradients[4]};
    const int64_t chunks = (g.channels + LANES - 1) / LANES, units = g.batch * chunks;
    const int64_t n_offset = g.batch * g.frames * g.joints * g.taps * 2;
    const int64_t counts[4] = {n_offset, g.taps * g.channels, 9 * g.channels, g.channels};
    const int64_t total = counts[0] + counts[1] + counts[2] + counts[3];
    threads = int(std::max<int64_t>(1, std::min<int64_t>(threads, units)));
    std::vector<std::vector<float>> copies(size_t(threads - 1), std::vector<float>(size_t(total), 0.0f));
    parallel(units, threads, [&](int thread, int64_t begin, int64_t end) {
        GridGradients mine = shared;
        if (thread) {
            float *at = copies[size_t(thread - 1)].data();
            mine = {shared.x, at, at + counts[0], at + counts[0] + counts[1], at + counts[0] + counts[1] + counts[2]};
        }
        while (begin < end) { // neighbouring chunks of one batch element go together
            int64_t b = begin / chunks, stop = std::min(end, (b + 1) * chunks);
            backward_part(g, mine, b, begin % chunks * LANES,
                          std::min(g.channels, (stop - b * chunks) * LANES), dout);
            begin = stop;
        }
    });
    for (const auto &copy : copies) {
        const float *from = copy.data();
        float *to[4] = {shared.offset, shared.deform, shared.plain, shared.bias};
        for (int i = 0; i < 4; from += counts[i++])
            for (int64_t j = 0; j < counts[i]; j++) to[i][j] += from[j];
    }
}
