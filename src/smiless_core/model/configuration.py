"""What a function runs on, and when an instance of it is there."""

from enum import StrEnum

from smiless_core.errors import InvalidInputError
from smiless_core.model.noun import Noun
from smiless_core.validation import choice, number, whole_number

__all__ = ["Configuration", "Hardware", "Readiness"]


class Hardware(StrEnum):
    """A kind of hardware, measured and priced by its own unit."""

    CPU = "cpu"
    GPU = "gpu"

    @property
    def unit(self) -> str:
        """What one unit of it is called: a core, or a share of one device."""
        return "core" if self is Hardware.CPU else "share"

    def checked_size(self, value: object, place: str) -> float:
        """Check a size on this hardware.

        Parameters
        ----------
        value : object
            Cores, or a share in (0, 1].
        place : str
            The place to name in an error.

        Returns
        -------
        float
            The size.

        Raises
        ------
        InvalidInputError
            If it is not a finite number above 0, or is a share above 1.
        """
        size = number(value, place, above=0.0)
        if self is Hardware.GPU and size > 1.0:
            meant = f" ({size:g} % is {size / 100:g})" if size <= 100.0 else ""
            raise InvalidInputError(f"expected a share of one gpu, in (0, 1], got {size:g}{meant}", place=place)
        return size


class Readiness(StrEnum):
    """When an instance begins to initialize."""

    PREWARMED = "prewarmed"
    """On a schedule, before the arrival."""
    ON_ARRIVAL = "on_arrival"
    """When the application's invocation arrives, or just early enough for its own request."""
    ON_REQUEST = "on_request"
    """When its own request comes."""


class Configuration(Noun, frozen=True, order=True):
    """What one instance runs on, and how many requests it serves at once.

    Parameters
    ----------
    hardware : Hardware or str
        The kind of hardware.
    size : float
        Cores above 0 on a cpu; a share in (0, 1] on a gpu.
    batch : int, default 1
        Requests served together, at least 1.

    Raises
    ------
    InvalidInputError
        If a value is out of range.

    Examples
    --------
    >>> print(Configuration("cpu", 4))
    cpu, 4 cores, batch 1
    >>> print(Configuration("gpu", 0.3, batch=2))
    gpu, 30 % share, batch 2
    """

    hardware: Hardware
    size: float
    batch: int = 1

    def __post_init__(self) -> None:
        hardware = choice(self.hardware, Hardware, place="hardware", what="hardware kind")
        self._set(
            hardware=hardware,
            size=hardware.checked_size(self.size, "size"),
            batch=whole_number(self.batch, "batch", at_least=1),
        )

    def __str__(self) -> str:
        if self.hardware is Hardware.GPU:
            size = f"{100 * self.size:g} % share"
        else:
            size = f"{self.size:g} core{'s' * (self.size != 1.0)}"
        return f"{self.hardware}, {size}, batch {self.batch}"
