"""A view that says whether jobs can be stored and run, for monitoring."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse

from adjourn.contrib.django.health import Unhealthy, healthy_parts

__all__ = ["health"]


def health(request: HttpRequest) -> JsonResponse:
    """Check what ``manage.py adjourn healthchecks`` checks; answer with 200, or with 503 and what mends it.

    ``path("health/", adjourn.contrib.django.views.health)``. The answer is JSON: ``status`` is ``"ok"`` or ``"failed"``,
    ``ok`` lists the parts that are well, and of one that is not, ``failed`` is the name and ``message`` the reason. It may
    name the server and the user of the database, so show it to whom you trust.

    Parameters
    ----------
    request
        The request.
    """
    parts: list[str] = []
    try:
        for part in healthy_parts():
            parts.append(part)  # noqa: PERF402 - those before the failure count
    except Unhealthy as error:
        answer = {"status": "failed", "ok": parts, "failed": error.part, "message": str(error)}
        return JsonResponse(answer, status=503)
    return JsonResponse({"status": "ok", "ok": parts})
