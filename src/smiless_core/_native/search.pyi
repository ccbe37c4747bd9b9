from typing import final

import numpy as np
from numpy.typing import NDArray

def abi_version() -> int: ...

@final
class Search:
    def __init__(self, functions: int, edges: NDArray[np.int32]) -> None: ...
    def set_modes(
        self,
        offsets: NDArray[np.int64],
        release: NDArray[np.float64],
        latency: NDArray[np.float64],
    ) -> None: ...
    def set_width(self, width: int) -> None: ...
    def solve(
        self,
        cost: NDArray[np.float64],
        sla: float,
        augmentations: int = 0,
        labels: int = 0,
        nodes: int = 0,
        time_limit: float = 0.0,
    ) -> tuple[int, NDArray[np.int32], float, float, float, float, tuple[int, int, int]]: ...
