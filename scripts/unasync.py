#!/usr/bin/env python3
"""Write the blocking half of adjourn from the asynchronous half, or check that it is as it would be written.

    scripts/unasync.py            write src/adjourn/_sync and tests/_sync
    scripts/unasync.py --check    write nothing, show what differs, and exit with 1 if anything does

There is one idea: **a name that ends in `_async` is a coroutine, and its twin has the same name without the suffix,
and blocks.** So `x_async` becomes `x`, `AsyncX` becomes `SyncX`, and `await` disappears. The package `unasync` does
this to the code, name by name. This script adds what it leaves out: the names to give it, the prose (a docstring
that says `await` in a blocking method is as wrong as code that does), the type hints that wrap a coroutine's result,
and the look of the outcome, which is formatted with ruff.

A text replacement is only as good as what it refuses. Whatever has no honest twin is reported with its file and
line, and nothing is written (exit code 2). What to keep in mind when writing in a room called `_async`:

* every `async def` has the suffix; dunders, and in tests `test_*` and fixtures, need none;
* `asyncio` and `anyio` are reached through ``from adjourn._runtime import aio as runtime``;
* another library's asynchronous name, and any name that follows no rule, has a row in `RENAMED`;
* f-strings hold no name that changes, nor words that do (Python 3.11 does not look into them, 3.12 does): name the
  value first, and put such words in a plain string beside it;
* docstrings, comments and messages must be true of both colours once their words have changed: write "waits until",
  not "is a coroutine that".
"""

from __future__ import annotations

import argparse
import ast
import difflib
import io
import re
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# This file has the name of the package that it is built on, and Python looks beside a script first.
sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != Path(__file__).resolve().parent]

import unasync  # type: ignore[import-untyped]  # noqa: E402

PROJECT = Path(__file__).resolve().parent.parent
ROOMS = {"src/adjourn/_async": "src/adjourn/_sync", "tests/_async": "tests/_sync"}

# Names that do not follow the rule, or are not ours. A row that nothing uses any more is refused.
RENAMED: dict[str, str] = {
    "get_async_connector": "get_sync_connector",
}

# Words of docstrings, comments and messages, in lower case; also matched with a capital. The same holds for rows.
WORDS: dict[str, str] = {
    "async": "sync",
    "asynchronous": "synchronous",
}

# What taking `async` and `await` away can leave for ruff to tidy: the order of imports, the imports that only the
# hints of coroutines needed, a `with` in a `with`, and a comprehension that only copies.
TIDIED = "I001,F401,SIM117,C416"

# What no line of a twin may say.
LEFT_OVER = re.compile(
    r"""\w*(?i:async)(?!\d)\w*        # but not the name of a lint, ASYNC109
    | \w*(?i:await|coroutine)\w* | (?i:event\s+loops?) | \b(?:anyio|trio)\w* | \b(?:aclose|aiter|anext|aio)\b
    | \b[Aa]n[\s#`*'"]+[Ss]ync\w*     # an article that was parted from its word by a new line of a comment""",
    re.VERBOSE,
)
WORD_OF_PROSE = re.compile(
    r"""(?P<article>\b[Aa]n\b[\s`*'"]+)?
    (?P<keyword>\bawait[ ](?=[\w.]+\() | \basync[ ](?=(?:with|for|def)\b))?
    (?P<word>\b\w+)""",
    re.VERBOSE,
)
BOTH_COLOURS = re.compile(r"(?is)\basync(hronous(ly)?)?\b.*\bsync(hronous(ly)?)?\b|\bsync\w*\b.*\basync(hron\w+)?\b")
COROUTINES = {"Awaitable", "Coroutine"}


class Refused(Exception):  # noqa: N818
    """The asynchronous half holds something that has no honest twin. Holds one line for each."""


