"""Shows statements of other sessions without the values in them."""

from __future__ import annotations

import re

MOST_CHARACTERS = 120
HIDDEN_BY_SERVER = "<insufficient privilege>"
"""What Postgres says to who may not see a statement."""
_TOKEN = re.compile(
    r"""
      (?P<skipped>  --[^\n\r]* | /\* )
    | (?P<literal>
          (?P<tag>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$) .*? (?:(?P=tag)|\Z)
        | [eE] '(?:[^'\\] | '' | \\.)*+ (?:'|\\?\Z)
        | (?:[uU]& | [bBnNxX])? '(?P<text>(?:[^'] | '')*+) (?:'|\Z)
        | \.?[0-9][A-Za-z0-9_.\x80-\U0010ffff]*
      )
    | (?P<kept> " (?:[^"] | "")*+ (?:"|\Z) | \$[0-9]+ | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*) | . )
    """,
    re.DOTALL | re.VERBOSE,
)
"""The server's rules, for which each character beyond ASCII is a letter."""
_BEFORE_VALUES = frozenset(("=", "to", "role", "authorization", "zone", "names"))
"""What stands before the value of a setting, which need not be quoted."""


def masked_query(text: str) -> str:
    """Return the beginning of a statement, with a question mark for each constant, without comments, on one line.

    The server cuts statements off, so a constant may have no end.
    """
    parts, place, settings = list[str](), 0, _Settings()
    while place < len(text) and (match := _TOKEN.match(text, place)):
        place = match.end()
        if match["skipped"]:
            place = _end_of_comment(text, match)
            parts.append(" ")
        elif match["literal"]:
            parts.append("" if settings.is_value else "?")
            # Some servers take a backslash for an escape in any text, others in none: nobody knows where this one ends.
            if "\\'" in f"{match['text'] or ''}'":
                parts.append(" ...")
                break
        else:
            parts.append(settings.kept(match["kept"], is_word=match["word"] is not None))
    shown = " ".join("".join(parts).split())
    return shown if len(shown) <= MOST_CHARACTERS else shown[: MOST_CHARACTERS - 3].rstrip() + "..."


class _Settings:
    """Finds the values in statements such as ``set name = value`` and ``alter role ann set name to value``."""

    def __init__(self) -> None:
        self.is_value = False
        self._first, self._is_setting = "", False

    def kept(self, part: str, *, is_word: bool) -> str:
        """Return what to show of a part that is no constant."""
        if part == ";":
            self.is_value, self._first, self._is_setting = False, "", False
        elif self.is_value:
            return ""
        elif self._is_setting and part.lower() in _BEFORE_VALUES:
            self.is_value = True
            return f"{part} ?"
        elif is_word:
            word = part.lower()
            self._first = self._first or word
            self._is_setting = self._is_setting or (word == "set" and self._first in ("set", "alter", "create"))
        return part


def _end_of_comment(text: str, match: re.Match[str]) -> int:
    """Return where a comment ends; those in slashes may have others in them."""
    if match["skipped"] != "/*":
        return match.end()
    depth = 1
    for mark in re.compile(r"/\*|\*/").finditer(text, match.end()):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)
