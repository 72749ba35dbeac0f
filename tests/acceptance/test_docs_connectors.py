"""A worker runs on the connector that the documentation shows. The page itself checks that it keeps the contract."""

from __future__ import annotations

from typing import Any

import adjourn
from support.pages import ROOT, read

PAGE = ROOT / "docs" / "how-to" / "connectors.md"
EXAMPLE, *_ = (block.text for block in read(PAGE) if block.language == "python")


def written() -> dict[str, Any]:
    """Execute the example."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(EXAMPLE, str(PAGE), "exec"), names)  # as a reader would
    return names


async def test_a_worker_runs_on_the_example(database: str) -> None:
    app = adjourn.App(connector=written()["TinyConnector"](database))
    done: list[int] = []

    @app.task(name="do")
    def do(n: int) -> None:
        done.append(n)

    async with app.open_async():
        await do.batch_defer_async({"n": 1}, {"n": 2})
        await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert done == [1, 2]
