"""A synchronous program: defers a job for each path that it reads from standard input."""

from __future__ import annotations

import sys

from adjourn.demo.tasks import app, count_definitions


def main() -> None:
    """Defer the jobs."""
    with app.open():
        for path in sys.stdin.read().splitlines():
            count_definitions.defer(path=path)


if __name__ == "__main__":
    main()
