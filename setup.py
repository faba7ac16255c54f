"""Builds the native CPU kernels where g++ or clang is found; without one the package installs and runs without them.

Everything else is declared in pyproject.toml.
"""

import os
import platform
import sys

from setuptools import Extension, setup

flags = ["-O3", "-std=c++17", "-fvisibility=hidden", "-Wno-psabi"]
# Nobody reads errno or floating-point traps here; NaN and infinity keep their meaning.
flags += ["-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
# Built where it runs, so for this very processor. Set SASMAMBA_PORTABLE=1 when building a wheel for others.
if not os.environ.get("SASMAMBA_PORTABLE") and platform.machine() in {"x86_64", "AMD64"}:
    flags.append("-march=native")

kernels = Extension(
    "sasmamba.models.kernels._kernels",
    sources=[f"models/kernels/{name}.cpp" for name in ("module", "scan", "sampling", "block", "refine")],
    depends=[f"models/kernels/{name}.h" for name in ("common", "products", "scan")],
    extra_compile_args=flags,
    extra_link_args=["-pthread"],
    py_limited_api=True,
    optional=True,
)
if sys.platform == "win32":
    # They are written with vector extensions of g++ and clang, which Microsoft's compiler lacks.
    print("The native CPU kernels are left out on Windows: they need g++ or clang. Lifting is several times slower.")

setup(
    ext_modules=[] if sys.platform == "win32" else [kernels],
    # the kernels keep to Python's stable interface, so one wheel does for 3.11 and everything after it
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
