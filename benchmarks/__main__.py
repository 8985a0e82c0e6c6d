"""``python -m benchmarks [GROUP] [--quick] [--hot] [--json PATH]``: measure, print, write JSON."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import service
from .report import format_table, write_json
from .subjects import BUILD

GROUPS = {"service": service.run}


def main() -> None:
    """Run the chosen group or all of them."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("group", nargs="?", choices=sorted(GROUPS), help="all if not given")
    parser.add_argument("--quick", action="store_true", help="shorter rounds, noisier figures")
    parser.add_argument("--hot", action="store_true", help="only the rows at 64 connections")
    parser.add_argument("--json", type=Path, default=BUILD / "bench.json")
    given = parser.parse_args()
    rows = [
        row
        for group in ([given.group] if given.group else GROUPS)
        for row in GROUPS[group](quick=given.quick, hot=given.hot)
    ]
    print(format_table(rows))
    write_json(rows, given.json)


if __name__ == "__main__":
    main()
