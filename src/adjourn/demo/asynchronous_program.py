"""An asynchronous program: defers a job for each path that it reads from standard input, through the same app."""

from __future__ import annotations

import asyncio
import sys

from adjourn.demo.tasks import app, count_definitions


async def main() -> None:
    """Defer the jobs."""
    async with app.open_async():
        for path in sys.stdin.read().splitlines():
            await count_definitions.defer_async(path=path)


if __name__ == "__main__":
    asyncio.run(main())
