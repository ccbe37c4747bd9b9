"""The public surface: what `__all__` promises exists, is documented, and costs little to import."""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from functools import cached_property
from types import FunctionType, ModuleType

import pytest

import smiless_core

HEAVY = ["numba", "cvxpy", "scipy.optimize", "polars", "rich", "typer"]
DOCUMENTED_MEMBERS = (FunctionType, classmethod, property, cached_property)
WITHOUT_DOCSTRING = {"__version__", "Profiles"}  # a text and a type alias


def modules() -> list[str]:
    found = pkgutil.walk_packages(smiless_core.__path__, f"{smiless_core.__name__}.")
    skipped = ("._native", ".__main__")  # compiled code, and the one module that acts when it is imported
    names = [each.name for each in found if not any(part in each.name for part in skipped)]
    return [smiless_core.__name__, *names]


@pytest.mark.parametrize("name", modules())
def test_all_names_in_all_exist_once(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    promised = getattr(module, "__all__", [])
    assert len(set(promised)) == len(promised)  # ruff keeps them sorted
    assert [each for each in promised if not hasattr(module, each)] == []


def test_all_is_the_whole_public_surface() -> None:
    public = {
        name
        for name, value in vars(smiless_core).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and getattr(value, "__module__", "").startswith(smiless_core.__name__)
    }
    assert public <= set(smiless_core.__all__)
    assert smiless_core.__version__


@pytest.mark.parametrize("name", sorted(set(smiless_core.__all__) - WITHOUT_DOCSTRING))
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(smiless_core, name)
    assert (value.__doc__ or "").strip()
    if inspect.isclass(value):
        own = {each: member for each, member in vars(value).items() if not each.startswith("_")}
        members = [each for each, member in own.items() if isinstance(member, DOCUMENTED_MEMBERS)]
        assert [each for each in members if not inspect.getdoc(own[each])] == []
        assert not value.__doc__.startswith(f"{name}("), "that is the text that dataclasses make up"


def test_everything_after_the_second_argument_is_keyword_only() -> None:
    loose = []
    for name in smiless_core.__all__:
        value = getattr(smiless_core, name)
        if inspect.isfunction(value):
            positional = [
                parameter.name
                for parameter in inspect.signature(value).parameters.values()
                if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            ]
            loose += [f"{name}({', '.join(positional)})"] if len(positional) > 2 else []
    # What is served, when, and by which policies: three things that are always there, in the order of the question.
    assert loose == [
        "compare(problem, trace, policies)",
        "simulate(problem, trace, policy)",
        "sweep(problems, traces, policies)",
    ]


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = f"import sys, json, smiless_core; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
