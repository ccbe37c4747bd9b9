"""Plant one bug per kernel and demand that the suite catches it.

``planted_bugs.toml`` lists the bugs: a one-line change (`old` to `new` in `file`) and the `test` that has to
fail on it.  Each is planted in a copy of the sources, the extensions are rebuilt when the change is native,
and the named test must *fail*: passing, crashing or not being found is an error.  Without a bug the tests
have to pass.

    python tests/planted_bugs.py [KERNEL ...]    plant all bugs, or those of the kernels named
    python tests/planted_bugs.py --table         print the table that CONTRIBUTING.md shows
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
COPIED = ("csrc", "src", "tests", "pyproject.toml", "setup.py")
PASSED, FAILED = 0, 1  # exit codes of pytest; every other one says that the test did not run to its end


class Bug(NamedTuple):
    kernel: str
    file: str
    old: str
    new: str
    test: str

    @property
    def native(self) -> bool:
        return self.file.startswith("csrc/") or self.file.endswith((".pyx", ".pxd"))

    def plant(self, root: Path) -> None:
        """Change the file below `root`."""
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1 or self.old == self.new or "\n" in self.old + self.new:
            raise ValueError(f"{self.kernel}: not one place in one line of {self.file}: {self.old}")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def listed() -> list[Bug]:
    text = (ROOT / "tests/planted_bugs.toml").read_text(encoding="utf-8")
    return [Bug(**entry) for entry in tomllib.loads(text)["bug"]]


def table(bugs: list[Bug]) -> str:
    """Return the bugs as a Markdown table."""
    rows = ["| kernel | file | one-line change | caught by |", "| --- | --- | --- | --- |"]
    for bug in bugs:
        change = " becomes ".join(f"`{text.strip()}`".replace("|", r"\|") for text in (bug.old, bug.new))
        rows.append(f"| {bug.kernel} | `{bug.file}` | {change} | `{bug.test}` |")
    return "\n".join(rows) + "\n"


def build(root: Path) -> None:
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the build failed:\n{done.stdout}{done.stderr}")


def test(root: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests as continuous integration does: on the same examples every time."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*pytest, "--hypothesis-profile=unshrunk", *tests],
        cwd=root,
        env=os.environ | {"CI": "true", "PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )


def verdict(bug: Bug, built: Path) -> str:
    """Plant a bug in a copy of a built tree, and say what became of it."""
    with tempfile.TemporaryDirectory(prefix="smiless-planted-") as directory:
        root = Path(directory)
        shutil.copytree(built, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".hypothesis"))
        bug.plant(root)
        if bug.native:
            build(root)
        done = test(root, bug.test)
    if done.returncode in (PASSED, FAILED):
        return "caught" if done.returncode == FAILED else "ESCAPED"
    return f"CRASHED\n{done.stdout[-2000:]}{done.stderr[-2000:]}\n"


def plant_all(bugs: list[Bug]) -> int:
    """Plant every bug in a copy of its own, as many at a time as there are cores; return how many escaped."""
    escaped = 0
    with tempfile.TemporaryDirectory(prefix="smiless-built-") as directory, ThreadPoolExecutor(os.cpu_count()) as pool:
        built = Path(directory)
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, built / name)
        build(built)
        untouched = pool.submit(test, built, *{bug.test for bug in bugs})
        for bug, said in zip(bugs, pool.map(partial(verdict, built=built), bugs), strict=True):
            escaped += said != "caught"
            print(f"{said} {bug.kernel} ({bug.test})", flush=True)
        if untouched.result().returncode != PASSED:
            sys.exit(f"these tests fail with no bug planted:\n{untouched.result().stdout}")
    return escaped


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kernels", nargs="*", metavar="KERNEL", help="only these kernels")
    parser.add_argument("--table", action="store_true", help="print the table that CONTRIBUTING.md shows")
    arguments = parser.parse_args()
    bugs = listed()
    if unknown := set(arguments.kernels) - {bug.kernel for bug in bugs}:
        parser.error(f"no planted bug in {', '.join(sorted(unknown))}")
    if arguments.table:
        print(table(bugs), end="")
        return 0
    escaped = plant_all([bug for bug in bugs if not arguments.kernels or bug.kernel in arguments.kernels])
    print(f"{escaped} escaped")
    return int(escaped > 0)


if __name__ == "__main__":
    sys.exit(main())
