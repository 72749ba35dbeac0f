"""Goes through files and folders: what would change, and what people have to look at."""

from __future__ import annotations

import ast
import difflib
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs
import libcst as cst
from libcst.metadata import MetadataWrapper

from adjourn._codemod import names, other_files
from adjourn._codemod.findings import CodeFinding, Finder
from adjourn._codemod.rewriting import Rewriter
from adjourn._compat.moved import IN_MEMORY
from adjourn.exceptions import AdjournException

LEFT_OUT = frozenset(["__pycache__", "build", "dist", "node_modules", "site-packages"])
"""Folders that hold no code of the user's, besides hidden ones, and environments."""
CONCERNED = re.compile(
    "|".join([names.THEIRS, names.OURS, "job_manager", "listen_for_jobs", *IN_MEMORY]).encode(), re.IGNORECASE
)
NESTED = "it is nested too deeply"


@attrs.frozen
class File:
    """What was found out about a file.

    Attributes
    ----------
    path
        The file.
    before, after
        What is in it, and what should be.
    findings
        The places to look at, by line.
    encoding
        How text is written in it.
    error
        Why it could not be read; empty if it could.
    """

    path: Path
    before: bytes
    after: bytes
    findings: list[CodeFinding]
    encoding: str = "utf-8"
    error: str = ""

    @property
    def is_changed(self) -> bool:
        """Whether something is to be written."""
        return self.after != self.before

    def diff(self) -> str:
        """Return the change, as ``diff -u`` shows it."""
        before, after = (text.decode(self.encoding).splitlines(keepends=True) for text in (self.before, self.after))
        lines = difflib.unified_diff(before, after, f"a/{self.path}", f"b/{self.path}")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def write(self) -> None:
        """Replace the file's content, all of it or nothing; its permissions stay."""
        path = self.path.resolve()
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
            try:
                new.write(self.after)
                new.close()
                shutil.copymode(path, new.name)
                Path(new.name).replace(path)
            except BaseException:
                Path(new.name).unlink(missing_ok=True)
                raise


def look_through(paths: Iterable[Path]) -> Iterator[File]:
    """Yield the files that are concerned, in folders and in folders below them, in the order of their names.

    Parameters
    ----------
    paths
        Files and folders.

    Raises
    ------
    AdjournException
        If there is no such file or folder.
    """
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise AdjournException(f"There is no file or folder {str(path)!r}.")
        for each in _files(path):
            if each.resolve() not in seen:
                seen.add(each.resolve())
                if (found := _looked_through(each)) is not None:
                    yield found


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        folders[:] = sorted(each for each in folders if _is_searched(here / each))
        yield from (
            here / each for each in sorted(files) if _is_python(here / each) or other_files.is_looked_at(here / each)
        )


def _is_searched(folder: Path) -> bool:
    left_out = folder.name in LEFT_OUT or folder.name.startswith(".") or folder.name.endswith(".egg-info")
    return not left_out and not (folder / "pyvenv.cfg").exists()


def _is_python(path: Path) -> bool:
    return path.suffix in (".py", ".pyi")


def _looked_through(path: Path) -> File | None:
    if path.exists() and not path.is_file():
        return None  # Reading a pipe waits for somebody to write.
    try:
        content = path.read_bytes()
    except OSError as error:
        return _unread(path, b"", error.strerror or str(error))
    if not CONCERNED.search(content):
        return None
    if not _is_python(path):
        if len(content) > other_files.LARGEST:
            return None
        return File(path, content, content, other_files.look_through(content.decode("utf-8", "replace")))
    if _is_nested_too_deeply(content):
        return _unread(path, content, NESTED)
    try:
        module = cst.parse_module(content)
        finder = Finder()
        wrapper = MetadataWrapper(module)
        wrapper.visit(finder)
        after = wrapper.visit(Rewriter()).bytes
    except cst.ParserSyntaxError as error:
        return _unread(path, content, f"line {error.raw_line}: {error.message}")
    except RecursionError:
        return _unread(path, content, NESTED)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        # The first is what an unknown encoding raises.
        return _unread(path, content, str(error))
    return File(path, content, after, sorted(finder.findings), module.encoding)


def _unread(path: Path, content: bytes, reason: str) -> File:
    return File(path, content, content, [], error=f"cannot be read: {reason}")


def _is_nested_too_deeply(content: bytes) -> bool:
    """Return whether Python itself finds so; libcst would end the process. Other errors of syntax may be those of a version."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(content)
    except SyntaxError as error:
        return "too many nested" in error.msg
    except (RecursionError, MemoryError):
        return True
    except ValueError:
        return False
    return False
