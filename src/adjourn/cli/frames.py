"""The screen of ``adjourn top``: one frame of what a monitor has seen. Needs rich."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from adjourn._domain.wording import amount, shown, span
from adjourn.monitor import Snapshot

BARS = " ▁▂▃▄▅▆▇█"
REMEMBERED = 40
"""How many looks the lines of the header show."""
BARS_SHOWN = 20
MOST_LISTED = 500
"""A look knows no more jobs that run."""
LISTED = 20
"""How many rows of each pane are printed where all are."""
LONG = 60.0
"""From how many seconds on a wait is in red."""
HELP = (
    ("1 2 3 4 5", "queues, running jobs, tasks, workers, tables"),
    ("s", "sort by the next column"),
    ("/", "show only the rows with a text; Enter ends it, Escape forgets it"),
    ("f", "freeze the figures, and go on"),
    ("+ -", "look less often, more often"),
    ("?", "these keys"),
    ("q", "quit"),
)


class Pane(enum.Enum):
    """What the screen shows below its head."""

    QUEUES = "1"
    RUNNING = "2"
    TASKS = "3"
    WORKERS = "4"
    DATABASE = "5"


@attrs.define(kw_only=True)
class TopView:
    """What somebody wants to see.

    Attributes
    ----------
    pane
        What is shown below the head.
    sorted_by
        The number of the column by which rows are sorted; None for the order that says most.
    filter
        A text that rows must have.
    is_typing
        Whether the text of the filter is being typed.
    is_frozen, has_help
        Whether there are no new looks, and whether the keys are explained.
    interval
        Seconds from one look to the next.
    """

    pane: Pane = Pane.QUEUES
    sorted_by: int | None = None
    filter: str = ""
    is_typing: bool = False
    is_frozen: bool = False
    has_help: bool = False
    interval: float = 2.0


@attrs.define
class SeenSnapshot:
    """What was seen last, and before.

    Attributes
    ----------
    snapshot
        The last one; None before the first.
    error
        Why there is no newer one; empty if there is.
    age
        Seconds since the last one.
    deferred, ended
        The rates of the last looks.
    """

    snapshot: Snapshot | None = None
    error: str = ""
    age: float = 0.0
    deferred: deque[float] = attrs.field(factory=lambda: deque(maxlen=REMEMBERED))
    ended: deque[float] = attrs.field(factory=lambda: deque(maxlen=REMEMBERED))

    def add(self, snapshot: Snapshot) -> None:
        """Take a new snapshot."""
        self.snapshot, self.error, self.age = snapshot, "", 0.0
        if snapshot.rates is not None:
            self.deferred.append(snapshot.rates.deferred)
            self.ended.append(snapshot.rates.ended)


@attrs.frozen
class PaneColumn:
    """A column of a pane: its heading, and how a row's value is shown; numbers are sorted from the largest on."""

    heading: str
    value: Callable[[Any], Any]
    told: Callable[[Any], str] = str
    is_number: bool = True
    is_bad: Callable[[Any], bool] = lambda value: False


def frame(seen: SeenSnapshot, view: TopView, *, width: int, height: int) -> RenderableType:
    """Return a frame of so many columns and lines.

    Parameters
    ----------
    seen
        What was seen.
    view
        What to show of it.
    width, height
        The size of the terminal.
    """
    parts: list[RenderableType] = [*_head(seen, view)]
    if view.has_help:
        parts.append(_help())
    elif seen.snapshot is not None:
        parts.append(_pane(seen.snapshot, view, rows=max(1, height - len(parts) - 4)))
    parts.append(_foot(view))
    return Group(*(_cut(part, width) for part in parts))


def page(seen: SeenSnapshot, *, width: int) -> RenderableType:
    """Return everything at once, one pane below the other, for output that is no terminal."""
    if seen.snapshot is None:
        return Group(*_head(seen, TopView()))
    panes: list[RenderableType] = []
    for pane in Pane:
        panes += [Text(f"\n{pane.name.lower()}", style="bold"), _pane(seen.snapshot, TopView(pane=pane), rows=LISTED)]
    return Group(*(_cut(part, width) for part in (*_head(seen, TopView()), *panes)))


def _cut(part: RenderableType, width: int) -> RenderableType:
    if isinstance(part, Text):
        part.truncate(width, overflow="ellipsis")
        part.no_wrap = True
    return part


