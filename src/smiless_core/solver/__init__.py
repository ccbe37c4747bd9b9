"""Configuration search: the cheapest choice of one mode per function that meets the SLA.

`solve` answers one question, `CompiledProblem` many about the same problem, `frontier` all SLAs at once, and
`explain` says what holds a plan back.
"""

from smiless_core.solver.explanation import Explanation, explain
from smiless_core.solver.lowering import CompiledProblem
from smiless_core.solver.pareto import Frontier, FrontierPoint, frontier
from smiless_core.solver.solution import Solution, solve
from smiless_core.solver.tables import Status, Work

__all__ = [
    "CompiledProblem",
    "Explanation",
    "Frontier",
    "FrontierPoint",
    "Solution",
    "Status",
    "Work",
    "explain",
    "frontier",
    "solve",
]
