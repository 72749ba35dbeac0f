"""Several apps in one dashboard: each below its name, with a switch between them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.requests import Request
from starlette.testclient import TestClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

import adjourn
from adjourn import web
from adjourn.cli import main, parse
from adjourn.cli.web import _by_name
from adjourn.exceptions import InvalidOption
from adjourn.testing import InMemoryConnector
from adjourn.web.wsgi import create_wsgi_app

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def other(database: str) -> Iterator[adjourn.App]:
    """An app of another schema of the same database."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(database), schema="other_schema")
    with app.open():
        app.schema_manager.apply_schema()
        yield app
        app.connector.get_sync_connector().execute_query("drop schema other_schema cascade")


@pytest.fixture
def both(app: adjourn.App, other: adjourn.App) -> dict[str, adjourn.App]:
    app.configure_task("one", queue="of-orders", allow_unknown=True).defer()
    other.configure_task("two", queue="of-billing", allow_unknown=True).defer()
    return {"orders": app, "billing": other}


def leads(page: str) -> dict[str, str]:
    """The addresses of the switch, by the names of apps."""
    (switch,) = re.findall(r'<span class="apps".*?</span>', page)
    return {name: address for address, name in re.findall(r'<a href="([^"]+)"[^>]*>([^<]+)</a>', switch)}


def test_each_app_has_its_pages_below_its_name_and_a_switch_leads_to_the_other(both: dict[str, adjourn.App]) -> None:
    with TestClient(web.create_app(both, auth=web.anybody)) as client:
        page = client.get("/orders/jobs").text
        assert "of-orders" in page
        assert "of-billing" not in page
        assert leads(page) == {"orders": "/orders/jobs", "billing": "/billing/jobs"}
        page = client.get(leads(page)["billing"]).text
        assert "of-billing" in page
        assert "of-orders" not in page
        assert len(re.findall(r'aria-current="true"', page)) == 1
        # A job of this app is none of the other: that one's first page is shown.
        (job,) = both["orders"].job_manager.list_jobs()
        assert leads(client.get(f"/orders/job?id={job.id}").text)["billing"] == "/billing/"
        done = client.post("/billing/do/queue.pause", data={"queue": "mail"}, headers=SAME_SITE)
        assert (done.status_code, done.url.path) == (200, "/billing/queues")
    assert [each.name for each in both["billing"].job_manager.list_pauses()] == ["mail"]
    assert both["orders"].job_manager.list_pauses() == []


def test_an_address_without_a_name_is_one_of_the_first_app(both: dict[str, adjourn.App]) -> None:
    with TestClient(web.create_app(both, auth=web.anybody)) as client:
        for path in ("/", "/orders", "/orders/", "/jobs"):
            page = client.get(path)
            assert page.status_code == 200, path
            assert 'href="/orders/queues"' in page.text, path
        assert client.get("/nowhere").status_code == 404


@pytest.mark.parametrize("kind", ["mounted", "behind a proxy that keeps the prefix", "behind one that takes it away"])
def test_below_a_prefix_no_address_leads_out(both: dict[str, adjourn.App], kind: str) -> None:
    options: dict[str, Any] = {"auth": web.anybody}
    headers = {}
    taken = ""
    if kind == "mounted":
        site: Any = FastAPI()
        site.mount("/x/y", web.create_app(both, **options))
    elif kind == "behind a proxy that keeps the prefix":
        site = web.create_app(both, prefix="/x/y", **options)
    else:
        site = web.create_app(both, trusted_proxies=["10.0.0.0/8"], **options)
        headers, taken = {"X-Forwarded-Prefix": "/x/y"}, "/x/y"
    with TestClient(site, client=("10.1.2.3", 4000), headers=headers) as client:
        for path in ("/x/y/", "/x/y/billing/queues"):
            page = client.get(path.removeprefix(taken) or "/")
            assert page.status_code == 200
            found = re.findall(r'(?:href|src|action|data-events)="([^"#][^"]*)"', page.text)
            assert [each for each in found if not each.startswith(("/x/y/orders/", "/x/y/billing/"))] == []
            assert client.get(leads(page.text)["billing"].removeprefix(taken)).status_code == 200


def test_in_flask(both: dict[str, adjourn.App]) -> None:
    flask = Flask(__name__)
    wsgi = create_wsgi_app(both, auth=web.anybody)
    flask.wsgi_app = DispatcherMiddleware(flask.wsgi_app, {"/x": wsgi})  # type: ignore[method-assign]
    answer = Client(flask).get("/x/billing/jobs")
    assert answer.status_code == 200
    assert leads(answer.get_data(as_text=True)) == {"orders": "/x/orders/jobs", "billing": "/x/billing/jobs"}
    for each in wsgi.app.state.sites:  # WSGI has no end that would do this
        each.close()


def test_who_may_see_one_app_need_not_see_the_other(both: dict[str, adjourn.App]) -> None:
    def auth(request: Request) -> web.User | None:
        return web.User("ann") if request.scope["adjourn.app"] == "billing" else None

    with TestClient(web.create_app(both, auth=auth)) as client:
        assert client.get("/billing/jobs").status_code == 200
        for path in ("/", "/orders/", "/orders/jobs", "/jobs"):
            assert client.get(path).status_code == 403


@pytest.mark.parametrize(
    ("apps", "message"),
    [
        ({}, "at least one app"),
        ({"a b": None}, "'a b' is no name for an app"),
        ({"jobs": None}, "'jobs' is the name of a page: choose another one, such as 'jobs-app'"),
        ({"a": 5}, "'a' is 5: pass an adjourn.App"),
    ],
)
def test_what_is_no_app_or_no_name_is_refused(apps: Any, message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        web.create_app(apps, auth=web.anybody)


def test_the_command_takes_several_apps(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("shop", "billing", "jobs"):
        text = "import adjourn\napp = adjourn.App(connector=adjourn.testing.InMemoryConnector())\n"
        (tmp_path / f"{name}_of_several.py").write_text(f"import adjourn.testing\n{text}")
    monkeypatch.chdir(tmp_path)
    app = adjourn.App(connector=InMemoryConnector())
    options = parse(["--app=shop_of_several.app", "web", "--also=billing_of_several.app,j=jobs_of_several.app"])
    assert list(_by_name(options, app, options.also)) == ["shop_of_several", "billing_of_several", "j"]
    options = parse(["--app=jobs.app", "web", "--also=jobs=billing_of_several.app"])
    assert list(_by_name(options, app, [])) == ["jobs-app"]
    with pytest.raises(SystemExit):
        main(["--app=shop_of_several.app", "web", "--also=shop_of_several.app"])
    assert "names an app already: write NAME=PATH" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--app=shop_of_several.app", "web", "--also=jobs=billing_of_several.app"])
    assert "'jobs' is the name of a page" in capsys.readouterr().err
