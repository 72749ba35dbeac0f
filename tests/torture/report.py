"""The bench's table, and the page of the documentation that has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torture.checker import CHECKS
from torture.exceptions import NotRun
from torture.scenarios import SCENARIOS
from torture.trial import Outcome

PAGE = Path(__file__).parents[2] / "docs/explanation/how-it-is-tried.md"
COLUMNS = {
    "jobs": "jobs",
    "acknowledged": "acknowledged",
    "unknown": "unknown",
    "runs": "runs",
    "disturbances": "disturbances",
    "rescues": "rescues",
    "longest pause": "longest pause",
    "longest defer": "longest defer",
    "run again after": "runs after",
    "defer again after": "defers after",
}
FLOW_COLUMNS = {
    "limited": "limited",
    "rated": "rated",
    "unique": "unique",
    "not stored": "not stored",
    "workflows": "workflows",
    "steps": "steps",
    "events": "events",
    "effects": "effects",
}
SECONDS = {"longest pause", "longest defer", "run again after", "defer again after"}
HEAD = ["scenario", *COLUMNS.values(), "faults", "log"]
FLOW_HEAD = ["scenario", *FLOW_COLUMNS.values()]


def table(rows: dict[str, list[str]], head: list[str] = HEAD) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *[[name, *cells] for name, cells in rows.items()]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def row(outcome: Outcome | Exception) -> list[str]:
    """Return a scenario's row: what was counted, how many faults there were, and complaints in servers' logs."""
    if isinstance(outcome, Exception):
        told = "not run" if isinstance(outcome, NotRun) else "failed"
        return [f"{told}: {outcome}", *[""] * (len(COLUMNS) + 1)]
    faults = (outcome.verdict.total, outcome.complaints.total())
    return [*[_cell(column, outcome) for column in COLUMNS], *map(str, faults)]


def flow_row(outcome: Outcome | Exception) -> list[str]:
    """Return a scenario's row of the table of limits, unique jobs, workflows and what lasts."""
    if isinstance(outcome, Exception):
        return [""] * len(FLOW_COLUMNS)
    return [f"{outcome.verdict.counts[column]:,}" for column in FLOW_COLUMNS]


def _cell(column: str, outcome: Outcome) -> str:
    figure = outcome.figures[column]
    if column not in SECONDS:
        return f"{figure:,.0f}"
    return f"{figure:.1f} s" if figure else ""


def details(outcome: Outcome, most: int = 5) -> str:
    """Return each kind of fault that there was, with some cases, and what the servers' logs say."""
    lines = []
    for name in CHECKS:
        if cases := outcome.verdict.faults[name]:
            lines += [f"  {name}: {len(cases)}", *[f"    {case}" for case in cases[:most]]]
    lines += [f"  server's log: {count} x {complaint}" for complaint, count in outcome.complaints.most_common()]
    return "\n".join(lines)


def recovered(outcome: Outcome) -> str:
    """Return how soon work went on after each disturbance."""
    runs, defers = (", ".join(f"{each:.1f}" for each in column) for column in zip(*outcome.recoveries, strict=True))
    return (
        f"After each disturbance the first job began after {runs} s, and both deferrers were answered after {defers} s."
    )


# The page


def scenarios_listed() -> str:
    """Return the list of scenarios for the page."""
    return "\n".join(f"{name}\n: {each.told}\n" for name, each in SCENARIOS.items())


def checks_listed() -> str:
    """Return the list of what is checked for the page."""
    return "\n".join(f"{name}\n: {' '.join((check.__doc__ or '').split())}\n" for name, check in CHECKS.items())


def write(outcomes: dict[str, Outcome | Exception], page: Path = PAGE) -> None:
    """Write rows into the page's table, in which others stay, and the list of scenarios and of checks."""
    text = page.read_text(encoding="utf-8")
    parts = {name: _table(text, name, head, cells, outcomes) for name, (head, cells) in TABLES.items()}
    parts |= {"scenarios": scenarios_listed(), "checks": checks_listed()}
    patroni = outcomes.get("patroni")
    if isinstance(patroni, Outcome):
        parts["patroni"] = recovered(patroni)
    for name, part in parts.items():
        text = text.replace(_section(name, _between(text, name)), _section(name, f"\n{part.strip()}\n\n"))
    page.write_text(text, encoding="utf-8")


TABLES: dict[str, tuple[list[str], Callable[[Outcome | Exception], list[str]]]] = {
    "table": (HEAD, row),
    "table of flow": (FLOW_HEAD, flow_row),
}


def _table(
    text: str,
    name: str,
    head: list[str],
    cells: Callable[[Outcome | Exception], list[str]],
    outcomes: dict[str, Outcome | Exception],
) -> str:
    """Return one of the page's tables with rows for these outcomes, and those that it has for other scenarios."""
    rows = _rows(_between(text, name)) | {scenario: cells(outcome) for scenario, outcome in outcomes.items()}
    return table({scenario: rows[scenario] for scenario in SCENARIOS if scenario in rows}, head)


def _section(name: str, text: str) -> str:
    return f"<!-- {name} -->\n{text}<!-- end of {name} -->"


def _between(text: str, name: str) -> str:
    return text.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- end of {name} -->")[0]


def _rows(markdown: str) -> dict[str, list[str]]:
    found = {}
    for line in markdown.strip().splitlines()[2:]:
        name, *cells = (cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|"))
        found[name] = cells
    return found
