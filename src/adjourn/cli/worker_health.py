"""``adjourn worker-health``: ask a worker on this machine how it is, for containers and service managers."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from adjourn.cli import flags
from adjourn.cli.exits import Exit
from adjourn.exceptions import InvalidOption

HELP = "ask a worker on this machine whether it is alive"
DESCRIPTION = """\
Ask a worker whether it is alive or, with --ready, whether it takes jobs. Exits with 0 if so, and with 1 and a word about why if not.
It needs no app and no database.

The worker answers at the address of its --http, or writes its --health-file.
"""
OLDEST = 20.0
"""Seconds after which a health file counts as old: it is written every five."""
TIMEOUT = 3.0
"""Seconds that the worker may take to answer."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser("worker-health", help=HELP, description=DESCRIPTION)
    parser.set_defaults(run=run, parser=parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--file", metavar="PATH", help="the worker's health file; default: what ADJOURN_WORKER_HEALTH_FILE says"
    )
    where.add_argument(
        "--url", metavar="URL", help="such as http://127.0.0.1:8080; default: the address that ADJOURN_WORKER_HTTP says"
    )
    parser.add_argument("--ready", action="store_true", help="ask whether it takes jobs")


def run(options: argparse.Namespace) -> int:
    """Ask, and say what is wrong."""
    parser: flags.Parser = options.parser
    given = vars(options)
    file, url, is_to_be_ready = given.get("file"), given.get("url"), given.get("ready", False)
    if file is None and url is None:
        file = os.environ.get("ADJOURN_WORKER_HEALTH_FILE") or None
        address = os.environ.get("ADJOURN_WORKER_HTTP")
        if file is None and address:
            url = f"http://{address.replace('0.0.0.0', '127.0.0.1', 1)}"  # noqa: S104 - not to listen there
    if file is None and url is None:
        parser.refuse(InvalidOption("Pass --url or --file, the address or the file that the worker was given."))
    if url is not None:
        _check_url(parser, url)
    wrong = _wrong_at(url, is_to_be_ready) if url is not None else _wrong_in(Path(file or ""), is_to_be_ready)
    if wrong is None:
        print("ready" if is_to_be_ready else "alive")
        return Exit.DONE
    print(wrong, file=sys.stderr)
    return Exit.FAILED


def _check_url(parser: flags.Parser, url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_url = False
    if not is_url:
        parser.refuse(InvalidOption(f"--url {url!r}: pass an address such as http://127.0.0.1:8080."))


def _wrong_in(file: Path, is_to_be_ready: bool) -> str | None:
    """Return what is wrong according to a file, or None."""
    try:
        age = time.time() - file.stat().st_mtime
        health = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return f"{file} is not there: the worker has not begun, or has ended"
    except (OSError, ValueError) as error:
        return f"{file} cannot be read: {error}"
    if age > OLDEST:
        return f"{file} is {age:.0f} s old: the worker hangs, or has been killed"
    return _told(health) if is_to_be_ready and not health.get("ready") else None


def _wrong_at(url: str, is_to_be_ready: bool) -> str | None:
    """Return what is wrong according to the worker, or None."""
    address = f"{url.rstrip('/')}/{'readyz' if is_to_be_ready else 'livez'}"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT):  # noqa: S310 - its scheme has been checked
            return None
    except urllib.error.HTTPError as error:
        try:
            return _told(json.loads(error.read()))
        except ValueError:
            return f"{address} answers {error.code}"
    except (OSError, http.client.HTTPException) as error:
        return f"{address} does not answer: {getattr(error, 'reason', error)}"


def _told(health: Any) -> str:
    found = health.get("conditions", ()) if isinstance(health, dict) else ()
    return "; ".join(str(each.get("says")) for each in found if each.get("says")) or "it says that it is not"
