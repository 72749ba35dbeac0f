"""The bench's table."""

from __future__ import annotations

from torture.checker import CHECKS
from torture.trial import NotRun, Outcome

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
SECONDS = {"longest pause", "longest defer", "run again after", "defer again after"}


def table(outcomes: dict[str, Outcome | Exception]) -> str:
    """Return the table in Markdown: a row for each scenario, what was counted, and how many faults there were."""
    rows = [["scenario", *COLUMNS.values(), "faults"], ["---", *["---:"] * (len(COLUMNS) + 1)]]
    for name, outcome in outcomes.items():
        if isinstance(outcome, Exception):
            told = "not run" if isinstance(outcome, NotRun) else "failed"
            rows.append([name, f"{told}: {outcome}", *[""] * len(COLUMNS)])
        else:
            rows.append([name, *[_cell(column, outcome) for column in COLUMNS], str(outcome.verdict.total)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


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
    if not outcome.recoveries:
        return ""
    runs, defers = (", ".join(f"{each:.1f}" for each in column) for column in zip(*outcome.recoveries, strict=True))
    return f"  runs after {runs} s\n  defers after {defers} s"
