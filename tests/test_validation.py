"""Checks of single values."""

import math
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smiless_core import validation
from smiless_core.errors import InvalidInputError


class Color(StrEnum):
    RED = "red"
    GREEN = "green"


def message(check: object, *arguments: object, **limits: object) -> str:
    with pytest.raises(InvalidInputError) as caught:
        check(*arguments, **limits)
    return str(caught.value)


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2), Fraction(2)])
def test_a_number_of_any_real_type_becomes_a_float(value: object) -> None:
    checked = validation.number(value, "sla")
    assert type(checked) is float
    assert checked == 2.0


@pytest.mark.parametrize(
    "value",
    [
        True,
        None,
        "2",
        b"2",
        [2],
        {},
        2j,
        Decimal(2),
        math.nan,
        math.inf,
        -math.inf,
        np.nan,
        10**400,
        np.True_,
    ],
    ids=repr,
)
def test_what_is_not_a_finite_number_is_refused(value: object) -> None:
    assert message(validation.number, value, "sla").startswith("sla: expected a finite number, got ")


@pytest.mark.parametrize(
    ("limits", "inside", "outside", "words"),
    [
        ({"above": 0.0}, 1e-300, 0.0, "a finite number above 0, got 0.0"),
        ({"at_least": 0.0}, 0.0, -1e-300, "a finite number of at least 0, got -1e-300"),
        ({"at_most": 1.0}, 1.0, 2, "a finite number of at most 1, got 2"),
        ({"above": 0.0, "at_most": 1.0}, 1.0, 1.5, "a finite number above 0 and of at most 1, got 1.5"),
    ],
)
def test_limits_of_a_number(limits: dict[str, float], inside: float, outside: float, words: str) -> None:
    assert validation.number(inside, "x", **limits) == inside
    assert message(validation.number, outside, "x", **limits) == f"x: expected {words}"


def test_a_whole_number_of_any_integer_type_becomes_an_int() -> None:
    assert type(validation.whole_number(np.int32(3), "batch", at_least=1)) is int
    for wrong in (0, True, 1.0, "1", None):
        assert "expected a whole number of at least 1, got" in message(
            validation.whole_number, wrong, "batch", at_least=1
        )
    assert message(validation.whole_number, 9, "batch", at_least=1, at_most=8).endswith("of at most 8, got 9")


@pytest.mark.parametrize("value", ["", " ", "a\nb", "a\x00", "\ud800", "\u200b"])
def test_text_prints(value: str) -> None:
    assert "printable text that is not blank" in message(validation.text, value, "name")


@pytest.mark.parametrize("value", ["a", "a b", "é", "物体検出", "🙂"])
def test_text_may_be_in_any_language(value: str) -> None:
    assert validation.text(value, "name") == value


def test_text_is_not_guessed_from_other_types() -> None:
    assert message(validation.text, 3, "name") == "name: expected text, got 3"
    assert message(validation.text, None, "name") == "name: expected text, got nothing"


def test_open_fraction_leaves_out_its_ends() -> None:
    assert validation.open_fraction(0.5, "q") == 0.5
    for wrong in (0.0, 1, -0.1, 1.1):
        assert message(validation.open_fraction, wrong, "q").startswith("q: expected a fraction between 0 and 1")


def test_flag_takes_truth_values_only() -> None:
    assert validation.flag(True, "f") is True
    assert message(validation.flag, 1, "f") == "f: expected true or false, got 1"


def test_sequences_and_mappings_are_told_apart() -> None:
    assert validation.sequence(iter([1, 2]), "s") == (1, 2)
    assert validation.mapping({"a": 1}, "m") == {"a": 1}
    for wrong in ("ab", b"ab", {"a": 1}, 3, None):
        assert message(validation.sequence, wrong, "s").startswith("s: expected a list, got ")
    for wrong in ("ab", [("a", 1)], None):
        assert message(validation.mapping, wrong, "m").startswith("m: expected a mapping, got ")


def test_numbers_name_the_item_that_is_wrong() -> None:
    assert validation.numbers([1, 2], "sizes", above=0.0) == (1.0, 2.0)
    assert message(validation.numbers, [1, 0], "sizes", above=0.0).startswith("sizes[1]: ")


def test_choice_takes_the_word_or_the_member() -> None:
    for value in ("red", Color.RED):
        assert validation.choice(value, Color, place="c", what="color") is Color.RED
    assert (
        message(validation.choice, "gren", Color, place="c", what="color")
        == "c: no color named 'gren' (did you mean 'green'?)"
    )
    assert message(validation.choice, ["red"], Color, place="c", what="color").startswith("c: no color named")


@given(
    st.recursive(
        st.integers() | st.text() | st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_value_is_shown_shortly_on_one_line(value: object) -> None:
    text = validation.shown(value)
    assert "\n" not in text
    assert len(text) < 1000


def test_values_that_do_not_like_to_be_shown() -> None:
    assert validation.shown(10**5000) == "a int too long to show"
    assert validation.shown(np.float64(0.5)) == "0.5"
    assert validation.shown(Color.RED) == "'red'"
    assert "\n" not in validation.shown(np.zeros((30, 30)))
    deep: list[object] = []
    for _ in range(10**5):
        deep = [deep]
    assert validation.shown(deep) == "[[[...]]]"
