import numpy as np
from numpy.typing import NDArray

def run(
    arrivals: NDArray[np.int64],
    latency: NDArray[np.int64],
    cold_start: NDArray[np.int64],
    readiness: NDArray[np.int8],
    edges: NDArray[np.int32],
    level_offsets: NDArray[np.int64],
    stay_offsets: NDArray[np.int64],
    stays: NDArray[np.int64],
    announced: bool,
    warm: NDArray[np.int64] | None = None,
    horizon: int | None = None,
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.uint8],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    int,
]: ...
