"""Who is compared on what: runs by application, and how each policy is shown throughout."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from smiless_core.errors import InvalidInputError
from smiless_core.model.application import Application
from smiless_core.simulator.runs import Run
from smiless_core.solver.formatting import brief_seconds
from smiless_core.solver.pareto import Frontier
from smiless_core.validation import mapping, sequence, shown

__all__ = ["COLORS", "DAGGER", "Chapter", "Entry", "Look", "chapters"]

COLORS = 8  # that people with any color vision can tell apart; after these, symbols and dashes differ
DAGGER = "\N{DAGGER}"
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "star", "cross", "x", "pentagon")
_DASHES = ("solid", "dash", "dot", "dashdot")


class Look(NamedTuple):
    """How a policy is shown, the same in every chart.

    Attributes
    ----------
    number : int
        From 1, in the order in which policies were first given.
    label : str
        Its name; with its settings or a number where a name alone is not enough.
    simplified : bool
        Whether it lacks something of its source, so that no headline may name it.
    """

    number: int
    label: str
    simplified: bool

    @property
    def color(self) -> str:
        """The color, as a variable of the style sheet."""
        return f"var(--policy-{(self.number - 1) % COLORS + 1})"

    @property
    def symbol(self) -> str:
        """The shape of its marks."""
        turn, place = divmod(self.number - 1, COLORS)
        return _SYMBOLS[(place + turn) % len(_SYMBOLS)]

    @property
    def dash(self) -> str:
        """The pattern of its lines."""
        return _DASHES[(self.number - 1) // COLORS % len(_DASHES)]

    @property
    def marked(self) -> str:
        """The label, with a dagger if it is simplified."""
        return self.label + f" {DAGGER}" * self.simplified


class Entry(NamedTuple):
    """A run, and how its policy is shown."""

    look: Look
    run: Run


class Chapter(NamedTuple):
    """The runs of one application on one trace.

    Attributes
    ----------
    anchor, title : str
        Of its section.
    entries : tuple of Entry
        In the order given.
    frontier : Frontier or None
        What plans cost.
    """

    anchor: str
    title: str
    entries: tuple[Entry, ...]
    frontier: Frontier | None

    @property
    def first(self) -> Run:
        """Any of the runs: for what they have in common."""
        return self.entries[0].run

    @property
    def application(self) -> Application:
        """What was served."""
        return self.first.application

    @property
    def ranked(self) -> list[Entry]:
        """Those that meet the target by cost, then the others by attainment."""

        def rank(entry: Entry) -> tuple[bool, float]:
            run = entry.run
            cost = run.cost if math.isfinite(run.cost) else 0.0
            return (not run.meets_target, cost if run.meets_target else -run.attainment)

        return sorted(self.entries, key=rank)

    @property
    def eligible(self) -> list[Entry]:
        """Those that a headline may name, in the order of `ranked`."""
        return [entry for entry in self.ranked if not entry.look.simplified]

    @property
    def featured(self) -> list[Entry]:
        """All: those that a headline may name before the others."""
        return [*self.eligible, *(entry for entry in self.ranked if entry.look.simplified)]

    @property
    def best(self) -> Entry | None:
        """The cheapest that meets the target, or else the one that misses it least."""
        return next(iter(self.eligible), None)


def chapters(runs: object, frontiers: object) -> list[Chapter]:
    """Sort runs by application.

    Parameters
    ----------
    runs : sequence of Run
        At least one.
    frontiers : mapping of str to Frontier
        By the name of the application.

    Returns
    -------
    list of Chapter
        In the order of the runs.

    Raises
    ------
    InvalidInputError
        If there are no runs, something is not a run or a frontier, runs of one application on one trace differ in
        their arrivals, or a frontier is of no application here.
    """
    given = _checked_runs(runs)
    looks = _looks(given)
    groups: dict[tuple[Application, str, int], list[int]] = {}
    for at, run in enumerate(given):
        groups.setdefault((run.application, run.trace, run.seed), []).append(at)
    for first, *others in groups.values():
        for at in others:
            if not np.array_equal(given[at].arrivals_ns, given[first].arrivals_ns):
                raise InvalidInputError(f"other arrivals than those of runs[{first}]", place=f"runs[{at}].arrivals")
    known = _checked_frontiers(frontiers, {application.name: None for application, _, _ in groups})
    names = Counter(application.name for application, _, _ in groups)
    found = []
    for number, ((application, trace, seed), members) in enumerate(groups.items(), 1):
        title = application.name
        if names[title] > 1:
            title += f", {brief_seconds(application.sla)}, {trace}, seed {seed}"
        entries = tuple(Entry(looks[at], given[at]) for at in members)
        found.append(Chapter(f"application-{number}", title, entries, known.get(application.name)))
    return found


def _looks(runs: Sequence[Run]) -> list[Look]:
    """Return how to show the policy of each run: alike in all applications, apart within each."""

    def clashes(label: Mapping[int, str]) -> set[str]:
        once = Counter((run.application, run.trace, run.seed, label[at]) for at, run in enumerate(runs))
        return {name for (*_, name), times in once.items() if times > 1}

    label = {at: run.policy for at, run in enumerate(runs)}
    doubtful = clashes(label)
    label = {
        at: f"{run.policy} ({run.settings})" if run.policy in doubtful else label[at] for at, run in enumerate(runs)
    }
    doubtful = clashes(label)
    seen: Counter[tuple[object, ...]] = Counter()
    looks: dict[tuple[str, bool], Look] = {}
    chosen = []
    for at, run in enumerate(runs):
        name = label[at]
        if name in doubtful:
            place = (run.application, run.trace, run.seed, name)
            seen[place] += 1
            name += f" #{seen[place]}"
        simplified = run.fidelity.startswith("simplified")
        chosen.append(looks.setdefault((name, simplified), Look(len(looks) + 1, name, simplified)))
    return chosen


def _checked_runs(runs: object) -> list[Run]:
    given = []
    for at, run in enumerate(sequence(runs, "runs")):
        if not isinstance(run, Run):
            raise InvalidInputError(f"expected a Run, got {shown(run)}", place=f"runs[{at}]")
        given.append(run)
    if not given:
        raise InvalidInputError("expected at least one run, got none", place="runs")
    return given


def _checked_frontiers(frontiers: object, names: Mapping[str, None]) -> dict[str, Frontier]:
    checked: dict[str, Frontier] = {}
    for name, frontier in mapping(frontiers, "frontiers").items():
        if name not in names or not isinstance(name, str):
            raise InvalidInputError.unknown("application", name, names, place="frontiers")
        if not isinstance(frontier, Frontier):
            raise InvalidInputError(f"expected a Frontier, got {shown(frontier)}", place=f"frontiers[{name!r}]")
        checked[name] = frontier
    return checked
