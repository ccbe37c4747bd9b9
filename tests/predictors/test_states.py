"""States are read as they were written, or refused."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smiless_core as sc
from smiless_core.predictors.states import array_of, bytes_of, packed, unpacked
from strategies import examples


class Known(msgspec.Struct):
    numbers: list[float]
    name: str


GOOD = packed("some-kind", 3, Known([1.5, 2.0], "a"))


def test_round_trip():
    assert unpacked(GOOD, "some-kind", 3, Known) == Known([1.5, 2.0], "a")


@pytest.mark.parametrize("cut", range(len(GOOD)))
def test_truncated(cut):
    with pytest.raises(sc.InvalidInputError, match=r"^state: "):
        unpacked(GOOD[:cut], "some-kind", 3, Known)


@pytest.mark.parametrize(
    "foreign",
    [
        GOOD + b"x",
        b"",
        b"\x91" * 100_000,
        b"\x93\xa9some-kind\x03" + b"\x91" * 100_000 + b"\x01",  # nests deeper than Python can follow
        b"\x93\xa9some-kind\x03\x82\xa7numbers\xdd\xff\xff\xff\xff",  # four thousand million numbers, it says
        b"\x93\xa1\xff\x03\x80",  # text that is none
        b'["some-kind", 3, {}]',
        "text",
        None,
        7,
    ],
)
def test_foreign(foreign):
    with pytest.raises(sc.InvalidInputError, match=r"^state: "):
        unpacked(foreign, "some-kind", 3, Known)


@examples(100)
@given(st.binary(max_size=40), st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_any_bytes(noise, at, byte):
    damaged = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    for state in (noise, damaged, GOOD[:at] + noise):
        try:
            found = unpacked(state, "some-kind", 3, Known)
        except sc.InvalidInputError:
            continue
        assert isinstance(found, Known)


def test_kind_and_version_are_told():
    with pytest.raises(sc.InvalidInputError, match="other, version 3, got some-kind, version 3"):
        unpacked(GOOD, "other", 3, Known)
    with pytest.raises(sc.InvalidInputError, match="version 4, got some-kind, version 3"):
        unpacked(GOOD, "some-kind", 4, Known)


def test_arrays():
    values = np.array([0.0, -1.5, 1e300])
    data = bytes_of(values)
    assert data == bytes_of(values.astype(">f8"))  # the same on every machine
    found = array_of(data, "state.x", at_most=3)
    assert found.tolist() == values.tolist()
    found[0] = 1.0
    assert array_of(b"", "state.x", at_most=0, least=0.0, most=1.0).size == 0
    for wrong, settings in (
        (data[:-1], {"at_most": 3}),
        (data, {"at_most": 2}),
        (data, {"at_most": 3, "least": -1.0}),
        (data, {"at_most": 3, "most": 1e299}),
        (bytes_of(np.array([math.nan])), {"at_most": 3}),
    ):
        with pytest.raises(sc.InvalidInputError, match=r"^state\.x"):
            array_of(wrong, "state.x", **settings)
