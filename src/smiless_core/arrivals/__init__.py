"""When the next invocation comes, as a distribution of the time from one arrival to the next."""

from smiless_core.arrivals.atoms import Atoms
from smiless_core.arrivals.cells import Cells
from smiless_core.arrivals.counts import Counts
from smiless_core.arrivals.distribution import Arrivals

__all__ = ["Arrivals", "Atoms", "Cells", "Counts"]
