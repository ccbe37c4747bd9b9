"""What hardware costs."""

from typing import Self

from smiless_core.model.configuration import Configuration, Hardware
from smiless_core.model.noun import Noun
from smiless_core.validation import choice, number

__all__ = ["Prices"]


class Prices(Noun, frozen=True, kw_only=True):
    """Prices per unit-second.

    Parameters
    ----------
    cpu : float
        Dollars per core-second, at least 0.
    gpu : float
        Dollars per second of one whole gpu, at least 0.

    Raises
    ------
    InvalidInputError
        If a price is not a finite number of at least 0.

    Examples
    --------
    >>> prices = Prices.per_hour(cpu=3.6, gpu=3600.0)
    >>> prices["gpu"]
    1.0
    >>> prices.per_second(Configuration("cpu", 4))
    0.004
    """

    cpu: float
    gpu: float

    def __post_init__(self) -> None:
        self._set(cpu=number(self.cpu, "cpu", at_least=0.0), gpu=number(self.gpu, "gpu", at_least=0.0))

    @classmethod
    def per_hour(cls, *, cpu: float, gpu: float) -> Self:
        """Return prices that are stated per unit-hour.

        Parameters
        ----------
        cpu : float
            Dollars per core-hour.
        gpu : float
            Dollars per hour of one whole gpu.

        Returns
        -------
        Prices
            The same per unit-second.

        Raises
        ------
        InvalidInputError
            If a price is not a finite number of at least 0.
        """
        hourly = cls(cpu=cpu, gpu=gpu)
        return cls(cpu=hourly.cpu / 3600.0, gpu=hourly.gpu / 3600.0)

    def __getitem__(self, hardware: Hardware | str) -> float:
        """Return the dollars per unit-second of a kind of hardware."""
        kind = choice(hardware, Hardware, place="hardware", what="hardware kind")
        return self.cpu if kind is Hardware.CPU else self.gpu

    def per_second(self, configuration: Configuration) -> float:
        """Return what one instance costs.

        Parameters
        ----------
        configuration : Configuration
            What it runs on.

        Returns
        -------
        float
            Dollars per second: the unit price times the size.
        """
        return self[configuration.hardware] * configuration.size
