"""The screen of ``adjourn top``: one frame of what a monitor has seen. Needs rich."""

from __future__ import annotations

import enum
import textwrap
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from adjourn._domain.wording import amount, counted, shown, span
from adjourn.monitor import Snapshot, WorkerFigures

BARS = " ▁▂▃▄▅▆▇█"
REMEMBERED = 40
"""How many looks the lines of the header show."""
BARS_SHOWN = 20
MOST_LISTED = 500
"""A look knows no more jobs that run."""
GAP = 2
"""How many blanks there are between two columns."""
SHORTEST = 6
"""To how many characters a text is cut, at most."""
LISTED = 20
"""How many rows of each pane are printed where all are."""
LOW = 12
"""A terminal of fewer lines has none to spare."""
MOST_LINES = 3
"""So many lines tell why there is no answer."""
LONG = 60.0
"""From how many seconds on a wait is in red."""
HELP = (
    ("1 2 3 4 5", "queues, running jobs, tasks, workers, tables"),
    ("s", "sort by the next column"),
    ("/", "show only the rows with a text; Enter ends it, Escape forgets it"),
    ("f, space", "freeze the figures, and go on"),
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
    parts: list[RenderableType] = [*_head(seen, view, width, height)]
    if view.has_help:
        parts.append(_help())
    elif seen.snapshot is not None:
        parts += _pane(seen.snapshot, view, rows=max(1, height - len(parts) - 4), width=width)
    parts.append(_foot(view))
    return Group(*(_cut(part, width) for part in parts))


def page(seen: SeenSnapshot, *, width: int) -> RenderableType:
    """Return everything at once, one pane below the other, for output that is no terminal."""
    if seen.snapshot is None:
        return Group(*_head(seen, TopView(), width))
    panes: list[RenderableType] = []
    for pane in Pane:
        panes.append(Text(f"\n{pane.name.lower()}", style="bold"))
        panes += _pane(seen.snapshot, TopView(pane=pane), rows=LISTED, width=width)
    return Group(*(_cut(part, width) for part in (*_head(seen, TopView(), width), *panes)))


def _cut(part: RenderableType, width: int) -> RenderableType:
    if isinstance(part, Text):
        part.truncate(width, overflow="ellipsis")
        part.no_wrap = True
    return part


def _error(text: str, width: int) -> list[RenderableType]:
    """Return lines that say why there is no answer: at an end that is cut off would be the reason."""
    lines = textwrap.wrap(shown(text), width, max_lines=MOST_LINES, placeholder="…")
    return [Text(line, style="red") for line in lines]


def _head(seen: SeenSnapshot, view: TopView, width: int, height: int = LOW) -> list[RenderableType]:
    snapshot = seen.snapshot
    if snapshot is None:
        return _error(f"adjourn: {seen.error}", width) if seen.error else [Text("adjourn: connecting")]
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
    crew = Text.assemble(counted(len(alive), "worker"), (f", {silent} silent" if silent else "", "red"))
    more = "+" if len(snapshot.running) >= MOST_LISTED else ""
    told = [
        Text.assemble("oldest ready ", (span(snapshot.latency), "bold red" if snapshot.latency >= LONG else "bold")),
        crew,
        Text(f"{len(snapshot.running)}{more} running"),
    ]
    if (snapshot.oldest_transaction or 0) >= LONG:
        told.append(Text(f"transaction open for {span(snapshot.oldest_transaction)}", style="red"))
    told += [
        Text(f"{amount(wait.jobs, wait.is_capped)} {WAITS[wait.kind]}") for wait in snapshot.waits if wait.kind in WAITS
    ]
    works = _lines(told, width) if height >= LOW else [Text("   ").join(told)]
    rates = Text()
    for name, values in (("deferred", seen.deferred), ("ended", seen.ended)):
        now = f"{values[-1]:,.0f}/s" if values else "-"
        rates.append(f"{name} {now:>9} ")
        rates.append(f"{line(list(values)[-BARS_SHOWN:]):<{BARS_SHOWN}} ", style="cyan")
    rates.rstrip()
    return [head, *works, rates, *_error(seen.error, width)]


def _lines(parts: Sequence[Text], width: int) -> list[Text]:
    """Return parts in as few lines as they fit into."""
    lines: list[Text] = []
    for part in parts:
        if lines and len(lines[-1]) + 3 + len(part) <= width:
            lines[-1] = Text("   ").join([lines[-1], part])
        else:
            lines.append(part)
    return lines


WAITS = {"scheduled": "scheduled", "lock": "behind locks", "task": "of unknown tasks", "turn": "apart"}
"""How the kinds of waits are told."""


def _pane(snapshot: Snapshot, view: TopView, rows: int, width: int) -> list[RenderableType]:
    columns, every = PANES[view.pane](snapshot)
    wanted = [
        row for row in every if view.filter.lower() in " ".join(str(column.value(row)) for column in columns).lower()
    ]
    sorted_by = None if view.sorted_by is None else view.sorted_by % len(columns)
    if sorted_by is not None:
        column = columns[sorted_by]
        wanted.sort(key=lambda row: _key(column, row))
    headings = [column.heading + ("*" if number == sorted_by else "") for number, column in enumerate(columns)]
    cells = [[_cell(column, row) for column in columns] for row in wanted[:rows]]
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="reverse", show_edge=False)
    for column, heading, most in zip(columns, headings, _widths(columns, headings, cells, width), strict=True):
        table.add_column(
            heading, justify="right" if column.is_number else "left", no_wrap=True, overflow="ellipsis", width=most
        )
    for row in cells:
        table.add_row(*row)
    if not wanted:
        return [table, Text("nothing" + (f" with {shown(view.filter)!r}" if view.filter else ""), style="dim")]
    left = len(wanted) - rows
    return [table, *([Text(f"... {left} more", style="dim")] if left > 0 else [])]


def _widths(columns: list[PaneColumn], headings: list[str], cells: list[list[Text]], width: int) -> list[int | None]:
    """Return how wide each column is: texts are cut before numbers are, and the longest texts first."""
    widths = [
        max([cell_len(heading), *(row[number].cell_len for row in cells)]) for number, heading in enumerate(headings)
    ]
    excess = sum(widths) + GAP * (len(widths) - 1) - width
    while excess > 0:
        texts = [
            number
            for number, column in enumerate(columns)
            if column.heading and not column.is_number and widths[number] > SHORTEST
        ]
        if not texts:
            return [None] * len(columns)  # a very small terminal
        widths[max(texts, key=widths.__getitem__)] -= 1
        excess -= 1
    return list(widths)


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
    if view.filter:
        foot.append(f" /{shown(view.filter)} ", style="yellow")
    foot.append(f" every {view.interval:g} s  ? help  q quit", style="dim")
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
        PaneColumn("oldest ready", lambda row: row.latency, lambda value: span(value) if value else "-", is_bad=_long),
        PaneColumn("workers", lambda row: row.workers, is_bad=lambda value: value == 0),
        PaneColumn("", lambda row: "paused" if row.is_paused else "", is_number=False),
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


def _state_of(worker: WorkerFigures) -> str:
    if not worker.is_alive:
        return "silent"
    return "ending" if worker.is_ending else "idle" if worker.is_idle else ""


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
        PaneColumn("", _state_of, is_number=False),
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
