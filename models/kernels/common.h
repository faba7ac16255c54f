// What the kernels share: a vector as wide as the processor's, fast exp / softplus, and a parallel loop.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__AVX__)
#include <immintrin.h>
#endif

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

// Where b is NaN both answer b: a limit goes first, a value that must stay what it is second. The processor has these in
// one instruction, which g++ does not find by itself. (With a mask of everything: g++ 12 warns of the plain ones' header.)
#if defined(__AVX512F__)
inline vec vmax(vec a, vec b) { return vec(_mm512_maskz_max_ps(0xffff, __m512(a), __m512(b))); }
inline vec vmin(vec a, vec b) { return vec(_mm512_maskz_min_ps(0xffff, __m512(a), __m512(b))); }
#elif defined(__AVX__)
inline vec vmax(vec a, vec b) { return vec(_mm256_max_ps(__m256(a), __m256(b))); }
inline vec vmin(vec a, vec b) { return vec(_mm256_min_ps(__m256(a), __m256(b))); }
#else
inline vec vmax(vec a, vec b) { return a > b ? a : b; }
inline vec vmin(vec a, vec b) { return a < b ? a : b; }
#endif

inline ivec bits_of(vec x) {
    ivec bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

inline vec of_bits(ivec bits) {
    vec x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

inline vec vabs(vec x) { return of_bits(bits_of(x) & 0x7fffffff); }

// W vectors on their way through the same operations, each waiting while the processor is busy with the others: of one
// alone the next operation begins when the last is through, and that is most of the time.
template <int W> struct Several {
    vec first;
    Several<W - 1> others;
};
template <> struct Several<1> {
    vec first;
};

// Written so, and not as loops over an array, g++ keeps all of them in registers.
template <class Call, class... More> inline Several<1> each_of(const Call &call, Several<1> x, const More &...more) {
    return {call(x.first, more.first...)};
}
template <int W, class Call, class... More>
inline Several<W> each_of(const Call &call, const Several<W> &x, const More &...more) {
    return {call(x.first, more.first...), each_of(call, x.others, more.others...)};
}

#define SASMAMBA_EACH(OPERATOR)                                                                                        \
    template <int W> inline Several<W> operator OPERATOR(const Several<W> &a, const Several<W> &b) {                   \
        return each_of([](vec x, vec y) { return x OPERATOR y; }, a, b);                                               \
    }                                                                                                                  \
    template <int W> inline Several<W> operator OPERATOR(const Several<W> &a, float b) {                               \
        return each_of([=](vec x) { return x OPERATOR b; }, a);                                                        \
    }                                                                                                                  \
    template <int W> inline Several<W> operator OPERATOR(float a, const Several<W> &b) {                               \
        return each_of([=](vec x) { return a OPERATOR x; }, b);                                                        \
    }
SASMAMBA_EACH(+)
SASMAMBA_EACH(-)
SASMAMBA_EACH(*)
SASMAMBA_EACH(/)

// What is said of one vector, said of several.
template <int W> inline Several<W> vmax(float a, const Several<W> &b) {
    return each_of([=](vec x) { return vmax(splat(a), x); }, b);
}
template <int W> inline Several<W> vmin(float a, const Several<W> &b) {
    return each_of([=](vec x) { return vmin(splat(a), x); }, b);
}
template <int W> inline Several<W> vabs(const Several<W> &x) {
    return each_of([](vec one) { return vabs(one); }, x);
}
inline vec vmax(float a, vec b) { return vmax(splat(a), b); }
inline vec vmin(float a, vec b) { return vmin(splat(a), b); }

// 2^n of whole numbers n to which 1.5 * 2^23 + 127 was added, as the exponent's bits.
inline vec power_of_two(vec up) { return of_bits(bits_of(up) << 23); }
template <int W> inline Several<W> power_of_two(const Several<W> &up) {
    return each_of([](vec one) { return power_of_two(one); }, up);
}

// e^x to about 1e-7 relative: x / ln 2 = n + r, |r| <= 1/2, 2^r by a polynomial of the least greatest error that is 1
// at 0, summed in pairs, a shorter chain than one after another; 2^n by its exponent's bits. NaN stays NaN: r carries it.
template <class V> inline V vexp(V x) {
    x = vmin(88.0f, vmax(-87.0f, x));
    const float magic = 12582912.0f + 127; // adding 1.5 * 2^23 rounds to the nearest whole number, in the lowest bits
    const V up = x * 1.44269504088896341f + magic, n = up - magic;
    const V r = x * 1.44269504088896341f - n, r2 = r * r;
    const V low = 1.0f + r * 0.69314698f, middle = 0.24022242f + r * 0.055507338f, high = 0.0096715167f + r * 0.0013264739f;
    return (low + r2 * (middle + r2 * high)) * power_of_two(up);
}

// log(1 + e^x) without overflow and exact in both tails. e: e^-|x|.
template <class V> inline V softplus(const V &x, const V &e) {
    // log(1 + e) / e for e in 0..1, interpolated at Chebyshev's points; 3.4e-8 off at most
    const V e2 = e * e, e4 = e2 * e2;
    const V low = 0.99999994f - e * 0.49999446f + e2 * (0.3331812f - e * 0.24835399f);
    const V high = 0.19076881f - e * 0.13602248f + e2 * (0.077516086f - e * 0.029074065f) + e4 * 0.0051261024f;
    return vmax(0.0f, x) + e * (low + e4 * high);
}

template <class V> inline V softplus(const V &x) { return softplus(x, vexp(0.0f - vabs(x))); }

// Its derivative, too: 1 / (1 + e^-x).
inline vec softplus(vec x, vec *derivative) {
    const vec e = vexp(-vabs(x)), inverse = 1.0f / (1.0f + e);
    *derivative = x > 0.0f ? inverse : e * inverse;
    return softplus(x, e);
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
