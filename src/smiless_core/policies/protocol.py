"""What a policy sees and what it decides: the same in the simulator and on a platform.

A policy is a value: settings, and no state. `Policy.start` gives what decides for one application, anything that can be
called with an `Observation` and answers with a `Decision`; it keeps whatever state it needs. Time comes with the
observation, and randomness from the seed. An observation holds the past and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.model.directive import Directive
from smiless_core.model.problem import Problem
from smiless_core.serving import FunctionState
from smiless_core.validation import number, shown

__all__ = ["Decide", "Decision", "Observation", "Policy", "checked_decision"]


class Observation:
    """The past of one application, up to now.

    Attributes
    ----------
    now : float
        Seconds, on the clock of `arrivals`.
    arrivals : float64 array, shape (N,)
        When invocations came, ascending; read-only. Nothing in it is later than `now`.
    functions : mapping of str to FunctionState
        By name, in the order of the application.
    """

    __slots__ = ("_responses", "arrivals", "functions", "now")

    def __init__(
        self,
        now: float,
        arrivals: NDArray[np.float64],
        functions: Mapping[str, FunctionState],
        responses: Callable[[], NDArray[np.float64]],
    ) -> None:
        self.now = now
        self.arrivals = arrivals
        self.functions = functions
        self._responses = responses

    @property
    def responses(self) -> NDArray[np.float64]:
        """Seconds that each invocation of `arrivals` took; NaN while it is under way. Shape (N,)."""
        return self._responses()

    def __repr__(self) -> str:
        return f"<Observation at {self.now:g} s: {len(self.arrivals)} arrivals>"


class Decision(NamedTuple):
    """What a policy decides.

    Attributes
    ----------
    directives : mapping of str to Directive
        By function; the functions left out go on as they do. The first decision has to name all.
    wake : float or None
        When it wants to be asked again at the latest, seconds on the clock of the observation; None: never.
    at_arrivals : bool
        Whether it wants to be asked after every arrival, too. The request that came is served as decided before.
    """

    directives: Mapping[str, Directive] = MappingProxyType({})
    wake: float | None = None
    at_arrivals: bool = False


def checked_decision(decision: object, functions: Iterable[str]) -> Decision:
    """Check what a policy has answered: anybody may have written it.

    Parameters
    ----------
    decision : Decision
        The answer.
    functions : iterable of str
        The names of the functions that there are.

    Returns
    -------
    Decision
        The same.

    Raises
    ------
    InvalidInputError
        If it is none, or speaks of what is not there; the error names the place in it and the value.
    """
    names = tuple(functions)
    if not isinstance(decision, Decision):
        raise InvalidInputError(f"expected a Decision, got {shown(decision)}")
    if not isinstance(decision.directives, Mapping):
        raise InvalidInputError(
            f"expected a mapping of functions, got {shown(decision.directives)}", place="directives"
        )
    for name, directive in decision.directives.items():
        if name not in names:
            raise InvalidInputError.unknown("function", name, names, place="directives")
        if not isinstance(directive, Directive):
            raise InvalidInputError(f"expected a Directive, got {shown(directive)}", place=f"directives[{name!r}]")
    if decision.wake is not None and decision.wake != math.inf:
        number(decision.wake, "wake")
    return decision


Decide: TypeAlias = Callable[[Observation], Decision]
"""What decides for one application, from its past."""


class Policy(Protocol):
    """What decides how an application is served.

    Attributes
    ----------
    name : str
        What tables call it.
    fidelity : str
        "paper rule" where it does what its source says, else "simplified: " and what is missing. A policy of your own
        may say anything else.
    """

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def fidelity(self) -> str:
        """How near it is to its source."""
        ...

    def start(self, problem: Problem, *, now: float, seed: int) -> Decide:
        """Begin to decide for one application.

        Parameters
        ----------
        problem : Problem
            The application, its profiles and prices, and what the platform can do.
        now : float
            Seconds, on the clock of the observations to come.
        seed : int
            For all randomness.

        Returns
        -------
        Decide
            What is asked for decisions, at `now` first.
        """
        ...
