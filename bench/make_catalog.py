"""Builds the profiles of the catalog from the published figures, the same to the byte every time.

    python bench/make_catalog.py --reference DIR [--output FILE]

DIR holds ``smiless_latency_points.csv`` (function, hardware, size, batch, latency_s; gpu sizes in percent)
and ``smiless_init_times.csv`` (function, hardware, cold_start_mean_s, cold_start_std_s, dispatch_overhead_s).
The errors of the fits are printed, and written into the file as notes.
"""

import argparse
from pathlib import Path

from smiless_core.catalog import CITATION
from smiless_core.fitting import BATCH_WEIGHT, Fit, Measurement, fit_profiles, read_measurements
from smiless_core.model.configuration import Hardware
from smiless_core.model.files import write_profiles
from smiless_core.model.prices import Prices
from smiless_core.model.profiles import HardwareProfile, Profile

CATALOG = Path(__file__).resolve().parents[1] / "src" / "smiless_core" / "catalog" / "profiles.yaml"

PRICES = Prices.per_hour(cpu=0.034, gpu=3.06)

# Their latencies below a gpu share of 20 % are doubtful.
DOUBTFUL = ("part-of-speech", "word-chunking")
SMALLEST_SOUND_SHARE = 0.2

# Nanoseconds: far below the error of the fits, and far above what linear algebra libraries differ by.
DECIMALS = 9


def sound(measurement: Measurement) -> bool:
    return (
        measurement.function not in DOUBTFUL
        or measurement.hardware is not Hardware.GPU
        or measurement.size is None
        or measurement.size >= SMALLEST_SOUND_SHARE
    )


def rounded(profile: Profile) -> Profile:
    return profile.replace(
        hardware={
            hardware: model.replace(
                **{name: round(getattr(model, name), DECIMALS) for name in ("alpha", "beta", "gamma")}
            )
            for hardware, model in profile.hardware.items()
        }
    )


def extremes(model: HardwareProfile, points: list[Measurement]) -> str:
    """Say how far the fit is below and above the measured latencies."""
    errors = [(model.latency(p.batch, p.size, extrapolate=True) - model.dispatch) / p.latency - 1 for p in points]
    return f"{min(errors):+.1%} to {max(errors):+.1%}" if errors else ""


def notes(fits: dict[str, Fit], points: list[Measurement]) -> list[str]:
    lines = [
        f"Fitted to figures published with {CITATION}.",
        f"Doubtful, and left out: {' and '.join(DOUBTFUL)} on gpu below a share of {SMALLEST_SOUND_SHARE}.",
        "Prices: AWS c6g in Ohio (cpu), and a V100 of p3.2xlarge (gpu).",
        f"An error at a batch of b counts b ** -{BATCH_WEIGHT:g}. Predicted against measured latency,"
        " lowest to highest, at batch 1 and then at larger batches:",
    ]
    for name, fit in fits.items():
        for hardware, report in fit.reports.items():
            model = fit.profile.hardware[hardware]
            mine = [p for p in points if (p.function, p.hardware) == (name, hardware)]
            ranges = [extremes(model, [p for p in mine if (p.batch == 1) is single]) for single in (True, False)]
            line = f"{name} on {hardware}: {', '.join(filter(None, ranges))}"
            if report.outliers:
                line += f"; {len(report.outliers)} of {report.points + len(report.outliers)} points set aside"
            lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR")
    parser.add_argument("--output", type=Path, default=CATALOG, metavar="FILE")
    options = parser.parse_args()
    points = read_measurements(options.reference / "smiless_latency_points.csv", gpu_percent=True)
    others = read_measurements(options.reference / "smiless_init_times.csv")
    points = list(filter(sound, points))
    fits = fit_profiles([*points, *others])
    profiles = {name: rounded(fit.profile) for name, fit in fits.items()}
    write_profiles(profiles, options.output, prices=PRICES, notes=notes(fits, points))
    print("\n".join(notes(fits, points)))


if __name__ == "__main__":
    main()
