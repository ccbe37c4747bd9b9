"""What the README shows is what a reader gets: its examples run, in order, in one empty directory.

* ``python`` blocks share one namespace; a ``text`` block directly below one is what it prints.  A block
  with ``>>>`` prompts is a doctest.
* ``console`` blocks that start with ``$ smiless`` run, and show exactly what is printed 100 columns wide.
  The exit code is 0 unless ``$ echo $?`` follows and shows another.
* A block whose fence names a file (```` ```yaml application.yaml ````) is that file.

``...`` stands for any text, as in doctests.
"""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import smiless_core

README = Path(__file__).parents[1] / "README.md"
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"python", "console", "text", "sh", "yaml", "toml", "json", "csv", "c", "cpp"}
SMILESS = [sys.executable, "-c", "from smiless_core.cli import main; main()"]


class Block(NamedTuple):
    language: str
    file: str
    body: str
    line: int
    attached: bool  # nothing but white space stands between it and the block above


def blocks(text: str) -> list[Block]:
    found, end = [], 0
    for match in FENCE.finditer(text):
        language, _, file = match["info"].strip().partition(" ")
        line = text.count("\n", 0, match.start()) + 1
        assert language in LANGUAGES, f"line {line}: a block in an unknown language {language!r}"
        found.append(Block(language, file, match["body"], line, not text[end : match.start()].strip()))
        end = match.end()
    return found


def assert_shown(shown: str, printed: str, line: int) -> None:
    """Compare line by line but for trailing white space."""
    shown, printed = ("".join(f"{row.rstrip()}\n" for row in text.splitlines()) for text in (shown, printed))
    if not doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS):
        pytest.fail(f"line {line}: the README shows\n{shown}\nbut what is printed is\n{printed}")


def run_python(block: Block, namespace: dict[str, object]) -> str:
    if ">>> " in block.body:
        example = doctest.DocTestParser().get_doctest(block.body, namespace, "README", None, block.line)
        report = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        failed, _ = runner.run(example, out=report.write, clear_globs=False)
        assert not failed, f"line {block.line}:\n{report.getvalue()}"
        namespace.update(example.globs)
        return ""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile("\n" * block.line + block.body, str(README), "exec"), namespace)
    return printed.getvalue()


def run_console(block: Block, directory: Path) -> int:
    environment = os.environ | {
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "PYTHONUTF8": "1",
        "PYTHONPATH": str(Path(smiless_core.__file__).parents[1]),
    }
    status = commands = 0
    for session in re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]:
        command, _, shown = session.partition("\n")
        if command == "echo $?":
            assert_shown(shown, f"{status}\n", block.line)
            status = 0
            continue
        assert status == 0, f"line {block.line}: the command before {command!r} ended with {status}"
        program, *arguments = shlex.split(command)
        assert program == "smiless", f"line {block.line}: {command!r} among commands of smiless"
        done = subprocess.run(
            [*SMILESS, *arguments],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=120,
        )
        assert_shown(shown, done.stdout, block.line)
        status, commands = done.returncode, commands + 1
    assert status == 0, f"line {block.line}: the last command ended with {status}"
    return commands


def run(text: str, directory: Path) -> tuple[int, int]:
    """Run every example; return how many Python blocks and how many commands ran."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    pythons = commands = 0
    sequence = blocks(text)
    for block, below in zip(sequence, [*sequence[1:], None], strict=False):
        if block.file:
            (directory / block.file).write_text(block.body, encoding="utf-8")
        if block.language == "python":
            pythons += 1
            printed = run_python(block, namespace)
            if below is not None and below.language == "text" and below.attached:
                assert_shown(below.body, printed, below.line)
        elif block.language == "console" and block.body.startswith("$ smiless"):
            commands += run_console(block, directory)
    return pythons, commands


@pytest.mark.repository
def test_every_example_of_the_readme_runs_and_prints_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    pythons, commands = run(README.read_text(encoding="utf-8"), tmp_path)
    assert pythons >= 1
    assert commands >= 1


@pytest.mark.repository
def test_the_first_screen_of_the_readme_shows_a_plan():
    examples = blocks(README.read_text(encoding="utf-8"))
    plan = next(block for block in examples if block.body.startswith("$ smiless plan "))
    assert plan.line + len(plan.body.splitlines()) <= 50


FINE = """\
```csv data.csv
1,2
```
```python
from pathlib import Path

total = sum(map(int, Path("data.csv").read_text().split(",")))
print(f"{total} seconds")
```

```text
3 ...
```
Text.
```python
>>> total + 1
4
```
"""


def test_the_checker_accepts_examples_that_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(FINE, tmp_path) == (2, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        FINE.replace("3 ...", "4 ..."),
        FINE.replace("\n4\n", "\n5\n"),
        FINE.replace("sum(", "sums("),
        FINE.replace("```csv data.csv", "```csv other.csv"),
        FINE.replace("```text", "```txt"),
        "```console\n$ smiless versions\nno such output\n```\n",
        "```console\n$ smiless no-such-command\n...\n```\n",
        "```console\n$ smiless versions\n...\n$ echo $?\n1\n```\n",
        "```console\n$ smiless versions\n...\n$ ls\n```\n",
    ],
)
def test_the_checker_refuses_examples_that_do_not_hold(wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((AssertionError, NameError, OSError, pytest.fail.Exception)):
        run(wrong, tmp_path)
