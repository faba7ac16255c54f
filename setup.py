"""Builds the native CPU kernels where g++ or clang is found (on Windows clang-cl); without one it installs and runs.

Everything else is declared in pyproject.toml.
"""

import os
import platform
import shutil
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

WINDOWS = sys.platform == "win32"
flags = ["-O3", "-std=c++17", "-fvisibility=hidden", "-Wno-psabi"]
# Nobody reads errno or floating-point traps here; NaN and infinity keep their meaning.
flags += ["-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
# Built where it runs, so for this very processor. Set SASMAMBA_PORTABLE=1 when building a wheel for others.
if not os.environ.get("SASMAMBA_PORTABLE") and platform.machine() in {"x86_64", "AMD64"}:
    flags.append("-march=native")

if WINDOWS:  # clang-cl takes its own name for the standard, and clang's flags behind /clang:
    clang = [flag for flag in flags if not flag.startswith(("-std", "-fvisibility", "-Wno"))]
    flags = ["/std:c++17", *(f"/clang:{flag}" for flag in clang)]

kernels = Extension(
    "sasmamba.models.kernels._kernels",
    sources=[f"models/kernels/{name}.cpp" for name in ("module", "scan", "sampling", "block", "refine")],
    depends=[f"models/kernels/{name}.h" for name in ("common", "products", "scan")],
    extra_compile_args=flags,
    extra_link_args=[] if WINDOWS else ["-pthread"],
    py_limited_api=True,
    optional=True,
)


class BuildKernels(build_ext):
    """On Windows clang-cl compiles: the kernels are written with vector extensions that Microsoft's compiler lacks."""

    def build_extension(self, extension: Extension) -> None:
        """Compiles with what the platform has; what fails here leaves the kernels out, since they are optional."""
        if WINDOWS:
            self.compiler.initialize()  # finds Microsoft's linker and headers, which clang-cl uses
            self.compiler.cc = shutil.which("clang-cl") or "clang-cl"
        super().build_extension(extension)


setup(
    ext_modules=[kernels],
    cmdclass={"build_ext": BuildKernels},
    # the kernels keep to Python's stable interface, so one wheel does for 3.11 and everything after it
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
