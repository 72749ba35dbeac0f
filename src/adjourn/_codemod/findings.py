"""Finds the places of one module that people have to look at."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs
import libcst as cst
from libcst.helpers import get_full_name_for_node
from libcst.metadata import CodeRange, ParentNodeProvider, PositionProvider, QualifiedNameSource, ScopeProvider

from adjourn._codemod import names

RELATIONS = frozenset(["ForeignKey", "ManyToManyField", "OneToOneField"])
MODEL = re.compile(r"(?:procrastinate|adjourn)\.Procrastinate\w+")
"""How Django names a model in a text."""
RELATION_ADVICE = (
    "a job moves between tables, so no constraint can point at it: ForeignKey(Job, db_constraint=False, "
    "on_delete=models.DO_NOTHING), and ON DELETE rules do not carry over"
)
MIGRATION_ADVICE = "a migration that depends on Procrastinate's: depend on ('adjourn', '0001_initial') in a new one"
LOCK_ADVICE = "a job that waits for its time does not hold its lock here: later jobs of the lock may run before it"
QUEUEING_ADVICE = (
    "a job that waits for its retry has given up its queueing lock here: another one can be deferred meanwhile"
)
PATH_ADVICE = "adjourn has nothing there: change the path, if it is one"
COMMAND = re.compile(r"(?:^|[\s/;&|])procrastinate\s+(?:--?\w|(?:worker|defer|schema|healthchecks|shell)\b)")
COMMAND_ADVICE = "the command is adjourn"
START_ADVICE = "if it is a path, it begins with adjourn"
VARIABLE_ADVICE = "adjourn has no such setting or variable"


@attrs.frozen(order=True)
class CodeFinding:
    """A place to look at.

    Attributes
    ----------
    line
        Its line, from 1.
    text
        What is there, and what to do about it.
    """

    line: int
    text: str


class Finder(cst.CSTVisitor):
    """Collects `findings`."""

    METADATA_DEPENDENCIES = (ParentNodeProvider, PositionProvider, ScopeProvider)

    def __init__(self) -> None:
        super().__init__()
        self.findings: set[CodeFinding] = set()

    def _add(self, node: cst.CSTNode, what: str, advice: str, *, further: int = 0) -> None:
        place = self.get_metadata(PositionProvider, node)
        assert isinstance(place, CodeRange)
        line = place.start.line + further
        self.findings.add(CodeFinding(line, f"{what}: {advice}."))

    # Names

    def visit_Import(self, node: cst.Import) -> None:  # noqa: N802
        """Modules that are not here."""
        for alias in node.names:
            path = get_full_name_for_node(alias.name) or ""
            if (instead := names.advice(path)) is not None:
                self._add(alias, path, instead)

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:  # noqa: N802
        """Names that are not here."""
        if node.relative or node.module is None or isinstance(node.names, cst.ImportStar):
            return
        module = get_full_name_for_node(node.module) or ""
        for alias in node.names:
            path = f"{module}.{alias.evaluated_name}"
            if (instead := names.advice(path) or names.advice(module)) is not None:
                self._add(alias, path, instead)

    def visit_Attribute(self, node: cst.Attribute) -> None:  # noqa: N802
        """What is reached by the package's or a module's name, and attributes of Procrastinate's objects."""
        for path in self._imported_as(node):
            if (instead := names.advice(path)) is not None:
                self._add(node, path, instead)
        if (instead := names.advice_on_attribute(node.attr.value)) is not None:
            self._add(node.attr, node.attr.value, instead)

    def _imported_as(self, node: cst.CSTNode) -> Iterator[str]:
        # Not libcst's QualifiedNameProvider, which does this for every node there is.
        scope = self.get_metadata(ScopeProvider, node, None)
        for qualified in scope.get_qualified_names_for(node) if scope is not None else ():
            if qualified.source is QualifiedNameSource.IMPORT:
                yield qualified.name

    # Texts

    def visit_SimpleString(self, node: cst.SimpleString) -> None:  # noqa: N802
        """SQL, and names of statuses, paths and variables."""
        parent = self.get_metadata(ParentNodeProvider, node)
        text = node.raw_value
        # A docstring; or a model of Django's, which is looked at with the relation.
        if isinstance(parent, cst.Expr) or (isinstance(parent, cst.Arg) and MODEL.fullmatch(text)):
            return
        self._look_for_tables(node, text)
        self._look_for_commands(node, text)
        if text == "aborting":
            self._add(node, repr(text), names.ABORTING_ADVICE)
        elif names.is_path(text) and names.our_path(text) is None:
            self._add(node, repr(text), names.advice(text) or PATH_ADVICE)
        elif names.is_unknown_variable(text):
            self._add(node, text, VARIABLE_ADVICE)
        if re.fullmatch(r"(?:procrastinate|adjourn)\.[\w.]+", text) and (instead := names.advice(text)) is not None:
            self._add(node, repr(text), instead)

    def visit_FormattedStringText(self, node: cst.FormattedStringText) -> None:  # noqa: N802
        """SQL, commands, and the beginnings of paths."""
        self._look_for_tables(node, node.value)
        self._look_for_commands(node, node.value)
        if re.fullmatch(r"procrastinate\.[\w.]*", node.value):
            self._add(node, node.value, START_ADVICE)

    def _look_for_tables(self, node: cst.CSTNode, text: str) -> None:
        for match in names.TABLES.finditer(text):
            self._add(node, match[0], names.TABLES_ADVICE, further=text.count("\n", 0, match.start()))

    def _look_for_commands(self, node: cst.CSTNode, text: str) -> None:
        for match in COMMAND.finditer(text):
            self._add(node, match[0].strip(), COMMAND_ADVICE, further=text.count("\n", 0, match.start()))

    # Calls

    def visit_Call(self, node: cst.Call) -> None:  # noqa: N802
        """Options of tasks and jobs that mean something else, and relations to jobs."""
        given = {arg.keyword.value for arg in node.args if arg.keyword is not None and not _is_off(arg.value)}
        called = (get_full_name_for_node(node.func) or "").rpartition(".")[2]
        if called == "task" and {"lock", "retry"} <= given:
            self._add(node, "lock and retry", LOCK_ADVICE)
        if called == "task" and {"queueing_lock", "retry"} <= given:
            self._add(node, "queueing_lock and retry", QUEUEING_ADVICE)
        if called in ("configure", "configure_task") and "lock" in given and given & {"schedule_at", "schedule_in"}:
            self._add(node, "lock and a time", LOCK_ADVICE)
        if called in RELATIONS and _is_to_a_job(node):
            self._add(node, called, RELATION_ADVICE)

    def visit_Tuple(self, node: cst.Tuple) -> None:  # noqa: N802
        """Dependencies of migrations."""
        texts = [each.value.raw_value for each in node.elements if isinstance(each.value, cst.SimpleString)]
        if len(texts) == 2 and texts[0] == names.THEIRS and re.match(r"\d{4}_", texts[1]):
            self._add(node, texts[1], MIGRATION_ADVICE)

    def visit_Name(self, node: cst.Name) -> None:  # noqa: N802
        """Settings that adjourn does not have."""
        if names.is_unknown_variable(node.value):
            self._add(node, node.value, VARIABLE_ADVICE)


def _is_off(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Name) and value.value in ("None", "False")


def _is_to_a_job(call: cst.Call) -> bool:
    to = next((arg.value for arg in call.args if arg.keyword is None or arg.keyword.value == "to"), None)
    if isinstance(to, cst.SimpleString):
        return MODEL.fullmatch(to.raw_value) is not None
    return to is not None and (get_full_name_for_node(to) or "").rpartition(".")[2].startswith("ProcrastinateJob")
