// What block.cpp computes a tile of rows with: small matrix products, layer norm, SiLU and GELU, in float32.
//
// The products are written out here since they are small (48 to 192 wide): LANES outputs travel in a vector, and a tile
// of rows stays in registers.
#pragma once
#include <cmath>

#include "common.h"

namespace sasmamba {

// Rows of a product that travel together: with three vectors of sums each they fill the registers, but for a few.
constexpr int ROWS = LANES / 2;
// Vectors of outputs that travel together.
constexpr int PANEL = 3;
inline float *aligned(std::vector<float> &data) {
    auto at = reinterpret_cast<uintptr_t>(data.data());
    return reinterpret_cast<float *>((at + 63) / 64 * 64);
}

// Memory that a thread keeps for the next call; what the system hands out anew costs a page fault every 4 kB.
template <int WHICH> float *kept_room(int64_t floats) {
    thread_local std::vector<float> data;
    if (int64_t(data.size()) < floats + 16) data.resize(size_t(floats + 16));
    return aligned(data);
}

// A linear map of `segments` pieces of `depth` inputs each, as the product wants it: [panel][segment][input][lane].
// Two outputs left over after whole vectors lie as [output][segment][input], for sums over lanes of inputs.
struct Linear {
    int64_t outputs, segments, depth, vectors, left;
    std::vector<float> storage;
    float *weight, *rest, *bias;

    // weight_of(output, segment, input) and bias_of(output).
    template <class Weight, class Bias>
    Linear(int64_t outputs, int64_t segments, int64_t depth, const Weight &weight_of, const Bias &bias_of)
        : outputs(outputs), segments(segments), depth(depth) {
        left = outputs % LANES == 2 && outputs > LANES ? 2 : 0;
        vectors = (outputs - left + LANES - 1) / LANES;
        const int64_t inputs = segments * depth;
        storage.assign(size_t((vectors * LANES + left) * inputs + (vectors + 1) * LANES + 16), 0.0f);
        weight = aligned(storage);
        bias = weight + vectors * LANES * inputs;
        rest = bias + (vectors + 1) * LANES;
        float *to = weight;
        for (int64_t v = 0; v < vectors; v += PANEL) {
            const int64_t wide = std::min<int64_t>(PANEL, vectors - v) * LANES;
            for (int64_t s = 0; s < segments; s++)
                for (int64_t i = 0; i < depth; i++, to += wide)
                    for (int64_t lane = 0; lane < wide && v * LANES + lane < outputs - left; lane++)
                        to[lane] = weight_of(v * LANES + lane, s, i);
        }
        to = rest;
        for (int64_t o = outputs - left; o < outputs; o++)
            for (int64_t s = 0; s < segments; s++)
                for (int64_t i = 0; i < depth; i++) *to++ = weight_of(o, s, i);
        for (int64_t o = 0; o < outputs; o++) bias[o < outputs - left ? o : vectors * LANES + o - (outputs - left)] = bias_of(o);
    }
};

// out[r][v] = bias + sum over segments and inputs; rows[segment * ROWS + r] is where row r's piece begins.
template <int WIDE>
inline void panel(const float *const *rows, const Linear &map, const float *w, const float *bias, vec (&out)[ROWS][PANEL]) {
    vec sum[ROWS][WIDE];
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < WIDE; v++) sum[r][v] = load(bias + v * LANES);
    for (int64_t s = 0; s < map.segments; s++) {
        const float *row[ROWS];
        for (int r = 0; r < ROWS; r++) row[r] = rows[s * ROWS + r];
        for (int64_t i = 0; i < map.depth; i++, w += WIDE * LANES) {
            vec wide[WIDE];
            for (int v = 0; v < WIDE; v++) wide[v] = load(w + v * LANES);
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; r++) {
                vec x = splat(row[r][i]);
#pragma GCC unroll 3
                for (int v = 0; v < WIDE; v++) sum[r][v] += x * wide[v];
            }
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < WIDE; v++) out[r][v] = sum[r][v];
}

