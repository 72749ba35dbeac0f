"""Exit codes are what the pages say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adjourn.cli.exits import Exit, code_of
from adjourn.exceptions import AdjournException, ConnectorException, OutcomesNotStored, WorkerStuck

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "workers.md"


def test_the_page_about_workers_lists_each_code() -> None:
    _, _, section = PAGE.read_text("utf-8").partition("## Exit codes\n")
    table = section.partition("\n## ")[0]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert listed == set(Exit) - {Exit.INTERRUPTED}
    assert f"{Exit.INTERRUPTED.value} for SIGINT" in table


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AdjournException("any"), 1),
        (ConnectorException("any"), 1),
        (OutcomesNotStored(1, 30.0), 74),
        (WorkerStuck(1, 300.0), 75),
    ],
)
def test_what_a_process_manager_should_know_has_a_code_of_its_own(error: AdjournException, code: int) -> None:
    assert code_of(error) == code
