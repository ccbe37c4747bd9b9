"""What the search is compared with: HiGHS on the same question, and lowtime on what both can state."""

import math

import highspy
import networkx as nx
import numpy as np
from lowtime.cost_model import CostModel
from lowtime.graph_utils import add_sink_node, add_source_node
from lowtime.operation import CandidateExecutionOptions, ExecutionOption, Operation, OperationSpec
from lowtime.solver import PhillipsDessouky
from scipy import sparse

from smiless_core.solver.tables import ModeTable
from smiless_core.timing import nanoseconds_up

# --- HiGHS -------------------------------------------------------------------------------------------


class HighsModel:
    """One table and SLA as a mixed-integer program inside HiGHS, built once and run from scratch every time.

    A binary for every mode, a finish time for every function: each takes one mode, and finishes its latency
    after those before it and after its own release, and within the SLA. Times are seconds; the cheapest
    choice regardless of the SLA costs 1. HiGHS runs on one thread, to a gap of 0, at its default tolerances.
    """

    def __init__(self, table: ModeTable, sla: float) -> None:
        functions, modes = table.functions, len(table.cost)
        owner = np.repeat(np.arange(functions), np.diff(table.offsets))
        self._unit = math.fsum(np.minimum.reduceat(table.cost, table.offsets[:-1]))

        def chosen(values: np.ndarray) -> sparse.csr_array:
            return sparse.csr_array((values, (owner, np.arange(modes))), shape=(functions, modes))

        before, after = table.edges.T
        finish = sparse.eye_array(functions, format="csr")
        matrix = sparse.block_array(
            [
                [chosen(np.ones(modes)), None],
                [-chosen(table.release + table.latency), finish],
                [-chosen(table.latency)[after], finish[after] - finish[before]],
            ],
            format="csc",
        )
        rows = matrix.shape[0]
        program = highspy.HighsLp()
        program.num_col_, program.num_row_ = modes + functions, rows
        program.col_cost_ = np.append(table.cost / self._unit, np.zeros(functions))
        program.col_lower_ = np.zeros(modes + functions)
        program.col_upper_ = np.append(np.ones(modes), np.full(functions, sla))
        program.row_lower_ = np.append(np.ones(functions), np.zeros(rows - functions))
        program.row_upper_ = np.append(np.ones(functions), np.full(rows - functions, highspy.kHighsInf))
        program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        program.a_matrix_.start_ = matrix.indptr
        program.a_matrix_.index_ = matrix.indices
        program.a_matrix_.value_ = matrix.data
        integer, continuous = highspy.HighsVarType.kInteger, highspy.HighsVarType.kContinuous
        program.integrality_ = [integer] * modes + [continuous] * functions

        self._highs = highspy.Highs()
        for option, value in (
            ("output_flag", False),
            ("parallel", "off"),
            ("threads", 1),
            ("mip_rel_gap", 0.0),
            ("mip_abs_gap", 0.0),
        ):
            self._highs.setOptionValue(option, value)
        self._highs.passModel(program)

    def run(self) -> float:
        """Solve from scratch, and return the optimal cost in dollars."""
        self._highs.clearSolver()  # 10 microseconds: a thousandth of the shortest run
        self._highs.run()
        status = self._highs.getModelStatus()
        assert status == highspy.HighsModelStatus.kOptimal, status
        return self._highs.getInfo().objective_function_value * self._unit


# --- lowtime -----------------------------------------------------------------------------------------


class _HullModel(CostModel):
    """Interpolates the lower convex hull of the options: the best continuous model that they allow.

    lowtime asks for a continuous, convex cost and rounds durations to options afterwards. It ships an
    exponential fit; the hull touches the options themselves and so favours lowtime.
    """

    def __init__(self, units: np.ndarray, cost: np.ndarray) -> None:
        hull: list[tuple[float, float]] = []
        for x, y in sorted(zip(units.tolist(), cost.tolist(), strict=True)):
            while len(hull) > 1 and _turns_down(hull[-2], hull[-1], (x, y)):
                hull.pop()
            hull.append((x, y))
        xs, ys = np.array(hull).T
        durations = np.arange(int(units.min()), int(units.max()) + 1)
        self._first = int(durations[0])
        self._costs = np.interp(durations, xs, ys).tolist()

    def __call__(self, quant_time: int) -> float:
        return self._costs[quant_time - self._first]


def _turns_down(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies on or above the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])


class LowtimeModel:
    """A table without releases as a DAG of lowtime's operations, in whole units of time.

    Every latency must be a multiple of `unit` seconds, so that lowtime's own rounding changes nothing.
    Options that another one beats are left out: of equally fast ones lowtime would keep the dearest.
    """

    def __init__(self, table: ModeTable, unit: float) -> None:
        assert not table.release.any(), "lowtime knows no releases"
        # lowtime takes 10,000 for infinity and 0.000001 for zero: costs are thousandths of the dearest.
        thousandth = float(table.cost.max()) / 1000
        units = np.rint(table.latency / unit)
        graph = nx.DiGraph()
        self._operations = []
        for v in range(table.functions):
            rows = np.arange(table.offsets[v], table.offsets[v + 1])
            kept = [int(row) for row in rows if not _beaten(row, rows, units, table.cost)]
            options = [
                ExecutionOption(units[row], 1.0, table.cost[row] / thousandth, int(row - rows[0])) for row in kept
            ]
            model = _HullModel(units[kept], table.cost[kept] / thousandth)
            operation = Operation(OperationSpec(CandidateExecutionOptions(options), model))
            self._operations.append(operation)
            graph.add_node(v, op=operation)
        graph.add_edges_from(table.edges.tolist())
        add_source_node(graph, "source")
        add_sink_node(graph, "sink")
        graph.graph.update(source_node="source", sink_node="sink")
        self._solver = PhillipsDessouky(graph)

    def run(self) -> list[tuple[int, ...]]:
        """Return the choices of the whole frontier, from the cheapest to the fastest, one unit a step."""
        frontier = [tuple(operation.spec.options.options[0].knob for operation in self._operations)]
        for _ in self._solver.run():
            frontier.append(tuple(operation.assigned_knob for operation in self._operations))
        return frontier


def _beaten(row: int, rows: np.ndarray, time: np.ndarray, cost: np.ndarray) -> bool:
    """Whether another option of the same function is as good in both and better, or first, in one."""
    as_good = (time[rows] <= time[row]) & (cost[rows] <= cost[row])
    better = (time[rows] < time[row]) | (cost[rows] < cost[row]) | (rows < row)
    return bool((as_good & better).any())


def in_whole_units(table: ModeTable, unit: float) -> ModeTable:
    """Return the table with every latency rounded up to a multiple of `unit` seconds."""
    step = round(unit * 1e9)
    latency = -(-nanoseconds_up(table.latency) // step) * step / 1e9
    return ModeTable(table.edges, table.offsets, table.release, latency, table.cost)
