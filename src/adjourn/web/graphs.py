"""Draws which jobs wait for which: in layers from left to right, by the longest way to each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import attrs
from markupsafe import Markup

from adjourn._domain.wording import shown

MOST = 200
"""So many jobs are drawn one by one. Of more, those of a layer that have one task are drawn as one."""
BETWEEN, DOWN, HIGH = 36, 54, 42
NARROWEST = 96
_LONGEST = 20
_CHARACTER = 7
"""So wide is a character of a name, about."""
_TOLD = {"todo": "waiting", "doing": "running"}


@attrs.frozen(kw_only=True)
class GraphNode:
    """A job, or several of one task that are drawn as one.

    Attributes
    ----------
    id
        Its id, by which others name it.
    text
        What is written in it.
    status
        Its status: the class of its colour, and written below.
    number
        The number of the job, written beside that; empty for several.
    parents
        The ids of those that it waits for.
    address
        Where it leads to; empty for nowhere.
    """

    id: int
    text: str
    status: str
    number: str = ""
    parents: Sequence[int] = ()
    address: str = ""


def layers_of(nodes: Iterable[GraphNode]) -> list[list[GraphNode]]:
    """Return nodes by the longest way from one that waits for nobody. What names itself by way of others, which cannot be, is drawn all
    the same."""
    by_id = {node.id: node for node in nodes}
    children: dict[int, list[int]] = defaultdict(list)
    missing = {}
    for node in by_id.values():
        known = {parent for parent in node.parents if parent in by_id}
        missing[node.id] = len(known)
        for parent in known:
            children[parent].append(node.id)
    layers: list[list[GraphNode]] = []
    ready = [each for each, count in missing.items() if not count]
    while ready:
        layers.append([by_id[each] for each in ready])
        later = []
        for each in ready:
            del missing[each]
            for child in children[each]:
                missing[child] -= 1
                if not missing[child]:
                    later.append(child)
        ready = later
    if missing:
        layers.append([by_id[each] for each in missing])
    return layers


def collapsed(nodes: Sequence[GraphNode]) -> list[GraphNode]:
    """Return nodes of which those of one layer, task and status are one, if there are more than can be drawn."""
    if len(nodes) <= MOST:
        return list(nodes)
    stands_for: dict[int, int] = {}
    groups: dict[tuple[int, str, str], list[GraphNode]] = {}
    for depth, layer in enumerate(layers_of(nodes)):
        for node in layer:
            group = groups.setdefault((depth, node.text, node.status), [])
            group.append(node)
            stands_for[node.id] = group[0].id
    return [
        GraphNode(
            id=group[0].id,
            text=group[0].text if len(group) == 1 else f"{len(group)} × {group[0].text}",  # noqa: RUF001
            status=group[0].status,
            parents=sorted({stands_for[each] for node in group for each in node.parents if each in stands_for}),
            number=group[0].number if len(group) == 1 else "",
            address=group[0].address if len(group) == 1 else "",
        )
        for group in groups.values()
    ][:MOST]


def graph(nodes: Sequence[GraphNode], label: str) -> Markup:
    """Return a picture of nodes.

    Parameters
    ----------
    nodes
        The nodes.
    label
        What it shows.
    """
    layers = layers_of(collapsed(nodes))
    wide = max([NARROWEST, *(_CHARACTER * len(_short(node)) + 36 for layer in layers for node in layer)])
    across = wide + BETWEEN
    places = {
        node.id: (depth * across + 1, row * DOWN + 1)
        for depth, layer in enumerate(layers)
        for row, node in enumerate(layer)
    }
    width = len(layers) * across - BETWEEN + 2
    height = max((len(layer) for layer in layers), default=0) * DOWN - (DOWN - HIGH) + 2
    edges = Markup("").join(
        _edge(places[parent], places[node.id], wide)
        for layer in layers
        for node in layer
        for parent in node.parents
        if parent in places
    )
    boxes = Markup("").join(_box(node, *places[node.id], wide) for layer in layers for node in layer)
    return Markup(
        '<svg class="graph" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="group" aria-label="{2}"><title>{2}</title>{3}{4}</svg>'
    ).format(width, height, label, edges, boxes)


def _edge(begin: tuple[int, int], end: tuple[int, int], wide: int) -> Markup:
    x1, y1, x2, y2 = begin[0] + wide, begin[1] + HIGH // 2, end[0], end[1] + HIGH // 2
    middle = (x1 + x2) // 2
    return Markup('<path class="edge" d="M{} {}C{} {} {} {} {} {}"/>').format(x1, y1, middle, y1, middle, y2, x2, y2)


def _short(node: GraphNode) -> str:
    """Return what is written of the name of a node: its end, which tells more than its beginning."""
    told = shown(node.text)
    return told if len(told) <= _LONGEST else f"…{told[1 - _LONGEST :]}"


def _box(node: GraphNode, x: int, y: int, wide: int) -> Markup:
    state = f"{node.number} {_TOLD.get(node.status, node.status)}".strip()
    box = Markup(
        '<g class="node {}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="6"/><circle cx="{}" cy="{}" r="4"/>'
        '<text x="{}" y="{}">{}</text><text class="state" x="{}" y="{}">{}</text></g>'
    ).format(
        node.status,
        f"{shown(node.text)}: {state}",
        *(x, y, wide, HIGH),
        *(x + 13, y + 14),
        *(x + 24, y + 18, _short(node)),
        *(x + 24, y + 33, state),
    )
    return Markup('<a href="{}">{}</a>').format(node.address, box) if node.address else box
