"""A worker runs on the connectors that the documentation shows. The page itself checks that the first keeps the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import adjourn
from adjourn.connector import BaseConnector
from adjourn.testing import ConnectorContract
from support.pages import ROOT, read

PAGE = ROOT / "docs" / "how-to" / "connectors.md"
EXAMPLES = {block.file_name: block.text for block in read(PAGE) if block.file_name}


def written(name: str) -> dict[str, Any]:
    """Execute an example."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(EXAMPLES[name], str(PAGE), "exec"), names)  # as a reader would
    return names


@pytest.mark.parametrize(("name", "kind"), [("tiny.py", "TinyConnector"), ("blocking.py", "BlockingConnector")])
async def test_a_worker_runs_on_the_example(database: str, name: str, kind: str) -> None:
    app = adjourn.App(connector=written(name)[kind](database))
    done: list[int] = []

    @app.task(name="do")
    def do(n: int) -> None:
        done.append(n)

    async with app.open_async():
        await do.batch_defer_async({"n": 1}, {"n": 2})
        await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert done == [1, 2]


class TestBlockingConnector(ConnectorContract):
    @pytest.fixture(autouse=True)
    def _database(self, database: str, tmp_path: Path) -> None:
        self.dsn = database
        self.nowhere = f"host={tmp_path}"

    def make(self, dsn: str, timeout: float = 30.0) -> BaseConnector:
        connector: BaseConnector = written("blocking.py")["BlockingConnector"](dsn, timeout)
        return connector

    def make_connector(self) -> BaseConnector:
        return self.make(self.dsn)

    def make_unreachable_connector(self) -> BaseConnector:
        return self.make(self.nowhere)

    def make_impatient_connector(self) -> BaseConnector:
        return self.make(self.dsn, timeout=0.2)
