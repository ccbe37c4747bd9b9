"""Applications: directed acyclic graphs of functions, with a latency bound for the whole."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import pairwise
from types import MappingProxyType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from smiless_core.errors import InvalidInputError
from smiless_core.model.noun import Noun
from smiless_core.validation import number, sequence, shown, text

__all__ = ["Application", "Function"]


class Function(Noun, frozen=True):
    """One inference step of an application.

    Parameters
    ----------
    name : str
        Its name, unique within the application.
    profile : str
        The name of the profile that tells its latency and cold start.

    Raises
    ------
    InvalidInputError
        If either is not printable text.
    """

    name: str
    profile: str

    def __post_init__(self) -> None:
        self._set(name=text(self.name, "name"), profile=text(self.profile, "profile"))


class FunctionGraph(Noun, frozen=True, dict=True):
    """The graph of an application: its functions, and what must finish before what.

    Functions are known by name outside and by index, their position in `functions`, inside.

    Parameters
    ----------
    functions : tuple of Function
        At least one.
    edges : tuple of (str, str)
        Pairs of names: the second function starts when the first, and all its other predecessors, have
        finished.

    Raises
    ------
    InvalidInputError
        If there is no function, a name is taken twice, or an edge is repeated, leads nowhere or closes a
        cycle.
    """

    functions: tuple[Function, ...]
    edges: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        self._set(functions=_checked_functions(self.functions))
        self._set(edges=_checked_edges(self.edges, self.index))
        if len(self.order) < len(self.functions):
            cycle = " -> ".join(self.names[index] for index in self._cycle())
            raise InvalidInputError(f"the edges close a cycle: {cycle}", place="edges")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the functions."""
        return tuple(function.name for function in self.functions)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The index of each function by name."""
        return MappingProxyType({name: index for index, name in enumerate(self.names)})

    @cached_property
    def edge_array(self) -> NDArray[np.int32]:
        """The edges as indices: int32, shape (edges, 2), read-only."""
        pairs = [(self.index[source], self.index[target]) for source, target in self.edges]
        array = np.array(pairs, dtype=np.int32).reshape(-1, 2)
        array.flags.writeable = False
        return array

    @cached_property
    def predecessors(self) -> tuple[tuple[int, ...], ...]:
        """For each function, the indices of those that must finish before it, ascending."""
        return self._neighbors(backward=True)

    @cached_property
    def successors(self) -> tuple[tuple[int, ...], ...]:
        """For each function, the indices of those that wait for it, ascending."""
        return self._neighbors(backward=False)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """A topological order of the indices; the smallest index goes first where there is a choice."""
        waiting = [len(before) for before in self.predecessors]
        free = [index for index, count in enumerate(waiting) if count == 0]
        heapify(free)
        order = []
        while free:
            index = heappop(free)
            order.append(index)
            for after in self.successors[index]:
                waiting[after] -= 1
                if waiting[after] == 0:
                    heappush(free, after)
        return tuple(order)

    @cached_property
    def sources(self) -> tuple[int, ...]:
        """The functions that wait for none."""
        return tuple(index for index, before in enumerate(self.predecessors) if not before)

    @cached_property
    def sinks(self) -> tuple[int, ...]:
        """The functions that none waits for."""
        return tuple(index for index, after in enumerate(self.successors) if not after)

    def _neighbors(self, *, backward: bool) -> tuple[tuple[int, ...], ...]:
        neighbors: list[list[int]] = [[] for _ in self.functions]
        for source, target in self.edges:
            here, there = (target, source) if backward else (source, target)
            neighbors[self.index[here]].append(self.index[there])
        return tuple(tuple(sorted(indices)) for indices in neighbors)

    def _cycle(self) -> list[int]:
        """Return one cycle, its first function repeated at the end; only for an order that is incomplete."""
        # Every function that the order leaves out waits for another one that it leaves out: walk back until
        # one repeats.
        stuck = set(range(len(self.functions))).difference(self.order)
        position: dict[int, int] = {}
        path = [min(stuck)]
        while path[-1] not in position:
            position[path[-1]] = len(path) - 1
            path.append(min(stuck.intersection(self.predecessors[path[-1]])))
        return path[position[path[-1]] :][::-1]


class Application(FunctionGraph, frozen=True, dict=True, kw_only=True):
    """An application: a directed acyclic graph of functions that one invocation traverses.

    Parameters
    ----------
    functions : iterable of Function
        The inference steps, at least one.
    edges : iterable of (str, str), optional
        Pairs of function names: the second starts when the first, and all its other predecessors, have
        finished.
    sla : float
        Bound on the end-to-end latency, in seconds, above 0.
    attainment_target : float, default 0.99
        The fraction of invocations that shall meet the SLA, in (0, 1].
    name : str, default "application"
        What to call it.

    Raises
    ------
    InvalidInputError
        If a value is out of range, a name is taken twice, or an edge is repeated, leads nowhere or closes a
        cycle.

    Examples
    --------
    >>> app = Application.chain("detect", "recognize", "caption", sla=1.5)
    >>> app.edges
    (('detect', 'recognize'), ('recognize', 'caption'))
    >>> app.replace(sla=1.0).sla
    1.0
    """

    sla: float
    attainment_target: float = 0.99
    name: str = "application"

    def __post_init__(self) -> None:
        self._set(
            name=text(self.name, "name"),
            sla=number(self.sla, "sla", above=0.0),
            attainment_target=number(self.attainment_target, "attainment_target", above=0.0, at_most=1.0),
        )
        super().__post_init__()

    @classmethod
    def chain(
        cls,
        *functions: str | Function,
        sla: float,
        attainment_target: float = 0.99,
        name: str = "application",
    ) -> Self:
        """Return an application whose functions run one after the other.

        Parameters
        ----------
        *functions : str or Function
            The steps; a bare name is also the name of its profile.
        sla : float
            Bound on the end-to-end latency, in seconds.
        attainment_target : float, default 0.99
            The fraction of invocations that shall meet it.
        name : str, default "application"
            What to call the application.

        Returns
        -------
        Application
            The chain.

        Raises
        ------
        InvalidInputError
            As for an application.
        """
        steps = _checked_functions([_function(step) for step in functions])
        names = [step.name for step in steps]
        edges = tuple(pairwise(names))
        return cls(steps, edges, sla=sla, attainment_target=attainment_target, name=name)


def _function(step: object) -> object:
    return Function(step, step) if isinstance(step, str) else step


def _checked_functions(functions: Iterable[object]) -> tuple[Function, ...]:
    first: dict[str, int] = {}
    checked = []
    for index, function in enumerate(sequence(functions, "functions")):
        place = f"functions[{index}]"
        if not isinstance(function, Function):
            raise InvalidInputError(f"expected a Function, got {shown(function)}", place=place)
        if function.name in first:
            taken = f"the name {function.name!r} is taken by functions[{first[function.name]}]"
            raise InvalidInputError(taken, place=f"{place}.name")
        first[function.name] = index
        checked.append(function)
    if not checked:
        raise InvalidInputError("an application needs at least one function, got none", place="functions")
    return tuple(checked)


def _checked_edges(edges: Iterable[object], index: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    first: dict[tuple[str, str], int] = {}
    for position, edge in enumerate(sequence(edges, "edges")):
        place = f"edges[{position}]"
        if not isinstance(edge, tuple | list) or len(edge) != 2:
            raise InvalidInputError(f"expected a pair of function names, got {shown(edge)}", place=place)
        source, target = (text(end, place) for end in edge)
        for end in (source, target):
            if end not in index:
                raise InvalidInputError.unknown("function", end, index, place=place)
        if source == target:
            raise InvalidInputError(f"function {source!r} cannot wait for itself", place=place)
        if (source, target) in first:
            repeated = f"the edge from {source!r} to {target!r} repeats edges[{first[source, target]}]"
            raise InvalidInputError(repeated, place=place)
        first[source, target] = position
    return tuple(first)
