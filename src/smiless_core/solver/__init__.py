"""What to run on and when to be there: the cheapest modes and schedules that meet the SLA.

`solve` answers one question, `CompiledProblem` many about the same problem, `frontier` all SLAs at once, and
`explain` says what holds a plan back.
"""

from smiless_core.solver.attainment import Attainment
from smiless_core.solver.explanation import Explanation, explain
from smiless_core.solver.lowering import CompiledProblem
from smiless_core.solver.pareto import Frontier, FrontierPoint, FrontierTable, frontier
from smiless_core.solver.solution import Solution, solve
from smiless_core.solver.tables import Status, Work

__all__ = [
    "Attainment",
    "CompiledProblem",
    "Explanation",
    "Frontier",
    "FrontierPoint",
    "FrontierTable",
    "Solution",
    "Status",
    "Work",
    "explain",
    "frontier",
    "solve",
]
