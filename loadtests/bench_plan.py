"""How fast `essaim plan` simulates: a million arrivals at several rates, on one core.

Goal: under 10 s of CPU time each. Beside it, how much of that is the autoscaler's own arithmetic, which is looked at once a
second of simulated time however few jobs come. Usage: python loadtests/bench_plan.py [--arrivals N]
"""

import argparse
import sys
import time
from dataclasses import replace

from essaim.autoscaler.policy import default_path, load
from essaim.planning.arrivals import Pattern
from essaim.planning.durations import distribution
from essaim.planning.forecast import ClusterModel
from essaim.planning.outcome import outcome
from essaim.planning.simulation import Simulation

GOAL_SECONDS = 10.0
CASES = ((1000, 2000), (100, 200), (10, 20), (2, 10), (1, 10))
"""Jobs per second, and the most workers. Each job is a second of work."""


def simulate(arrivals: int, rate: float, most: int) -> tuple[float, float, float, int]:
    """CPU seconds, simulated seconds, the p95 of the time to result, and the most workers at once."""
    policy = replace(load(default_path()), max_replicas=most)
    coming = Pattern(arrivals / rate, rate=rate).load(distribution("exponential:1s"), "")
    model = ClusterModel(lambda: 2.0, shown_every=5.0)
    begun = time.process_time()
    forecast = Simulation(policy, model, coming.arrivals(0), every=coming.span / 600).run()
    found = outcome(forecast, coming, policy)
    return time.process_time() - begun, coming.span, found.p95, found.peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arrivals", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"{options.arrivals:,} arrivals (goal {GOAL_SECONDS:.0f} s of CPU time)")
    slowest = 0.0
    for rate, most in CASES:
        seconds, span, p95, peak = simulate(options.arrivals, rate, most)
        slowest = max(slowest, seconds)
        print(
            f"{rate:5} a second for {span / 3600:6.1f} h: {seconds:5.2f} s; p95 {p95:.1f} s, {peak} workers", flush=True
        )
    sys.exit(0 if slowest < GOAL_SECONDS else 1)


if __name__ == "__main__":
    main()
