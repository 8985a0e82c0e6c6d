"""``python -m benchmarks [GROUP] [OPTIONS]``: measure, print a table, write it as JSON."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path

from . import lifecycle, realtime, service, workflows
from .report import Row, cells_of, format_table, write_json
from .subjects import BUILD

GROUPS = {
    "service": service.run,
    "realtime": realtime.run,
    "lifecycle": lifecycle.run,
    "workflows": workflows.run,
}


def describe_machine() -> str:
    """Return on what and when this runs."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{len(models)} x {models[0] if models else platform.machine()}, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"load average {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d %H:%M')}"
    )


def main() -> None:
    """Run the chosen group or all of them."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("group", nargs="?", choices=sorted(GROUPS), help="all if not given")
    parser.add_argument("--quick", action="store_true", help="shorter rounds, noisier figures")
    parser.add_argument("--hot", action="store_true", help="only the rows under full load")
    parser.add_argument("--json", type=Path, default=BUILD / "bench.json")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="measure with this setting of the service instead of its default",
    )
    given = parser.parse_args()
    settings = dict(setting.split("=", 1) for setting in given.settings)
    print(describe_machine())
    rows: list[Row] = []
    for group in [given.group] if given.group else GROUPS:
        for row in GROUPS[group](quick=given.quick, hot=given.hot, settings=settings):
            rows.append(row)
            print(*cells_of(row), sep="  ", file=sys.stderr)
    print(format_table(rows))
    write_json(rows, given.json)


if __name__ == "__main__":
    main()
