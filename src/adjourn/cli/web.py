"""``adjourn web``: the dashboard in a browser."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import logging
import signal
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from adjourn._runtime.signals import Handlers
from adjourn.app import App
from adjourn.cli import applications, flags
from adjourn.cli.exits import Exit
from adjourn.exceptions import InvalidOption

HELP = "show a dashboard in the browser"
BIND = "127.0.0.1:8180"
LOCAL = ("localhost", "127.0.0.1", "[::1]")
PASSWORD = "ADJOURN_WEB_PASSWORD"  # noqa: S105 - the name of a variable
LEAVING = 5
"""Seconds that requests get to end when it stops."""
THREE_WAYS = (
    f"set ADJOURN_WEB_USER and {PASSWORD} (or {PASSWORD}_FILE); or sign users in at a proxy, with --auth-header and --trusted-proxy; or bind it "
    f"to this machine alone, --bind {BIND}"
)


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser(
        "web",
        help=HELP,
        description="Serve the dashboard: queues, tasks, jobs, workers, and what one can do about them. It reads the database only while "
        "somebody looks. Without a password it is there for this machine alone.\n\n"
        f"{PASSWORD}, or a file, has the password of --user; a command line can be seen by others.",
    )
    parser.add_flag(
        "--bind",
        variable="WEB_BIND",
        convert=flags.address,
        metavar="HOST:PORT",
        help=f"where to listen; port 0 takes a free one; default: {BIND}",
    )
    parser.add_flag(
        "--read-only",
        variable="WEB_READ_ONLY",
        convert=flags.boolean,
        action="store_true",
        help="leave out everything that changes something",
    )
    parser.add_flag("--title", variable="WEB_TITLE", help="what it is called; default: the name of the database")
    parser.add_flag(
        "--hide-args",
        variable="WEB_HIDE_ARGS",
        convert=flags.boolean,
        action="store_true",
        help="show no arguments in lists of jobs",
    )
    parser.add_flag(
        "--bulk-limit",
        variable="WEB_BULK_LIMIT",
        convert=flags.count,
        metavar="JOBS",
        help="how many jobs a change of many jobs takes at most, up to 1,000,000; default: 100,000",
    )
    parser.add_flag(
        "--metrics",
        variable="WEB_METRICS",
        convert=flags.boolean,
        action="store_true",
        help="answer /metrics with the figures of `adjourn metrics`, for who may see the pages",
    )
    parser.add_flag(
        "--also",
        variable="WEB_ALSO",
        convert=_texts,
        action="extend",
        type=_texts,
        metavar="[NAME=]PATH",
        help="another app in the same dashboard, where to import it from as --app says it, with the name that its pages have; default: the first "
        "part of the path; may be given several times, or several separated by commas",
    )
    parser.add_flag("--user", variable="WEB_USER", metavar="NAME", help="the name that browsers ask for")
    parser.add_flag(
        "--password-file", variable="WEB_PASSWORD_FILE", metavar="PATH", help="a file with the user's password"
    )
    parser.variables["password"] = flags.Variable(PASSWORD, str)
    parser.spellings["password"] = PASSWORD
    parser.add_flag(
        "--auth-header",
        variable="WEB_AUTH_HEADER",
        metavar="NAME",
        help="the header in which a proxy names the user, such as X-Forwarded-User; needs --trusted-proxy",
    )
    several: list[tuple[str, str, str, str]] = [
        ("--trusted-proxy", "WEB_TRUSTED_PROXIES", "CIDR", "a network of proxies whose headers count"),
        ("--allowed-host", "WEB_ALLOWED_HOSTS", "HOST", "a host that requests may name, besides this machine's"),
        (
            "--allowed-origin",
            "WEB_ALLOWED_ORIGINS",
            "URL",
            "an origin whose pages may send forms, for proxies that change the Host",
        ),
        ("--frame-ancestor", "WEB_FRAME_ANCESTORS", "URL", "an origin whose pages may show it in a frame"),
        ("--permission", "WEB_PERMISSIONS", "NAME", "what users may do; default: all but view_args and job.defer"),
    ]
    for flag, variable, metavar, text in several:
        parser.add_flag(
            flag,
            variable=variable,
            convert=_texts,
            action="extend",
            type=_texts,
            metavar=metavar,
            help=f"{text}; may be given several times, or several separated by commas",
        )
    parser.add_flag(
        "--prefix",
        variable="WEB_PREFIX",
        metavar="PATH",
        help="the path below which a proxy offers it, if the proxy leaves that in the address",
    )
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Serve the dashboard until stopped."""
    parser: flags.Parser = options.parser
    try:
        import uvicorn

        from adjourn import web
    except ImportError as error:
        parser.error(f"`adjourn web` needs packages that are not here: pip install 'adjourn[web]' ({error})")
    host, port = getattr(options, "bind", None) or flags.address(BIND)
    given = {
        name: getattr(options, name)
        for name in ("title", "hide_args", "read_only", "prefix", "metrics", "bulk_limit")
        if hasattr(options, name)
    }
    proxies = getattr(options, "trusted_proxy", [])
    hosts = set(getattr(options, "allowed_host", []))
    auth = _auth(options)
    if auth is None:
        if not _is_local(host):
            parser.error(f"{host} can be reached by others, and nobody would be asked who it is: {THREE_WAYS}")
        auth, hosts = web.anybody, hosts | set(LOCAL)
    app = applications.load_with_tasks(options)
    also = getattr(options, "also", [])
    try:
        made = web.create_app(
            _by_name(options, app, also) if also else app,
            auth=auth,
            permissions=getattr(options, "permission", None),
            allowed_hosts=hosts,
            allowed_origins=getattr(options, "allowed_origin", []),
            trusted_proxies=proxies,
            frame_ancestors=getattr(options, "frame_ancestor", []),
            **given,
        )
    except InvalidOption as error:
        parser.refuse(error)
    config = uvicorn.Config(
        made,
        host=host.strip("[]"),
        port=port,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=LEAVING,
    )
    _serve(config, made.state.sites)
    return Exit.DONE


