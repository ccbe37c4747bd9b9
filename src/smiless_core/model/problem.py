"""What is to be planned: an application, its profiles and prices, and what the platform can do."""

from collections.abc import Mapping
from types import MappingProxyType

from smiless_core.errors import InvalidInputError
from smiless_core.model.application import Application
from smiless_core.model.configuration import Hardware
from smiless_core.model.noun import Noun
from smiless_core.model.prices import Prices
from smiless_core.model.profiles import Profile, Profiles
from smiless_core.validation import (
    choice,
    flag,
    mapping,
    number,
    open_fraction,
    sequence,
    shown,
    text,
    whole_number,
)

__all__ = ["Limits", "Problem"]


class Limits(Noun, frozen=True, kw_only=True):
    """What a platform can do.

    Parameters
    ----------
    min_replicas : int, default 0
        Instances of each function that the platform keeps up at all times.
    max_replicas : int, optional
        The most instances of one function; at least 1 and at least `min_replicas`. None: no limit.
    min_keep_alive : float, default 0
        The least time that an instance stays after each service, in seconds.
    announces_arrivals : bool, default False
        Whether the platform tells of an arrival at once, so that functions further down can begin to
        initialize.
    sizes : mapping of Hardware or str to tuple of float, optional
        The sizes on offer by kind of hardware; a kind that is missing is not offered. None: those of each
        profile.

    Raises
    ------
    InvalidInputError
        If a value is out of range.
    """

    min_replicas: int = 0
    max_replicas: int | None = None
    min_keep_alive: float = 0.0
    announces_arrivals: bool = False
    sizes: Mapping[Hardware, tuple[float, ...]] | None = None

    def __post_init__(self) -> None:
        least = whole_number(self.min_replicas, "min_replicas", at_least=0)
        most = self.max_replicas
        self._set(
            min_replicas=least,
            max_replicas=None if most is None else whole_number(most, "max_replicas", at_least=max(1, least)),
            min_keep_alive=number(self.min_keep_alive, "min_keep_alive", at_least=0.0),
            announces_arrivals=flag(self.announces_arrivals, "announces_arrivals"),
            sizes=None if self.sizes is None else _checked_sizes(self.sizes),
        )


class ProblemInputs(Noun, frozen=True):
    """What a problem is about: an application, its profiles and the prices.

    Parameters
    ----------
    application : Application
        What to plan.
    profiles : mapping of str to Profile
        At least the profiles that the functions name.
    prices : Prices
        What hardware costs.
    """

    application: Application
    profiles: Profiles
    prices: Prices


class Problem(ProblemInputs, frozen=True, kw_only=True):
    """A planning problem.

    Parameters
    ----------
    application : Application
        What to plan.
    profiles : mapping of str to Profile
        At least the profiles that the functions name. Kept as a read-only copy.
    prices : Prices
        What hardware costs.
    limits : Limits, optional
        What the platform can do; by default, everything but announcing arrivals.
    concurrency : int, default 1
        Requests that arrive together, at least 1.
    std_multiple : float, default 3
        Plans reckon with a cold start of the mean plus this many standard deviations.
    cold_start_quantile : float, optional
        Plans reckon with this quantile of the cold start instead, in (0, 1).

    Raises
    ------
    InvalidInputError
        If a value is out of range, a profile is missing, or the limits leave nothing for a function to run
        on.
    """

    limits: Limits = Limits()
    concurrency: int = 1
    std_multiple: float = 3.0
    cold_start_quantile: float | None = None

    def __post_init__(self) -> None:
        for name, kind in (("application", Application), ("prices", Prices), ("limits", Limits)):
            if not isinstance(getattr(self, name), kind):
                wrong = shown(getattr(self, name))
                raise InvalidInputError(f"expected an instance of {kind.__name__}, got {wrong}", place=name)
        quantile = self.cold_start_quantile
        self._set(
            profiles=MappingProxyType(_checked_profiles(self.profiles)),
            concurrency=whole_number(self.concurrency, "concurrency", at_least=1),
            std_multiple=number(self.std_multiple, "std_multiple", at_least=0.0),
            cold_start_quantile=None if quantile is None else open_fraction(quantile, "cold_start_quantile"),
        )
        for index, function in enumerate(self.application.functions):
            if function.profile not in self.profiles:
                place = f"functions[{index}].profile"
                raise InvalidInputError.unknown("profile", function.profile, self.profiles, place=place)
            if not any(self.sizes(index, kind) for kind in Hardware):
                raise InvalidInputError(
                    f"the limits leave no size that profile {function.profile!r} has measured",
                    place=f"functions[{index}]",
                )

    def profile(self, function_index: int) -> Profile:
        """Return the profile of a function.

        Parameters
        ----------
        function_index : int
            The index of the function in the application.

        Returns
        -------
        Profile
            Its profile.
        """
        return self.profiles[self.application.functions[function_index].profile]

    def sizes(self, function_index: int, hardware: Hardware) -> tuple[float, ...]:
        """Return the sizes that a function may get: those on offer, within what its profile has measured.

        Parameters
        ----------
        function_index : int
            The index of the function in the application.
        hardware : Hardware
            The kind of hardware.

        Returns
        -------
        tuple of float
            Ascending; empty where the profile lacks the kind or the limits leave nothing of it.
        """
        model = self.profile(function_index).hardware.get(hardware)
        if model is None:
            return ()
        if self.limits.sizes is None:
            return model.sizes
        offered = self.limits.sizes.get(hardware, ())
        return tuple(size for size in offered if model.sizes[0] <= size <= model.sizes[-1])


def _checked_sizes(sizes: object) -> Mapping[Hardware, tuple[float, ...]]:
    checked: dict[Hardware, tuple[float, ...]] = {}
    for key, given in mapping(sizes, "sizes").items():
        kind = choice(key, Hardware, place="sizes", what="hardware kind")
        place = f"sizes.{kind}"
        offered = [kind.checked_size(size, f"{place}[{at}]") for at, size in enumerate(sequence(given, place))]
        if not offered:
            raise InvalidInputError("expected at least one size, got none", place=place)
        checked[kind] = tuple(sorted(set(offered)))
    if not checked:
        raise InvalidInputError("expected at least one kind of hardware, got none", place="sizes")
    return MappingProxyType({kind: checked[kind] for kind in Hardware if kind in checked})


def _checked_profiles(profiles: object) -> dict[str, Profile]:
    checked: dict[str, Profile] = {}
    for key, profile in mapping(profiles, "profiles").items():
        name = text(key, "profiles")
        if not isinstance(profile, Profile):
            raise InvalidInputError(f"expected a Profile, got {shown(profile)}", place=f"profiles[{name!r}]")
        checked[name] = profile
    return checked
