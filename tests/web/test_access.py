"""Who gets in, what a request may be, and the headers of answers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.testclient import TestClient

import adjourn
from adjourn import web
from adjourn.cli import main
from adjourn.exceptions import InvalidOption
from adjourn.testing import InMemoryConnector
from adjourn.web import pages

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
ACTIONS = ("queue.pause", "queue.resume", "task.pause", "task.resume")
EVERY_ACTION = sorted(action.name for action in pages.ACTIONS)


@pytest.fixture
def app() -> adjourn.App:
    """An app without a database: who is refused is so before anything is read."""
    return adjourn.App(connector=InMemoryConnector())


def client(app: adjourn.App, **options: object) -> TestClient:
    return TestClient(web.create_app(app, **options), follow_redirects=False)  # type: ignore[arg-type]


def basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def test_it_is_closed_unless_somebody_says_who_may_see_it(app: adjourn.App) -> None:
    closed = client(app)
    for path in ("/", "/queues", "/nowhere", "/events/queues"):
        answer = closed.get(path)
        assert answer.status_code == 403
        assert "Pass auth= to adjourn.web.create_app" in answer.text
    assert closed.post("/do/queue.pause", headers=SAME_SITE).status_code == 403


@pytest.mark.parametrize("is_async", [True, False])
def test_a_function_says_who_somebody_is(app: adjourn.App, is_async: bool) -> None:
    def found(request: Request) -> web.User | str | Response | None:
        name = request.headers.get("x-name")
        if name == "leave":
            return RedirectResponse("/login")
        return name if name != "guest" else web.User("guest", frozenset())

    async def found_async(request: Request) -> web.User | str | Response | None:
        return found(request)

    seen = client(app, auth=found_async if is_async else found)
    assert seen.get("/").status_code == 403
    assert seen.get("/", headers={"x-name": "leave"}).headers["location"] == "/login"
    answer = seen.get("/", headers={"x-name": "ann"})
    assert answer.status_code == 200
    assert "<bdi>ann</bdi>" in answer.text
    answer = seen.get("/", headers={"x-name": "guest"})
    assert answer.status_code == 403
    assert "guest may not see all pages, with secret arguments hidden." in answer.text


def test_a_password_lets_in_and_five_wrong_ones_keep_out(app: adjourn.App) -> None:
    seen = client(app, auth=web.Password("ann", "se cret:é"))
    answer = seen.get("/")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Basic realm="adjourn", charset="UTF-8"')
    assert seen.get("/", headers=basic("ann:se cret:é")).status_code == 200
    for wrong in ("ann:secret", "bob:se cret:é", "ann", ":", "\xff"):
        assert seen.get("/", headers=basic(wrong)).status_code == 401
    answer = seen.get("/", headers=basic("ann:se cret:é"))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")


def test_a_request_without_a_password_is_no_wrong_one(app: adjourn.App) -> None:
    seen = client(app, auth=web.Password("ann", "secret"))
    for _ in range(8):
        assert seen.get("/").status_code == 401
    assert seen.get("/", headers=basic("ann:secret")).status_code == 200


def test_a_header_counts_from_trusted_proxies_alone(app: adjourn.App) -> None:
    made = web.create_app(app, auth=web.Header("X-Forwarded-User"), trusted_proxies=["10.0.0.0/8"])
    header = {"X-Forwarded-User": "ann"}
    assert TestClient(made, client=("10.1.2.3", 1)).get("/", headers=header).status_code == 200
    assert TestClient(made, client=("10.1.2.3", 1)).get("/").status_code == 403
    assert TestClient(made, client=("11.1.2.3", 1)).get("/", headers=header).status_code == 403


@pytest.mark.parametrize(
    ("headers", "is_accepted"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver", "X-Adjourn-Request": "1"}, False),
        ({"Origin": "http://testserver"}, True),
        ({"Origin": "http://testserver.evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://evil.example", "X-Adjourn-Request": "1"}, False),
        ({"Referer": "http://testserver/queues"}, True),
        ({"Referer": "http://evil.example/testserver"}, False),
        ({"X-Adjourn-Request": "1"}, True),
        ({}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://intern.example"}, True),
    ],
)
def test_a_form_of_another_site_is_refused(app: adjourn.App, headers: dict[str, str], is_accepted: bool) -> None:
    seen = client(app, auth=web.anybody, allowed_origins=["https://intern.example"])
    for action in ACTIONS:
        answer = seen.post(f"/do/{action}", headers=headers)
        # Those that are let through have no queue or task.
        assert answer.status_code == (400 if is_accepted else 403), action


def test_an_action_needs_its_permission_and_is_never_a_get(app: adjourn.App) -> None:
    seen = client(app, auth=web.anybody, permissions={"view"})
    read_only = client(app, auth=web.anybody, read_only=True)
    for action in ACTIONS:
        answer = seen.post(f"/do/{action}", data={"queue": "q", "task": "t"}, headers=SAME_SITE)
        assert answer.status_code == 403
        assert "needs the permission queue.pause: ask who runs this dashboard" in answer.text
        assert client(app, auth=web.anybody).get(f"/do/{action}").status_code == 405
        assert read_only.post(f"/do/{action}", data={"queue": "q", "task": "t"}, headers=SAME_SITE).status_code == 404
    assert seen.get("/database").status_code == 403
    assert "/database" not in seen.get("/").text


@pytest.mark.parametrize("action", EVERY_ACTION)
def test_no_action_is_a_get_or_for_another_site_or_without_its_permission(app: adjourn.App, action: str) -> None:
    able = client(app, auth=web.anybody, permissions=web.PERMISSIONS)
    others: list[dict[str, str]] = [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}, {}]
    assert [able.post(f"/do/{action}", headers=headers).status_code for headers in others] == [403] * 3
    assert able.get(f"/do/{action}").status_code == 405
    nothing = client(app, auth=web.anybody, permissions={"view"})
    assert nothing.post(f"/do/{action}", headers=SAME_SITE).status_code == 403
    read_only = client(app, auth=web.anybody, permissions=web.PERMISSIONS, read_only=True)
    assert read_only.post(f"/do/{action}", headers=SAME_SITE).status_code == 404


def test_a_host_that_is_not_ours_is_refused(app: adjourn.App) -> None:
    seen = client(app, auth=web.anybody, allowed_hosts={"localhost", "[::1]"})
    for host, status in {
        "localhost:8180": 200,
        "[::1]:8180": 200,
        "LOCALHOST": 200,
        "evil.example": 400,
        "": 400,
    }.items():
        answer = seen.get("/", headers={"Host": host})
        assert answer.status_code == status, host
    assert "--allowed-host" in seen.get("/", headers={"Host": "evil.example"}).text


def test_a_body_is_bounded(app: adjourn.App) -> None:
    seen = client(app, auth=web.anybody)
    assert seen.post("/do/queue.pause", content=b"a" * 65_537, headers=SAME_SITE).status_code == 413

    def parts() -> Iterator[bytes]:
        for _ in range(20):
            yield b"a" * 10_000

    assert seen.post("/do/queue.pause", content=parts(), headers=SAME_SITE).status_code == 413
    many = "&".join(f"a{number}=1" for number in range(600))
    answer = seen.post("/do/queue.pause", content=many, headers=SAME_SITE)
    assert (answer.status_code, "more than 500" in answer.text) == (400, True)


def test_each_answer_has_the_headers(app: adjourn.App) -> None:
    seen = client(app, auth=web.anybody, frame_ancestors=["https://intern.example"])
    for path in ("/", "/nowhere", "/workflow?id=x", "/static/x"):
        headers = seen.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'"), path
        assert "frame-ancestors https://intern.example;" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"


def test_what_cannot_be_is_refused_at_once(app: adjourn.App) -> None:
    for options, text in (
        ({"permissions": {"views"}}, "did you mean 'view'"),
        ({"permissions": "view"}, "pass a collection"),
        ({"auth": "ann"}, "pass a function"),
        ({"prefix": "queue"}, "pass a path"),
        ({"trusted_proxies": ["10.0.0.0/33"]}, "is no network"),
    ):
        with pytest.raises(InvalidOption, match=text):
            web.create_app(app, **options)
    with pytest.raises(InvalidOption, match=r"pass an adjourn\.App"):
        web.create_app("app")  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match="both"):
        web.Password("ann", "")


def test_links_lead_to_http_alone_and_encode_what_they_are_given() -> None:
    link = web.Link("Logs", "https://logs.example/?q={task}&job={job_id}")
    assert link.address({"task": "a&b/<", "job_id": 3}) == "https://logs.example/?q=a%26b%2F%3C&job=3"
    assert link.address({"task": None, "job_id": 3}) is None
    for template in ("javascript:alert(1)", "//evil.example", "https://{task}", "https://logs.example/{password}"):
        with pytest.raises(InvalidOption):
            web.Link("Logs", template)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dashed.py").write_text(
        "import adjourn\nfrom adjourn.testing import InMemoryConnector\napp = adjourn.App(connector=InMemoryConnector())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("USER", "PASSWORD", "PASSWORD_FILE"):
        monkeypatch.delenv(f"ADJOURN_WEB_{name}", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "environment", "text"),
    [
        (["--bind=0.0.0.0:0"], {}, "nobody would be asked who it is: set ADJOURN_WEB_USER and ADJOURN_WEB_PASSWORD"),
        (["--bind=example.org:80"], {}, "nobody would be asked"),
        (["--bind=localhost"], {}, "is not HOST:PORT"),
        (["--bind=localhost:99999"], {}, "is not HOST:PORT"),
        ([], {"USER": "ann"}, "there is a user, and no password"),
        ([], {"PASSWORD": "secret"}, "there is a password, and no user"),
        ([], {"USER": "ann", "PASSWORD": "a", "PASSWORD_FILE": "b"}, "two places for one password"),
        ([], {"USER": "ann", "PASSWORD_FILE": "/nowhere"}, "ADJOURN_WEB_PASSWORD_FILE"),
        (["--auth-header=X-User"], {}, "--auth-header needs --trusted-proxy"),
        (["--auth-header=X-User", "--trusted-proxy=::1"], {"USER": "a", "PASSWORD": "b"}, "choose one"),
        (["--permission=views"], {}, "did you mean 'view'"),
        (["--trusted-proxy=nowhere"], {}, "is no network"),
        (["--bulk-limit=0"], {}, "--bulk-limit: '0' is not a whole number of one or more"),
        (["--bulk-limit=1000001"], {}, "--bulk-limit=1000001: pass a whole number of jobs from 1 to 1,000,000"),
        ([], {"BULK_LIMIT": "many"}, "ADJOURN_WEB_BULK_LIMIT: 'many' is not a whole number"),
        ([], {"BULK_LIMIT": "1000001"}, "ADJOURN_WEB_BULK_LIMIT=1000001: pass"),
    ],
)
def test_the_command_refuses_what_would_be_open_or_half_closed(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    environment: dict[str, str],
    text: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"ADJOURN_WEB_{name}", value)
    with pytest.raises(SystemExit) as left:
        main(["--app=dashed.app", "web", *flags])
    assert left.value.code == 2
    assert text in capsys.readouterr().err
