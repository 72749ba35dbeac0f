"""Draws the pictures of metrics and of traces in docs/_static anew, from what a shop really measures. The first needs Prometheus
(Debian's package is prometheus); with a name as argument, only that is drawn.

It takes two minutes and a half: all workers of the shop are killed in between, and the picture shows how that looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import prometheus_client
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import adjourn
from adjourn import embedded
from adjourn.contrib import prometheus
from adjourn.contrib.opentelemetry import AdjournInstrumentor

PROJECT = Path(__file__).resolve().parent.parent
STATIC = PROJECT / "docs" / "_static"
RUN, KILLED, BACK = 150, 60, 95
"""Seconds: how long the shop is watched, and when its workers are killed and started again."""
DEFERRED = 40
"""Jobs a second."""
PANELS = ("Latency by queue", "Jobs by state", "Deferred and ended, by scraped processes", "Workers")
"""Those of the dashboard for Grafana that are drawn, by their titles."""
COLOURS = ("var(--a)", "var(--b)", "var(--c)", "var(--d)", "var(--e)")
STYLE = """
:root { --ground: #ffffff; --text: #1b2229; --muted: #56616d; --line: #dde2e8; --shade: #b3261e18;
  --a: #0b6678; --b: #b45309; --c: #1a6e3c; --d: #7c3aed; --e: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #181c22; --text: #e3e8ee; --muted: #9aa6b4; --line: #2b323c; --shade: #ff8a8022;
  --a: #5cc4d8; --b: #f0b354; --c: #6fcf97; --d: #b79cff; --e: #ff8a80; } }
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", Arial, sans-serif; font-size: 12px; fill: var(--text); }
.muted { fill: var(--muted); font-size: 11px; }
.title { font-weight: 600; font-size: 13px; }
.line { fill: none; stroke-width: 1.75; stroke-linejoin: round; }
.base { stroke: var(--line); }
"""
SHOP = """
import time

import adjourn

app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo={dsn!r}))


@app.task(name="shop.send_mail", queue="mail")
def send_mail(order):
    time.sleep(0.12)
    if order % 40 == 0:
        raise ConnectionError("the mail server refused it")


@app.task(name="shop.print_label", queue="print")
def print_label(order):
    time.sleep(0.2)
"""


def svg(width: int, height: int, label: str, *parts: str) -> str:
    """Return a picture on a ground of its own, light or dark as the viewer's system is."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f"<title>{html.escape(label)}</title><style>{STYLE}</style>"
        f'<rect width="{width}" height="{height}" rx="8" style="fill: var(--ground); stroke: var(--line)"/>{"".join(parts)}</svg>\n'
    )


def text(x: float, y: float, what: str, kind: str = "", anchor: str = "start", fill: str = "") -> str:
    """Return a text."""
    style = f' style="fill: {fill}"' if fill else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}"{style}>{html.escape(what)}</text>'


# Metrics


def port() -> int:
    """Return a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
        return number


@contextlib.contextmanager
def started(*arguments: str, folder: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends."""
    process = subprocess.Popen(
        arguments,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": folder},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def measure() -> dict[str, list[tuple[str, list[tuple[float, float]]]]]:
    """Run a shop, and return what Prometheus says to the queries of each panel: lines with their names, in seconds since the begin."""
    found = shutil.which("prometheus")
    if found is None:
        raise SystemExit("There is no Prometheus: install it (Debian's package is prometheus).")
    adjourn_ = [str(Path(sys.executable).parent / "adjourn"), "--app=shop.app"]
    own, exporter, workers, server_port = port(), port(), [port(), port()], port()
    targets = [f"127.0.0.1:{each}" for each in (own, exporter, *workers)]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(embedded.Server())
        Path(folder, "shop.py").write_text(SHOP.format(dsn=server.dsn), encoding="utf-8")
        settings = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "adjourn", "static_configs": [{"targets": targets}]}],
        }
        Path(folder, "prometheus.yaml").write_text(json.dumps(settings), encoding="utf-8")
        sys.path.insert(0, folder)
        import shop  # type: ignore[import-not-found]

        stack.enter_context(shop.app.open())
        shop.app.schema_manager.apply_schema()
        prometheus.instrument(shop.app)
        stack.callback(prometheus_client.start_http_server(own, "127.0.0.1")[0].shutdown)
        crew = contextlib.ExitStack()
        stack.callback(crew.close)

        def employ() -> None:
            for number in workers:
                crew.enter_context(
                    started(*adjourn_, "worker", f"--http=127.0.0.1:{number}", "--concurrency=6", folder=folder)
                )

        stack.enter_context(
            started(*adjourn_, "metrics", f"--bind=127.0.0.1:{exporter}", "--interval=1", folder=folder)
        )
        employ()
        flags = (
            "--config.file=prometheus.yaml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{server_port}",
        )
        stack.enter_context(started(found, *flags, folder=folder))
        time.sleep(12)  # the windows of the queries are ten seconds
        begin = time.time()
        run(shop.app, begin, crew, employ)
        return {title: asked(server_port, title, begin) for title in PANELS}


