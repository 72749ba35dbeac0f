"""Draws which jobs wait for which: in layers from left to right, by the longest way to each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import attrs
from markupsafe import Markup

from adjourn._domain.wording import shown

MOST = 200
"""So many jobs are drawn one by one. Of more, those of a layer that have one task are drawn as one."""
ACROSS, DOWN = 200, 44
WIDE, HIGH = 164, 32
_LONGEST = 20


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
        Its status: the class of its colour.
    parents
        The ids of those that it waits for.
    address
        Where it leads to; empty for nowhere.
    """

    id: int
    text: str
    status: str
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
    places = {
        node.id: (depth * ACROSS + 1, row * DOWN + 1)
        for depth, layer in enumerate(layers)
        for row, node in enumerate(layer)
    }
    width = len(layers) * ACROSS - (ACROSS - WIDE) + 2
    height = max((len(layer) for layer in layers), default=0) * DOWN - (DOWN - HIGH) + 2
    edges = Markup("").join(
        _edge(places[parent], places[node.id])
        for layer in layers
        for node in layer
        for parent in node.parents
        if parent in places
    )
    boxes = Markup("").join(_box(node, *places[node.id]) for layer in layers for node in layer)
    return Markup(
        '<svg class="graph" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="group" aria-label="{2}"><title>{2}</title>{3}{4}</svg>'
    ).format(width, height, label, edges, boxes)


def _edge(begin: tuple[int, int], end: tuple[int, int]) -> Markup:
    x1, y1, x2, y2 = begin[0] + WIDE, begin[1] + HIGH // 2, end[0], end[1] + HIGH // 2
    middle = (x1 + x2) // 2
    return Markup('<path class="edge" d="M{} {}C{} {} {} {} {} {}"/>').format(x1, y1, middle, y1, middle, y2, x2, y2)


def _box(node: GraphNode, x: int, y: int) -> Markup:
    told = shown(node.text)
    short = told if len(told) <= _LONGEST else f"…{told[1 - _LONGEST :]}"
    box = Markup(
        '<g class="node {}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="6"/><circle cx="{}" cy="{}" r="4"/>'
        '<text x="{}" y="{}">{}</text></g>'
    ).format(
        node.status, f"{told}: {node.status}", x, y, WIDE, HIGH, x + 13, y + HIGH // 2, x + 24, y + HIGH // 2 + 4, short
    )
    return Markup('<a href="{}">{}</a>').format(node.address, box) if node.address else box
