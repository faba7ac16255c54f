// The selective scan over several routes at once, forward (scan.h) and backward, in float32.
#include "scan.h"

namespace sasmamba {

struct ScanGradients {
    float *u, *dt, *B, *C;      // as the inputs, dense, zeroed by the caller
    float *A, *D, *dt_bias, *dt_weight;
};

// Segments are taken last first; each is run forward again with everything kept, and walked back.
template <int N>
void backward_unit(const Scan &s, const ScanGradients &g, int64_t b, int64_t c0, int lanes, const float *dout,
                   float *all_kept) {
    const Kept kept(s, all_kept, b, c0);
    const int64_t states = N ? N : s.states;
    Parameters p;
    Sums sums;
    std::vector<vec> before(size_t(SEGMENT * states)), decay(before.size());
    std::vector<vec> h(static_cast<size_t>(states)), adjoint(h.size()), dA(h.size());
    std::vector<vec> d_weight(static_cast<size_t>(s.rank));
    vec delta[SEGMENT], slope[SEGMENT], u[SEGMENT];
    for (int64_t k = 0; k < s.routes; k++) {
        p.gather(s, k, c0, lanes);
        const int64_t *order = s.order + k * s.length;
        std::fill(adjoint.begin(), adjoint.end(), vec{});
        std::fill(dA.begin(), dA.end(), vec{});
        std::fill(d_weight.begin(), d_weight.end(), vec{});
        vec dD{}, d_bias{};
        for (int64_t segment = Kept::segments(s) - 1; segment >= 0; segment--) {
            int64_t first = segment * SEGMENT, count = std::min(SEGMENT, s.length - first);
            std::copy_n(kept.at(s, k, segment), states, h.begin());
            for (int64_t i = 0; i < count; i++) {
                int64_t token = b * s.length + order[first + i];
                const float *B = s.row(s.B, token, k);
                u[i] = load(s.u + token * s.channels + c0, lanes);
                delta[i] = softplus(p.raw_delta(s.row(s.dt, token, k), s.rank), &slope[i]);
                for (int64_t n = 0; n < states; n++) {
                    size_t at = size_t(i * states + n);
                    before[at] = h[size_t(n)];
                    decay[at] = vexp(delta[i] * p.A[size_t(n)]);
                    h[size_t(n)] = decay[at] * h[size_t(n)] + delta[i] * u[i] * B[n];
                }
            }
            for (int64_t i = count - 1; i >= 0; i--) {
                int64_t token = b * s.length + order[first + i];
                const float *B = s.row(s.B, token, k), *C = s.row(s.C, token, k);
                const float *dt = s.row(s.dt, token, k);
                float *dB = g.B + (token * s.routes + k) * states, *dC = g.C + (token * s.routes + k) * states;
                vec dy = load(dout + token * s.channels + c0, lanes);
                vec drive = delta[i] * u[i], d_drive{}, d_delta{};
                for (int64_t n = 0; n < states; n++) {
                    size_t at = size_t(i * states + n);
                    vec now = decay[at] * before[at] + drive * B[n];
                    vec a = adjoint[size_t(n)] + dy * C[n];
                    sums.add(dC + n, dy * now);
                    sums.add(dB + n, a * drive);
                    d_drive += a * B[n];
                    vec d_exponent = a * before[at] * decay[at];
                    d_delta += d_exponent * p.A[size_t(n)];
                    dA[size_t(n)] += d_exponent * delta[i];
                    adjoint[size_t(n)] = a * decay[at];
                }
                dD += dy * u[i];
                accumulate(g.u + token * s.channels + c0, dy * p.D + d_drive * delta[i], lanes);
                vec d_raw = (d_delta + d_drive * u[i]) * slope[i];
                d_bias += d_raw;
                float *d_dt = g.dt + (token * s.routes + k) * s.rank;
                for (int64_t r = 0; r < s.rank; r++) {
                    sums.add(d_dt + r, d_raw * p.dt_weight[size_t(r)]);
                    d_weight[size_t(r)] += d_raw * dt[r];
                }
            }
        }
        sums.flush();
        accumulate(g.D + k * s.channels + c0, dD, lanes);
        accumulate(g.dt_bias + k * s.channels + c0, d_bias, lanes);
        for (int i = 0; i < std::min(lanes, LANES); i++) {
            int64_t channel = k * s.channels + c0 + i;
            for (int64_t n = 0; n < states; n++) g.A[channel * states + n] += dA[size_t(n)][i];
            for (int64_t r = 0; r < s.rank; r++) g.dt_weight[channel * s.rank + r] += d_weight[size_t(r)][i];
        }
    }
}

// Gradients that several units add to, one private copy a thread: B, C, dt (all chunks of a batch element) and the
// parameters (all batch elements of a chunk).
struct Private {
    std::vector<float> data;
    ScanGradients view;

