"""Fails if a public name of adjourn has no type that an editor can show: scripts/typed.py.

pyright judges it. Two kinds of names do not count: subclasses of Django's classes, which have no complete types themselves, and
methods that an extension takes over from its app with all their overloads.
"""

from __future__ import annotations

import json
import subprocess
import sys

COMMAND = ("pyright", "--verifytypes", "adjourn", "--ignoreexternal", "--outputjson")
EXEMPT = (
    *(f"adjourn.contrib.django.{part}" for part in ("admin", "apps", "fields", "migrations", "models", "operations")),
    *(f"adjourn.contrib.django.{part}" for part in ("application.SiteApp", "querysets", "tasks", "test", "writing")),
    *("adjourn.contrib.flask.extension.Adjourn.periodic", "adjourn.contrib.flask.extension.Adjourn.task"),
)


def main() -> int:
    """Print the names, and return the exit code."""
    found = json.loads(subprocess.run(COMMAND, capture_output=True, text=True, check=False).stdout)
    symbols = [each for each in found["typeCompleteness"]["symbols"] if each["isExported"]]
    untyped = [each for each in symbols if not each["isTypeKnown"] or each["isTypeAmbiguous"]]
    # A class has no diagnostics of its own if only its members have.
    counted = [each for each in untyped if each["diagnostics"] and not each["name"].startswith(EXEMPT)]
    for each in counted:
        for diagnostic in each["diagnostics"]:
            print(f"{each['name']}: {diagnostic['message']}")
    print(f"{len(counted)} of {len(symbols)} public names have no complete type")
    return 1 if counted or len(symbols) < 1000 else 0


if __name__ == "__main__":
    sys.exit(main())
