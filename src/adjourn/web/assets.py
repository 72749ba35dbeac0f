"""The static files of the package, under names that change with their content, so that browsers may keep them for ever."""

from __future__ import annotations

import hashlib
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

from adjourn.web.problems import NotFound

KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


class Assets:
    """All static files, in memory."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, str]] = {}
        self._paths: dict[str, str] = {}
        for each in resources.files("adjourn.web").joinpath("static").iterdir():
            stem, _, kind = each.name.rpartition(".")
            if kind in KINDS:
                content = each.read_bytes()
                name = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{kind}"
                self._files[name] = content, KINDS[kind]
                self._paths[each.name] = f"/static/{name}"

    def path(self, name: str) -> str:
        """Return the address of a file below the dashboard's."""
        return self._paths[name]

    async def answer(self, request: Request) -> Response:
        """Return a file.

        Raises
        ------
        NotFound
            If there is none of this name.
        """
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise NotFound("There is no such file in this version of adjourn. Load the page again.")
        content, kind = found
        return Response(content, media_type=kind, headers={"Cache-Control": "private, max-age=31536000, immutable"})
