"""Translate the asynchronous half of adjourn into the blocking half, and refuse what cannot be translated.

The package `unasync` removes `async` and `await` from code and changes names. This module gives it the names that
change, translates the rest (prose, and the type hints that wrap a coroutine's result), and finds everything that would
be wrong in the twin.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import unasync  # type: ignore[import-untyped]

# No line of a twin may contain these. The code of a lint rule, such as ASYNC109, is allowed.
_LEFT_OVER = re.compile(
    r"\w*(?i:async(?!\d)|await|coroutine)\w*|(?i:event\s+loops?)|\b(?:anyio|trio)\w*|\b(?:aclose|aiter|anext|aio)\b"
    r"|\b[Aa]n[\s#]+[Ss]ync\w*"  # an article at the end of a line, its word on the next
)
_PROSE = re.compile(
    r"(?P<article>\b[Aa]n\b[\s`*'\"]+(?![Aa]n\b))?"
    r"(?P<keyword>\bawait (?=[\w.]+\()|\basync (?=(?:with|for|def)\b))?"
    r"(?P<word>\b\w+)"
)
_COLOURS = [re.compile(rf"(?i)\b{colour}(hronous(ly)?)?\b") for colour in ("async", "sync")]
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_WRAPPERS = {"Awaitable", "Coroutine"}
_RUNTIME = "'from adjourn._runtime import aio as runtime'"


class Refused(Exception):
    """Something in the asynchronous half cannot be translated correctly. The message says what to write instead."""


class Rules:
    """The translation of names and words for the blocking half, and which rows of the tables are not used.

    Parameters
    ----------
    renamed
        Names that do not follow the rule of the suffix and the prefix, and what they become.
    words
        Words of prose in lower case, and what they become.
    """

    def __init__(self, renamed: Mapping[str, str], words: Mapping[str, str]) -> None:
        library: dict[str, str] = unasync.Rule("", "").token_replacements
        self.renamed = {**library, "_async": "_sync", **renamed}
        self.words = words
        self.unused = {*renamed, *words}

    def name(self, name: str) -> str:
        """Return a name's counterpart in the twin."""
        self.unused.discard(name)
        if name in self.renamed:
            return self.renamed[name]
        return re.sub(r"^(_*)Async(?=[A-Z])", r"\1Sync", name).removesuffix("_async")

    def prose(self, text: str) -> str:
        """Return the text of a docstring, a comment or a message in the twin."""
        return _PROSE.sub(self._word, text)

    def _word(self, match: re.Match[str]) -> str:
        article, word = match["article"] or "", match["word"]
        row = word if word in self.words else word[0].lower() + word[1:]
        if row in self.words:
            self.unused.discard(row)
            new = self.words[row] if row == word else self.words[row].capitalize()
        else:
            new = self.name(word)
        if article and (match["keyword"] or new != word) and new[0] not in "aeiouAEIOU":
            article = article[0] + article[2:]
        return article + new


