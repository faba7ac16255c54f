// The forward pass of the selective scan, which scan.cpp and block.cpp share.
//
// Same function as models/scan/reference.py. A route is a permutation of the tokens; following it by index means that
// no flipped or transposed copy of the input is ever made. Work is divided by (batch element, LANES channels): such
// a unit keeps its states in registers, and no two units write the same output.
#pragma once
#include "common.h"

namespace sasmamba {

struct Scan {
    int64_t batch, length, channels;
    int64_t routes, states, rank;
    const float *u;             // (batch, length, channels)
    const float *dt, *B, *C;    // (batch, length, routes, rank | states): values side by side, tokens and routes
    int64_t token_stride, route_stride; // these many floats apart, as slices of one wide projection are
    const float *A;             // (routes, channels, states)
    const float *D, *dt_bias;   // (routes, channels)
    const float *dt_weight;     // (routes, channels, rank)
    const int64_t *order;       // (routes, length)
    int64_t first = 0;          // tokens before this one need no output

    const float *row(const float *base, int64_t token, int64_t k) const {
        return base + token * token_stride + k * route_stride;
    }
};

// One route's parameters for one chunk of channels, transposed so that channels are lanes.
struct Parameters {
    std::vector<vec> A, dt_weight;
    vec D, dt_bias;

    void gather(const Scan &s, int64_t k, int64_t c0, int lanes) {
        A.assign(size_t(s.states), vec{});
        dt_weight.assign(size_t(s.rank), vec{});
        for (int i = 0; i < std::min(lanes, LANES); i++) {
            int64_t channel = k * s.channels + c0 + i;
            for (int64_t n = 0; n < s.states; n++) A[size_t(n)][i] = s.A[channel * s.states + n];
            for (int64_t r = 0; r < s.rank; r++) dt_weight[size_t(r)][i] = s.dt_weight[channel * s.rank + r];
        }
        D = load(s.D + k * s.channels + c0, lanes);
        dt_bias = load(s.dt_bias + k * s.channels + c0, lanes);
    }

    vec raw_delta(const float *dt, int64_t rank) const {
        vec raw = dt_bias;
        for (int64_t r = 0; r < rank; r++) raw += dt_weight[size_t(r)] * dt[r];
        return raw;
    }
};

// The backward pass runs the scan again in segments of so many tokens, each from the states that the forward pass kept
// at its start: memory is length / SEGMENT states instead of length.
constexpr int64_t SEGMENT = 32;
// Tokens of a segment whose steps are computed at once.
constexpr int SIDE_BY_SIDE = 4;

// The states kept for one chunk of channels: [route][segment][state][lane].
struct Kept {
    vec *states;

    static int64_t segments(const Scan &s) { return (s.length + SEGMENT - 1) / SEGMENT; }
    static int64_t chunks(const Scan &s) { return (s.channels + LANES - 1) / LANES; }
    static int64_t per_unit(const Scan &s) { return s.routes * segments(s) * s.states; }

    Kept(const Scan &s, float *all, int64_t b, int64_t c0)
        : states(all ? reinterpret_cast<vec *>(all) + (b * chunks(s) + c0 / LANES) * per_unit(s) : nullptr) {}

    vec *at(const Scan &s, int64_t k, int64_t segment) const {
        return states + (k * segments(s) + segment) * s.states;
    }
};

// A chunk of LANES channels, none absent: what is said of lanes is then known when compiling.
struct Whole {
    constexpr operator int() const { return LANES; }
};

// N > 0 fixes the number of states at compile time so that they live in registers; 0 takes it from the arguments.
template <int N, bool KEEP, class Lanes>
void forward_lanes(Scan s, int64_t b, int64_t c0, Lanes lanes, float *out, float *all_kept) {
    const Kept kept(s, all_kept, b, c0);
    const int64_t states = N ? N : s.states;
    Parameters p;
    std::vector<vec> heap(size_t(N ? 0 : states));
    vec fixed[N ? N : 1];
    for (int64_t k = 0; k < s.routes; k++) {
        p.gather(s, k, c0, lanes);
        const vec *A = p.A.data();
        vec *h = N ? fixed : heap.data();
        for (int64_t n = 0; n < states; n++) h[n] = vec{};
        const int64_t *order = s.order + k * s.length;
        int64_t length = s.length;
        while (length > 0 && order[length - 1] < s.first) length--;
        for (int64_t begin = 0; begin < length; begin += SEGMENT) {
            const int64_t *at = order + begin, count = std::min(SEGMENT, length - begin);
            if (KEEP)
                for (int64_t n = 0; n < states; n++) kept.at(s, k, begin / SEGMENT)[n] = h[n];
            // what needs no state first, SIDE_BY_SIDE tokens at once; the last ones may be one again
            vec delta[SEGMENT], decay[N == 1 ? SEGMENT : 1];
            for (int64_t i = 0; i < count; i += SIDE_BY_SIDE) {
                vec raw[SIDE_BY_SIDE];
                for (int j = 0; j < SIDE_BY_SIDE; j++) {
                    const float *dt = s.row(s.dt, b * s.length + at[std::min(i + j, count - 1)], k);
                    raw[j] = p.raw_delta(dt, s.rank);
                }
                Several<SIDE_BY_SIDE> some;
                std::memcpy(&some, raw, sizeof some);
                some = softplus(some);
                std::memcpy(delta + i, &some, sizeof some);
                if (N != 1) continue;
                some = vexp(each_of([&](vec x) { return x * A[0]; }, some));
                std::memcpy(decay + i, &some, sizeof some);
            }
            for (int64_t i = 0; i < count; i++) {
                const int64_t token = b * s.length + at[i];
                const float *B = s.row(s.B, token, k), *C = s.row(s.C, token, k);
                const vec u = load(s.u + token * s.channels + c0, lanes), drive = delta[i] * u;
                vec y = p.D * u;
                for (int64_t n = 0; n < states; n++) {
                    h[n] = (N == 1 ? decay[i] : vexp(delta[i] * A[n])) * h[n] + drive * B[n];
                    y += h[n] * C[n];
                }
                accumulate(out + token * s.channels + c0, y, lanes);
            }
        }
    }
}

template <int N> void forward_unit(const Scan &s, int64_t b, int64_t c0, int lanes, float *out, float *kept) {
    if (lanes < LANES && kept) forward_lanes<N, true>(s, b, c0, lanes, out, kept);
    else if (lanes < LANES) forward_lanes<N, false>(s, b, c0, lanes, out, kept);
    else if (kept) forward_lanes<N, true>(s, b, c0, Whole(), out, kept);
    else forward_lanes<N, false>(s, b, c0, Whole(), out, kept);
}

template <class Unit> void for_units(const Scan &s, int threads, const Unit &unit) {
    int64_t chunks = Kept::chunks(s);
    parallel(s.batch * chunks, threads, [&](int thread, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            int64_t c0 = i % chunks * LANES;
            unit(thread, i / chunks, c0, int(s.channels - c0));
        }
    });
}

// out (batch, length, channels) must be zero; all_kept: see Kept, or null.
inline void forward(const Scan &s, float *out, float *all_kept, int threads) {
    for_units(s, threads, [&](int, int64_t b, int64_t c0, int lanes) {
        if (s.states == 1) forward_unit<1>(s, b, c0, lanes, out, all_kept);
        else if (s.states == 16) forward_unit<16>(s, b, c0, lanes, out, all_kept);
        else forward_unit<0>(s, b, c0, lanes, out, all_kept);
    });
}

} // namespace sasmamba
