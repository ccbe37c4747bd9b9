"""How long a function takes, and how long an instance of it takes to be ready."""

import math
from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from smiless_core.errors import InvalidInputError
from smiless_core.model.configuration import Hardware
from smiless_core.model.noun import Noun
from smiless_core.validation import (
    choice,
    mapping,
    number,
    numbers,
    open_fraction,
    sequence,
    shown,
    text,
    whole_number,
)

__all__ = ["HardwareProfile", "Profile", "Profiles"]

_Number = TypeVar("_Number", int, float)


class HardwareProfile(Noun, frozen=True, kw_only=True):
    """The latency and cold-start model of one function on one kind of hardware.

    A batch of b requests on size r takes ``b * (alpha / r + beta) + gamma + dispatch`` seconds. It never
    rises with the size and never falls with the batch.

    Parameters
    ----------
    alpha : float
        Work that a larger size speeds up, in unit-seconds per request.
    beta : float
        Work that it does not, in seconds per request.
    gamma : float
        Seconds per batch.
    dispatch : float, default 0
        Seconds to hand the batch over. All four are at least 0, and alpha, beta and gamma not all 0.
    cold_start_mean : float
        Mean seconds from the start of an instance until it is ready.
    cold_start_std : float, default 0
        Standard deviation of the same.
    cold_start_samples : tuple of float, optional
        Measured cold starts, in seconds; used for quantiles where there are any.
    sizes : tuple of float
        The sizes that were measured and are offered, in cores or shares. Kept ascending.
    batches : tuple of int
        The batch sizes that were measured and are offered. Kept ascending.

    Raises
    ------
    InvalidInputError
        If a value is out of range.

    Notes
    -----
    The form of the latency is that of Lu et al., "SMIless: Serving DAG-based Inference with Dynamic
    Invocations under Serverless Computing", SC 2024, with the coefficients constrained to be non-negative.
    """

    alpha: float
    beta: float
    gamma: float
    dispatch: float = 0.0
    cold_start_mean: float
    cold_start_std: float = 0.0
    cold_start_samples: tuple[float, ...] = ()
    sizes: tuple[float, ...]
    batches: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma", "dispatch", "cold_start_mean", "cold_start_std"):
            self._set(**{name: number(getattr(self, name), name, at_least=0.0)})
        if self.alpha + self.beta + self.gamma <= 0.0:
            raise InvalidInputError("alpha, beta and gamma are all 0: expected at least one above 0", place="alpha")
        batches = sequence(self.batches, "batches")
        self._set(
            cold_start_samples=numbers(self.cold_start_samples, "cold_start_samples", at_least=0.0),
            sizes=_ascending(numbers(self.sizes, "sizes", above=0.0), "sizes"),
            batches=_ascending(
                tuple(whole_number(batch, f"batches[{at}]", at_least=1) for at, batch in enumerate(batches)),
                "batches",
            ),
        )

    def latency(self, batch: int, size: float, *, extrapolate: bool = False) -> float:
        """Return the inference time on a warm instance, dispatch included.

        Parameters
        ----------
        batch : int
            Requests served together.
        size : float
            Cores or share of the instance.
        extrapolate : bool, default False
            Whether to answer outside the measured sizes and batches too.

        Returns
        -------
        float
            Seconds.

        Raises
        ------
        InvalidInputError
            If the batch or the size is not valid, or lies outside what was measured.
        """
        requests = whole_number(batch, "batch", at_least=1)
        units = number(size, "size", above=0.0)
        if not extrapolate:
            for what, value, measured in (("batch", requests, self.batches), ("size", units, self.sizes)):
                if not measured[0] <= value <= measured[-1]:
                    outside = f"{value:g} is outside the measured range, {measured[0]:g} to {measured[-1]:g}"
                    raise InvalidInputError(outside, place=what)
        return requests * (self.alpha / units + self.beta) + self.gamma + self.dispatch

    def cold_start(self, *, std_multiple: float = 3.0, quantile: float | None = None) -> float:
        """Return the one cold-start time that plans reckon with.

        Parameters
        ----------
        std_multiple : float, default 3
            How many standard deviations above the mean.
        quantile : float, optional
            Take this quantile instead, in (0, 1): of the samples where there are any (the smallest one that
            at least this fraction of them does not exceed), else of a normal distribution cut at 0.

        Returns
        -------
        float
            Seconds.

        Raises
        ------
        InvalidInputError
            If the multiple is negative or the quantile is not in (0, 1).
        """
        if quantile is None:
            multiple = number(std_multiple, "std_multiple", at_least=0.0)
            return self.cold_start_mean + multiple * self.cold_start_std
        fraction = open_fraction(quantile, "quantile")
        if self.cold_start_samples:
            samples = sorted(self.cold_start_samples)
            # A product such as 0.07 * 100 may come out just above the whole number that it stands for.
            rank = math.ceil(fraction * len(samples) * (1.0 - 1e-15))
            return samples[max(rank, 1) - 1]
        if self.cold_start_std == 0.0:
            return self.cold_start_mean
        from statistics import NormalDist

        return max(0.0, NormalDist(self.cold_start_mean, self.cold_start_std).inv_cdf(fraction))


class Profile(Noun, frozen=True):
    """The latency and cold-start models of one function, by kind of hardware.

    Parameters
    ----------
    name : str
        What functions refer to it by.
    hardware : mapping of Hardware or str to HardwareProfile
        At least one kind. Kept read-only, in the order of `Hardware`.

    Raises
    ------
    InvalidInputError
        If there is none, a kind is unknown, or a gpu size is not a share in (0, 1].
    """

    name: str
    hardware: Mapping[Hardware, HardwareProfile]

    def __post_init__(self) -> None:
        self._set(name=text(self.name, "name"))
        given: dict[Hardware, HardwareProfile] = {}
        for key, model in mapping(self.hardware, "hardware").items():
            kind = choice(key, Hardware, place="hardware", what="hardware kind")
            if not isinstance(model, HardwareProfile):
                raise InvalidInputError(f"expected a HardwareProfile, got {shown(model)}", place=f"hardware.{kind}")
            for index, size in enumerate(model.sizes):
                kind.checked_size(size, f"hardware.{kind}.sizes[{index}]")
            given[kind] = model
        if not given:
            raise InvalidInputError("a profile needs at least one kind of hardware, got none", place="hardware")
        self._set(hardware=MappingProxyType({kind: given[kind] for kind in Hardware if kind in given}))


Profiles: TypeAlias = Mapping[str, Profile]
"""Profiles by name."""


def _ascending(values: tuple[_Number, ...], place: str) -> tuple[_Number, ...]:
    if not values:
        raise InvalidInputError("expected at least one value, got none", place=place)
    ordered = tuple(sorted(values))
    for low, high in pairwise(ordered):
        if low == high:
            raise InvalidInputError(f"{low:g} is given twice", place=place)
    return ordered
