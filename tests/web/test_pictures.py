"""Pictures: inline SVG that is well-formed whatever it shows, with a text that says the same."""

from __future__ import annotations

import datetime
import re
import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from adjourn.web.graphs import MOST, GraphNode, collapsed, graph, layers_of
from adjourn.web.pictures import Dot, bar, dots, histogram, sparkline
from adjourn.web.weeks import WEEK, weeks_of

numbers = st.floats(0, 1e12, allow_nan=False)


@given(st.lists(st.none() | numbers), st.text(st.characters(exclude_categories=["C"])))
def test_a_line_has_a_gap_where_there_is_no_value(values: list[float | None], label: str) -> None:
    picture = sparkline(values, label)
    root = ET.fromstring(picture)
    known = [value for value in values if value is not None]
    if not known:
        assert root.text == "no data yet"
        return
    runs = len(re.findall(r"v+", "".join("-" if value is None else "v" for value in values)))
    # One of the dots is the last value.
    assert picture.count("<polyline") + picture.count("<circle") - 1 == runs
    assert root.attrib["aria-label"].startswith(label)
    assert "nan" not in picture
    assert "style" not in {name for each in root.iter() for name in each.attrib}


def test_a_line_says_its_least_its_greatest_and_its_last_value() -> None:
    assert "Jobs a second: from 0 to 12.5, last 3" in sparkline([0.0, 12.5, None, 3.0], "Jobs a second")


def test_a_histogram_marks_values_at_their_bars() -> None:
    picture = histogram([1, 0, 3], [0.1, 1.0], "Run times", marks=[("p50", 0.05), ("p95", 20.0)])
    root = ET.fromstring(picture)
    assert root.attrib["aria-label"] == "Run times: p50 50 ms, p95 20 s"
    bars = list(root.iter("rect"))
    assert [each[0].text for each in bars] == ["up to 100 ms: 1", "above 1 s: 3"]
    marks = [float(each.attrib["x1"]) for each in root.iter("line") if each.attrib["class"] == "mark"]
    for each, x in zip(bars, marks, strict=True):
        assert float(each.attrib["x"]) <= x <= float(each.attrib["x"]) + float(each.attrib["width"])
    assert [each.text for each in root.iter("text")] == ["p50", "p95"]
    assert "no data yet" in histogram([0, 0, 0], [0.1, 1.0], "Run times")


def test_the_names_of_values_that_are_close_to_each_other_are_written_side_by_side() -> None:
    root = ET.fromstring(histogram([4, 0, 0], [0.1, 1.0], "Run times", marks=[("half", 0.05), ("95 %", 0.07)]))
    assert [each.text for each in root.iter("text")] == ["half, 95 %"]


@given(numbers, numbers)
def test_a_bar_is_never_longer_than_its_track(part: float, whole: float) -> None:
    root = ET.fromstring(bar(part, whole, "used"))
    track, fill = (float(each.attrib["width"]) for each in root.iter("rect"))
    assert 0 <= fill <= track


@settings(max_examples=40)
@given(st.integers(0, 9).flatmap(lambda n: st.lists(st.lists(st.integers(0, max(0, n))), min_size=n, max_size=n)))
def test_each_job_of_a_graph_is_behind_those_that_it_waits_for(waits: list[list[int]]) -> None:
    nodes = [
        GraphNode(
            id=number, text=f"task {number % 3}", status="todo", parents=[each for each in parents if each < number]
        )
        for number, parents in enumerate(waits)
    ]
    layers = layers_of(nodes)
    depth = {node.id: number for number, layer in enumerate(layers) for node in layer}
    assert len(depth) == len(nodes)
    assert all(depth[parent] < depth[node.id] for node in nodes for parent in node.parents)
    drawn = collapsed(nodes)
    assert len(drawn) <= MOST
    ET.fromstring(graph(nodes, "A workflow"))


def test_a_graph_that_goes_in_a_circle_is_drawn_all_the_same() -> None:
    nodes = [GraphNode(id=each, text="a", status="todo", parents=[1 - each]) for each in (0, 1)]
    assert graph(nodes, "A circle").count('class="node ') == 2


