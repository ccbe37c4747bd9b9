"""The stubs of the native module say what the compiled module does."""

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import smiless_core

PACKAGE = Path(smiless_core.__file__).parent
NATIVE = PACKAGE / "_native"
MODULES = sorted(path.name.split(".")[0] for path in NATIVE.glob(f"*{EXTENSION_SUFFIXES[0]}"))


def test_there_are_native_modules_and_each_has_its_stub():
    assert MODULES
    assert sorted(path.stem for path in NATIVE.glob("*.pyi") if path.stem != "__init__") == MODULES


def test_the_stubs_match_the_compiled_modules(tmp_path):
    settings = tmp_path / "mypy.ini"
    settings.write_text("[mypy]\nignore_missing_imports = True\n")
    source = str(PACKAGE.parent)
    searched = {} if source.endswith("site-packages") else {"MYPYPATH": source, "PYTHONPATH": source}
    modules = [f"smiless_core._native.{name}" for name in MODULES]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "--mypy-config-file", settings, *modules],
        cwd=tmp_path,
        env=os.environ | searched,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
