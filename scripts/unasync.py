#!/usr/bin/env python3
"""Generate the blocking half of adjourn from the asynchronous half, or check that it is up to date.

    scripts/unasync.py            write src/adjourn/_sync and tests/_sync
    scripts/unasync.py --check    write nothing, show what differs, and exit with 1 if anything does

There is one rule: **a name that ends in `_async` is a coroutine, and its twin has the same name without the suffix,
and blocks.** So `x_async` becomes `x`, `AsyncX` becomes `SyncX`, and `await` disappears. The package `unasync` changes
the code, token by token. `translation.py`, beside this file, gives it the names, and changes the rest: prose (the
docstring of a method that blocks must not say `await`) and the type hints that wrap a coroutine's result. Last, ruff
formats the twins, so that they read like code that a person wrote.

Replacing text is safe only if the script refuses what it cannot replace correctly. It then prints the file and line of
everything that it refuses, writes nothing, and exits with 2. When you write in a directory called `_async`:

* give every `async def` the suffix; only dunders and, in tests, `test_*` and fixtures need none;
* use `asyncio` and `anyio` only through ``from adjourn._runtime import aio as runtime``; do not mark a test with
  `anyio`, because pytest is configured to run every coroutine;
* add a row to `RENAMED` for each asynchronous name of another library, and for each name of ours that breaks the rule;
* put nothing that changes into an f-string (Python 3.11 does not look into it, 3.12 does): give the value a name first,
  and put words into a plain string beside it;
* write docstrings, comments and messages that are true of both halves once their words have changed: "waits until",
  not "is a coroutine that"; and do not mention async and sync in the same one.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
# Python searches a script's own directory first, where this file would hide the package `unasync`.
sys.path[:] = [str(PROJECT) if Path(folder).resolve() == PROJECT / "scripts" else folder for folder in sys.path]

from scripts.translation import Refused, Rules, Source, left_over, refusals  # noqa: E402

import unasync  # type: ignore[import-untyped]  # noqa: E402

ROOMS = {"src/adjourn/_async": "src/adjourn/_sync", "tests/_async": "tests/_sync"}

# Names that do not follow the rule, or that belong to other libraries. The script refuses a row that nothing uses.
RENAMED: dict[str, str] = {
    "get_async_connector": "get_sync_connector",
    # adjourn._runtime
    "aio": "threads",
    # psycopg
    "AsyncConnection": "Connection",
    "AsyncConnectionPool": "ConnectionPool",
    "AsyncCursor": "Cursor",
    "AsyncRawCursor": "RawCursor",
    # SQLAlchemy
    "AsyncEngine": "Engine",
}

# Words of docstrings, comments and messages; a capital stays a capital. The script refuses a row that nothing uses.
WORDS: dict[str, str] = {
    "async": "sync",
    "asynchronous": "synchronous",
}

# The rules by which ruff tidies a twin: unsorted imports, imports that only the type hints of coroutines needed, a
# `with` directly inside a `with`, a loop or a comprehension that only copies, a `noqa` that suppresses nothing.
TIDIED = "I001,F401,SIM117,UP028,C416,RUF100"


def generate(root: Path, renamed: Mapping[str, str] = RENAMED, words: Mapping[str, str] = WORDS) -> dict[str, str]:
    """Return the text of each file of the blocking half, by its path in the tree `root`.

    Raises
    ------
    Refused
        If anything in the asynchronous half cannot be translated correctly, or a row of a table is not used.
    """
    rules = Rules(renamed, words)
    sources = [Source.read(root, file) for room in ROOMS for file in sorted((root / room).rglob("*.py"))]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        twins = translate(root, scratch, sources, rules)
        tidy(root, scratch)
        return {path: (scratch / path).read_text(encoding="utf-8") for path in twins}


def translate(root: Path, scratch: Path, sources: Sequence[Source], rules: Rules) -> list[str]:
    """Write the twins of all sources to a scratch folder, before they are tidied, and return their paths in it."""
    ours = {file.stem for folder in ("src", "tests") for file in (root / folder).glob("*")}
    ours |= {node.name for source in sources for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)}
    names = {name: new for source in sources for name in source.names() if (new := rules.name(name)) != name}
    found, twins = [], []
    for source in sources:
        file, path = scratch / source.path, source.path.replace("/_async/", "/_sync/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source.edited(rules), encoding="utf-8")
        unasync.unasync_files([str(file)], [unasync.Rule("/_async/", "/_sync/", names)])
        text = (scratch / path).read_text(encoding="utf-8")
        header = f"# Generated by scripts/unasync.py from {source.path}. Do not edit: edit that file.\n"
        (scratch / path).write_text(header + text, encoding="utf-8")
        found += refusals(source, rules, ours) or left_over(source.path, text)
        twins.append(path)
    found += [f"scripts/unasync.py: no file uses the row for {row!r}: delete it" for row in sorted(rules.unused)]
    if found:
        raise Refused("\n".join(found))
    return twins


def tidy(root: Path, scratch: Path) -> None:
    """Format the twins in a scratch folder as if they were in the tree `root` already."""
    folders = [str(scratch / twin) for twin in ROOMS.values() if (scratch / twin).exists()]
    first_party = [f"{base}/{folder}" for base in (root, scratch) for folder in ("src", "tests")]
    fix = ["check", "--fix-only", "--unsafe-fixes", f"--fixable={TIDIED}", f"--config=src={first_party}"]
    for command in (fix, ["format"]) if folders else ():
        options = ["--quiet", "--no-cache", f"--config={PROJECT / 'pyproject.toml'}", *folders]
        subprocess.run([sys.executable, "-m", "ruff", *command, *options], check=True, cwd=root)


def present(root: Path) -> Iterator[str]:
    """Find the existing files of the blocking half."""
    for twin in ROOMS.values():
        for file in (root / twin).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file.relative_to(root).as_posix()


def write(root: Path, twins: Mapping[str, str]) -> None:
    """Write the blocking half, and remove its files that have no source."""
    for path in set(present(root)) - twins.keys():
        (root / path).unlink()
    for path, text in twins.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text.encode())


def differences(root: Path, twins: Mapping[str, str]) -> Iterator[str]:
    """Compare the existing blocking half with the generated one: whole files, and the set of files."""
    for path in sorted({*present(root), *twins}):
        there = (root / path).read_bytes() if (root / path).exists() else None
        wanted = twins[path].encode() if path in twins else None
        if there == wanted:
            continue
        yield f"{path}: {'has no source' if wanted is None else 'is missing' if there is None else 'differs'}"
        # Each line shows its end, because two files may differ in nothing else.
        old, new = ((content or b"").decode(errors="replace").splitlines(True) for content in (there, wanted))
        for line in difflib.unified_diff(old, new, path, f"{path} as generated"):
            yield line.removesuffix("\n").replace("\r", "\\r") if line.endswith("\n") else f"{line} (no line end)"


def main(
    arguments: Sequence[str] | None = None, renamed: Mapping[str, str] = RENAMED, words: Mapping[str, str] = WORDS
) -> int:
    """Run the command line and return the exit code: 1 if a check finds a difference, 2 if anything is refused."""
    parser = argparse.ArgumentParser(description="Write the blocking half of adjourn from the asynchronous half.")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if the blocking half differs")
    parser.add_argument("--root", type=Path, default=PROJECT, help="the tree to work on (default: this project)")
    options = parser.parse_args(arguments)
    root: Path = options.root.resolve()
    try:
        twins = generate(root, renamed, words)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 2
    if not options.check:
        write(root, twins)
    elif report := list(differences(root, twins)):
        print(*report, "The blocking half is out of date: run scripts/unasync.py.", sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
