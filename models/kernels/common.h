// What both kernels share: a 16-lane vector, fast exp / softplus, and a parallel loop.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <thread>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace sasmamba {

// Sixteen channels travel together. On machines with narrower registers the compiler splits the vector.
constexpr int LANES = 16;
typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ivec __attribute__((vector_size(LANES * sizeof(int32_t))));

inline vec splat(float x) { return x - vec{}; }

inline vec load(const float *p) {
    vec v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline void store(float *p, vec v) { std::memcpy(p, &v, sizeof v); }

// The last chunk of a width that is no multiple of sixteen: absent lanes read as zero and are not written.
inline vec load(const float *p, int lanes) {
    if (lanes >= LANES) return load(p);
    vec v{};
    std::memcpy(&v, p, size_t(lanes) * sizeof(float));
    return v;
}

inline void store(float *p, vec v, int lanes) { std::memcpy(p, &v, size_t(std::min(lanes, LANES)) * sizeof(float)); }

inline void accumulate(float *p, vec v, int lanes) { store(p, load(p, lanes) + v, lanes); }

inline float sum(vec v) {
    float s[LANES];
    store(s, v);
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++) s[i] += s[i + width];
    return s[0];
}

// Where b is NaN both answer b: a limit goes first, a value that must stay what it is second.
inline vec vmax(vec a, vec b) { return a > b ? a : b; }
inline vec vmin(vec a, vec b) { return a < b ? a : b; }

// e^x to about 1e-7 relative: x = n ln 2 + r, |r| <= ln 2 / 2, Taylor to the 6th power in r, exponent bits set by n.
// NaN stays NaN: p carries it, whatever the bits of n turn into.
inline vec vexp(vec x) {
    x = vmin(splat(88.0f), vmax(splat(-87.0f), x));
    const vec magic = splat(12582912.0f); // 1.5 * 2^23: adding it rounds to the nearest whole number
    vec n = (x * 1.44269504088896341f + magic) - magic;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f; // ln 2 in two parts keeps r exact
    vec p = splat(1.0f / 720);
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    ivec bits = (__builtin_convertvector(n, ivec) + 127) << 23;
    vec scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

// log(1 + e^x) and its derivative 1 / (1 + e^-x), without overflow and exact in both tails.
inline vec softplus(vec x, vec *derivative) {
    vec magnitude = x > 0.0f ? x : -x;
    vec e = vexp(-magnitude);
    vec inverse = 1.0f / (1.0f + e);
    if (derivative) *derivative = x > 0.0f ? inverse : e * inverse;
    // log(1 + e) = 2 atanh(s), s = e / (2 + e) <= 1/3
    vec s = e / (2.0f + e), q = s * s;
    vec series = splat(1.0f / 15);
    series = series * q + 1.0f / 13;
    series = series * q + 1.0f / 11;
    series = series * q + 1.0f / 9;
    series = series * q + 1.0f / 7;
    series = series * q + 1.0f / 5;
    series = series * q + 1.0f / 3;
    series = series * q + 1.0f;
    return vmax(x, vec{}) + 2.0f * s * series;
}

// Runs body(thread, begin, end) over `units` split into contiguous ranges; the caller's thread takes the first, and
// those for which the system has no more threads to give.
template <class Body> void parallel(int64_t units, int threads, const Body &body) {
    threads = int(std::max<int64_t>(1, std::min<int64_t>(threads, units)));
    auto begin = [&](int t) { return units * t / threads; };
    std::vector<std::thread> others;
    others.reserve(size_t(threads - 1));
    int next = 1;
    try {
        for (; next < threads; next++) others.emplace_back([&, t = next] { body(t, begin(t), begin(t + 1)); });
    } catch (const std::system_error &) { // what is left keeps its numbers, and with them its private sums
    }
    body(0, begin(0), begin(1));
    for (; next < threads; next++) body(next, begin(next), begin(next + 1));
    for (auto &other : others) other.join();
}

} // namespace sasmamba