class Rules:
    """What the names and the words of the asynchronous half become, and which of the rules were of use."""

    def __init__(self, renamed: Mapping[str, str], words: Mapping[str, str]) -> None:
        self.words = words
        self.rows = {*renamed, *words}
        self.unused = set(self.rows)
        library: dict[str, str] = unasync.Rule("", "").token_replacements
        self.renamed = {**library, "_async": "_sync", **renamed}

    def name(self, name: str) -> str:
        """Answer what a name is called in the twin."""
        self.unused.discard(name)
        if name in self.renamed:
            return self.renamed[name]
        return re.sub(r"^(_*)Async(?=[A-Z])", r"\1Sync", name).removesuffix("_async")

    def prose(self, text: str) -> str:
        """Answer what a docstring, a comment or a message says in the twin."""
        return WORD_OF_PROSE.sub(self._word, text)

    def _word(self, match: re.Match[str]) -> str:
        article, word = match["article"] or "", match["word"]
        row = word if word in self.words else word[:1].lower() + word[1:]
        if new := self.words.get(row, ""):
            self.unused.discard(row)
            new = new if row == word else new[0].upper() + new[1:]
        else:
            new = self.name(word)
        if article and (match["keyword"] or new != word) and new[0] not in "aeiouAEIOU":
            article = article[0] + article[2:]
        return article + new


@dataclass(frozen=True)
class Source:
    """One hand-written file, `path` being relative to the root of the tree."""

    path: str
    text: str
    tree: ast.Module
    tokens: list[tokenize.TokenInfo]

    @classmethod
    def read(cls, root: Path, file: Path) -> Source:
        """Read a file, whose line ends become LF."""
        path, text = file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            raise Refused(f"{path}:{error.lineno}: this is not Python: {error.msg}") from error
        return cls(path, text, tree, list(tokenize.generate_tokens(io.StringIO(text).readline)))

    def names(self) -> set[str]:
        """Collect every name in the code."""
        return {token.string for token in self.tokens if token.type == tokenize.NAME}

    def prose(self) -> list[tokenize.TokenInfo]:
        """Collect docstrings, comments and other strings; not those with a prefix of f or b."""
        kinds, plain = (tokenize.STRING, tokenize.COMMENT), re.compile(r"(?i)#|[ru]?['\"]")
        return [token for token in self.tokens if token.type in kinds and plain.match(token.string)]

    def edited(self, rules: Rules) -> str:
        """Answer the text as `unasync` can take it: what it does not know how to change has been changed."""
        lines = self.text.split("\n")
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)

        def place(line: int, column: int) -> int:
            """Find what `ast` points at, whose columns count bytes."""
            return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

        edits = [
            (starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1], new)
            for token in self.prose()
            if (new := rules.prose(token.string)) != token.string
        ]
        for node in ast.walk(self.tree):
            for first, last, new in self._hints(node, place):
                edits.append((first, last, new))
        text = self.text
        for first, last, new in sorted(edits, reverse=True):
            text = text[:first] + new + text[last:]
        return text

    def _hints(self, node: ast.AST, place: Callable[[int, int], int]) -> Iterator[tuple[int, int, str]]:
        """Unwrap the hints of coroutines, and take off the parentheses that only `await` needed."""

        def span(node: ast.expr) -> tuple[int, int]:
            return place(node.lineno, node.col_offset), place(node.end_lineno or 0, node.end_col_offset or 0)

        match node:
            case ast.Attribute(value=ast.Await() as call) | ast.Subscript(value=ast.Await() as call):
                first, last = span(call)
                if self.text[first - 1] == "(" and self.text[last] == ")":
                    yield from ((first - 1, first, ""), (last, last + 1, ""))
            case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
                match name, inner:
                    case ("Awaitable", result) | ("Coroutine", ast.Tuple(elts=[_, _, result])):
                        (first, last), (kept_first, kept_last) = span(node), span(result)
                        yield from ((first, kept_first, ""), (kept_last, last, ""))
                    case "AsyncGenerator", ast.Tuple(elts=[_, sent]):
                        yield span(sent)[1], span(sent)[1], ", None"


