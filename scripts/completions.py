"""Writes what completes the command line in shells, src/adjourn/cli/completions; with --check, only compares."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import shtab

from adjourn.cli import make_parser
from adjourn.cli.completion import SHELLS

FOLDER = Path(__file__).resolve().parent.parent / "src" / "adjourn" / "cli" / "completions"


def script(shell: str) -> str:
    """The script of a shell."""
    # Trailing blanks are of no use to it.
    lines = shtab.complete(make_parser(), shell).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def main() -> int:
    """Write or compare the scripts of all shells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a script is not what would be written")
    is_check = parser.parse_args().check
    stale = [shell for shell in SHELLS if not is_current(shell)]
    for shell in () if is_check else stale:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"adjourn.{shell}").write_text(script(shell), encoding="utf-8")
    if stale and is_check:
        print(f"Stale: {', '.join(stale)}. Run scripts/completions.py.", file=sys.stderr)
        return 1
    print(f"Completions for {', '.join(SHELLS)} are as they should be")
    return 0


def is_current(shell: str) -> bool:
    """Tell whether the script of a shell is what would be written."""
    file = FOLDER / f"adjourn.{shell}"
    return file.is_file() and file.read_text(encoding="utf-8") == script(shell)


if __name__ == "__main__":
    sys.exit(main())
