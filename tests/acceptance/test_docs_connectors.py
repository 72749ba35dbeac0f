"""What the documentation says about writing a connector is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import adjourn
from adjourn.connector import BaseConnector
from adjourn.testing import ConnectorContract

PAGE = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text(encoding="utf-8")
EXAMPLE, CHECKING, IN_MEMORY = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def written() -> dict[str, Any]:
    """Execute the example."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(EXAMPLE, "docs/connectors.md", "exec"), names)  # as a reader would
    return names


class TestTheExample(ConnectorContract):
    """The connector of the page keeps the contract."""

    @pytest.fixture(autouse=True)
    def _database(self, database: str, tmp_path: Path) -> None:
        self.dsn = database
        self.nowhere = f"host={tmp_path}"

    def make_connector(self) -> BaseConnector:
        connector: BaseConnector = written()["TinyConnector"](self.dsn)
        return connector

    def make_unreachable_connector(self) -> BaseConnector:
        connector: BaseConnector = written()["TinyConnector"](self.nowhere)
        return connector


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


def test_the_suite_is_written_as_the_page_says() -> None:
    names = written()
    exec(CHECKING, names)
    assert issubclass(names["TestTinyConnector"], ConnectorContract)


def test_tests_without_a_database_are_written_as_the_page_says() -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector("host=nowhere.invalid"))
    done: list[int] = []

    @app.task(name="send_invoice")
    def send_invoice(number: int) -> None:
        done.append(number)

    exec(IN_MEMORY, {"app": app, "send_invoice": send_invoice})
    assert done == [5]
