"""Tracebacks as frames, of which those of libraries can be folded away. Nothing of the text is lost or changed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

# A group of exceptions has bars before its frames.
_FRAME = re.compile(r'(?P<before>[ |]*)File "(?P<path>[^\n]*)", line (?P<line>\d+)(?:, in (?P<name>[^\n]*))?')
_LIBRARIES = re.compile(r"[\\/](?:site|dist)-packages[\\/]|[\\/]lib(?:64)?[\\/]python\d|[\\/]Lib[\\/]|^<frozen ")


@attrs.frozen
class Part:
    """A piece of a traceback: a frame, or what stands between frames.

    Attributes
    ----------
    head
        The line that names the frame; empty for what is none.
    text
        What follows it, or what stands there.
    is_open
        Whether the code of a frame is shown at once: it is no library's, or the last one where all are.
    """

    head: str
    text: str
    is_open: bool = True


def parts_of(traceback: str) -> list[Part]:
    """Return a traceback in pieces, which together are the same text."""
    parts = list(_parts(traceback.splitlines(keepends=True)))
    frames = [place for place, part in enumerate(parts) if part.head]
    if frames and not any(parts[place].is_open for place in frames):
        parts[frames[-1]] = attrs.evolve(parts[frames[-1]], is_open=True)
    return parts


def _parts(lines: list[str]) -> Iterator[Part]:
    others: list[str] = []
    place = 0
    while place < len(lines):
        frame = _FRAME.match(lines[place])
        if frame is None:
            others.append(lines[place])
            place += 1
            continue
        if others:
            yield Part("", "".join(others))
            others = []
        head, code = lines[place], list[str]()
        place += 1
        while place < len(lines) and _is_code(lines[place], frame["before"]):
            code.append(lines[place])
            place += 1
        yield Part(head, "".join(code), is_open=_LIBRARIES.search(frame["path"]) is None)
    if others:
        yield Part("", "".join(others))


def _is_code(line: str, before: str) -> bool:
    """Return whether a line belongs to the frame before it: it stands further to the right, or tells of the same frame again."""
    return line.startswith((f"{before}  ", f"{before}[Previous line repeated "))
