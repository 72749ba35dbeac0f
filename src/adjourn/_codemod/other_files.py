"""Finds the lines to look at in files that are not Python: commands, variables, requirements, SQL."""

from __future__ import annotations

import re
from pathlib import Path

from adjourn._codemod import names
from adjourn._codemod.findings import VARIABLE_ADVICE, CodeFinding

SUFFIXES = frozenset(
    [
        ".cfg",
        ".conf",
        ".env",
        ".in",
        ".ini",
        ".ipynb",
        ".json",
        ".service",
        ".sh",
        ".sql",
        ".tf",
        ".toml",
        ".txt",
        ".yaml",
        ".yml",
    ],
)
NAMES = frozenset(["Dockerfile", "Makefile", "Procfile", "justfile"])
LARGEST = 1_000_000
"""Larger files are data."""


def is_looked_at(path: Path) -> bool:
    """Return whether a file may start workers, set variables or install packages."""
    return path.suffix in SUFFIXES or path.name in NAMES or path.name.startswith((".env", "Dockerfile"))


def look_through(text: str) -> list[CodeFinding]:
    """Return the lines that name Procrastinate, but for comments, each with what to do."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if re.search(names.THEIRS, line, re.IGNORECASE) and not line.lstrip().startswith(("#", "--", "//", ";")):
            found.append(CodeFinding(number, f"{line.strip()[:120]}: {_advice(line)}."))
    return found


def _advice(line: str) -> str:
    if variables := re.findall(r"PROCRASTINATE_[A-Z_]+", line):
        ours = [names.our_variable(each) for each in variables]
        return f"write {', '.join(filter(None, ours))}" if all(ours) else VARIABLE_ADVICE
    if names.TABLES.search(line):
        return names.TABLES_ADVICE
    if re.search(r"manage\.py\W+procrastinate", line):
        return "write manage.py adjourn"
    if re.search(r"\bprocrastinate['\"]?,?\s+(?:['\"]?-|\[|(?:worker|defer|schema|healthchecks|shell)\b)", line):
        return "the command is adjourn"
    if re.search(r"^\W*procrastinate\s*(?:\[[^]]*\])?\s*(?:[<>=~!@^\"',;]|$)", line):
        return "install adjourn; Procrastinate can go when its last job has run"
    return "see whether adjourn is meant now"
