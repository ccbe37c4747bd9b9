"""The command that tries out forecasts and plans on recorded gaps."""

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Annotated, Any

import typer

from smiless_core.cli.exit_codes import ExitCode
from smiless_core.cli.options import (
    AsJson,
    FormatOption,
    PlacementOption,
    Seed,
    fraction,
    naming_files,
    naming_options,
    seconds,
    seconds_or_none,
    whole_number_from,
)
from smiless_core.cli.places import command_line, require_places, require_plotly
from smiless_core.cli.printing import print_result
from smiless_core.cli.processes import usual_workers, workers
from smiless_core.cli.waiting import counting_bar
from smiless_core.errors import InvalidInputError
from smiless_core.model import Trace

__all__ = ["backtest", "train"]


_DEFAULT, _HAZARD, _LSTM = "bandwidth-chain", "hazard", "lstm"


class Kind(Enum):
    """What is trained."""

    HAZARD = _HAZARD
    LSTM = _LSTM


class Part(Enum):
    """Which functions of a trace are looked at."""

    ALL = "all"
    FIRST = "first-half"
    SECOND = "second-half"


_PartOption = Annotated[Part, typer.Option(help="Which functions: one half to look at, the other one to report on.")]


def _predictors() -> dict[str, Callable[[], Any]]:
    """Return what makes the other forecasters, by their names on the command line."""
    from smiless_core import predictors

    return {
        "recent-gaps": predictors.RecentGaps,
        "exponential-smoothing": predictors.ExponentialSmoothing,
        "fourier": predictors.FourierExtrapolation,
        "autoregressive": partial(predictors.StatisticalGaps, "autoregressive"),
        "ets": partial(predictors.StatisticalGaps, "ets"),
        "switching": partial(
            predictors.SwitchingPredictor,
            (predictors.RecentGaps, predictors.ExponentialSmoothing, predictors.FourierExtrapolation),
        ),
    }


def _predictor(given: str) -> Callable[[], Any]:
    """Return what makes the forecaster of this name."""
    name, _, file = given.partition(":")
    if name == _HAZARD and file:
        from smiless_core.predictors import GradientBoostedHazard, read_hazard_model

        return partial(GradientBoostedHazard, read_hazard_model(file))
    if name == _LSTM and file:
        from smiless_core.predictors import LSTMNetworks, read_lstm_model

        return partial(LSTMNetworks, read_lstm_model(file))
    known = _predictors()
    if given not in known:
        names = [_DEFAULT, *known, f"{_HAZARD}:FILE", f"{_LSTM}:FILE"]
        raise InvalidInputError.unknown("predictor", given, names, place="--predictor")
    known[given]()  # says at once what has to be installed for it
    return known[given]


def _traces(file: str, part: Part, **options: object) -> dict[str, Trace]:
    """Return the arrivals of those functions of a file that are asked for."""
    from smiless_core.traces import read_traces

    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    with naming_files(file), naming_options(*given):
        traces = read_traces(file, **given)
    names = list(traces)
    half = len(names) // 2
    chosen = {Part.ALL: names, Part.FIRST: names[:half], Part.SECOND: names[half:]}[part]
    return {name: traces[name] for name in chosen}


def train(
    trace: Annotated[str, typer.Argument(metavar="TRACE", show_default=False, help="The arrivals of many functions.")],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="MODEL", show_default=False, help="Where to write the model.")
    ],
    kind: Annotated[Kind, typer.Option(help="Gradient-boosted hazards, or two LSTM networks.")] = Kind.HAZARD,
    part: _PartOption = Part.ALL,
    format: FormatOption = None,
    placement: PlacementOption = None,
    seed: Seed = None,
) -> int:
    """Train a forecaster on recorded gaps.

    That is gradient-boosted hazards, or the LSTM networks of the SMIless paper.
    'smiless backtest --predictor hazard:MODEL' forecasts with it, or 'lstm:MODEL'. Train on other functions than
    those you try it out on: on one half of them, for example, and report on the other one.
    """
    from smiless_core import predictors
    from smiless_core.backtests import MOST_ARRIVALS

    require_places(output)
    traces = _traces(trace, part, format=format, placement=placement, seed=seed)
    gaps = [each.inter_arrivals[: MOST_ARRIVALS - 1] for each in traces.values() if each.count > 1]
    lstm = kind is Kind.LSTM
    with naming_files(trace), counting_bar("batches" if lstm else "trees") as progress:
        if lstm:
            networks = predictors.train_lstm(gaps, seed=seed or 0, progress=progress)
        else:
            hazards = predictors.train(gaps, seed=seed or 0, progress=progress)
    if lstm:
        predictors.write_lstm_model(networks, output)
    else:
        predictors.write_hazard_model(hazards, output)
    print_result(f"Model: {output}")
    return ExitCode.DONE


