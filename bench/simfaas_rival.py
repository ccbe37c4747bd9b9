"""simfaas, the published simulator of one function under a fixed keep-alive, on arrivals that are given."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from simfaas.FunctionInstance import FunctionInstance
from simfaas.ServerlessSimulator import ServerlessSimulator
from simfaas.SimProcess import ConstSimProcess, SimProcess

from bench.workloads import Workload
from smiless_core import Trace


class Counted(NamedTuple):
    """What both simulators count."""

    requests: int
    cold_starts: int


class _Recorded(SimProcess):
    """Gaps that are given. The processes of simfaas draw them from numpy one by one, which takes longer."""

    def __init__(self, gaps: Iterable[float]) -> None:
        super().__init__()
        self._gaps = iter(gaps)

    def generate_trace(self) -> float:
        return next(self._gaps)


class _LowestLevel(ServerlessSimulator):
    """Of several idle instances it takes the one with the lowest number, as we do; simfaas takes the newest."""

    def cold_start_arrival(self, t: float) -> None:
        taken = {server.level for server in self.servers}
        super().cold_start_arrival(t)
        self.servers[-1].level = next(level for level in range(len(taken) + 1) if level not in taken)

    def schedule_warm_instance(self, t: float) -> FunctionInstance:
        return min((server for server in self.servers if server.is_ready()), key=lambda server: server.level)


class SimfaasModel:
    """A workload of one function under the arrivals of a trace, the first of which is at 0 s.

    A request that finds no idle instance starts one, in both simulators. To simfaas a cold start is the beginning of
    the first service.
    """

    def __init__(self, workload: Workload, trace: Trace) -> None:
        self._workload = workload
        self._gaps = (np.diff(trace.times) / 1e9).tolist()
        self._last = float(trace.times[-1]) / 1e9

    def run(self, *, lowest_level: bool = False) -> Counted:
        """Serve all arrivals; `lowest_level` makes it choose among idle instances as we do, for a check."""
        workload = self._workload
        simulator = (_LowestLevel if lowest_level else ServerlessSimulator)(
            # It asks for the arrival after the last one, too.
            arrival_process=_Recorded([0.0, *self._gaps, math.inf]),
            warm_service_process=ConstSimProcess(rate=1.0 / workload.service),
            cold_service_process=ConstSimProcess(rate=1.0 / (workload.cold_start + workload.service)),
            expiration_threshold=workload.keep_alive,
            max_time=self._last,
            maximum_concurrency=math.inf,
        )
        simulator.generate_trace()
        return Counted(simulator.total_req_count, simulator.total_cold_count)
