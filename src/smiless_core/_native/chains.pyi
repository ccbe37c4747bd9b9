from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

@final
class Chains:
    def __init__(self, count: int, *, finest: float, ratio: float, longest: float, decay: float) -> None: ...
    @property
    def count(self) -> int: ...
    @property
    def bins(self) -> int: ...
    def edges(self) -> NDArray[np.float64]: ...
    def observe(self, chain: int, gap: float, *, began: float) -> None: ...
    def forecast(self, chain: int) -> NDArray[np.float64]: ...
    def plan(
        self, chain: int, cold_start: int, price: float, *, tolerated: int, busy: int, keep: int
    ) -> tuple[NDArray[np.int64], float, float]: ...
    def replay(
        self,
        chain: int,
        gaps: NDArray[np.int64],
        prices: NDArray[np.float64],
        *,
        began: int,
        cold_start: int,
        tolerated: int,
        positions: bool = False,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64] | None]: ...
    def read(self, chain: int) -> tuple[NDArray[np.float32], list[float], list[float], float, int, float]: ...
    def write(
        self,
        chain: int,
        histograms: NDArray[np.float32],
        weights: Sequence[float],
        after: Sequence[float],
        gaps: float,
        last: int,
        time: float,
    ) -> None: ...