def test_more_jobs_than_can_be_drawn_are_drawn_by_layer_and_task() -> None:
    nodes = [GraphNode(id=0, text="begin", status="succeeded")]
    nodes += [GraphNode(id=each, text="part", status="todo", parents=[0]) for each in range(1, 400)]
    nodes.append(GraphNode(id=400, text="end", status="todo", parents=list(range(1, 400))))
    begin, part, end = collapsed(nodes)
    assert "399" in part.text
    assert (part.parents, end.parents) == ([begin.id], [part.id])


def test_text_of_others_is_escaped() -> None:
    picture = graph([GraphNode(id=1, text="</text><script>\u202e", status="todo", address="/job?a=1&b=2")], "<b>")
    assert "<script>" not in picture
    assert "\u202e" not in picture
    ET.fromstring(picture)


texts = st.text(st.characters(exclude_categories=["C"]))


@given(st.lists(st.builds(Dot, st.sampled_from(["good", "bad", "warn", ""]), texts, st.booleans())), texts)
def test_each_of_several_has_its_mark_with_its_words(each: list[Dot], label: str) -> None:
    root = ET.fromstring(dots(each, label))
    assert root.attrib["aria-label"] == label
    assert [mark.find("title").text or "" for mark in root.iter("rect")] == [dot.told for dot in each]  # type: ignore[union-attr]
    assert "style" not in {name for mark in root.iter() for name in mark.attrib}


NOW = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
MONDAY = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC).timestamp()


def partition(week: int, rows: int = 0, *, is_detaching: bool = False) -> dict[str, object]:
    begins = MONDAY + week * WEEK
    facts = {"begins": begins, "ends": begins + WEEK, "rows": rows, "bytes": 8192 * rows}
    return {"name": f"w{week}", "is_default": False, "is_detaching": is_detaching, **facts}


def default(rows: int) -> dict[str, object]:
    facts = {"begins": None, "ends": None, "rows": rows, "bytes": 0, "is_detaching": False}
    return {"name": "default", "is_default": True, **facts}


def test_weeks_are_told_as_they_are_drawn() -> None:
    rows = [partition(-3, 50), partition(-1, 1000), partition(0, 20, is_detaching=True), partition(1), default(7)]
    weeks = weeks_of(rows, NOW, "{} B".format)
    assert weeks is not None
    assert weeks.told == (
        "Jobs that have ended are kept in 3 weeks from 2026-11-02 on, about 1,070 jobs in all. There is 1 partition ahead, until "
        "2026-12-07. Between them 1 time has no partition, the first from 2026-11-09 on. The default partition has 7 jobs."
    )
    root = ET.fromstring(weeks.picture)
    assert [each.attrib["class"] for each in root.iter("rect")] == ["past", "past", "bad", "ahead", "missing"]
    titles = [each.text for each in root.iter("title")]
    assert titles[1:] == [
        "from 2026-11-02: about 50 jobs, 409600 B",
        "from 2026-11-16: about 1,000 jobs, 8192000 B",
        "from 2026-11-23: about 20 jobs, 163840 B",
        "from 2026-11-30: ahead, empty",
        "from 2026-11-09: no partition",
    ]
    assert [row["note"] for row in weeks.rows] == [("ahead", ""), ("its removal was interrupted", "warn"), None, None]
    assert "style" not in {name for each in root.iter() for name in each.attrib}


def test_weeks_without_jobs_and_no_weeks_are_told_as_such() -> None:
    weeks = weeks_of([partition(0), default(0)], NOW, str)
    assert weeks is not None
    assert "in 1 week from 2026-11-23 on, about 0 jobs in all. There is no partition ahead." in weeks.told
    assert weeks.told.endswith("The default partition is empty.")
    assert weeks_of([default(3)], NOW, str) is None


@given(st.lists(st.tuples(st.integers(-300, 60), st.integers(0, 10**12)), unique_by=lambda each: each[0]))
def test_any_weeks_make_a_picture_that_is_well_formed(weeks: list[tuple[int, int]]) -> None:
    made = weeks_of([partition(week, rows) for week, rows in sorted(weeks)], NOW, str)
    assert (made is None) == (not weeks)
    if made is not None:
        root = ET.fromstring(made.picture)
        assert "nan" not in made.picture
        width = float(root.attrib["viewBox"].split()[2])
        assert all(float(each.attrib["x"]) + float(each.attrib["width"]) <= width + 1 for each in root.iter("rect"))
