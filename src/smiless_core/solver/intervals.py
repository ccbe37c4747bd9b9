"""Sets of times as closed intervals: int64 arrays of shape (k, 2), nanoseconds, ascending and apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Intervals", "intersection", "union"]

Intervals = NDArray[np.int64]


def intersection(a: Intervals, b: Intervals) -> Intervals:
    """Return the times in both sets."""
    found = []
    i = j = 0
    while i < len(a) and j < len(b):
        low, high = max(a[i, 0], b[j, 0]), min(a[i, 1], b[j, 1])
        if low <= high:
            found.append((low, high))
        if a[i, 1] < b[j, 1]:
            i += 1
        else:
            j += 1
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def union(a: Intervals, b: Intervals) -> Intervals:
    """Return the times in either set."""
    found: list[list[int]] = []
    for low, high in sorted([*a.tolist(), *b.tolist()]):
        if found and low <= found[-1][1]:
            found[-1][1] = max(found[-1][1], high)
        else:
            found.append([low, high])
    return np.array(found, dtype=np.int64).reshape(-1, 2)