@dataclass(frozen=True)
class Source:
    """A hand-written file, with its line ends changed to LF."""

    path: str  # relative to the root of the tree
    text: str
    tree: ast.Module
    tokens: list[tokenize.TokenInfo]

    @classmethod
    def read(cls, root: Path, file: Path) -> Source:
        """Read a file in the tree `root`.

        Raises
        ------
        Refused
            If it is not Python in UTF-8.
        """
        path = file.relative_to(root).as_posix()
        try:
            text = file.read_text(encoding="utf-8")
            return cls(path, text, ast.parse(text), list(tokenize.generate_tokens(io.StringIO(text).readline)))
        except (SyntaxError, ValueError) as error:
            raise Refused(f"{path}:{getattr(error, 'lineno', 1)}: this is not Python in UTF-8: {error}") from error

    def names(self) -> set[str]:
        """Collect the names in the code."""
        return {token.string for token in self.tokens if token.type == tokenize.NAME}

    def prose(self) -> Iterator[tokenize.TokenInfo]:
        """Find docstrings, comments and other plain strings."""
        for token in self.tokens:
            if token.type in (tokenize.STRING, tokenize.COMMENT) and re.match(r"(?i)#|[ru]?['\"]", token.string):
                yield token

    def formatted_strings(self) -> Iterator[tuple[int, str]]:
        """Find f-strings with their lines. Up to Python 3.11 each is one token, from 3.12 on several."""
        outermost: list[tokenize.TokenInfo] = []
        for token in self.tokens:
            kind = tokenize.tok_name[token.type]
            if kind == "FSTRING_START":
                outermost.append(token)
            elif kind == "FSTRING_END":
                start = outermost.pop().start
                if not outermost:
                    yield start[0], self.text[self._offset(*start) : self._offset(*token.end)]
            elif kind == "STRING" and not outermost and re.match(r"(?i)r?f", token.string):
                yield token.start[0], token.string

    def edited(self, rules: Rules) -> str:
        """Return the text with the changes that `unasync` does not make."""
        edits = [edit for node in ast.walk(self.tree) for edit in self._unwrapped(node)]
        edits += [
            (self._offset(*token.start), self._offset(*token.end), rules.prose(token.string)) for token in self.prose()
        ]
        text = self.text
        for first, last, new in sorted(edits, reverse=True):
            text = text[:first] + new + text[last:]
        return text

    def _unwrapped(self, node: ast.AST) -> Iterator[tuple[int, int, str]]:
        """Remove type hints that wrap a coroutine's result, and parentheses that only `await` needed."""
        match node:
            case ast.Attribute(value=ast.Await() as call) | ast.Subscript(value=ast.Await() as call):
                first, last = self._span(call)
                if self.text[first - 1] == "(" and self.text[last] == ")":
                    yield from ((first - 1, first, ""), (last, last + 1, ""))
            case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
                match name, inner:
                    case ("Awaitable", result) | ("Coroutine", ast.Tuple(elts=[_, _, result])):
                        (first, last), (kept_first, kept_last) = self._span(node), self._span(result)
                        yield from ((first, kept_first, ""), (kept_last, last, ""))
                    case "AsyncGenerator", ast.Tuple(elts=[_, sent]):
                        yield self._span(sent)[1], self._span(sent)[1], ", None"

    def _offset(self, line: int, column: int) -> int:
        return sum(len(text) + 1 for text in self.text.split("\n")[: line - 1]) + column

    def _span(self, node: ast.expr) -> tuple[int, int]:
        """Return where an expression starts and ends; `ast` counts columns in bytes."""
        lines = self.text.split("\n")
        places = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
        first, last = (self._offset(line, len(lines[line - 1].encode()[:column].decode())) for line, column in places)
        return first, last


def refusals(source: Source, rules: Rules, ours: Collection[str]) -> list[str]:
    """List what cannot be translated correctly in a source: the line, the reason, and what to write instead.

    Parameters
    ----------
    ours
        The names of the project's own modules, and of the classes in its asynchronous half.
    """
    found = [*_coroutines(source), *_foreign(source, rules, ours), *_collisions(source, rules), *_text(source, rules)]
    return [f"{source.path}:{line}: {message}" for line, message in sorted(found)]


def _coroutines(source: Source) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.AsyncFunctionDef) and not node.name.endswith(("_async", "__")):
            is_fixture = any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
            if not (source.path.startswith("tests/") and (is_fixture or node.name.startswith("test_"))):
                yield node.lineno, f"{node.name!r} is a coroutine without the suffix: call it '{node.name}_async'"


