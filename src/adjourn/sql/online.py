"""The statements of an online step: an index on one partition is built, attached to that of the table, or discarded."""

from __future__ import annotations

from adjourn._domain.indexes import PartitionIndex
from adjourn.sql import templates
from adjourn.sql.history import own_folder
from adjourn.types import Statement

NEXT = {"missing": "build", "invalid": "discard", "built": "attach", "attached": "attach"}
"""What is done next with an index on a partition, by its state. If all are attached, doing so again makes the whole valid."""


def step(schema: str, part: PartitionIndex) -> Statement:
    """Return the statement that does what is next with an index on a partition."""
    action = NEXT[part.state]
    text = own_folder().joinpath("online", f"{action}.sql").read_text("utf-8").strip()
    child = templates.qualified(schema, part.child)
    names = {
        "index": templates.qualified(schema, part.name),
        "partition": templates.qualified(schema, part.partition),
        # An index is made in the schema of its table, and must not name it.
        "child": templates.identifier(part.child) if action == "build" else child,
        "child_text": templates.literal(child),
        "definition": part.definition,
    }
    return Statement(f"{action}_index", templates.render(text, schema, names=names), may_take_long=True)
