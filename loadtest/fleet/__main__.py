"""From 1 to 1,000 replicas: which policy of the load balancer, and what does it gain?

    python -m loadtest.fleet --measure     measure the service times of this machine, and keep them
    python -m loadtest.fleet               simulate: some minutes on each processor
    python -m loadtest.fleet --check       compare with real processes behind a real HAProxy

The replicas run the real batcher, scheduler and admission in virtual time; the engine takes the
measured time of a batch. Arrivals are an open loop of the mixture of `mixed`. The check sends the
same requests to 1, 2 and 3 real processes whose engine sleeps the same times, and exits with 1
where they do not behave as simulated.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from app.engines import processors
from loadtest import report
from loadtest.fleet import check, measuring, picture, reality
from loadtest.fleet import sweep as sweeping
from loadtest.fleet.service_times import MEASURED, ServiceTimes
from loadtest.fleet.work import capacity


def simulate_all(options: argparse.Namespace, times: ServiceTimes) -> int:
    plan = sweeping.QUICK if options.quick else sweeping.FULL
    rows = sweeping.sweep(plan, times, options.processes)
    results = {
        "plan": asdict(plan),
        "service_times": asdict(times),
        "capacity_pairs_per_second": capacity(times),
        "rows": [
            asdict(row.cell) | row.outcome._asdict() | {"cpu_seconds": row.cpu_seconds}
            for row in rows
        ],
    }
    report.publish("fleet", options, results, picture.tabulate(rows), picture.draw(rows))
    return 0


def check_all(options: argparse.Namespace, times: ServiceTimes) -> int:
    if not reality.is_installed():
        raise SystemExit("haproxy is not installed (on Debian: apt-get install haproxy)")
    plan = check.QUICK if options.quick else check.FULL
    observed, comparisons = check.run(plan, times)
    results = {
        "plan": asdict(plan),
        "tolerance": check.TOLERANCE,
        "floors": check.FLOORS,
        "service_times": asdict(observed.times),
        "comparisons": [each._asdict() | {"agrees": each.agrees} for each in comparisons],
    }
    options.out /= "check"
    report.publish("fleet", options, results, check.tabulate(comparisons), check.draw(comparisons))
    return 0 if all(each.agrees for each in comparisons) else 1


def measure(options: argparse.Namespace) -> int:
    times = measuring.measure(options.where)
    times.write(options.times)
    print(
        f"a batch: {times.per_batch * 1000:.2f} ms and {times.per_token * 1e6:.1f} us a token "
        f"(median error {times.source['median_error']:.1%}); beside the engine: "
        f"{times.per_request * 1000:.2f} ms a request and {times.per_document * 1e6:.0f} us a "
        f"document; {capacity(times):.0f} pairs/s at most\n{options.times} written"
    )
    return 0


def main() -> int:
    parser = report.flags(__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--measure", action="store_true", help="measure service times on one core")
    what.add_argument("--check", action="store_true", help="compare with real processes")
    parser.add_argument("--times", type=Path, default=MEASURED, help="file of service times")
    parser.add_argument("--processes", type=int, default=processors.available())
    options = parser.parse_args()
    if options.measure:
        return measure(options)
    times = ServiceTimes.read(options.times)
    return check_all(options, times) if options.check else simulate_all(options, times)


if __name__ == "__main__":
    sys.exit(main())
