"""The page on the command line shows what ``--help`` says. Run as a script, this file writes the page anew."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from adjourn._domain.options import option_of
from adjourn.cli.flags import PREFIX
from adjourn.worker.options import Options

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"
COMMANDS = (
    *("", "worker", "defer", "schema", "healthchecks", "doctor", "top", "shell"),
    *("migrate-from-procrastinate", "migrate-code", "completion", "demo"),
)
HEAD = """<!-- not run: tests/acceptance/test_docs_command_line.py compares command-line.md with what is printed -->

# The command line

`adjourn` runs workers, applies the schema, and shows and changes jobs. This page shows what `--help` prints for each command.
Most flags have an environment variable, which the help names. A flag wins over its variable, and the variable over the app.
Wherever seconds are asked for, a time with units is taken too: `10m`, `1h30m` or `2d`.
"""
TABLE = """
## The options of a worker

In Python they are arguments of `Worker`, `app.run_worker` and `app.run_worker_async`, and keys of
`App(worker_defaults=...)`. Those without a flag can only be set in Python.

"""


def page() -> str:
    """What the page has to be."""
    parts = [HEAD]
    for command in COMMANDS:
        words = ["adjourn", *([command] if command else []), "--help"]
        process = subprocess.run(
            [sys.executable, "-m", *words],
            env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        text = process.stdout.rstrip()
        parts.append(f"\n## {' '.join(words[:-1])}\n\n```console\n$ {' '.join(words)}\n{text}\n```\n")
    return "".join(parts) + TABLE + "\n".join(rows()) + "\n"


def rows() -> Iterator[str]:
    """The table of a worker's options."""
    yield "| in Python | flag | environment | default | what it does |"
    yield "|---|---|---|---|---|"
    for field in attrs.fields(Options):
        option = option_of(field)
        flags = [option.flag_for(field.name)] if option.reads is not None else []
        names = [*([f"-{option.letter}"] if option.letter else []), *flags, *(option.off or ())[:1]]
        variable = f"`{PREFIX}{option.variable_for(field.name, 'worker')}`" if option.reads is not None else ""
        value = getattr(field.default, "value", field.default)
        default = f"{value:g} {option.unit}" if isinstance(value, float) else option.none or str(value)
        what = option.sentence.replace("``", "`") + (f"; `{option.off[0]}`: {option.off[1]}" if option.off else "")
        yield f"| `{field.name}` | {' '.join(f'`{name}`' for name in names)} | {variable} | {default} | {what} |"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="argparse sets its help differently in each version")
def test_the_page_shows_what_help_says() -> None:
    assert PAGE.read_text() == page(), f"run {Path(__file__).name} as a script to write it anew"


if __name__ == "__main__":
    if sys.version_info[:2] != (3, 11):
        sys.exit("Run this with Python 3.11: argparse sets its help differently in each version.")
    PAGE.write_text(page())
