"""What would be done with all jobs that match a filter, and how far it is."""

from __future__ import annotations

import datetime
import json
import secrets
from typing import Any

from adjourn.types import JSONDict, Row
from adjourn.web.access import lacking
from adjourn.web.bulk import FIELD, KINDS, Bulk, is_end
from adjourn.web.inputs import Inputs
from adjourn.web.page import Action, Done, Page, View
from adjourn.web.pages.jobs import MOST_PAUSES, row
from adjourn.web.pages.pausing import pauses_of
from adjourn.web.pages.searching import FURTHER_LOOK, NAMES, carried, search, told_filter, wanted_by
from adjourn.web.problems import BadInput, NotFound

EXAMPLES = 20
LONGEST_COUNT = 1.0
"""Seconds in which jobs are counted; what they are is read after that, and the whole may take two."""
MOST_UNTYPED = 1000
"""For more jobs than these, one has to type how many there are."""


def show(view: View) -> dict[str, Any]:
    """Return the progress of a change, or the preview of one. What is wrong with a filter leads back to the form that it is from."""
    try:
        return _shown(view)
    except BadInput as error:
        error.lead = error.lead or ("Back to the form of the jobs", view.url("jobs", **carried(view.query)))
        raise


def _shown(view: View) -> dict[str, Any]:
    id_ = view.query.text("id", most=64)
    if id_:
        bulk = view.site.bulks.find(id_)
        if bulk is None:
            raise NotFound(
                f"This process knows no such change any more. {_told_last(view, id_)}",
                lead=("The jobs that it has changed", view.url("jobs", change=id_)),
            )
        return {
            "bulk": bulk,
            "kind": KINDS[bulk.name],
            "title": KINDS[bulk.name].told,
            "told": told_filter(view, bulk.shown),
            "pauses": pauses_of(view.feed("pauses"), list(bulk.places))[:MOST_PAUSES],
        }
    kinds = {name: kind for name, kind in KINDS.items() if view.may(kind.permission)}
    chosen = view.query.choice("what", list(KINDS))
    wanted = wanted_by(view, view.query)
    if view.query.flag("chosen") and "ids" not in wanted:
        raise BadInput("job", "none is chosen: go back, and choose some.")
    names = {
        "bulk": None,
        "kinds": kinds,
        "what": chosen,
        "carried": carried(view.query),
        "told": told_filter(view, _hidden(view, wanted)),
    }
    if not chosen:
        return {**names, "preview": None, "known": view.site.bulks.all()}
    if chosen not in kinds:
        raise lacking(view.user, KINDS[chosen].permission)
    most = view.site.bulk_limit
    narrowed = KINDS[chosen].narrowed(wanted)
    preview: dict[str, Any] = {"jobs": 0, "kinds": [], "looked": 0, "is_complete": True, "at": "", "up_to_id": 0}
    if narrowed is not None:
        preview = _preview(view, narrowed)
    examples = []
    if narrowed is not None and preview["jobs"]:
        found = search(view, narrowed, newest=True, after=None, look=FURTHER_LOOK, limit=EXAMPLES)
        examples = [row(view, job) for job in found.jobs]
    return {
        **names,
        "title": KINDS[chosen].told,
        "kind": KINDS[chosen],
        "statuses": [] if narrowed is None else narrowed["statuses"],
        "preview": preview,
        "is_capped": preview["jobs"] > most or not preview["is_complete"],
        "is_more": preview["jobs"] > most,
        "examples": examples,
        "pauses": _pauses(view, chosen, preview["kinds"] or []),
        "most": most,
        "must_type": preview["jobs"] > MOST_UNTYPED,
        "field": FIELD,
    }


def _pauses(view: View, name: str, kinds: list[Row]) -> list[Row]:
    """Return the pauses that will keep jobs of these kinds, if one expects that they run then."""
    if not KINDS[name].starts:
        return []
    # To which queue jobs are moved nobody has said yet.
    places = [(None if name == "move" else kind["queue"], kind["task"]) for kind in kinds]
    return pauses_of(view.feed("pauses"), places)[:MOST_PAUSES]


