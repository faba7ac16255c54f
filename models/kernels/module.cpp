// Makes the library an importable extension on every platform and says whether this processor can run it.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "common.h"

// The library is compiled for the processor it is built on. Copied to an older one (an image, a shared folder) it
// would die of an illegal instruction, so the loader asks first, for each set the compiler was free to use:
// processors have AVX-512's in many combinations. This function itself uses nothing special.
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("arch=x86-64"), noinline))
#endif
static int processor_fits() {
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
#ifdef __AVX__
    if (!__builtin_cpu_supports("avx")) return 0;
#endif
#ifdef __AVX2__
    if (!__builtin_cpu_supports("avx2")) return 0;
#endif
#ifdef __FMA__
    if (!__builtin_cpu_supports("fma")) return 0;
#endif
#ifdef __BMI__
    if (!__builtin_cpu_supports("bmi")) return 0;
#endif
#ifdef __BMI2__
    if (!__builtin_cpu_supports("bmi2")) return 0;
#endif
#ifdef __AVX512F__
    if (!__builtin_cpu_supports("avx512f")) return 0;
#endif
#ifdef __AVX512DQ__
    if (!__builtin_cpu_supports("avx512dq")) return 0;
#endif
#ifdef __AVX512BW__
    if (!__builtin_cpu_supports("avx512bw")) return 0;
#endif
#ifdef __AVX512VL__
    if (!__builtin_cpu_supports("avx512vl")) return 0;
#endif
#ifdef __AVX512CD__
    if (!__builtin_cpu_supports("avx512cd")) return 0;
#endif
#ifdef __AVX512VBMI__
    if (!__builtin_cpu_supports("avx512vbmi")) return 0;
#endif
#ifdef __AVX512VNNI__
    if (!__builtin_cpu_supports("avx512vnni")) return 0;
#endif
#ifdef __AVX512BF16__
    if (!__builtin_cpu_supports("avx512bf16")) return 0;
#endif
#endif
    return 1;
}

EXPORT int sasmamba_processor_fits() { return processor_fits(); }

EXPORT const char *sasmamba_compiled_for() {
#if defined(__AVX512F__)
    return "AVX-512";
#elif defined(__AVX2__)
    return "AVX2";
#elif defined(__ARM_NEON)
    return "NEON";
#else
    return "baseline";
#endif
}

static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_kernels", nullptr, -1, nullptr, nullptr, nullptr, nullptr,
                                 nullptr};

PyMODINIT_FUNC PyInit__kernels() { return PyModule_Create(&definition); }
