"""The switching policy on a forecast, at several prices of a miss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from smiless_core.backtests.methods import Played, Scene, barred, left_over, meet
from smiless_core.errors import InvalidInputError
from smiless_core.model.noun import Noun
from smiless_core.predictors import BandwidthChain, Predictor
from smiless_core.validation import numbers, shown, text
from smiless_core.windows import GapLaw, Wanted

__all__ = ["PRICES", "ChainSwitching", "PredictorSwitching"]

PRICES = (0.0, 1.0, 2.0, 4.0, 8.0, 12.0, 20.0, 30.0, 50.0, 80.0, 140.0, 200.0, 400.0, 800.0, 2000.0, 8000.0)
"""Of a miss, in cold starts."""

_RESOLUTION = 0.02


class ChainSwitching(Noun, frozen=True, kw_only=True):
    """Forecast by `BandwidthChain`, plan by `windows.switching_policy`, both in native code.

    Parameters
    ----------
    prices : tuple of float
        Of a miss, in cold starts: its settings.
    ratio, decay : float
        As for `BandwidthChain`; its finest bins are a fifth of the cold start wide, and at most a second.
    """

    prices: tuple[float, ...] = PRICES
    ratio: float = 0.02
    decay: float = 0.99

    def __post_init__(self) -> None:
        self._set(prices=_prices(self.prices))
        BandwidthChain(ratio=self.ratio, decay=self.decay)

    @property
    def name(self) -> str:
        """What tables call it."""
        return "bandwidth-chain"

    @property
    def fidelity(self) -> str:
        """It is its own source."""
        return "own rule"

    @property
    def settings(self) -> tuple[str, ...]:
        """The prices."""
        return _priced(self.prices)

    def forecaster(self, scene: Scene) -> BandwidthChain:
        """Return one that knows nothing."""
        return self.forecasters(scene, 1)[0]

    def forecasters(self, scene: Scene, count: int) -> list[BandwidthChain]:
        """Return several that know nothing."""
        finest = min(max(scene.cold_start / 5e9, 1e-3), 1.0)
        return BandwidthChain.fleet(count, finest=finest, ratio=self.ratio, decay=self.decay)

    def play(self, scene: Scene) -> Played:
        """Forecast, plan, meet and learn; see `Method.play`."""
        chain = self.forecaster(scene)
        cold = scene.cold_start / 1e9
        prices = np.array(self.prices) * cold
        residency, missed, stated, positions = chain.meet(
            scene.gaps, prices, cold_start=cold, tolerated_wait=scene.tolerated / 1e9, began=scene.first
        )
        for k, price in enumerate(prices.tolist()):
            plan = chain.plan(cold_start=cold, miss_price=price, tolerated_wait=scene.tolerated / 1e9)
            residency[k] += left_over(plan.stays.tolist(), scene.end) / 1e9
        return Played(residency, missed, stated, barred(positions))


class PredictorSwitching(Noun, frozen=True, kw_only=True):
    """Forecast by any predictor, plan by `windows.switching_policy`.

    Parameters
    ----------
    predictor : callable
        Returns a `predictors.Predictor` that knows nothing; has to pickle where other processes are to run it.
    title : str
        What tables call it.
    prices : tuple of float
        Of a miss, in cold starts: its settings.
    source : str
        Its fidelity.
    """

    predictor: Callable[[], Any]
    title: str
    prices: tuple[float, ...] = PRICES
    source: str = "own rule"

    def __post_init__(self) -> None:
        if not callable(self.predictor):
            raise InvalidInputError(f"expected what makes a predictor, got {shown(self.predictor)}", place="predictor")
        self._set(prices=_prices(self.prices), title=text(self.title, "title"), source=text(self.source, "source"))

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.title

    @property
    def fidelity(self) -> str:
        """How near it is to its source."""
        return self.source

    @property
    def settings(self) -> tuple[str, ...]:
        """The prices."""
        return _priced(self.prices)

    def play(self, scene: Scene) -> Played:
        """Forecast, plan, meet and learn; see `Method.play`. While nothing is known, no instance stays."""
        predictor: Predictor = self.predictor()
        cold = scene.cold_start / 1e9
        count = len(self.prices)
        residency, missed, stated = np.zeros(count), np.zeros(count, np.int64), np.zeros(count)
        positions = np.full(scene.gaps.size, np.nan)
        now = scene.first
        predictor.observe(now / 1e9)
        for i, gap in enumerate([*scene.gaps.tolist(), None]):
            forecast = predictor.arrivals(now / 1e9)
            law = None
            if forecast is not None:
                law = GapLaw(1.0, forecast.cells(_RESOLUTION))
                if gap is not None:
                    positions[i] = 1.0 - float(forecast.survival(gap / 1e9))
            for k, price in enumerate(self.prices):
                stays: list[tuple[int, int, int]] = []
                said = 1.0
                if law is not None:
                    law.solve(Wanted(price * cold), scene.cold_start, tolerated=scene.tolerated)
                    rows = law.stays(0)
                    stays = rows.tolist()
                    said = min(law.late(rows, scene.cold_start, tolerated=scene.tolerated), 1.0)
                if gap is None:
                    residency[k] += left_over(stays, scene.end) / 1e9
                    continue
                met = meet(stays, gap, scene.cold_start)
                residency[k] += met.residency / 1e9
                missed[k] += met.wait > scene.tolerated
                stated[k] += said
            if gap is not None:
                now += gap
                predictor.observe(now / 1e9)
        return Played(residency, missed, stated, barred(positions))


def _prices(prices: object) -> tuple[float, ...]:
    checked = numbers(prices, "prices", at_least=0.0)
    if not checked:
        raise InvalidInputError("expected at least one price", place="prices")
    return checked


def _priced(prices: tuple[float, ...]) -> tuple[str, ...]:
    return tuple(f"a miss costs {price:g} cold starts" for price in prices)
