"""The published traces, where the environment says that they are."""

import os
from pathlib import Path

import numpy as np
import pytest

from smiless_core.traces import Placement, describe, read_trace, read_traces

SHARED = os.environ.get("SMILESS_TRACES")
pytestmark = pytest.mark.skipif(not SHARED, reason="SMILESS_TRACES names no directory of published traces")
ROOT = Path(SHARED or ".")


@pytest.mark.parametrize("rule", Placement)
def test_azure_2019(rule: Placement) -> None:
    trace = read_trace(ROOT / "azure2019_250", placement=rule, seed=1)
    assert (trace.count, trace.source["functions"], trace.source["merged"]) == (567_403, 250, 250)
    assert 0 <= trace.times[0] <= trace.times[-1] < 480 * 60 * 10**9
    traces = read_traces(ROOT / "azure2019_250" / "invocations.csv", placement=rule, seed=1)
    assert (len(traces), sum(part.count for part in traces.values())) == (250, 567_403)
    assert np.array_equal(np.sort(np.concatenate([part.times for part in traces.values()])), trace.times)


def test_azure_2021() -> None:
    trace = read_trace(ROOT / "azure2021_excerpt.csv")
    assert (trace.count, trace.source["functions"], trace.times[0]) == (199, 31, 1_490_900)
    assert describe(ROOT / "azure2021_excerpt.csv").verdict == "bursty"


def test_azure_llm() -> None:
    trace = read_trace(ROOT / "AzureLLMInferenceTrace_conv.csv")
    assert (trace.count, trace.span) == (19_366, 3501.721937)
    assert trace.origin == "2023-11-16T18:15:46.680590000Z"
    assert trace.arrivals().interval == pytest.approx(3501.721937 / 19_365)
    assert describe(ROOT / "AzureLLMInferenceTrace_conv.csv").count == 19_366