def run(app: adjourn.App, begin: float, crew: contextlib.ExitStack, employ: Any) -> None:
    """Defer jobs, and kill the workers in between."""
    chance, number, is_killed, is_back = random.Random(3), 0, False, False
    while (now := time.time() - begin) < RUN:
        if now > KILLED and not is_killed:
            is_killed = True
            crew.close()
        if now > BACK and not is_back:
            is_back = True
            employ()
        while number < now * DEFERRED:
            number += 1
            app.tasks["shop.print_label" if chance.random() < 0.2 else "shop.send_mail"].defer(order=number)
        time.sleep(0.02)


def asked(server_port: int, title: str, begin: float) -> list[tuple[str, list[tuple[float, float]]]]:
    """Ask Prometheus what a panel asks."""
    dashboard = json.loads((PROJECT / "deploy" / "grafana" / "adjourn.json").read_text(encoding="utf-8"))
    (panel,) = (each for each in dashboard["panels"] if each["title"] == title and each.get("targets"))
    lines = []
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", "10s").replace("$queue", ".*").replace("$task", ".*")
        wanted = {"query": query, "start": begin, "end": begin + RUN, "step": 1}
        address = f"http://127.0.0.1:{server_port}/api/v1/query_range?{urllib.parse.urlencode(wanted)}"
        with urllib.request.urlopen(address) as response:
            answer = json.load(response)["data"]["result"]
        for each in answer:
            name = target.get("legendFormat") or ""
            for label, value in each["metric"].items():
                name = name.replace(f"{{{{{label}}}}}", value)
            lines.append((name, [(at - begin, float(value)) for at, value in each["values"]]))
    return lines


