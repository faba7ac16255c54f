// What the kernels share: a vector as wide as the processor's, fast exp / softplus, and a parallel loop.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <thread>
#include <vector>

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace sasmamba {

// So many channels travel together: one register of the processor that this is compiled for. A wider vector would run
// everywhere, too, but g++ keeps what fits no register in memory, and that costs half the speed.
#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ivec __attribute__((vector_size(LANES * sizeof(int32_t))));

inline vec splat(float x) { return x - vec{}; }

inline vec load(const float *p) {
    vec v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline void store(float *p, vec v) { std::memcpy(p, &v, sizeof v); }

// The last chunk of a width that is no multiple of LANES: absent lanes read as zero and are not written.
inline vec load(const float *p, int lanes) {
    if (lanes >= LANES) return load(p);
    vec v{};
    std::memcpy(&v, p, size_t(lanes) * sizeof(float));
    return v;
}

inline void store(float *p, vec v, int lanes) { std::memcpy(p, &v, size_t(std::min(lanes, LANES)) * sizeof(float)); }

inline void accumulate(float *p, vec v, int lanes) { store(p, load(p, lanes) + v, lanes); }

#if defined(__clang__)
#define SASMAMBA_PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SASMAMBA_PICK(a, b, ...) __builtin_shuffle(a, b, ivec{__VA_ARGS__})
#endif

// The sums of LANES vectors, one in each lane: halves are folded onto each other while vectors are merged, one addition
// less than there are vectors instead of as many for each of them.
inline vec sums(const vec *v) {
#if defined(__AVX512F__)
    vec w[8], x[4], y[2];
    for (int i = 0; i < 8; i++)
        w[i] = SASMAMBA_PICK(v[i], v[i + 8], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
               SASMAMBA_PICK(v[i], v[i + 8], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    for (int i = 0; i < 4; i++)
        x[i] = SASMAMBA_PICK(w[i], w[i + 4], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27) +
               SASMAMBA_PICK(w[i], w[i + 4], 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
    for (int i = 0; i < 2; i++)
        y[i] = SASMAMBA_PICK(x[i], x[i + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
               SASMAMBA_PICK(x[i], x[i + 2], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    return SASMAMBA_PICK(y[0], y[1], 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30) +
           SASMAMBA_PICK(y[0], y[1], 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
#elif defined(__AVX__)
    vec w[4], x[2];
    for (int i = 0; i < 4; i++)
        w[i] = SASMAMBA_PICK(v[i], v[i + 4], 0, 1, 2, 3, 8, 9, 10, 11) +
               SASMAMBA_PICK(v[i], v[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    for (int i = 0; i < 2; i++)
        x[i] = SASMAMBA_PICK(w[i], w[i + 2], 0, 1, 8, 9, 4, 5, 12, 13) +
               SASMAMBA_PICK(w[i], w[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    return SASMAMBA_PICK(x[0], x[1], 0, 8, 2, 10, 4, 12, 6, 14) + SASMAMBA_PICK(x[0], x[1], 1, 9, 3, 11, 5, 13, 7, 15);
#else
    const vec w = SASMAMBA_PICK(v[0], v[2], 0, 1, 4, 5) + SASMAMBA_PICK(v[0], v[2], 2, 3, 6, 7);
    const vec x = SASMAMBA_PICK(v[1], v[3], 0, 1, 4, 5) + SASMAMBA_PICK(v[1], v[3], 2, 3, 6, 7);
    return SASMAMBA_PICK(w, x, 0, 4, 2, 6) + SASMAMBA_PICK(w, x, 1, 5, 3, 7);
#endif
}

// Sums over lanes, each added to a number somewhere in memory, LANES at a time.
class Sums {
  public:
    void add(float *to, vec v) {
        waiting[count] = v;
        targets[count] = to;
        if (++count == LANES) flush();
    }

    void flush() {
        for (int i = count; i < LANES; i++) waiting[i] = vec{};
        vec total = sums(waiting);
        for (int i = 0; i < count; i++) *targets[i] += total[i];
        count = 0;
    }

  private:
    vec waiting[LANES];
    float *targets[LANES];
    int count = 0;
};

// Where b is NaN both answer b: a limit goes first, a value that must stay what it is second.
inline vec vmax(vec a, vec b) { return a > b ? a : b; }
inline vec vmin(vec a, vec b) { return a < b ? a : b; }

// e^x to about 1e-7 relative: x = n ln 2 + r, |r| <= ln 2 / 2, Taylor to the 6th power in r, exponent bits set by n.
// The powers are summed in pairs: a shorter chain than one after another. NaN stays NaN: r carries it.
inline vec vexp(vec x) {
    x = vmin(splat(88.0f), vmax(splat(-87.0f), x));
    const vec magic = splat(12582912.0f); // 1.5 * 2^23: adding it rounds to the nearest whole number
    vec n = (x * 1.44269504088896341f + magic) - magic;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f; // ln 2 in two parts keeps r exact
    vec r2 = r * r;
    vec low = 1.0f + r + r2 * (0.5f + r * (1.0f / 6)), high = 1.0f / 24 + r * (1.0f / 120) + r2 * (1.0f / 720);
    ivec bits = (__builtin_convertvector(n, ivec) + 127) << 23;
    vec scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return (low + r2 * r2 * high) * scale;
}

// log(1 + e^x) and its derivative 1 / (1 + e^-x), without overflow and exact in both tails.
inline vec softplus(vec x, vec *derivative) {
    vec magnitude = x > 0.0f ? x : -x;
    vec e = vexp(-magnitude);
    if (derivative) {
        vec inverse = 1.0f / (1.0f + e);
        *derivative = x > 0.0f ? inverse : e * inverse;
    }
    // log(1 + e) / e for e in 0..1, interpolated at Chebyshev's points; 3.4e-8 off at most
    vec e2 = e * e, e4 = e2 * e2;
    vec low = 0.99999994f - e * 0.49999446f + e2 * (0.3331812f - e * 0.24835399f);
    vec high = 0.19076881f - e * 0.13602248f + e2 * (0.077516086f - e * 0.029074065f) + e4 * 0.0051261024f;
    return vmax(x, vec{}) + e * (low + e4 * high);
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
