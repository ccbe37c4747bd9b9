"""The public face of the distributions: what can be asked of X, and how one says what X is."""

from collections.abc import Callable, Iterable
from typing import TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from smiless_core.arrivals.atoms import Atoms, discretized
from smiless_core.arrivals.cells import Cells, cells_of
from smiless_core.arrivals.compound import Mixture, Remainder
from smiless_core.arrivals.empirical import Empirical
from smiless_core.arrivals.grid import SurvivalGrid
from smiless_core.arrivals.inputs import LONGEST, SHORTEST, finite, nanoseconds, sequence_of
from smiless_core.arrivals.laws import Exponential, Gamma, Law, Point
from smiless_core.arrivals.smoothing import Smoothed, smoothed
from smiless_core.errors import InvalidInputError
from smiless_core.validation import number, sequence, shown, whole_number

__all__ = ["Arrivals"]

Floats = NDArray[np.float64]
Values = TypeVar("Values", float, Floats)

# 1 - q is rounded: without this the 0.9-quantile of ten gaps would be the tenth and not the ninth.
_ROUNDING = 4.0 * float(np.finfo(np.float64).eps)


class Arrivals(msgspec.Struct, frozen=True):
    """The distribution of X, the time from one arrival to the next, given what has been seen.

    It is made by one of the constructors below. A method that takes a time or a fraction takes a number, and
    returns one, or an array, and returns one of the same shape. Times are seconds since the last arrival.

    Parameters
    ----------
    law : Law
        What the constructors make.

    Raises
    ------
    InvalidInputError
        By every constructor and method for a value that is no number or out of range, naming it.

    Examples
    --------
    >>> arrivals = Arrivals.every(10)
    >>> print(arrivals)
    every 10 s
    >>> arrivals.survival(9.5), arrivals.survival(10.0), arrivals.at_least(10.0)
    (1.0, 0.0, 1.0)
    >>> arrivals = Arrivals.empirical([4.0, 1.0, 1.0, 10.0])
    >>> print(arrivals)
    empirical, 4 gaps, mean 4 s
    >>> arrivals.quantile(0.5), arrivals.expected_minimum(2.0), arrivals.after(1.0).mean
    (1.0, 1.5, 7.0)
    """

    law: Law

    def __post_init__(self) -> None:
        law: object = self.law
        if not isinstance(law, Law):
            wanted = "a distribution, as in Arrivals.every(10.0)"
            raise InvalidInputError(f"expected {wanted}, got {shown(law)}", place="law")

    # -- what X is ----------------------------------------------------------------------------------------

    @classmethod
    def every(cls, interval: float) -> "Arrivals":
        """Return arrivals that are always ``interval`` seconds apart, at least one nanosecond."""
        return cls(Point(_interval(interval, "interval")))

    @classmethod
    def empirical(cls, inter_arrivals: ArrayLike) -> "Arrivals":
        """Return arrivals of which every recorded gap is equally probable.

        Parameters
        ----------
        inter_arrivals : array_like of float, shape (count,)
            Seconds from each arrival to the next, in the order in which they came, which `sequence` keeps.
            Zeros are simultaneous arrivals. Rounded to whole nanoseconds.

        Returns
        -------
        Arrivals
            With an atom, exactly, at each of these gaps.

        Raises
        ------
        InvalidInputError
            If there is no gap, or one is not a number from 0 to 4.6e9, or all of them are 0.
        """
        return cls(Empirical(_recorded(inter_arrivals)))

    @classmethod
    def smoothed(cls, inter_arrivals: ArrayLike) -> "Arrivals":
        """Return arrivals estimated from recorded gaps, with gaps near those recorded as well.

        Every gap g is spread as a triangular density of half-width beta g around it, where beta is a mixture of
        1, .3, .1, .03, .01, .003 and .001 with the weights that predict best a gap that was left out: wide for
        random arrivals or few of them, narrow for timers. The mean stays that of the gaps.

        Parameters
        ----------
        inter_arrivals : array_like of float, shape (count,)
            Seconds from each arrival to the next, in the order in which they came, which `sequence` keeps.
            Zeros are simultaneous arrivals, and stay an atom. Rounded to whole nanoseconds.

        Returns
        -------
        Arrivals
            With a survival that is straight between no more than about 800 times. If there are several gaps
            and all of them are equal, deterministic.

        Raises
        ------
        InvalidInputError
            If there is no gap, or one is not a number from 0 to 4.6e9, or all of them are 0.
        """
        gaps = _recorded(inter_arrivals)
        if gaps.size > 1 and (gaps == gaps[0]).all():
            return cls(Point(int(gaps[0]) / 1e9))
        return cls(smoothed(gaps))

    @classmethod
    def exponential(cls, mean: float) -> "Arrivals":
        """Return arrivals of a Poisson process, ``mean`` seconds apart in the mean."""
        return cls(Exponential(_interval(mean, "mean")))

    @classmethod
    def gamma(cls, *, mean: float, shape: float) -> "Arrivals":
        """Return gamma distributed gaps.

        Parameters
        ----------
        mean : float
            Seconds.
        shape : float
            One over the squared coefficient of variation, from 0.001 to 1e9: regular above 1, bursty below.

        Returns
        -------
        Arrivals
            The distribution.
        """
        return cls(Gamma(_interval(mean, "mean"), number(shape, "shape", at_least=1e-3, at_most=1e9)))

    @classmethod
    def hyper_exponential(cls, *, weights: Iterable[float], means: Iterable[float]) -> "Arrivals":
        """Return the mixture of exponential gaps with these weights and means (seconds)."""
        phases = [_interval(mean, f"means[{i}]") for i, mean in enumerate(sequence(means, "means"))]
        return cls.mixture(weights=weights, components=[cls(Exponential(phase)) for phase in phases])

    @classmethod
    def mixture(cls, *, weights: Iterable[float], components: Iterable["Arrivals"]) -> "Arrivals":
        """Return gaps that follow one of several distributions, each time a random one.

        Parameters
        ----------
        weights : iterable of float
            The probability of each; above 0, adding up to 1 within 1e-9.
        components : iterable of Arrivals
            The distributions.

        Returns
        -------
        Arrivals
            The mixture; of one component, that component.

        Raises
        ------
        InvalidInputError
            If there is not one weight per component, or a value is wrong.
        """
        parts = sequence(components, "components")
        given = sequence(weights, "weights")
        shares = [number(share, f"weights[{i}]", above=0.0) for i, share in enumerate(given)]
        laws = []
        for i, part in enumerate(parts):
            if not isinstance(part, Arrivals):
                raise InvalidInputError(f"expected Arrivals, got {shown(part)}", place=f"components[{i}]")
            laws.append(part.law)
        if not laws or len(shares) != len(laws):
            raise InvalidInputError(f"expected one weight for each of {len(laws)}", place="weights")
        total = sum(shares)
        if abs(total - 1.0) > 1e-9:
            raise InvalidInputError(f"expected weights that add up to 1, got {total:g}", place="weights")
        if len(laws) == 1:
            return cls(laws[0])
        return cls(Mixture(tuple(share / total for share in shares), tuple(laws)))

    @classmethod
    def from_survival(cls, *, times: ArrayLike, survival: ArrayLike, tail_excess: float = 0.0) -> "Arrivals":
        """Return the distribution with these survival probabilities.

        P(X > x) is linear from 1 at 0 through the points given, and beyond them the rest is exponential.

        Parameters
        ----------
        times : array_like of float, shape (count,)
            Seconds from 0 to 4.6e9, not descending. Twice the same time is an atom.
        survival : array_like of float, shape (count,)
            P(X > x) at these times, from 1 to 0, not ascending.
        tail_excess : float, default 0
            E[X - x | X > x] at the last time x, seconds. Has no effect where that survival is 0.

        Returns
        -------
        Arrivals
            The distribution.

        Raises
        ------
        InvalidInputError
            If the arrays do not fit, or a probability is left at the last time and `tail_excess` is not
            above 0, or X is always 0.
        """
        at = sequence_of(times, "times", at_least=0.0, at_most=LONGEST)
        left = sequence_of(survival, "survival", at_least=0.0, at_most=1.0)
        if at.size != left.size:
            raise InvalidInputError(f"expected {at.size} values, got {left.size}", place="survival")
        _ordered(np.diff(at) < 0.0, at, place="times", wanted="ascending times")
        _ordered(np.diff(left) > 0.0, left, place="survival", wanted="descending probabilities")
        excess = number(tail_excess, "tail_excess", at_least=0.0, at_most=LONGEST)
        if left[-1] > 0.0 and excess < SHORTEST:
            rest = f"as survival ends at {left[-1]:g}"
            raise InvalidInputError(f"expected at least 1e-09 {rest}, got {excess:g}", place="tail_excess")
        law = SurvivalGrid(at, left, excess)
        if law.mean < SHORTEST:
            raise InvalidInputError(f"all gaps are 0: the mean is {law.mean:g} s", place="survival")
        return cls(law)

    # -- what can be asked of it --------------------------------------------------------------------------

    @property
    def mean(self) -> float:
        """E[X], in seconds."""
        return self.law.mean

    @property
    def kind(self) -> str:
        """What it is called: deterministic, empirical, smoothed, exponential, gamma, mixture, survival or remainder."""
        return "deterministic" if self.is_deterministic else self.law.kind

    @property
    def is_deterministic(self) -> bool:
        """Whether X has one value only."""
        return self.law.floor == self.law.ceiling

    @property
    def is_conditioned(self) -> bool:
        """Whether some of the gap has passed: the gaps after it are not distributed like this."""
        return isinstance(self.law, Remainder)

    @property
    def interval(self) -> float:
        """The one value of deterministic arrivals, in seconds.

        Raises
        ------
        InvalidInputError
            If X has more than one value.
        """
        if not self.is_deterministic:
            raise InvalidInputError(f"expected deterministic arrivals, got {self}", place="interval")
        return self.law.floor

    @property
    def sequence(self) -> NDArray[np.int64] | None:
        """The recorded gaps in the order in which they came, whole nanoseconds; None if it is not made of such.

        `after` does not change it, because it says nothing about the gaps after the present one.
        """
        law = self.law.law if isinstance(self.law, Remainder) else self.law
        return law.sequence if isinstance(law, Empirical | Smoothed) else None

    def survival(self, elapsed: Values) -> Values:
        """Return P(X > elapsed): that the next arrival is still to come, and does not come now."""
        return _answer(elapsed, "elapsed", lambda x: np.where(x < 0.0, 1.0, self.law.survival(_real(x))))

    def at_least(self, elapsed: Values) -> Values:
        """Return P(X >= elapsed): that the next arrival is still to come, or comes now."""
        return _answer(elapsed, "elapsed", lambda x: self.law.at_least(_real(x)))

    def quantile(self, fraction: Values) -> Values:
        """Return the smallest x with P(X <= x) >= fraction, which is in (0, 1]; inf if there is none."""
        return _answer(fraction, "fraction", self._quantile)

    def partial_expectation(self, limit: Values) -> Values:
        """Return E[X; X <= limit], in seconds: the part of the mean that gaps up to the limit have."""

        def partial(x: Floats) -> Floats:
            least = np.where(x < 0.0, 0.0, x * self.law.survival(_real(x)))
            return np.where(x < self.law.floor, 0.0, np.maximum(self._minimum(x) - least, 0.0))

        return _answer(limit, "limit", partial)

    def expected_minimum(self, limit: Values) -> Values:
        """Return E[min(X, limit)], in seconds."""
        return _answer(limit, "limit", self._minimum)

    def after(self, elapsed: float) -> "Arrivals":
        """Return the distribution given that no arrival has come for some time.

        Parameters
        ----------
        elapsed : float
            Seconds since the last arrival, at least 0. X is still measured from the last arrival.

        Returns
        -------
        Arrivals
            X given that X > elapsed.

        Raises
        ------
        InvalidInputError
            If X never is that long.
        """
        law, since = self.law, number(elapsed, "elapsed", at_least=0.0, at_most=LONGEST)
        left = self.survival(since)
        if left == 0.0:
            raise InvalidInputError(f"expected less than {law} can last, got {since:g}", place="elapsed")
        if left == 1.0 or since < law.floor:
            return self
        if isinstance(law, Remainder):
            law = law.law
        return Arrivals(Remainder(law, since))

    def sample(self, count: int, *, seed: int) -> Floats:
        """Return independent samples of X.

        Parameters
        ----------
        count : int
            How many.
        seed : int
            The same seed gives the same samples.

        Returns
        -------
        ndarray of float64, shape (count,)
            Seconds. They do not keep the order of empirical gaps.
        """
        size = whole_number(count, "count", at_least=0)
        generator = np.random.default_rng(whole_number(seed, "seed", at_least=0))
        return self.law.draw(size, generator)

    def atoms(self, resolution: float = 0.005) -> Atoms:
        """Return the distribution as atoms, exact for deterministic and empirical arrivals.

        Parameters
        ----------
        resolution : float, default 0.005
            The relative width of the cells that other distributions are cut into, from 1e-5 to 1, which is
            also the most probability that a cell holds.

        Returns
        -------
        Atoms
            With a bound on their error, which falls with the square of the resolution.
        """
        return discretized(self.law, number(resolution, "resolution", at_least=1e-5, at_most=1.0))

    def cells(self, resolution: float = 0.02) -> Cells:
        """Return the distribution as atoms and cells of even density.

        Parameters
        ----------
        resolution : float, default 0.02
            The relative width of the cells that distributions with curved survival are cut into, from 1e-5 to 1,
            which is also the most probability that a cell holds.

        Returns
        -------
        Cells
            With a bound on their error: exact for deterministic, empirical and smoothed arrivals, and for
            survival curves without a tail, but for whole nanoseconds.
        """
        return cells_of(self.law, number(resolution, "resolution", at_least=1e-5, at_most=1.0))

    def path(self, count: int, *, seed: int = 0) -> NDArray[np.int64]:
        """Return gaps that follow each other, as they could be recorded.

        Parameters
        ----------
        count : int
            How many to aim at, at least 2.
        seed : int, default 0
            The same seed gives the same gaps.

        Returns
        -------
        ndarray of int64
            Whole nanoseconds. Of empirical arrivals, the recorded gaps in their order, however many they are;
            of smoothed ones these, repeated as a whole until there are `count`, and each of them spread anew.
            Of others, `count` quantiles at evenly spaced fractions in random order. `after` does not change it,
            because it says nothing about the gaps after the present one.
        """
        size = whole_number(count, "count", at_least=2)
        generator = np.random.default_rng(whole_number(seed, "seed", at_least=0))
        law = self.law.law if isinstance(self.law, Remainder) else self.law
        if isinstance(law, Smoothed):
            return law.path(size, generator)
        if isinstance(law, Empirical) and law.sequence.size > 1:
            return law.sequence
        stratified = law.inverse((np.arange(size) + 0.5) / size)
        return nanoseconds(generator.permutation(np.minimum(stratified, LONGEST)))

    def _minimum(self, x: Floats) -> Floats:
        # Up to the smallest X it is x, without any rounding; it is never more, and never more than the mean.
        mean = self.law.mean
        return np.minimum(np.where(x <= self.law.floor, mean, mean - self.law.excess(_real(x))), x)

    def _quantile(self, q: Floats) -> Floats:
        wrong = (q <= 0.0) | (q > 1.0)
        if wrong.any():
            got = shown(float(q[wrong].flat[0]))
            raise InvalidInputError(f"expected a fraction in (0, 1], got {got}", place="fraction")
        return self.law.inverse(np.where(q < 1.0, np.minimum(1.0 - q + _ROUNDING, 1.0), 0.0))

    def __str__(self) -> str:
        return str(self.law)

    def __repr__(self) -> str:
        return f"Arrivals({self.law})"


def _recorded(inter_arrivals: ArrayLike) -> NDArray[np.int64]:
    place = "inter_arrivals"
    gaps = nanoseconds(sequence_of(inter_arrivals, place, at_least=0.0, at_most=LONGEST))
    if not gaps.any():
        raise InvalidInputError(f"all {gaps.size} arrivals are simultaneous", place=place)
    return gaps


def _interval(value: object, place: str) -> float:
    return number(value, place, at_least=SHORTEST, at_most=LONGEST)


def _real(x: Floats) -> Floats:
    """Bring times to where laws are defined; below 0 the answers are known."""
    return np.maximum(x, 0.0)


def _answer(values: Values, place: str, function: Callable[[Floats], Floats]) -> Values:
    given = finite(values, place)
    with np.errstate(over="ignore"):  # times far beyond the distribution
        answer = function(given)
    return cast(Values, answer if given.ndim else float(answer))  # as many as were given


def _ordered(wrong: NDArray[np.bool_], values: Floats, *, place: str, wanted: str) -> None:
    if wrong.any():
        at = int(np.argmax(wrong)) + 1
        got = f"{values[at]:g} after {values[at - 1]:g}"
        raise InvalidInputError(f"expected {wanted}, got {got}", place=f"{place}[{at}]")
