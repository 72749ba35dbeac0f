"""How the pages of the documentation are written, so that their code can be run.

The blocks of a page make one program, from top to bottom:

* a block of ``python`` whose first line is a comment with a file's name (``# tasks.py``) is written to that file;
* every other block of ``python`` is executed, all of a page with the same names;
* of a ``console`` block each line that begins with ``$`` is run by the shell. The lines below it must be printed, in that
  order; others may be printed between them. ``...`` stands for any text. A last line ``^C`` is Ctrl-C, once the lines above
  it are printed;
* the address ``postgresql://localhost/mydb`` is replaced by that of a database with adjourn's tables, also with the name of
  a driver in it, as SQLAlchemy has it;
* a comment ``<!-- python``, code in lines of its own, ``-->`` is executed and not shown: what a page takes for granted, and
  what it promises;
* a page with tabs is run once for each of them, as by a reader who keeps to one: ``:sync: sync`` names the tab;
* ``<!-- not run: WHY -->`` above a block leaves that one out; above the title of a page, all of its blocks. If another test
  runs them, WHY names its file.

A block of another language is not code, and that language is in `DATA`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ADDRESS = "postgresql://localhost/mydb"
CODE = ("python", "console", "sql")
DATA = ("ini", "mermaid", "text", "toml", "yaml")
_PARTS = re.compile(
    r"^<!-- not run: (?P<why>.*?) -->$"
    r"|^<!-- python\n(?P<hidden>.*?)^-->$"
    r"|^:::\{tab-item\}[^\n]*\n:sync: (?P<tab>\w+)$"
    r"|^(?P<end_of_tab>:::)$"
    r"|^(?P<title># [^\n]*)$"
    r"|^(?P<fence>```+)(?P<language>[^\n`]*)\n(?P<shown>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of a page: its language, its text, where it is, why it is not run, if it is not, and its tab."""

    language: str
    text: str
    page: Path
    line: int
    why_not: str | None = None
    tab: str | None = None
    is_hidden: bool = False

    @property
    def place(self) -> str:
        """Where the block is, for people."""
        return f"{self.page.relative_to(ROOT)}, line {self.line}"

    @property
    def is_run(self) -> bool:
        """Whether the block is code, and nothing speaks against running it."""
        return self.language in CODE and self.why_not is None

    @property
    def file_name(self) -> str | None:
        """The file that the block is to be written to."""
        match = re.match(r"# ([\w./-]+\.py)\n", self.text)
        return match[1] if match and self.language == "python" and not self.is_hidden else None


def every_page() -> list[Path]:
    """Return the pages of the site, and the README."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def read(page: Path) -> list[Block]:
    """Return the blocks of a page."""
    text = page.read_text("utf-8")
    blocks: list[Block] = []
    why_page = why_block = None
    has_title = False
    tab = None
    for part in _PARTS.finditer(text):
        line = text.count("\n", 0, part.start()) + 1
        if part["title"]:
            has_title = True
        elif part["why"] and has_title:
            why_block = part["why"]
        elif part["why"]:
            why_page = part["why"]
        elif part["tab"] or part["end_of_tab"]:
            tab = part["tab"]
        elif part["hidden"] is not None:
            blocks.append(Block("python", part["hidden"], page, line, tab=tab, is_hidden=True))
        elif not part["language"].startswith("{"):
            blocks.append(Block(part["language"].strip(), part["shown"], page, line, why_block or why_page, tab))
            why_block = None
    return blocks


def tabs(page: Path) -> list[str]:
    """Return the tabs that a reader of the page can keep to; one of no name if it has none."""
    return list(dict.fromkeys(block.tab for block in read(page) if block.tab)) or [""]