def backtest(
    context: typer.Context,
    trace: Annotated[
        str, typer.Argument(metavar="TRACE", show_default=False, help="The arrivals of many functions, or of one.")
    ],
    predictor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A forecaster for the switching policy: bandwidth-chain, recent-gaps, exponential-smoothing, fourier,"
            " autoregressive, ets, switching, or hazard:FILE or lstm:FILE as 'smiless train' writes it. May be"
            " repeated; bandwidth-chain by default.",
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A rival: femux, hybrid-histogram, point-window or fixed-keep-alive. May be repeated; all by default.",
        ),
    ] = None,
    target: Annotated[
        list[float] | None,
        typer.Option(
            metavar="FRACTION",
            parser=fraction,
            help="Of arrivals that find an instance ready; kept without hindsight in three ways. May be repeated;"
            " 0.98 by default.",
        ),
    ] = None,
    part: _PartOption = Part.ALL,
    cold_start: Annotated[
        float, typer.Option(metavar="SECONDS", parser=seconds, help="How long an initialization takes.")
    ] = 5.0,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", parser=seconds_or_none, help="How long an arrival may wait.")
    ] = 0.0,
    arrivals: Annotated[
        int,
        typer.Option(metavar="N", parser=whole_number_from(2), help="So many of each function, from its first one on."),
    ] = 3000,
    format: FormatOption = None,
    placement: PlacementOption = None,
    seed: Seed = None,
    worker_count: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            parser=whole_number_from(1, most=1024),
            help="Processes that play functions; by default up to 4, as there are cores.",
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE.html", help="Where to write a report.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Try out forecasts and plans on recorded gaps.

    An instance is planned after every arrival, from the gaps before it. You see what that costs, as a multiple of what
    a clairvoyant pays, at the same fraction of missed arrivals; first at the best settings in hindsight, for all
    methods alike, then for targets that the default forecaster keeps without hindsight.
    """
    from smiless_core.backtests import (
        ChainSwitching,
        FixedKeepAlives,
        ForecasterSwitching,
        HybridHistograms,
        Method,
        PointWindows,
        PredictorSwitching,
        usual_targets,
    )
    from smiless_core.backtests import backtest as tried

    require_places(output)
    require_plotly(output)
    rivals: dict[str, Callable[[], Method]] = {
        "femux": ForecasterSwitching,
        "hybrid-histogram": HybridHistograms.swept,
        "point-window": PointWindows,
        "fixed-keep-alive": FixedKeepAlives,
    }
    methods: list[Method] = []
    for name in dict.fromkeys(predictor or [_DEFAULT]):
        own = name == _DEFAULT
        methods.append(ChainSwitching() if own else PredictorSwitching(predictor=_predictor(name), title=name))
    for name in dict.fromkeys(policy or rivals):
        if name not in rivals:
            raise InvalidInputError.unknown("policy", name, rivals, place="--policy")
        methods.append(rivals[name]())
    targets = [each for kept in target or [0.98] for each in usual_targets(round(1.0 - kept, 12))]
    traces = _traces(trace, part, format=format, placement=placement, seed=seed)
    count = min(worker_count or usual_workers(), max(len(traces), 1))
    with (
        naming_files(trace),
        naming_options("cold_start", "tolerated_wait"),
        counting_bar("plays of functions, and arrivals") as progress,
        workers(count, []) as executor,
    ):
        found = tried(
            traces,
            methods,
            targets=targets,
            cold_start=cold_start,
            tolerated_wait=wait,
            most_arrivals=arrivals,
            executor=executor,
            progress=progress,
        )
    if output is not None:
        from smiless_core.report import write_backtest

        write_backtest(output, found, command=command_line(context))
    page = str(found) if output is None else f"{found}\n\nReport: {output}"
    print_result(found.to_dict() if as_json else page)
    return ExitCode.DONE
