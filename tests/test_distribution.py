"""What is shipped: the source distribution has all that a checkout has, the package all that it reads."""

import csv
import subprocess
import sys
import tarfile
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import pytest

import smiless_core

ROOT = Path(__file__).parents[1]
NOT_SHIPPED = (".ci/", ".gitignore", "bench/results/")


@pytest.mark.repository
def test_the_source_distribution_has_every_file_of_the_checkout(tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")

    def printed(*command):
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    printed(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path)
    tracked = printed("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
    assert not [name for name in tracked if name not in shipped and not name.startswith(NOT_SHIPPED)]


@pytest.mark.parametrize("pattern", ["py.typed", "schemas/*.json", "catalog/*.*ml", "_native/*.pyi"])
def test_the_package_has_its_data(pattern):
    assert list(Path(str(files(smiless_core))).glob(pattern))


def test_the_distribution_and_the_package_agree_on_the_version():
    assert distribution("smiless-core").version == smiless_core.__version__


def test_the_command_is_installed():
    (command,) = distribution("smiless-core").entry_points.select(group="console_scripts", name="smiless")
    assert callable(command.load())


def test_a_wheel_holds_no_sources_of_the_kernels():
    recorded = (distribution("smiless-core").read_text("RECORD") or "").splitlines()
    names = [name for name, _, _ in csv.reader(recorded)]
    if "smiless_core/__init__.py" not in names:
        pytest.skip("not installed from a wheel")
    assert not [name for name in names if name.endswith((".pyx", ".pxd", ".cpp", ".hpp", ".h"))]
    assert not [name for name in names if name.startswith(("tests/", "bench/", "csrc/"))]
