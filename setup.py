"""Builds the native CPU kernels where a C++ compiler is found; without one the package installs and runs without them.

Everything else is declared in pyproject.toml.
"""

import os
import platform
import sys

from setuptools import Extension, setup

flags = ["/O2", "/std:c++17"] if sys.platform == "win32" else ["-O3", "-std=c++17", "-fvisibility=hidden", "-Wno-psabi"]
if sys.platform != "win32":
    # No NaN reaches the kernels that finite inputs did not make, so contraction and reassociation are safe.
    flags += ["-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
    # Built where it runs, so for this very processor. Set SASMAMBA_PORTABLE=1 when building a wheel for others.
    if not os.environ.get("SASMAMBA_PORTABLE") and platform.machine() in {"x86_64", "AMD64"}:
        flags.append("-march=native")

setup(
    ext_modules=[
        Extension(
            "sasmamba.models.kernels._kernels",
            sources=[f"models/kernels/{name}.cpp" for name in ("module", "scan", "sampling")],
            depends=["models/kernels/common.h"],
            extra_compile_args=flags,
            extra_link_args=[] if sys.platform == "win32" else ["-pthread"],
            py_limited_api=True,
            optional=True,
        )
    ]
)
