"""The dashboard in other applications, under a prefix: no address leads out of it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any, cast

import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

import adjourn
from adjourn import web
from adjourn.web.wsgi import create_wsgi_app

PREFIX = "/x/y"
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


def followed(get: Callable[[str], tuple[int, str]], prefix: str = PREFIX) -> set[str]:
    """Follow links from the overview, of each page one with the same parameters, and return where they led."""
    seen: set[str] = set()
    kinds: set[str] = set()
    left = [f"{prefix}/"]
    while left:
        address = left.pop()
        kind = re.sub("=[^&]*", "=", address)
        if kind in kinds:
            continue
        kinds.add(kind)
        seen.add(address)
        status, page = get(address)
        assert status == 200, address
        for found in re.findall(r'(?:href|src|action|data-events)="([^"#][^"]*)"', page):
            found = html.unescape(found)
            assert found.startswith(f"{prefix}/"), f"{address} leads out: {found}"
            if "/do/" not in found and "/events/" not in found:
                left.append(found)
    assert len(seen) > 8
    return seen


def by(client: TestClient) -> Callable[[str], tuple[int, str]]:
    def get(address: str) -> tuple[int, str]:
        answer = client.get(address)
        return answer.status_code, answer.text

    return get


def pauses(client: TestClient, app: adjourn.App, prefix: str = PREFIX) -> None:
    answer = client.post(f"{prefix}/do/queue.pause", data={"queue": "mail"}, headers=SAME_SITE)
    assert answer.status_code == 200
    assert "Queue mail is paused." in answer.text
    assert [each.name for each in app.job_manager.list_pauses()] == ["mail"]


@pytest.fixture
def dashboard(app: adjourn.App) -> Starlette:
    app.tasks["send"].defer()
    return web.create_app(app, auth=web.anybody)


@pytest.mark.parametrize("kind", ["Starlette", "FastAPI"])
def test_in_an_application_of_starlette(app: adjourn.App, dashboard: Starlette, kind: str) -> None:
    site: Any = Starlette() if kind == "Starlette" else FastAPI()
    site.mount(PREFIX, dashboard)
    with TestClient(site) as client:
        followed(by(client))
        pauses(client, app)
        # The prefix alone leads to the overview.
        assert client.get(PREFIX).status_code == 200


def test_beside_django(app: adjourn.App, dashboard: Starlette) -> None:
    from django.core.asgi import get_asgi_application

    import support.site  # noqa: F401 - the project of the tests

    # As asgi.py has it.
    site = Starlette(routes=[Mount(PREFIX, dashboard), Mount("/", cast("Any", get_asgi_application()))])
    with TestClient(site) as client:
        followed(by(client))
        pauses(client, app)
        assert client.get("/nowhere-of-django").status_code == 404


def test_in_flask(app: adjourn.App) -> None:
    app.tasks["send"].defer()
    flask = Flask(__name__)
    flask.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]
        flask.wsgi_app, {PREFIX: create_wsgi_app(app, auth=web.anybody)}
    )
    client = Client(flask)

    def get(address: str) -> tuple[int, str]:
        answer = client.get(address)
        return answer.status_code, answer.get_data(as_text=True)

    followed(get)
    assert "data-events" not in get(f"{PREFIX}/")[1]
    answer = client.post(f"{PREFIX}/do/queue.pause", data={"queue": "mail"}, headers=SAME_SITE, follow_redirects=True)
    assert "Queue mail is paused." in answer.get_data(as_text=True)
    assert [each.name for each in app.job_manager.list_pauses()] == ["mail"]


def test_behind_a_proxy_that_takes_the_prefix_away(app: adjourn.App) -> None:
    made = web.create_app(app, auth=web.anybody, trusted_proxies=["10.0.0.0/8"])
    headers = {"X-Forwarded-Prefix": PREFIX}

    def get(address: str, client: TestClient) -> tuple[int, str]:
        answer = client.get(address.removeprefix(PREFIX), headers=headers)
        return answer.status_code, answer.text

    with TestClient(made, client=("10.0.0.1", 1)) as client:
        followed(lambda address: get(address, client))
    # From anybody else, the header does not count.
    with TestClient(made, client=("11.0.0.1", 1)) as client:
        assert 'href="/queues"' in client.get("/", headers=headers).text


def test_behind_a_proxy_that_keeps_the_prefix(app: adjourn.App) -> None:
    with TestClient(web.create_app(app, auth=web.anybody, prefix=PREFIX)) as client:
        followed(by(client))
        pauses(client, app)
