from typing import final

import numpy as np
from numpy.typing import NDArray

@final
class Windows:
    def __init__(
        self,
        at: NDArray[np.int64],
        mass: NDArray[np.float64],
        spread: NDArray[np.float64],
        tail_mass: float,
        tail_excess: float,
    ) -> None: ...
    def solve(
        self,
        cold_start: int,
        price: NDArray[np.float64],
        spread_price: NDArray[np.float64],
        tail_price: float,
        tolerated: int,
        absence_price: float = 0.0,
        grace: int = 0,
    ) -> None: ...
    def values(self, busy: NDArray[np.int64], keep: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    def follow(self, busy: int, keep: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...

def levels(at: NDArray[np.int64], busy: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]: ...
