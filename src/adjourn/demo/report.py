"""The table of results, and the check that every file was counted exactly once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import attrs
from rich.console import Console
from rich.table import Table

import adjourn
from adjourn.demo import library
from adjourn.jobs import Job, Status

LARGEST = 12
"""How many packages have their own line in the table."""


@attrs.define
class Counts:
    """What was counted in a package."""

    files: int = 0
    lines: int = 0
    functions: int = 0
    classes: int = 0
    imports: int = 0

    def add(self, other: Counts) -> None:
        """Add the counts of another package."""
        for name in attrs.fields_dict(Counts):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def counts_by_package(app: adjourn.App) -> dict[str, Counts]:
    """Add up what the jobs stored."""
    packages: dict[str, Counts] = defaultdict(Counts)
    for row in app.connector.execute_query_all("select * from demo_files"):
        package = library.package(row.pop("path"))
        packages[package].add(Counts(files=1, **row))
    return packages


def results(packages: dict[str, Counts]) -> Table:
    """Make the table of results: the largest packages, the sum of the others, and the total."""
    table = Table("package", title="What Python's standard library defines")
    for name in attrs.fields_dict(Counts):
        table.add_column(name, justify="right")
    ordered = sorted(packages.items(), key=lambda item: item[1].lines, reverse=True)
    for name, counts in ordered[:LARGEST]:
        _add_row(table, name, counts)
    if rest := ordered[LARGEST:]:
        _add_row(table, f"({len(rest)} other packages)", _sum(counts for _, counts in rest))
    table.add_section()
    _add_row(table, "all", _sum(packages.values()))
    return table


def _sum(several: Iterable[Counts]) -> Counts:
    total = Counts()
    for each in several:
        total.add(each)
    return total


def _add_row(table: Table, name: str, counts: Counts) -> None:
    table.add_row(name, *(f"{number:,}" for number in attrs.astuple(counts)))


def problems(app: adjourn.App, paths: list[str], jobs: list[Job]) -> list[str]:
    """Compare the files with the jobs that succeeded and with what these stored; return what is wrong."""
    found = []
    succeeded = Counter(job.task_kwargs["path"] for job in jobs if job.status == Status.SUCCEEDED)
    stored = {row["path"] for row in app.connector.execute_query_all("select path from demo_files")}
    for what, wrong in (
        ("were not counted", [path for path in paths if not succeeded[path]]),
        ("were counted more than once", [path for path in paths if succeeded[path] > 1]),
        ("are not in the table", [path for path in paths if path not in stored]),
        ("are in the table, but no job was deferred for them", sorted(stored.difference(paths))),
    ):
        if wrong:
            found.append(f"{len(wrong)} files {what}, such as {wrong[0]}")
    for status, number in Counter(job.status for job in jobs if job.status != Status.SUCCEEDED).items():
        found.append(f"{number} jobs are {status}")
    return found


def print_verdict(console: Console, found: list[str], total: int) -> None:
    """Print whether every file was counted exactly once."""
    if not found:
        console.print(f"[green]Checked: each of the {total:,} files was counted exactly once.[/]")
    for problem in found:
        console.print(f"[red]Wrong: {problem}.[/]")