def _by_name(options: argparse.Namespace, app: App, also: list[str]) -> dict[str, App]:
    """Return the app and the others, by the names that their pages have."""
    from adjourn.web.application import names_of_pages

    apps = {_name(getattr(options, "app", "main"), names_of_pages()): app}
    for text in also:
        name, _, path = text.rpartition("=")
        name = name or _name(path, names_of_pages())
        if name in apps:
            options.parser.error(f"--also={text}: {name!r} names an app already: write NAME=PATH, with another name")
        apps[name] = applications.load_with_tasks(argparse.Namespace(app=path))
    return apps


def _name(path: str, taken: Collection[str]) -> str:
    name = path.replace(":", ".").partition(".")[0]
    return f"{name}-app" if name in taken else name


def _serve(config: Any, sites: Sequence[Any]) -> None:
    """Serve until the first signal; the second one ends it at once."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            for server in self.servers:
                host, port, *_ = server.sockets[0].getsockname()
                print(
                    f"The dashboard is at http://{f'[{host}]' if ':' in host else host}:{port}{sites[0].prefix}/",
                    flush=True,
                )

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            handlers = Handlers((signal.SIGINT, signal.SIGTERM), self._leave)
            handlers.install()
            try:
                yield
            finally:
                handlers.remove()

        def _leave(self, number: int, frame: Any) -> None:
            for site in sites:
                site.leave()
            self.handle_exit(number, frame)

    # What it says at level INFO, nobody has to know.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    Server(config).run()


def _auth(options: argparse.Namespace) -> Any:
    """Return how users are told apart; None for not at all."""
    from adjourn import web

    parser: flags.Parser = options.parser
    header, user, password = getattr(options, "auth_header", ""), getattr(options, "user", ""), _password(options)
    if bool(user) != bool(password):
        parser.error(
            f"there is a user, and no password: set {PASSWORD} or {PASSWORD}_FILE"
            if user
            else "there is a password, and no user: set ADJOURN_WEB_USER"
        )
    if header and not getattr(options, "trusted_proxy", None):
        parser.error("--auth-header needs --trusted-proxy: else anybody could send the header")
    if header and user:
        parser.error("--auth-header and --user are two ways to tell who somebody is: choose one")
    if header:
        return web.Header(header)
    try:
        return web.Password(user, password) if user else None
    except InvalidOption as error:
        parser.error(str(error))


def _password(options: argparse.Namespace) -> str:
    parser: flags.Parser = options.parser
    path, password = getattr(options, "password_file", ""), str(getattr(options, "password", ""))
    if not path:
        return password
    if password:
        parser.error(f"{PASSWORD} and {PASSWORD}_FILE are two places for one password: set one")
    try:
        found = Path(path).read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        parser.error(f"{parser.spellings['password_file']}: {error}")
    return found or parser.error(f"{parser.spellings['password_file']}: {path} is empty")


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _texts(text: str) -> list[str]:
    return [each for part in text.split(",") if (each := part.strip())]
