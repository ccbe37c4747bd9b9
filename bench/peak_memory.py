"""Replays one workload and prints what it took, for `test_simulator.test_memory`; a process of its own.

python -m bench.peak_memory {call,engine} {one,five} ARRIVALS
"""

import argparse
import json
import re
import resource
import sys
from pathlib import Path

from bench.workloads import KEPT

STATUS = Path("/proc/self/status")


def peak() -> int:
    """Return the most memory that this process has had resident so far, bytes."""
    if STATUS.exists():
        # Not `ru_maxrss`: on Linux that begins with what the process had that started this one.
        found = re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(encoding="ascii"), re.MULTILINE)
        assert found, "Linux says how much memory a process has had"
        return 1024 * int(found[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def main() -> int:
    """Replay, and print bytes as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.peak_memory", description="Memory of one replay.")
    parser.add_argument("what", choices=["call", "engine"])
    parser.add_argument("functions", choices=["one", "five"])
    parser.add_argument("arrivals", type=int)
    arguments = parser.parse_args()
    workload = KEPT._replace(five=arguments.functions == "five")
    problem, trace = workload.problem(), workload.arrivals(arguments.arrivals)
    before = peak()
    if arguments.what == "call":
        run = workload.simulated(problem, trace)
        requests = sum(function.requests for function in run.functions)
    else:
        states, _ = workload.advanced(problem, trace).observe()
        requests = sum(state.requests for state in states.values())
    print(json.dumps({"requests": requests, "before": before, "peak": peak()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
