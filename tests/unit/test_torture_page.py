"""The page about the bench lists what the bench has: `scripts/torture --write` writes it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from torture.checker import Verdict
from torture.exceptions import NotRun
from torture.report import COLUMNS, PAGE, checks_listed, scenarios_listed, write
from torture.scenarios import SCENARIOS
from torture.trial import Outcome


def made_up(jobs: int) -> Outcome:
    figures = {**dict.fromkeys(COLUMNS, 0.0), "jobs": jobs}
    return Outcome(Verdict({}, Counter(limited=jobs + 1)), Counter(), figures, [(1.04, 2.0), (0.5, 3.0)])


def test_the_page_lists_all_scenarios_and_all_checks() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert scenarios_listed().strip() in text
    assert checks_listed() in text


def test_a_row_of_the_table_is_replaced_and_others_stay(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    shutil.copy(PAGE, page)
    write({"quiet": made_up(1111), "patroni": made_up(2222)}, page)
    write({"quiet": made_up(3333), "killed workers": NotRun("there is no kill")}, page)
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line.split(" | ")[1] for line in lines if line.startswith("| quiet |")] == ["3,333", "3,334"]
    assert any(line.startswith("| patroni | 2,222 |") for line in lines)
    assert any(line.startswith("| killed workers | not run: there is no kill |") for line in lines)
    assert "the first job began after 1.0, 0.5 s, and both deferrers were answered after 2.0, 3.0 s." in " ".join(lines)


def test_the_table_has_no_row_of_a_scenario_that_is_gone() -> None:
    rows = [
        line.split("|")[1].strip() for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    ]
    assert set(rows) - {"scenario", "---"} <= set(SCENARIOS)