def _told_last(view: View, id_: str) -> str:
    """Return what the audit knows of a change that another process has begun."""
    notes = view.database.rows("audit", target=f"bulk {id_}", actor=None, before_id=None)
    if not notes:
        return "The audit has no note of it: it has changed no job, or its notes were deleted, since they are old."
    told = f"In the audit the last note of it says: {notes[0]['outcome']}."
    if is_end(notes[0]["outcome"]):
        return told
    return (
        f"{told} No note says that it has ended: the dashboard that carried it out was killed, or is another process that goes on. What is "
        "done is done; to do the rest, do the same again with this filter."
    )


def _preview(view: View, wanted: JSONDict) -> dict[str, Any]:
    rows = view.database.rows(
        "matching",
        filter=json.dumps(wanted),
        budget=FURTHER_LOOK,
        seconds=LONGEST_COUNT,
        most=view.site.bulk_limit + 1,
    )
    return rows[0]


def _hidden(view: View, wanted: JSONDict) -> JSONDict:
    """Return a filter as it may be shown: its arguments may be secret."""
    if "args" not in wanted:
        return wanted
    return {**wanted, "args": view.site.masked(wanted.get("task", ""), wanted["args"])}


def start(view: View) -> Done:
    """Begin a change of all jobs that match, and that had matched when somebody saw how many they were."""
    form = view.form
    name = form.choice("what", list(KINDS))
    if not name:
        raise BadInput("what", f"it is missing: pass one of {', '.join(KINDS)}.")
    view.require(KINDS[name].permission)
    wanted = KINDS[name].narrowed(wanted_by(view, form))
    up_to, expected = form.number("up_to"), form.number("expected")
    at = form.needed("seen_at", most=40)
    if wanted is None or up_to is None or expected is None:
        raise BadInput("up_to", "the preview is missing: look at the preview, and send its form.")
    most = view.site.bulk_limit
    if expected > MOST_UNTYPED and form.number("typed") != min(expected, most):
        raise BadInput("typed", f"type {min(expected, most)}, the number of the preview, to go on. Nothing was done.")
    asked = KINDS[name].asked
    value = None if asked is None else asked.value(form)
    if any(status not in ("todo", "doing") for status in wanted["statuses"]):
        wanted["finished_before"] = _earlier(wanted.get("finished_before"), at)
    shown = _hidden(view, wanted)
    bulk = Bulk(
        id=secrets.token_hex(4),
        name=name,
        wanted=wanted,
        shown=shown,
        again={"what": name, **carried(form)} if shown == wanted else {},
        author=view.author,
        value=value,
        most=most,
        expected=min(expected, most),
        is_capped=expected > most or form.flag("capped"),
    )
    view.site.bulks.start(bulk)
    return Done(f"{KINDS[name].told}: it has begun.", view.url("bulk", id=bulk.id))


def _earlier(given: str | None, at: str) -> str:
    try:
        seen = datetime.datetime.fromisoformat(at)
    except ValueError:
        seen = None
    if seen is None or seen.tzinfo is None:
        raise BadInput("seen_at", "it is no time with a zone: look at the preview, and send its form.")
    return min(seen, datetime.datetime.fromisoformat(given)).isoformat() if given else seen.isoformat()


def _asked(form: Inputs) -> dict[str, list[str]]:
    """Return the parameters of the preview that a form was in; what matches is counted anew."""
    return {name: form.values[name] for name in (*NAMES, "what", "zone") if name in form.values}


def stop(view: View) -> Done:
    """Stop a change after the batch that it has begun."""
    bulk = view.site.bulks.find(view.form.needed("id", most=64))
    if bulk is None:
        raise NotFound("This process knows no such change any more: it has ended. The audit says how far it came.")
    bulk.stopping.set()
    return Done("It stops after the jobs that it has begun with.", view.url("bulk", id=bulk.id))


PAGE = Page(
    name="bulk",
    title="Many jobs",
    show=show,
    permission="bulk",
    feeds=("server", "counters", "pauses"),
    is_listed=False,
    within="jobs",
    is_for_changes=True,
)
ACTIONS = (
    Action(name="bulk.start", permission="bulk", act=start, page="bulk", asked=_asked),
    Action(name="bulk.stop", permission="bulk", act=stop),
)
