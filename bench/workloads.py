"""What the simulator is timed on: functions of fixed times, kept for a while, under arrivals drawn from a seed."""

from typing import NamedTuple

import numpy as np

from smiless_core import (
    Application,
    Configuration,
    Directive,
    Function,
    Hardware,
    HardwareProfile,
    Prices,
    Problem,
    Profile,
    Run,
    Trace,
    baselines,
    simulate,
)
from smiless_core.serving import Serving

SEED = 2024
DIAMOND = (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e"))


class Workload(NamedTuple):
    """Poisson arrivals at functions that take the same times, whatever they run on.

    Attributes
    ----------
    rate : float
        Arrivals per second.
    service, cold_start, deviation : float
        Seconds; the last is the standard deviation of cold starts.
    keep_alive : float
        How long instances stay after each service, seconds.
    five : bool
        Whether there are five functions (one, two side by side, one, one) or one.
    """

    rate: float
    service: float
    cold_start: float
    keep_alive: float
    deviation: float = 0.0
    five: bool = False

    @property
    def functions(self) -> int:
        """How many there are."""
        return 5 if self.five else 1

    def problem(self) -> Problem:
        """Return the application with the one configuration that there is."""
        model = HardwareProfile(
            alpha=0.0,
            beta=0.0,
            gamma=self.service,
            cold_start_mean=self.cold_start,
            cold_start_std=self.deviation,
            sizes=(1.0,),
            batches=(1,),
        )
        application = Application(
            tuple(Function(name, "f") for name in "abcde"[: self.functions]),
            DIAMOND if self.five else (),
            sla=self.functions * (self.service + self.cold_start),
        )
        return Problem(application, {"f": Profile("f", {Hardware.CPU: model})}, Prices.per_hour(cpu=0.034, gpu=3.06))

    def arrivals(self, count: int) -> Trace:
        """Draw so many, the first at 0 s."""
        times = np.random.default_rng(SEED).exponential(1e9 / self.rate, count)
        times[0] = 0.0
        np.cumsum(times, out=times)
        # In the same memory: what is measured in a process is not to be what drawing takes.
        whole = times.view(np.int64)
        whole[:] = times
        whole.flags.writeable = False
        return Trace(whole, name="poisson")

    def simulated(self, problem: Problem, trace: Trace, *, sampled: bool = True) -> Run:
        """Serve a trace by the whole call."""
        return simulate(problem, trace, baselines.FixedKeepAlive(seconds=self.keep_alive), sampled=sampled)

    def advanced(self, problem: Problem, trace: Trace) -> Serving:
        """Serve a trace by the native engine, without the policy and the `Run` around it."""
        serving = Serving(problem, trace.times)
        for name in problem.application.names:
            serving.direct(name, Directive.keep_alive(Configuration("cpu", 1.0), self.keep_alive))
        serving.finish()
        return serving


# Most requests find an instance; or most find none and start one, which ends unused.
KEPT = Workload(rate=10.0, service=0.05, cold_start=2.0, keep_alive=600.0, deviation=0.2)
COLD = Workload(rate=10.0, service=0.05, cold_start=0.5, keep_alive=0.05, deviation=0.05)
