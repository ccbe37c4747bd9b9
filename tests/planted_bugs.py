"""Plant one bug per kernel and demand that the suite catches it.

``planted_bugs.toml`` lists the bugs: a one-line change (`old` to `new` in `file`) and the `test` that has to
fail on it.  Each is planted in a copy of the sources, the extension is rebuilt when the change is native,
and the named test must *fail*: passing, crashing or not being found is an error.  The tests run once on the
untouched copy first, where they must pass.

    python tests/planted_bugs.py [KERNEL ...]    plant all bugs, or those of the kernels named
    python tests/planted_bugs.py --table         print the table that CONTRIBUTING.md shows
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
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

    def plant(self, root: Path) -> str:
        """Change the file below `root`; return the text that it had."""
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1 or self.old == self.new or "\n" in self.old + self.new:
            raise ValueError(f"{self.kernel}: not one place in one line of {self.file}: {self.old}")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")
        return text


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


def plant_all(bugs: list[Bug]) -> int:
    """Plant bug after bug in one copy; return how many escaped."""
    escaped = 0
    with tempfile.TemporaryDirectory(prefix="smiless-planted-") as directory:
        root = Path(directory)
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, root / name)
        build(root)
        untouched = test(root, *(bug.test for bug in bugs))
        if untouched.returncode != PASSED:
            sys.exit(f"these tests fail with no bug planted:\n{untouched.stdout}{untouched.stderr}")
        for bug in bugs:
            started = time.monotonic()
            text = bug.plant(root)
            if bug.native:
                build(root)
            done = test(root, bug.test)
            (root / bug.file).write_text(text, encoding="utf-8")
            verdict = {FAILED: "caught", PASSED: "ESCAPED"}.get(done.returncode, "CRASHED")
            escaped += verdict != "caught"
            print(f"{verdict:8} {bug.kernel} ({bug.test}, {time.monotonic() - started:.0f} s)", flush=True)
            if verdict == "CRASHED":
                print(done.stdout[-2000:], done.stderr[-2000:], sep="\n")
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