def _foreign(source: Source, rules: Rules, ours: Collection[str]) -> Iterator[tuple[int, str]]:
    """Find imports of the twin, imports that only `_runtime` may have, and other libraries' names without a row."""

    def unknown(name: str) -> bool:
        return name not in ours and name not in rules.renamed and rules.name(name) != name

    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            origin = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            is_ours = isinstance(node, ast.ImportFrom) and node.level > 0
            for name in [alias.name for alias in node.names]:
                first, *others = parts = f"{origin}.{name}".lstrip(".").split(".")
                if first in {"asyncio", "anyio", "trio"} and not is_ours:
                    yield node.lineno, f"{first} has no twin: write {_RUNTIME}, and add what is missing there"
                elif "_sync" in parts:
                    yield node.lineno, "the asynchronous half must not import its twin: import from '_async'"
                elif others and first not in ours and not is_ours and unknown(name):
                    yield node.lineno, f"{name!r} is not ours: add it to RENAMED, with the name of its twin"
        elif isinstance(node, ast.Attribute) and node.attr.startswith("Async") and unknown(node.attr):
            yield node.lineno, f"{node.attr!r} is not ours: add it to RENAMED, with the name of its twin"


def _collisions(source: Source, rules: Rules) -> Iterator[tuple[int, str]]:
    for scope in ast.walk(source.tree):
        if isinstance(scope, (ast.Module, *_SCOPES)):
            taken: dict[str, str] = {}
            for line, name in _bound(scope):
                if (first := taken.setdefault(rules.name(name), name)) != name:
                    yield line, f"{first!r} and {name!r} would both be {rules.name(name)!r} in the twin: rename one"


def _bound(scope: ast.AST) -> Iterator[tuple[int, str]]:
    """Find the names that a scope binds; in a class also the attributes of `self`."""
    for node in ast.iter_child_nodes(scope):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case ast.alias(name=name, asname=alias):
                yield node.lineno, alias or name.split(".")[0]
        if not isinstance(node, _SCOPES):
            yield from _bound(node)
    if isinstance(scope, ast.ClassDef):
        for node in ast.walk(scope):
            match node:
                case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                    yield node.lineno, name


def _text(source: Source, rules: Rules) -> Iterator[tuple[int, str]]:
    """Find text that cannot be replaced reliably."""
    lines = source.text.split("\n")
    for token in source.tokens:
        line, column = token.end
        if token.string in ("async", "await") and not re.match(r" +[^\s\\#]", lines[line - 1][column:]):
            yield line, f"write one space after {token.string!r}, and the next word on the same line"
    for line, text in source.formatted_strings():
        if rules.prose(text) != text or re.search(r"\b(async|await)\b", text):
            yield (
                line,
                "an f-string may hold nothing that changes: name the value first, and put words into a plain string",
            )
    for token in source.prose():
        words = [match[0] for colour in _COLOURS if (match := colour.search(token.string))]
        if len(words) == 2:
            yield token.start[0], f"{words[0]!r} and {words[1]!r} would be the same word in the twin: reword it"


def left_over(path: str, text: str) -> list[str]:
    """List what is still asynchronous in a twin after all rules were applied, or is no longer Python.

    Parameters
    ----------
    path
        The file that the twin was generated from; its lines have the same numbers.
    text
        The twin.
    """
    try:
        tree = ast.parse(text)
        compile(tree, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        return [f"{path}:{error.lineno}: the twin of this would not be Python: {error.msg}"]
    # These imports are allowed: their uses were unwrapped or are found below, and ruff then removes the imports.
    imported = {
        alias.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in _WRAPPERS
    }
    found = []
    for match in _LEFT_OVER.finditer(f"{path.replace('/_async', '')}\n{text}"):
        line = match.string.count("\n", 0, match.start())
        word = " ".join(match[0].split())
        if word in _WRAPPERS and line in imported:
            continue
        remedy = "reword it, or give it a row in RENAMED or WORDS in scripts/unasync.py"
        if word.startswith("anyio"):
            remedy = f"write {_RUNTIME}; a test needs no mark, because pytest is configured to run every coroutine"
        found.append(f"{path}:{max(line, 1)}: {word!r} would be left in the twin: {remedy}")
    return found