def generate(root: Path, renamed: Mapping[str, str], words: Mapping[str, str]) -> dict[str, str]:
    """Answer the text of each file of the blocking half, by its path in the tree `root`.

    Raises
    ------
    Refused
        If anything in the asynchronous half, or in the rules, is not fit to be generated from.
    """
    rules = Rules(renamed, words)
    sources = [Source.read(root, file) for room in ROOMS for file in sorted((root / room).rglob("*.py"))]
    refusals: list[str] = []
    names = {name: new for source in sources for name in source.names() if (new := rules.name(name)) != name}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        twins: dict[str, Path] = {}
        for source in sources:
            file = scratch / source.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source.edited(rules), encoding="utf-8")
            unasync.unasync_files([str(file)], [unasync.Rule("/_async/", "/_sync/", names)])
            path = source.path.replace("/_async/", "/_sync/")
            twin = twins[path] = scratch / path
            text = twin.read_text(encoding="utf-8")
            refusals += left_over(source.path, text)
            header = f"# Generated by scripts/unasync.py from {source.path}. Do not edit: edit that file.\n"
            twin.write_text(header + text, encoding="utf-8")
        refusals += [
            f"scripts/unasync.py: nothing uses the rule for {row!r}: delete it" for row in sorted(rules.unused)
        ]
        if refusals:
            raise Refused("\n".join(refusals))
        tidy(root, scratch)
        return {path: twin.read_text(encoding="utf-8") for path, twin in twins.items()}


def left_over(path: str, text: str) -> list[str]:
    """Find what is still asynchronous after every rule was applied."""
    imported = {
        alias.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in COROUTINES  # ruff removes it, for its uses were unwrapped or are refused
    }
    found = ((text.count("\n", 0, match.start()) + 1, match[0]) for match in LEFT_OVER.finditer(text))
    return [
        f"{path}:{line}: {' '.join(word.split())!r} would be left in the twin: reword it, or give it a row in RENAMED "
        "or WORDS in scripts/unasync.py"
        for line, word in found
        if not (line in imported and word in COROUTINES)
    ]


def tidy(root: Path, scratch: Path) -> None:
    """Format the twins in a scratch folder the way `root` is formatted."""
    folders = [str(scratch / twin) for twin in ROOMS.values() if (scratch / twin).exists()]
    ours = [f"{base}/{folder}" for base in (root, scratch) for folder in ("src", "tests")]
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--no-cache", "--quiet", f"--config={PROJECT / 'pyproject.toml'}", *folders]
    fixes = ["--fix", "--unsafe-fixes", f"--select={TIDIED}", f"--config=src={ours}"]
    for command in ([*ruff, "check", *fixes, *options], [*ruff, "format", *options]):
        subprocess.run(command, check=True, cwd=root) if folders else None


def difference(root: Path, twins: Mapping[str, str]) -> list[str]:
    """Compare the twins with what is on disk: whole files, and the set of files."""
    report: list[str] = []
    for path in sorted({*twins, *present(root)}):
        is_text = (root / path).read_bytes() if (root / path).exists() else None
        wanted = twins[path].encode() if path in twins else None
        if is_text != wanted:
            now, new = ((text or b"").decode(errors="replace").split("\n") for text in (is_text, wanted))
            report += difflib.unified_diff(
                [line.replace("\r", "\\r") for line in now],
                new,
                path if is_text is not None else "/dev/null (the file is missing)",
                f"{path} (as generated)" if wanted is not None else f"/dev/null ({path} has no source)",
                lineterm="",
            )
    return report


def present(root: Path) -> Iterator[str]:
    """List the files in the blocking half."""
    for twin in ROOMS.values():
        for file in sorted((root / twin).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file.relative_to(root).as_posix()


def write(root: Path, twins: Mapping[str, str]) -> None:
    """Write the blocking half, and remove from it what has no source any more."""
    for path in present(root):
        if path not in twins:
            (root / path).unlink()
    for path, text in twins.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text.encode())


def main(
    arguments: list[str] | None = None, renamed: Mapping[str, str] = RENAMED, words: Mapping[str, str] = WORDS
) -> int:
    """Do what the command line says and answer the exit code: 1 if a check finds a difference, 2 for a refusal."""
    parser = argparse.ArgumentParser(description="Write the blocking half of adjourn from the asynchronous half.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the blocking half differs")
    parser.add_argument("--root", type=Path, default=PROJECT, help="the tree to work on")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    try:
        twins = generate(root, renamed, words)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    if not options.check:
        write(root, twins)
    elif report := difference(root, twins):
        print(*report, "The blocking half is not as generated: run scripts/unasync.py.", sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
