from typing import final

import numpy as np
from numpy.typing import NDArray

OBSERVED: tuple[str, ...]
SERVED: tuple[str, ...]
ENDED: tuple[str, ...]

@final
class Simulation:
    def __init__(
        self,
        functions: NDArray[np.int32],
        edges: NDArray[np.int32],
        arrivals: NDArray[np.int64],
        at: NDArray[np.int64],
        announced: NDArray[np.uint8] | None = None,
        seed: int = 0,
        start: int | None = None,
        note_requests: bool = False,
        note_instances: bool = False,
    ) -> None: ...
    def decide(
        self,
        function: int,
        *,
        configuration: int,
        price: float,
        latency: NDArray[np.int64],
        cold_start: int,
        readiness: int,
        cold_mean: float = 0.0,
        cold_deviation: float = 0.0,
        latency_spread: float = 0.0,
        granted: int | None = None,
        replicas: int = 0,
        most_replicas: int | None = None,
        stay_offsets: NDArray[np.int64] | None = None,
        stays: NDArray[np.int64] | None = None,
        repeats: bool = False,
        from_finish: bool = False,
        starts: NDArray[np.int64] | None = None,
    ) -> None: ...
    def advance(self, until: int, *, no_further: bool = False) -> int: ...
    def finish(self, horizon: int | None = None) -> int: ...
    @property
    def responses(self) -> NDArray[np.int64]: ...
    def observe(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
    def bill(self, function: int) -> dict[int, tuple[float, int, int, int]]: ...
    def drain(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
