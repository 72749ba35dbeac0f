"""The app and its only task."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import adjourn

app: adjourn.App = adjourn.App(connector=adjourn.PsycopgConnector(os.environ.get("ADJOURN_DEMO_DSN", "")))

CREATE_TABLE = """
    create table demo_files (
        path text primary key, lines integer, functions integer, classes integer, imports integer
    )
"""
# If a worker is killed after this statement but before it has recorded the outcome, the job runs again. The second
# run changes nothing.
STORE = """
    insert into demo_files (path, lines, functions, classes, imports)
    values (%(path)s, %(lines)s, %(functions)s, %(classes)s, %(imports)s)
    on conflict (path) do nothing
"""


@app.task
def count_definitions(path: str) -> None:
    """Count what a Python source file defines, and store the counts."""
    source = Path(path).read_bytes()
    nodes = list(ast.walk(parse(source)))
    app.connector.execute_query(
        STORE,
        path=path,
        lines=len(source.splitlines()),
        functions=sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes),
        classes=sum(isinstance(node, ast.ClassDef) for node in nodes),
        imports=sum(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes),
    )


def parse(source: bytes) -> ast.AST:
    """Parse a file; treat one that is not valid Python as empty."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        # The standard library has such files, for the tests of Python itself.
        return ast.Module(body=[], type_ignores=[])