// Calls store(row, first output, values, how many of them) for a tile of ROWS rows. depth is a multiple of sixteen.
template <class Store> inline void product(const float *const *rows, const Linear &map, const Store &store_to) {
    vec out[ROWS][PANEL];
    const float *w = map.weight;
    for (int64_t v = 0; v < map.vectors; v += PANEL) {
        const int wide = int(std::min<int64_t>(PANEL, map.vectors - v));
        const float *bias = map.bias + v * LANES;
        if (wide == 3) panel<3>(rows, map, w, bias, out);
        else if (wide == 2) panel<2>(rows, map, w, bias, out);
        else panel<1>(rows, map, w, bias, out);
        w += wide * LANES * map.segments * map.depth;
        for (int r = 0; r < ROWS; r++)
            for (int i = 0; i < wide; i++) {
                const int64_t first = (v + i) * LANES;
                store_to(r, first, out[r][i], int(std::min<int64_t>(LANES, map.outputs - map.left - first)));
            }
    }
    if (!map.left) return;
    vec sum[LANES] = {};
    const float *one = map.rest, *two = map.rest + map.segments * map.depth;
    for (int64_t s = 0; s < map.segments; s++)
        for (int64_t i = 0; i < map.depth; i += LANES, one += LANES, two += LANES) {
            const vec a = load(one), b = load(two);
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; r++) {
                const vec x = load(rows[s * ROWS + r] + i);
                sum[2 * r] += x * a;
                sum[2 * r + 1] += x * b;
            }
        }
    const vec total = sums(sum), bias = load(map.bias + map.vectors * LANES);
    for (int r = 0; r < ROWS; r++) {
        vec both{};
        both[0] = total[2 * r] + bias[0], both[1] = total[2 * r + 1] + bias[1];
        store_to(r, map.vectors * LANES, both, 2);
    }
}

template <class V> inline V silu(const V &x) { return x / (1.0f + vexp(0.0f - x)); }

// x times the normal distribution below x; the error function by Abramowitz and Stegun 7.1.26, to 1.5e-7.
template <class V> inline V gelu(const V &x) {
    const V z = x * 0.70710678118654752f, size = vabs(z);
    const V t = 1.0f / (1.0f + 0.3275911f * size);
    V p = 1.061405429f * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    // of -|x|: half of what is outside; x of it is left, or taken from x
    const V outside = 0.5f * p * t * vexp(0.0f - z * z) * vabs(x);
    return vmax(0.0f, x) - outside;
}

// Each of `count` numbers, a multiple of sixteen, through a function of vectors.
template <class Call> inline void for_vectors(float *at, int64_t count, const Call &call) {
    constexpr int W = 4;
    int64_t i = 0;
    for (; i + W * LANES <= count; i += W * LANES) {
        Several<W> some;
        std::memcpy(&some, at + i, sizeof some);
        some = call(some);
        std::memcpy(at + i, &some, sizeof some);
    }
    for (; i < count; i += LANES) store(at + i, call(load(at + i)));
}

// Layer norm of ROWS rows of `width`, a multiple of sixteen, at rows[r] into out + r * width.
inline void layer_norm(const float *const *rows, int64_t width, const float *weight, const float *bias, float *out) {
    const vec each = splat(1.0f / float(width));
    vec sum[LANES] = {};
    for (int r = 0; r < ROWS; r++)
        for (int64_t c = 0; c < width; c += LANES) sum[r] += load(rows[r] + c);
    const vec mean = sums(sum) * each;
    for (int r = 0; r < ROWS; r++) {
        sum[r] = vec{};
        for (int64_t c = 0; c < width; c += LANES) {
            const vec d = load(rows[r] + c) - mean[r];
            sum[r] += d * d;
        }
    }
    const vec variance = sums(sum) * each;
    for (int r = 0; r < ROWS; r++) {
        const float scale = 1.0f / std::sqrt(variance[r] + 1e-5f);
        for (int64_t c = 0; c < width; c += LANES)
            store(out + r * width + c, (load(rows[r] + c) - mean[r]) * scale * load(weight + c) + load(bias + c));
    }
}

} // namespace sasmamba