def draw_metrics() -> None:
    """Draw how the death of all workers looks in the dashboard for Grafana."""
    found = measure()
    wide, high = 440, 190
    parts = []
    for place, (title, lines) in enumerate(found.items()):
        x, y = (place % 2) * wide, (place // 2) * high
        parts.append(
            panel(
                x + 16,
                y + 8,
                wide - 32,
                high - 20,
                title,
                [each for each in lines if any(value for _, value in each[1])],
            )
        )
    label = "Four panels of the dashboard for Grafana, while all workers are killed and started again: the latency rises by a second each second"
    (STATIC / "metrics.svg").write_text(svg(2 * wide, 2 * high + 4, label, *parts), encoding="utf-8")


def panel(
    x: float, y: float, wide: float, high: float, title: str, lines: Sequence[tuple[str, Sequence[tuple[float, float]]]]
) -> str:
    """Draw a panel."""
    top, bottom = y + 48, y + high - 18
    most = max((value for _, points in lines for _, value in points), default=1.0) or 1.0

    def at(second: float) -> float:
        return x + wide * second / RUN

    parts = [
        text(x, y + 14, title, "title"),
        f'<rect x="{at(KILLED):.1f}" y="{top}" width="{at(BACK) - at(KILLED):.1f}" height="{bottom - top}" style="fill: var(--shade)"/>',
        text((at(KILLED) + at(BACK)) / 2, bottom - 4, "no worker", "muted", "middle"),
        f'<line class="base" x1="{x}" x2="{x + wide}" y1="{bottom}" y2="{bottom}"/>',
        f'<line class="base" x1="{x}" x2="{x + wide}" y1="{top}" y2="{top}"/>',
        text(x, top - 4, f"{most:,.0f}" + (" s" if title.startswith("Latency") else ""), "muted"),
        text(x, bottom + 14, "0 s", "muted"),
        text(x + wide, bottom + 14, f"{RUN} s", "muted", "end"),
    ]
    names = x + wide
    for (name, points), colour in reversed(list(zip(lines, COLOURS, strict=False))):
        parts.append(text(names, y + 30, name, "muted", "end", colour))
        names -= 6.2 * len(name) + 12
        pieces: list[list[str]] = [[]]
        last = None
        for second, value in points:
            if last is not None and second - last > 2:
                pieces.append([])
            pieces[-1].append(f"{at(second):.1f},{bottom - (bottom - top) * value / most:.1f}")
            last = second
        parts += [f'<polyline class="line" style="stroke: {colour}" points="{" ".join(each)}"/>' for each in pieces]
    return "".join(parts)


# Traces


def trace() -> list[ReadableSpan]:
    """Have a request defer a job that fails once, and return the spans."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    AdjournInstrumentor().instrument(tracer_provider=provider)
    tracer = provider.get_tracer("shop")
    calls = []
    with embedded.Server() as server:
        app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=server.dsn))

        @app.task(name="send_mail", queue="mail", retry=adjourn.RetryStrategy(max_attempts=3, wait=3))
        def send_mail(order: int) -> None:
            calls.append(order)
            with tracer.start_as_current_span("talk to the mail server"):
                time.sleep(0.06)
                if len(calls) == 1:
                    raise ConnectionError("the mail server refused it")

        with app.open():
            app.schema_manager.apply_schema()
            send_mail.defer(order=0)  # what is made once, such as connections, is in no picture
            calls.append(0)
            app.run_worker(wait=False, install_signal_handlers=False)
            exporter.clear()
            calls.clear()
            loop = asyncio.new_event_loop()
            running = loop.create_task(app.run_worker_async(install_signal_handlers=False))
            worker = threading.Thread(target=_until_cancelled, args=(loop, running))
            worker.start()
            time.sleep(2)
            with tracer.start_as_current_span("POST /orders"):
                time.sleep(0.03)
                send_mail.defer(order=7)
                time.sleep(0.02)
            while len([span for span in exporter.get_finished_spans() if span.name == "process send_mail"]) < 2:
                time.sleep(0.1)
            loop.call_soon_threadsafe(running.cancel)
            worker.join(20)
    AdjournInstrumentor().uninstrument()
    return sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)


def _until_cancelled(loop: asyncio.AbstractEventLoop, running: asyncio.Task[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(running)
    loop.close()


def draw_tracing() -> None:
    """Draw the spans of a request, of the job that it defers, and of the job's second attempt."""
    spans = trace()
    left, wide, notes, step = 230, 380, 250, 30
    y, first = 20, spans[0].start_time or 0
    parts, places = [], {}
    for number, id_ in enumerate(dict.fromkeys(span.context.trace_id for span in spans)):
        group = [span for span in spans if span.context.trace_id == id_]
        begin, end = min(span.start_time or 0 for span in group), max(span.end_time or 0 for span in group)
        when = "" if not number else f", {(begin - first) / 1e9:.1f} s later"
        parts.append(text(16, y + 12, f"Trace {id_:032x}"[:14] + "…" + when, "title"))
        parts.append(text(left + wide + notes, y + 12, f"{(end - begin) / 1e6:.0f} ms in all", "muted", "end"))
        parts.append(f'<line class="base" x1="16" x2="{left + wide + notes}" y1="{y + 20}" y2="{y + 20}"/>')
        y += 26
        depths: dict[int, int] = {}
        for span in group:
            parent = span.parent.span_id if span.parent else None
            depth = depths[span.context.span_id] = depths.get(parent, -1) + 1 if parent is not None else 0
            x = left + wide * ((span.start_time or 0) - begin) / (end - begin)
            width = max(3, wide * ((span.end_time or 0) - (span.start_time or 0)) / (end - begin))
            is_bad = not span.status.is_ok and span.status.description is not None
            colour = (
                "var(--e)"
                if is_bad
                else "var(--b)"
                if span.name == "POST /orders" or "talk" in span.name
                else "var(--a)"
            )
            parts.append(text(16 + 16 * depth, y + 14, span.name))
            parts.append(
                f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="15" rx="3" style="fill: {colour}"/>'
            )
            parts.append(text(left + wide + 12, y + 15, note(span), "muted"))
            places[span.context.span_id] = (x, width, y)
            y += step
        y += 14
    parts += [arrow(places, span) for span in spans if span.links and span.parent is None]
    legend = []
    for place, (colour, what) in enumerate(
        {"b": "spans of the program", "a": "spans of adjourn", "e": "spans with an error"}.items()
    ):
        x = left + 150 * place
        legend += [
            f'<rect x="{x}" y="{y}" width="10" height="10" rx="2" style="fill: var(--{colour})"/>',
            text(x + 16, y + 9, what, "muted"),
        ]
    label = (
        "Two traces: a request, the call that defers a job, and its first attempt, which fails, are one; the second attempt is "
        "another, with a link to the call that deferred the job"
    )
    (STATIC / "tracing.svg").write_text(svg(left + wide + notes + 16, y + 24, label, *parts, *legend), encoding="utf-8")


def note(span: ReadableSpan) -> str:
    """Return how long a span took, and how it ended."""
    about: Mapping[str, Any] = span.attributes or {}
    words = [f"{((span.end_time or 0) - (span.start_time or 0)) / 1e6:.0f} ms"]
    if "adjourn.job.attempt" in about:
        words.append(f"attempt {about['adjourn.job.attempt']}")
    words += [str(about[name]) for name in ("adjourn.job.outcome", "error.type") if name in about]
    return ", ".join(words)


def arrow(places: Mapping[int, tuple[float, float, float]], span: ReadableSpan) -> str:
    """Draw a link from a span that is the root of its trace."""
    x, _, y = places[span.context.span_id]
    to_x, to_width, to_y = places[span.links[0].context.span_id]
    end, middle = to_x + to_width / 2, to_y + 19
    return (
        f'<path d="M{x + 6:.1f} {y + 3} V{y - 30} H{end:.1f} V{middle + 4}" class="line" style="stroke: var(--d)" stroke-dasharray="4 3"/>'
        f'<path d="M{end - 4:.1f} {middle + 6} L{end:.1f} {middle} L{end + 4:.1f} {middle + 6}" class="line" style="stroke: var(--d)"/>'
        + text(end + 10, y - 34, "link", "muted", fill="var(--d)")
    )


DRAWN = {"metrics": draw_metrics, "tracing": draw_tracing}


def main() -> int:
    """Draw those that are named, or all."""
    for name in sys.argv[1:] or DRAWN:
        DRAWN[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
