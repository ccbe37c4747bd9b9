"""The planted bugs of `planted_bugs.toml` still fit the sources; `make planted-bugs` plants them."""

import ast

import pytest

import planted_bugs

BUGS = planted_bugs.listed()
pytestmark = pytest.mark.repository


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.kernel)
def test_the_change_fits_the_source_and_the_test_exists(bug, tmp_path):
    planted = tmp_path / bug.file
    planted.parent.mkdir(parents=True)
    text = (planted_bugs.ROOT / bug.file).read_text(encoding="utf-8")
    planted.write_text(text, encoding="utf-8")
    bug.plant(tmp_path)
    assert planted.read_text(encoding="utf-8") == text.replace(bug.old, bug.new) != text

    file, name = bug.test.partition("[")[0].split("::")
    module = ast.parse((planted_bugs.ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(
    ("old", "new"),
    [("a < b", "a <= b"), ("a", "b"), ("x\ny", "x"), ("return x", "return x"), ("absent", "present")],
)
def test_a_change_that_is_not_of_one_place_in_one_line_is_refused(old, new, tmp_path):
    (tmp_path / "kernel.py").write_text("a = 1\na = 2\nreturn x\ny\n")
    with pytest.raises(ValueError, match="kernel"):
        planted_bugs.Bug("kernel", "kernel.py", old, new, "tests/test_kernel.py::test_it").plant(tmp_path)


def test_every_source_of_the_native_core_has_a_planted_bug():
    sources = {path.name for path in (planted_bugs.ROOT / "csrc/src").glob("*.cpp")}
    assert sources <= {bug.file.rpartition("/")[2] for bug in BUGS}


def test_the_guide_shows_the_planted_bugs():
    assert planted_bugs.table(BUGS) in (planted_bugs.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
