"""The exception tree: one line each, and unharmed by pickling."""

import copy
import pickle
import re

import pytest

from smiless_core import errors
from smiless_core.errors import (
    InfeasibleError,
    InvalidInputError,
    MissingExtraError,
    SmilessError,
    SolverError,
)

EXAMPLES = [
    InvalidInputError("expected text, got 3", place="functions[2].profile", file="app.yaml"),
    InfeasibleError("the sla of 1 s cannot be met", 2.5, ("detect", "recognize")),
    SolverError("the plan costs 2, not 1"),
    MissingExtraError("report", "writing a report"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_survive_pickle_and_copy(error: SmilessError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_is_in_the_tree_and_in_its_drawing(error: SmilessError) -> None:
    assert isinstance(error, SmilessError)
    assert errors.__doc__ is not None
    drawn = re.search(rf"─ {type(error).__name__} +(?:\(also an? (\w+)\))?", errors.__doc__)
    assert drawn is not None
    also = drawn.group(1)
    assert also is None or also in [ancestor.__name__ for ancestor in type(error).__mro__]


@pytest.mark.parametrize(
    ("file", "place", "expected"),
    [
        ("app.yaml", "sla", "app.yaml: sla: too small"),
        ("app.yaml", "", "app.yaml: too small"),
        ("", "sla", "sla: too small"),
        ("", "", "too small"),
    ],
)
def test_an_invalid_input_names_file_and_place(file: str, place: str, expected: str) -> None:
    assert str(InvalidInputError("too small", file=file, place=place)) == expected


def test_an_error_is_one_printable_line_whatever_it_quotes() -> None:
    error = InvalidInputError("a\nb\x1b[31m", place="c\r", file="d\udcff")
    assert str(error) == "d\\udcff: c\\r: a\\nb\\x1b[31m"
    assert str(InfeasibleError("a\nb", 1.0, ())).isprintable()
    assert str(MissingExtraError("report", "a\nb")).isprintable()


@pytest.mark.parametrize(
    ("inner", "outer", "joined"),
    [
        ("profile", "functions[2]", "functions[2].profile"),
        ("[1]", "edges", "edges[1]"),
        ("", "edges", "edges"),
        ("sla", "", "sla"),
    ],
)
def test_within_puts_what_contains_a_place_in_front_of_it(inner: str, outer: str, joined: str) -> None:
    error = InvalidInputError("wrong", place=inner)
    assert error.within(place=outer).place == joined
    assert error.place == inner


def test_within_keeps_the_innermost_file() -> None:
    error = InvalidInputError("wrong").within(file="inner.yaml").within(file="outer.yaml")
    assert error.file == "inner.yaml"


@pytest.mark.parametrize(
    ("name", "known", "message"),
    [
        ("detection", ["detect", "caption"], "no function named 'detection' (did you mean 'detect'?)"),
        ("asr", ["detect", "caption"], "no function named 'asr' (known: detect, caption)"),
        ("asr", [], "no function named 'asr'"),
        (3, ["detect"], "no function named 3 (known: detect)"),
    ],
)
def test_an_unknown_name_comes_with_a_suggestion(name: object, known: list[str], message: str) -> None:
    assert InvalidInputError.unknown("function", name, known).message == message


def test_an_unknown_name_stays_short_among_many_and_however_long_it_is() -> None:
    many = [f"function-{index}" for index in range(1000)]
    message = InvalidInputError.unknown("function", "x" * 10**6, many).message
    assert len(message) < 400
    assert message.endswith(", ...)")


def test_a_missing_extra_says_what_to_install() -> None:
    expected = "writing a report needs the optional dependencies 'report': pip install 'smiless-core[report]'"
    assert str(MissingExtraError("report", "writing a report")) == expected