def _head(seen: SeenSnapshot, view: TopView) -> list[RenderableType]:
    snapshot = seen.snapshot
    if snapshot is None:
        return [Text(f"adjourn: {shown(seen.error) or 'connecting'}", style="red" if seen.error else "")]
    alive = [worker for worker in snapshot.workers if worker.is_alive]
    head = Text.assemble(
        ("adjourn", "bold"),
        f"  {shown(snapshot.database)}  {snapshot.clock} UTC  PostgreSQL {shown(snapshot.version.split()[0])}",
    )
    if seen.error:
        head.append(f"  no answer for {span(seen.age)}", style="red")
    elif view.is_frozen:
        head.append("  frozen", style="yellow")
    silent = len(snapshot.workers) - len(alive)
    work = Text.assemble(
        "oldest ready ",
        (span(snapshot.latency), "bold red" if snapshot.latency >= LONG else "bold"),
        f"   {len(alive)} workers",
        (f", {silent} silent" if silent else "", "red"),
        f"   {len(snapshot.running)}{'+' if len(snapshot.running) >= MOST_LISTED else ''} running",
        *(
            f"   {amount(wait.jobs, wait.is_capped)} {WAITS[wait.kind]}"
            for wait in snapshot.waits
            if wait.kind in WAITS
        ),
    )
    if (snapshot.oldest_transaction or 0) >= LONG:
        work.append(f"   transaction open for {span(snapshot.oldest_transaction)}", style="red")
    rates = Text()
    for name, values in (("deferred", seen.deferred), ("ended", seen.ended)):
        now = f"{values[-1]:,.0f}/s" if values else "-"
        rates.append(f"{name} {now:>9} ")
        rates.append(f"{line(list(values)[-BARS_SHOWN:]):<{BARS_SHOWN}} ", style="cyan")
    rates.rstrip()
    return [head, work, rates, *([Text(shown(seen.error), style="red")] if seen.error else [])]


WAITS = {"scheduled": "scheduled", "lock": "behind locks", "task": "of unknown tasks", "turn": "apart"}
"""How the kinds of waits are told."""


