"""The native core keeps the promises of its C API: plain C outside, no Python, I/O or globals inside."""

import os
import re
import shutil
import subprocess
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import smiless_core
from smiless_core._native import search

ROOT = Path(__file__).parents[1]
NATIVE = Path(smiless_core.__file__).parent / "_native"
EXTENSIONS = sorted(NATIVE.glob(f"*{EXTENSION_SUFFIXES[0]}"))
FORBIDDEN = re.compile(r"#\s*include\s*[<\"](Python\.h|numpy/|\w*stream|cstdio|stdio\.h|filesystem|thread)")


@pytest.mark.repository
def test_the_core_includes_neither_python_nor_numpy_nor_input_and_output():
    sources = [path for path in (ROOT / "csrc").rglob("*") if path.suffix in {".cpp", ".hpp", ".h"}]
    assert sources
    found = [f"{path.name}: {line}" for path in sources for line in FORBIDDEN.findall(path.read_text())]
    assert not found


@pytest.mark.repository
def test_the_wrappers_call_the_c_api_and_nothing_else():
    wrappers = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "src/smiless_core/_native").iterdir()
        if path.suffix in {".pyx", ".pxd"}
    )
    headers = set(re.findall(r"cdef extern from\s+[\"']([^\"']+)", wrappers))
    cimports = re.findall(r"^\s*(?:from (\S+) cimport|cimport (\S+))", wrappers, re.MULTILINE)
    assert headers == {"smiless/smiless.h", "Python.h"}  # signals are asked for through the latter
    assert not [module for pair in cimports for module in pair if module.startswith(("libcpp", "numpy"))]


@pytest.mark.native
def test_the_kernels_are_those_that_were_meant():
    meant = os.environ.get("SMILESS_NATIVE", "")
    assert search.__file__.startswith(meant), "`make sanitize` would test kernels without sanitizers"


@pytest.mark.repository
@pytest.mark.parametrize(("compiler", "standard"), [("gcc", "c11"), ("g++", "c++20")])
def test_the_c_header_stands_alone_in_c_and_in_cpp(compiler, standard, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    language = {"gcc": "c", "g++": "c++"}[compiler]
    source = tmp_path / "alone"
    source.write_text('#include "smiless/smiless.h"\nint answer(void) { return SMILESS_ABI_VERSION; }\n')
    flags = [f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    subprocess.run([compiler, *flags, "-I", ROOT / "csrc/include", "-x", language, source], check=True)


def symbols(extension: Path, *options: str) -> list[tuple[str, str]]:
    """Return kind and demangled name of the symbols of a shared library."""
    if shutil.which("nm") is None:
        pytest.skip("no nm here")
    done = subprocess.run(["nm", "-C", *options, extension], check=True, capture_output=True, text=True)
    return [(kind, name) for kind, name in re.findall(r"^[0-9a-f]* +(\w) (.+)$", done.stdout, re.MULTILINE)]


@pytest.mark.parametrize("extension", EXTENSIONS, ids=lambda path: path.name)
def test_the_core_has_no_writable_globals(extension):
    names = symbols(extension)
    assert any(name.startswith("smiless_") for _, name in names), "stripped: nothing to look at"
    writable = [name for kind, name in names if kind in "bBdD" and "::" in name and "pyx" not in name.lower()]
    assert not [name for name in writable if not name.startswith(("vtable for", "typeinfo for", "std::"))]


@pytest.mark.parametrize("extension", EXTENSIONS, ids=lambda path: path.name)
def test_only_the_c_api_and_the_module_are_exported(extension):
    exported = {name for kind, name in symbols(extension, "-D", "--defined-only") if kind in "TBD"}
    assert f"PyInit_{extension.name.split('.')[0]}" in exported
    assert not [name for name in exported if not name.startswith(("PyInit_", "smiless_"))]
