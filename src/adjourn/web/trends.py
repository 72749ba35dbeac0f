"""The pictures of a history, as several pages show them, with a table that has the same numbers."""

from __future__ import annotations

from typing import Any

from adjourn._domain.statistics import Durations
from adjourn._domain.wording import counted as told_number
from adjourn._domain.wording import span
from adjourn.web import charts
from adjourn.web.charts import Chart, Series
from adjourn.web.histories import RANGES, History, counted
from adjourn.web.page import View


def trend(view: View, *, queue: str = "", task: str = "") -> dict[str, Any]:
    """Return what the macro ``trend`` of ``trends.html`` shows of a queue, of a task, or of all jobs.

    Raises
    ------
    BadInput
        If the address names a range that there is not.
    """
    chosen = RANGES[view.query.choice("range", list(RANGES), "1h")]
    history = view.site.histories.of(chosen, view.now, queue=queue, task=task)
    with_day = chosen.seconds >= 86_400
    heads = [view.clock(each.at, with_day=with_day) for each in history.periods]
    return {
        "history": history,
        "ranges": list(RANGES.values()),
        "begin": heads[0],
        "end": view.clock(view.now, with_day=with_day),
        "charts": [] if history.is_empty else _charts(history, heads),
        "rows": [
            {
                "at": head,
                "is_over": number < len(heads) - 1,
                "runs": each.run.count,
                "succeeded": counted(each, "succeeded"),
                "failed": counted(each, "failed", "aborted"),
                "retried": counted(each, "retried"),
                "waits": (each.wait.percentile(50), each.wait.percentile(95)),
                "takes": (each.run.percentile(50), each.run.percentile(95)),
            }
            for number, (head, each) in enumerate(zip(heads, history.periods, strict=True))
        ][::-1],
    }


def _charts(history: History, heads: list[str]) -> list[dict[str, Any]]:
    chosen, periods = history.range, history.periods
    parts = [
        Series(name="succeeded", kind="good", values=[counted(each, "succeeded") for each in periods]),
        Series(name="to be tried again", kind="warn", values=[counted(each, "retried") for each in periods]),
        Series(name="failed", kind="bad", values=[counted(each, "failed", "aborted") for each in periods]),
    ]
    in_all = f"In {chosen.told}: " + ", ".join(f"{sum(part.values):,.0f} {part.name}" for part in parts) + "."  # type: ignore[arg-type]
    failures = Series(name="failed", kind="bad", values=parts[2].values)
    failed = history.count("failed", "aborted")
    share = history.failed_share
    found = [
        _shown(
            charts.columns("chart-runs", f"Runs that ended in {chosen.step_told}", in_all, heads, parts),
            "Runs",
            number=True,
        ),
        _shown(
            charts.columns(
                "chart-failures",
                f"Jobs that failed in {chosen.step_told}",
                f"In {chosen.told}: {told_number(failed, 'job')}"
                + (f", {100 * share:.1f} % of those that ended." if share is not None else "."),
                heads,
                [failures],
            ),
            "Failures",
            number=True,
        ),
    ]
    for name, title, durations, each in (
        ("waits", "Waited until they began", history.wait, [period.wait for period in periods]),
        ("takes", "Took", history.run, [period.run for period in periods]),
    ):
        lines = [
            Series(name="half, at most", kind="plain", values=[one.percentile(50) for one in each]),
            Series(name="95 %, at most", kind="light", values=[one.percentile(95) for one in each]),
        ]
        told = f"In {chosen.told}: {_percentiles(durations)}."
        found.append(
            _shown(
                charts.curves(f"chart-{name}", f"{title}, in {chosen.step_told}", told, heads, lines),
                title,
                number=False,
            )
        )
    return found


def _percentiles(durations: Durations) -> str:
    half, most = durations.percentile(50), durations.percentile(95)
    if half is None:
        return "no runs"
    return f"half of them at most {span(half)}, 95 % at most {span(most)}"


def _shown(chart: Chart, title: str, *, number: bool) -> dict[str, Any]:
    top = None if chart.top is None else f"{chart.top:,.0f}" if number else span(chart.top)
    return {"title": title, "chart": chart, "top": top}
