"""``adjourn top``: what is going on, on one screen that is drawn again and again."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import attrs

from adjourn._domain.wording import shown
from adjourn.cli import applications, flags
from adjourn.cli.exits import Exit
from adjourn.exceptions import ConnectorException
from adjourn.monitor import Monitor

if TYPE_CHECKING:
    from adjourn.cli.frames import SeenSnapshot, TopView
    from adjourn.cli.keys import Keys

HELP = "show on one screen what is going on"
INTERVAL = 2.0
SHORTEST, LONGEST = 0.2, 3600.0
"""The shortest and the longest interval, in seconds."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser(
        "top",
        help=HELP,
        description="Show queues, running jobs, tasks, workers and tables on one screen, again and again. It only reads, at a cost that has a "
        "bound. `?` explains the keys. If the output is no terminal that can be drawn on, one frame is printed.",
    )
    parser.add_argument(
        "--interval", type=_interval, metavar="SECONDS", help=f"from one look to the next; default: {INTERVAL:g}"
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--once", action="store_true", help="print one frame, and exit")
    forms.add_argument("--json", action="store_true", help="print a JSON object on a line for each look, until stopped")
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Show what is going on."""
    app = applications.load(options)
    interval = getattr(options, "interval", INTERVAL)
    with contextlib.closing(Monitor(app)) as monitor:
        if getattr(options, "json", False):
            return _print_json(monitor, interval)
        if importlib.util.find_spec("rich") is None:
            options.parser.error("`adjourn top` needs the package rich: pip install 'adjourn[cli]'")
        if getattr(options, "once", False) or not _can_draw():
            return _print_once(monitor)
        return _show(monitor, interval)


def _can_draw() -> bool:
    """Return whether there is a terminal, and one that can do more than print lines."""
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return is_terminal and os.environ.get("TERM", "").lower() not in ("", "dumb", "unknown")


def _print_json(monitor: Monitor, interval: float) -> int:
    while True:
        print(json.dumps(attrs.asdict(monitor.look()), ensure_ascii=False), flush=True)
        time.sleep(interval)


def _print_once(monitor: Monitor) -> int:
    from adjourn.cli import frames

    seen, width = frames.SeenSnapshot(), shutil.get_terminal_size((120, 40)).columns
    seen.add(monitor.look())
    print(frames.text_of(frames.page(seen, width=width), width=width), end="")
    return Exit.DONE


def _show(monitor: Monitor, interval: float) -> int:
    from rich.console import Console
    from rich.live import Live

    from adjourn.cli import frames
    from adjourn.cli.keys import Keys

    # Whoever ends the program gets the terminal back as it was.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    console, seen, view = Console(highlight=False), frames.SeenSnapshot(), frames.TopView(interval=interval)
    looked_at = 0.0
    with Keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            if not view.is_frozen and time.monotonic() - looked_at >= view.interval:
                _look(monitor, seen, time.monotonic() - looked_at)
                looked_at = time.monotonic()
            live.update(frames.frame(seen, view, width=console.width, height=console.height), refresh=True)
            if not _obey(keys, view, max(0.05, min(1.0, looked_at + view.interval - time.monotonic()))):
                return Exit.DONE


def _look(monitor: Monitor, seen: SeenSnapshot, since: float) -> None:
    try:
        seen.add(monitor.look())
    except ConnectorException as error:
        seen.error = shown(" ".join(str(error).split()))
        seen.age += since


def _obey(keys: Keys, view: TopView, seconds: float) -> bool:
    """Do what the keys that are pressed within so many seconds ask for; return whether to go on."""
    return all(obey(key, view) for key in keys.pressed(seconds))


def obey(key: str, view: TopView) -> bool:
    """Do what a key asks for; return whether to go on.

    Parameters
    ----------
    key
        The key.
    view
        What is shown, which it changes.
    """
    from adjourn.cli.frames import Pane
    from adjourn.cli.keys import BACKSPACE, ENTER, ESCAPE

    if view.is_typing:
        view.is_typing = key not in (*ENTER, ESCAPE)
        if key == ESCAPE:
            view.filter = ""
        elif key in BACKSPACE:
            view.filter = view.filter[:-1]
        elif key.isprintable():
            view.filter += key
    elif key in ("q", "\x03"):
        return False
    elif key in {pane.value for pane in Pane}:
        view.pane, view.sorted_by, view.has_help = Pane(key), None, False
    elif key == "s":
        view.sorted_by = 0 if view.sorted_by is None else view.sorted_by + 1
    elif key == "/":
        view.is_typing, view.filter, view.has_help = True, "", False
    elif key in ("f", " "):
        view.is_frozen = not view.is_frozen
    elif key == "+":
        view.interval = min(LONGEST, view.interval * 2)
    elif key == "-":
        view.interval = max(SHORTEST, view.interval / 2)
    elif key.isprintable():
        # Also a key that means nothing: somebody looks for the right one.
        view.has_help = not view.has_help or key != "?"
    return True


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not SHORTEST <= seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from {SHORTEST:g} to {LONGEST:g}")
    return seconds
