"""Shows statements of other sessions without the values in them."""

from __future__ import annotations

import re

MOST_CHARACTERS = 120
HIDDEN_BY_SERVER = "<insufficient privilege>"
"""What Postgres says to who may not see a statement."""
_TOKEN = re.compile(
    r"""
      (?P<skipped>  --[^\n]* | /\* )
    | (?P<literal>
          (?P<tag>\$(?:[^\W\d]\w*)?\$) .*? (?:(?P=tag)|\Z)
        | [eE] '(?:[^'\\] | '' | \\.)*+ (?:'|\\?\Z)
        | (?:[uU]& | [bBnNxX])? '(?P<text>(?:[^'] | '')*+) (?:'|\Z)
        | \.?\d[\w.]*
      )
    | (?P<kept> " (?:[^"] | "")*+ (?:"|\Z) | \$\d+ | [^\W\d][\w$]* | . )
    """,
    re.DOTALL | re.VERBOSE,
)


def masked_query(text: str) -> str:
    """Return the beginning of a statement, with a question mark for each constant, without comments, on one line.

    The server cuts statements off, so a constant may have no end.
    """
    parts, place = list[str](), 0
    while place < len(text) and (match := _TOKEN.match(text, place)):
        place = match.end()
        if match["skipped"]:
            place = _end_of_comment(text, match)
            parts.append(" ")
        elif match["literal"]:
            parts.append("?")
            # Some servers take a backslash for an escape in any text, others in none: nobody knows where this one ends.
            if "\\'" in f"{match['text'] or ''}'":
                parts.append(" ...")
                break
        else:
            parts.append(match["kept"])
    shown = " ".join("".join(parts).split())
    return shown if len(shown) <= MOST_CHARACTERS else shown[: MOST_CHARACTERS - 3].rstrip() + "..."


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
