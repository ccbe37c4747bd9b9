"""Imports point down only: the table of layers, enforced on the syntax trees of all modules."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import smiless_core

PACKAGE = "smiless_core"

# Rooms from the bottom up. A room may import those of lower rows only, neither of its own nor of higher ones.
LAYERS = [
    ["errors", "_native", "versions"],
    ["validation", "placing"],
    ["execution", "arrivals"],  # arrivals are below the model, whose traces give them
    ["model"],
    ["timing", "catalog", "fitting", "traces"],
    ["windows", "predictors", "targets"],
    ["solver", "serving", "autoscaler"],
    ["policies"],
    ["simulator", "baselines", "backtests"],
    ["report", "adapters"],
    ["controller"],
    [""],  # the package itself, which re-exports the rooms below
    ["cli"],
    ["__main__"],
]
HEIGHT = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}

USERS_OF_NATIVE = {"solver.exact", "windows.levels", "windows.replays", "serving", "predictors.bandwidth_chain"}
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "manager", "managers", "misc"}


def violations(sources: dict[str, str]) -> list[str]:
    """Check the texts of modules, by dotted name below the package (``.__init__`` for packages)."""
    found = []
    for name, source in sorted(sources.items()):
        tree = ast.parse(source)
        room = room_of(name)
        if room not in HEIGHT:
            found.append(f"{name}: no room {room!r} in the table of layers")
            continue
        found += [f"{name}: forbidden name {part!r}" for part in name.split(".") if part in FORBIDDEN_NAMES]
        found += [f"{name}: exports a function of its own name" for _ in eponyms(name, tree, sources)]
        for target in imports(name, tree, sources):
            there = room_of(target)
            if there not in HEIGHT:
                found.append(f"{name}: imports {target!r}, which is in no room")
            elif there != room and HEIGHT[there] >= HEIGHT[room]:
                found.append(f"{name}: imports {target or PACKAGE!r}, which is not below")
            if there == "_native" and room != "_native" and name not in USERS_OF_NATIVE:
                found.append(f"{name}: imports {target!r}, which only {sorted(USERS_OF_NATIVE)} may")
    return found


def room_of(name: str) -> str:
    return "" if name == "__init__" else name.split(".")[0]


def imports(name: str, tree: ast.Module, sources: dict[str, str]) -> Iterator[str]:
    """Yield all that a module imports from the package, wherever the statement stands."""
    here = [PACKAGE, *name.split(".")][:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            absolute = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*origin, *([node.module] if node.module else [])])
            # What is taken from a package may be a module in it.
            absolute = [f"{module}.{alias.name}" for alias in node.names] if is_package(module, sources) else [module]
        else:
            continue
        for target in absolute:
            if target == PACKAGE or target.startswith(f"{PACKAGE}."):
                below = target.removeprefix(PACKAGE).removeprefix(".")
                yield below if room_of(below) in HEIGHT else ""


def is_package(module: str, sources: dict[str, str]) -> bool:
    return f"{module}.__init__".removeprefix(f"{PACKAGE}.") in sources or module == PACKAGE


def eponyms(name: str, tree: ast.Module, sources: dict[str, str]) -> Iterator[str]:
    """Yield the function that a module defines, or takes from its own package, under its own name."""
    own = name.removesuffix(".__init__").split(".")[-1]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == own:
            yield own
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == own for alias in node.names):
            yield own


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    root = Path(smiless_core.__file__).parent
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in sorted(root.rglob("*.py"))
    }


def test_imports_point_down(sources: dict[str, str]) -> None:
    assert violations(sources) == []


def test_the_table_names_only_rooms_that_exist(sources: dict[str, str]) -> None:
    root = Path(smiless_core.__file__).parent
    rooms = {room_of(name) for name in sources} | ({"_native"} if (root / "_native").is_dir() else set())
    assert {"errors", "arrivals", "model", ""} <= rooms <= set(HEIGHT)


@pytest.mark.parametrize(
    ("name", "source", "complaint"),
    [
        ("model.plan", "from smiless_core.timing import latency", "which is not below"),
        ("model.plan", "import smiless_core.solver.exact", "which is not below"),
        ("model.plan", "from ..solver import exact", "which is not below"),
        ("model.plan", "def plan_of():\n    from smiless_core.solver.exact import X", "which is not below"),
        ("model.plan", "if TYPE_CHECKING:\n    from smiless_core.cli import main", "which is not below"),
        ("timing", "from smiless_core.catalog import applications", "which is not below"),
        ("timing", "from . import fitting", "which is not below"),
        ("timing", "import smiless_core", "which is not below"),
        ("timing", "from smiless_core import Application", "which is not below"),
        ("timing", "from smiless_core import catalog", "which is not below"),
        ("errors", "from smiless_core import validation", "which is not below"),
        ("timing", "from smiless_core._native import search", "may"),
        ("solver.milp", "from .._native import search", "may"),
        ("solver.milp", "from smiless_core import _native", "may"),
        ("schedules", "", "no room 'schedules'"),
        ("model.utils", "", "forbidden name 'utils'"),
        ("traces.common.__init__", "", "forbidden name 'common'"),
        ("timing", "def timing(): ...", "exports a function of its own name"),
        ("solver.frontier", "async def frontier(): ...", "exports a function of its own name"),
        ("solver.frontier.__init__", "from .curve import frontier", "exports a function of its own name"),
    ],
)
def test_a_planted_violation_is_found(name: str, source: str, complaint: str) -> None:
    package = {"solver.__init__": "", "model.__init__": "", "__init__": ""}
    found = violations({**package, name: source})
    assert len(found) == 1
    assert found[0].startswith(f"{name}: ")
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (
            "model.plan",
            "from smiless_core.model.noun import Noun\nfrom .noun import Noun\nfrom . import noun",
        ),
        (
            "model.plan",
            "import numpy\nimport smiless_core_plugins\nfrom smiless_core.errors import SmilessError",
        ),
        ("solver.exact", "from smiless_core._native import search"),
        ("cli", "import smiless_core\nfrom smiless_core import catalog, solve"),
        ("solver.lowering", "from smiless_core import timing, errors\nfrom ..windows import costs"),
        ("timing", "def latency(): ...\nclass Timing:\n    def timing(self): ..."),
    ],
)
def test_what_is_allowed_is_not_complained_about(name: str, source: str) -> None:
    assert violations({"solver.__init__": "", "model.__init__": "", "__init__": "", name: source}) == []
