"""Builds the native kernels: csrc as one static library, and the Cython extension that wraps its C API.

Environment switches, read at build time:

SMILESS_DEBUG=1
    ``-O0 -g`` with assertions, the standard library's included.
SMILESS_SANITIZE=address,undefined
    Instrument with the named sanitizers; every finding ends the process.
SMILESS_COVERAGE=1
    ``-O0 -g --coverage``, for gcov.
"""

import os
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# No fused multiplications: results are to be the same on every machine.
FLAGS = ["-std=c++20", "-O3", "-ffp-contract=off", "-fvisibility=hidden"]
LINK_FLAGS = []
if os.environ.get("SMILESS_DEBUG") == "1":
    FLAGS += ["-O0", "-g", "-UNDEBUG", "-D_GLIBCXX_ASSERTIONS"]
if sanitizers := os.environ.get("SMILESS_SANITIZE"):
    LINK_FLAGS += [f"-fsanitize={sanitizers}"]
    FLAGS += [*LINK_FLAGS, "-O1", "-g", "-UNDEBUG", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]
if os.environ.get("SMILESS_COVERAGE") == "1":
    LINK_FLAGS += ["--coverage"]
    FLAGS += ["--coverage", "-O0", "-g"]

# Only a checkout turns warnings into errors: a source distribution (which carries PKG-INFO) has to
# build with compilers that warn about more than ours do.
WARNINGS = ["-Wall", "-Wextra"] + ([] if Path("PKG-INFO").exists() else ["-Werror"])

CORE = sorted(glob("csrc/src/*.cpp"))
HEADERS = sorted(glob("csrc/include/smiless/*") + glob("csrc/src/*.hpp"))


class BuildExtension(build_ext):
    """``build_ext`` that finds the static library built, also when it runs alone and in place."""

    def run(self) -> None:
        """Build the library, then the extension."""
        self.run_command("build_clib")
        super().run()


setup(
    # A library of its own, so that the warnings hold for csrc and not for the C++ that Cython writes.
    libraries=[
        (
            "smiless",
            {
                "sources": CORE,
                "include_dirs": ["csrc/include"],
                "cflags": FLAGS + WARNINGS,
                "obj_deps": {"": [*HEADERS, "setup.py"]},
            },
        )
    ],
    ext_modules=cythonize(
        [
            Extension(
                "smiless_core._native.*",
                sources=["src/smiless_core/_native/*.pyx"],
                include_dirs=["csrc/include"],
                extra_compile_args=FLAGS,
                extra_link_args=LINK_FLAGS,
                depends=[*CORE, *HEADERS, "setup.py"],
                language="c++",
            )
        ],
        build_dir="build/cython",
        compiler_directives={
            "language_level": 3,
            "binding": True,
            "autotestdict": False,
            "embedsignature": False,
        },
    ),
    cmdclass={"build_ext": BuildExtension},
)