def _pane(snapshot: Snapshot, view: TopView, rows: int) -> Table:
    columns, every = PANES[view.pane](snapshot)
    wanted = [
        row for row in every if view.filter.lower() in " ".join(str(column.value(row)) for column in columns).lower()
    ]
    if view.sorted_by is not None:
        column = columns[view.sorted_by % len(columns)]
        wanted.sort(key=lambda row: _key(column, row))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="reverse", show_edge=False)
    for number, column in enumerate(columns):
        is_sorted = view.sorted_by is not None and number == view.sorted_by % len(columns)
        table.add_column(
            column.heading + ("*" if is_sorted else ""),
            justify="right" if column.is_number else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in wanted[:rows]:
        table.add_row(*(_cell(column, row) for column in columns))
    if not wanted:
        table.add_row(Text("nothing" + (f" with {shown(view.filter)!r}" if view.filter else ""), style="dim"))
    elif len(wanted) > rows:
        table.add_row(Text(f"... {len(wanted) - rows} more", style="dim"))
    return table


def _key(column: PaneColumn, row: Any) -> Any:
    value = column.value(row)
    return -float(value or 0) if column.is_number else str(value)


def _cell(column: PaneColumn, row: Any) -> Text:
    value = column.value(row)
    text = "-" if value is None else shown(column.told(value)).replace("\n", "\\n")
    return Text(text, style="red" if value is not None and column.is_bad(value) else "")


def _help() -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for keys, what in HELP:
        table.add_row(Text(keys, style="bold"), Text(what))
    return table


def _foot(view: TopView) -> Text:
    if view.is_typing:
        return Text(f"/{shown(view.filter)}_", style="bold")
    foot = Text()
    for pane in Pane:
        foot.append(f" {pane.value} {pane.name.lower()} ", style="reverse" if pane is view.pane else "")
    foot.append(f" every {view.interval:g} s  ? help  q quit", style="dim")
    if view.filter:
        foot.append(f"   /{shown(view.filter)}", style="yellow")
    return foot


def _long(value: float) -> bool:
    return value >= LONG


def _some(value: float) -> bool:
    return value > 0


def _queues(snapshot: Snapshot) -> tuple[list[PaneColumn], list[Any]]:
    columns = [
        PaneColumn("queue", lambda row: row.name, is_number=False),
        PaneColumn("ready", lambda row: row.ready + row.is_capped / 2, lambda value: amount(int(value), value % 1 > 0)),
        PaneColumn("running", lambda row: row.running),
        PaneColumn("oldest ready", lambda row: row.latency, lambda value: span(value), is_bad=_long),
        PaneColumn("workers", lambda row: row.workers, is_bad=lambda value: value == 0),
    ]
    return columns, sorted(snapshot.queues, key=lambda row: (-row.latency, row.name))


def _running(snapshot: Snapshot) -> tuple[list[PaneColumn], list[Any]]:
    names = {worker.id: worker.name for worker in snapshot.workers}
    columns = [
        PaneColumn("job", lambda row: row.id),
        PaneColumn("task", lambda row: row.task, is_number=False),
        PaneColumn("queue", lambda row: row.queue, is_number=False),
        PaneColumn("for", lambda row: row.seconds, lambda value: span(value)),
        PaneColumn("attempt", lambda row: row.attempt, is_bad=lambda value: value > 1),
        PaneColumn("worker", lambda row: f"{names.get(row.worker_id, '?')} ({row.worker_id})", is_number=False),
        PaneColumn("lock", lambda row: row.lock, is_number=False),
        PaneColumn("", lambda row: "asked to end" if row.is_aborted else "", is_number=False, is_bad=bool),
    ]
    return columns, list(snapshot.running)


def _tasks(snapshot: Snapshot) -> tuple[list[PaneColumn], list[Any]]:
    columns = [
        PaneColumn("task", lambda row: row.name, is_number=False),
        PaneColumn("ended", lambda row: row.ended, lambda value: f"{value:,}"),
        PaneColumn("failed", lambda row: row.failed, lambda value: f"{value:,}", is_bad=_some),
        PaneColumn("given up", lambda row: row.given_up, lambda value: f"{value:,}"),
        PaneColumn("mean", lambda row: row.seconds, lambda value: span(value)),
        PaneColumn("longest", lambda row: row.longest, lambda value: span(value)),
    ]
    return columns, list(snapshot.tasks)


def _workers(snapshot: Snapshot) -> tuple[list[PaneColumn], list[Any]]:
    columns = [
        PaneColumn("worker", lambda row: row.id),
        PaneColumn("name", lambda row: row.name, is_number=False),
        PaneColumn("queues", lambda row: "all" if row.queues is None else ", ".join(row.queues), is_number=False),
        PaneColumn("running", lambda row: row.running),
        PaneColumn("stuck", lambda row: row.overdue, is_bad=_some),
        PaneColumn(
            "heartbeat", lambda row: row.silence, lambda value: span(value) + " ago", is_bad=lambda value: value > 30
        ),
        PaneColumn("up for", lambda row: row.age, lambda value: span(value)),
        PaneColumn("", lambda row: "silent" if not row.is_alive else "idle" if row.is_idle else "", is_number=False),
    ]
    return columns, sorted(snapshot.workers, key=lambda row: (row.is_alive, -row.running, row.id))


def _tables(snapshot: Snapshot) -> tuple[list[PaneColumn], list[Any]]:
    columns = [
        PaneColumn("table", lambda row: row["name"].removeprefix("adjourn_"), is_number=False),
        PaneColumn("MB", lambda row: row["bytes"] / 1e6, lambda value: f"{value:,.1f}"),
        PaneColumn("rows", lambda row: row["rows"], lambda value: f"{value:,}"),
        PaneColumn("dead", lambda row: row["dead"], lambda value: f"{value:,}", is_bad=lambda value: value > 1_000_000),
        PaneColumn("vacuumed", lambda row: row["vacuumed"], lambda value: span(value) + " ago"),
    ]
    return columns, list(snapshot.tables)


PANES: dict[Pane, Callable[[Snapshot], tuple[list[PaneColumn], list[Any]]]] = {
    Pane.QUEUES: _queues,
    Pane.RUNNING: _running,
    Pane.TASKS: _tasks,
    Pane.WORKERS: _workers,
    Pane.DATABASE: _tables,
}


def line(values: Sequence[float]) -> str:
    """Return numbers as bars, each a character; the highest bar is the largest number."""
    top = max(values, default=0.0)
    return "".join(BARS[round(value / top * (len(BARS) - 1)) if top else 0] for value in values)


def text_of(part: RenderableType, *, width: int, height: int = 100, colours: bool = False) -> str:
    """Return a frame as text, for output that is no terminal."""
    console = Console(
        width=width,
        height=height,
        force_terminal=colours,
        color_system="standard" if colours else None,
        legacy_windows=False,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(part)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
