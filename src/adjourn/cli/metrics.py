"""``adjourn metrics``: export the figures of a database for Prometheus."""

from __future__ import annotations

import argparse
import signal
import threading
from typing import Any

from adjourn._runtime.signals import Handlers
from adjourn.cli import applications, flags
from adjourn.cli.exits import Exit
from adjourn.exceptions import CannotListen, InvalidOption
from adjourn.monitor import exports
from adjourn.worker import exposition

HELP = "export figures of the database for Prometheus"
BIND = "127.0.0.1:8181"


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser(
        "metrics",
        help=HELP,
        description="Serve figures of queues, workers, schedules, tables and the server at /metrics until stopped: for each database, one "
        "such process is enough. It only reads, at a cost that has a bound, however often it is asked.\n\n"
        "/livez answers as long as it runs, and /readyz while the database answers.",
    )
    parser.add_flag(
        "--bind",
        variable="METRICS_BIND",
        convert=flags.address,
        metavar="HOST:PORT",
        help=f"where to listen; port 0 takes a free one; default: {BIND}",
    )
    parser.add_flag(
        "--interval",
        variable="METRICS_INTERVAL",
        convert=_seconds,
        metavar="SECONDS",
        help=f"for how long what was read is shown; default: {exports.INTERVAL:g}",
    )
    parser.add_argument("--once", action="store_true", help="print them, and exit")
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Serve until stopped."""
    parser: flags.Parser = options.parser
    integration = exposition.loaded()
    if integration is None:
        parser.error("`adjourn metrics` needs Prometheus' client: pip install 'adjourn[prometheus]'")
    app = applications.load(options)
    collector = integration.DatabaseCollector(app, getattr(options, "interval", exports.INTERVAL))
    try:
        if getattr(options, "once", False):
            print(collector.text().decode(), end="")
            return Exit.DONE if collector.is_up else Exit.FAILED
        host, port = getattr(options, "bind", None) or flags.address(BIND)
        try:
            server = integration.server_of(collector, host, port)
        except OSError as error:
            raise CannotListen(f"Metrics cannot be served at {host}:{port}: {error}") from error
        _serve(server)
    finally:
        collector.close()
    return Exit.DONE


def _serve(server: Any) -> None:
    """Serve until a signal."""
    host, port = server.server_address[:2]
    print(f"Metrics are at http://{f'[{host}]' if ':' in host else host}:{port}/metrics", flush=True)

    def stop(number: int, frame: Any) -> None:
        threading.Thread(target=server.shutdown).start()  # it waits for what this thread does

    handlers = Handlers((signal.SIGINT, signal.SIGTERM), stop)
    handlers.install()
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        handlers.remove()
        server.server_close()


def _seconds(text: str) -> float:
    try:
        return exports.checked_interval(float(text))
    except (ValueError, InvalidOption) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to 3,600") from error