    Private(const Scan &s, float *du) {
        int64_t tokens = s.batch * s.length * s.routes, channels = s.routes * s.channels;
        int64_t sizes[7] = {tokens * s.rank, tokens * s.states, tokens * s.states, channels * s.states,
                            channels, channels, channels * s.rank};
        int64_t total = 0;
        for (int64_t size : sizes) total += size;
        data.assign(size_t(total), 0.0f);
        float *at = data.data(), *parts[7];
        for (int i = 0; i < 7; at += sizes[i++]) parts[i] = at;
        view = {du, parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], parts[6]};
    }
};

} // namespace sasmamba

using namespace sasmamba;

static Scan pack(const int64_t *sizes, const float *const *in, const int64_t *order) {
    return {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], in[0], in[1], in[2], in[3],
            sizes[6], sizes[7], in[4], in[5], in[6], in[7], order};
}

// sizes: batch, length, channels, routes, states, rank, strides of dt, B and C from token to token and
// from route to route.
// in: u, dt, B, C, A, D, dt_bias, dt_weight. out (batch, length, channels) must be zero.
// kept: room for what the backward pass starts from, sasmamba_scan_kept(sizes) floats, or null where there is none.
EXPORT void sasmamba_scan_forward(const int64_t *sizes, const float *const *in, const int64_t *order, float *out,
                                  float *kept, int threads) {
    forward(pack(sizes, in, order), out, kept, threads);
}

// Floats of room that the forward pass wants to keep states for the backward pass.
EXPORT int64_t sasmamba_scan_kept(const int64_t *sizes) {
    Scan s{};
    s.batch = sizes[0], s.length = sizes[1], s.channels = sizes[2], s.routes = sizes[3], s.states = sizes[4];
    return s.batch * Kept::chunks(s) * Kept::per_unit(s) * LANES;
}

// kept: what the forward pass left there. gradients: u, dt, B, C, A, D, dt_bias, dt_weight, dense and zero.
EXPORT void sasmamba_scan_backward(const int64_t *sizes, const float *const *in, const int64_t *order, float *kept,
                                   const float *dout, float *const *gradients, int threads) {
    Scan s = pack(sizes, in, order);
    ScanGradients g{gradients[0], gradients[1], gradients[2], gradients[3],
                    gradients[4], gradients[5], gradients[6], gradients[7]};
    threads = std::max(1, threads);
    std::vector<Private> others;
    for (int t = 1; t < threads; t++) others.emplace_back(s, g.u);
    for_units(s, threads, [&](int thread, int64_t b, int64_t c0, int lanes) {
        const ScanGradients &mine = thread ? others[size_t(thread - 1)].view : g;
        if (s.states == 1) backward_unit<1>(s, mine, b, c0, lanes, dout, kept);
        else if (s.states == 16) backward_unit<16>(s, mine, b, c0, lanes, dout, kept);
        else backward_unit<0>(s, mine, b, c0, lanes, dout, kept);
    });
    int64_t tokens = s.batch * s.length * s.routes, channels = s.routes * s.channels;
    for (const Private &other : others) {
        auto add = [](float *to, const float *from, int64_t count) {
            for (int64_t i = 0; i < count; i++) to[i] += from[i];
        };
        add(g.dt, other.view.dt, tokens * s.rank);
        add(g.B, other.view.B, tokens * s.states);
        add(g.C, other.view.C, tokens * s.states);
        add(g.A, other.view.A, channels * s.states);
        add(g.D, other.view.D, channels);
        add(g.dt_bias, other.view.dt_bias, channels);
        add(g.dt_weight, other.view.dt_weight, channels * s.rank);
    }
}
