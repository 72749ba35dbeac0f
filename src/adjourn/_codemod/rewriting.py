"""Changes the imports, paths and names of one module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import libcst as cst
from libcst.helpers import get_full_name_for_node
from libcst.metadata import ParentNodeProvider

from adjourn._codemod import names

COMMANDS = ("worker", "defer", "schema", "healthchecks", "shell")
NAMES_IT = frozenset(
    [
        "__import__",
        "assertLogs",
        "assertNoLogs",
        "call_command",
        "find_spec",
        "getLogger",
        "get_logger",
        "import_module",
        "importorskip",
    ]
)
"""Functions that take the package's name as a logger, a module or a command."""
IN_TYPES = frozenset(["ForwardRef", "NewType", "TypeVar", "cast"])
"""Functions whose texts are types, which are read with the names of their module."""
GENERIC = frozenset(["dict", "frozenset", "list", "set", "tuple", "type"])

Node = TypeVar("Node", bound=cst.CSTNode)


class Rewriter(cst.CSTTransformer):
    """Replaces what can be replaced without knowing the program; formatting and comments stay."""

    METADATA_DEPENDENCIES = (ParentNodeProvider,)

    # Imports

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:  # noqa: N802
        """``import procrastinate`` becomes ``import adjourn as procrastinate``, so the code below it stays as it is."""
        if not any(_imported(alias) is not alias for alias in updated_node.names):
            return updated_node
        # Two modules of the package become the same import.
        aliases = list({_code(changed): changed for changed in map(_imported, updated_node.names)}.values())
        aliases[-1] = aliases[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        return updated_node.with_changes(names=aliases)

    def leave_ImportFrom(  # noqa: N802
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.ImportFrom:
        """``from procrastinate.x import y`` becomes ``from adjourn.x import y``."""
        if updated_node.relative or updated_node.module is None:
            return updated_node
        ours = names.our_module(get_full_name_for_node(updated_node.module) or "")
        return updated_node if ours is None else updated_node.with_changes(module=_dotted(ours))

    # Texts

    def leave_SimpleString(  # noqa: N802
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.SimpleString:
        """Paths, variables, and the package's name where it is a logger, a module or a command."""
        text = updated_node.raw_value
        ours: str | None = None
        if names.is_path(text):
            ours = None if self._is_prose_or_type(original_node) else names.our_path(text)
        elif text == names.THEIRS:
            ours = names.OURS if self._is_name_of_package(original_node) else None
        elif not self._is_prose_or_type(original_node):
            ours = names.our_variable(text)
        if ours is None or "b" in updated_node.prefix:
            return updated_node
        quote = updated_node.quote
        return updated_node.with_changes(value=f"{updated_node.prefix}{quote}{ours}{quote}")

    # Names

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:  # noqa: N802
        """Settings, wherever they are named."""
        ours = names.our_setting(updated_node.value)
        return updated_node if ours is None else updated_node.with_changes(value=ours)

    def leave_Await(self, original_node: cst.Await, updated_node: cst.Await) -> cst.Await:  # noqa: N802
        """``await app.job_manager.finish_job(...)`` becomes ``finish_job_async``, as a name that blocks is not awaited."""
        call = updated_node.expression
        if not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute):
            return updated_node
        method = call.func
        owner = (get_full_name_for_node(method.value) or "").rpartition(".")[2]
        if owner != "job_manager" or method.attr.value not in names.AWAITED_NAMES:
            return updated_node
        attribute = method.attr.with_changes(value=f"{method.attr.value}_async")
        return updated_node.with_changes(expression=call.with_changes(func=method.with_changes(attr=attribute)))

    # What is around a text

    def _parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        parent: cst.CSTNode | None = self.get_metadata(ParentNodeProvider, node, None)
        return parent

    def _is_prose_or_type(self, node: cst.CSTNode) -> bool:
        """Return whether a text is a docstring, or a type, which is read with the names that the module has."""
        parent = self._parent(node)
        if isinstance(parent, cst.Expr):
            return True
        while parent is not None and not isinstance(parent, cst.BaseSmallStatement | cst.BaseCompoundStatement):
            if isinstance(parent, cst.Annotation):
                return True
            if isinstance(parent, cst.Call) and _last_name(parent.func) in IN_TYPES:
                return True
            if isinstance(parent, cst.Subscript) and _is_generic(_last_name(parent.value)):
                return True
            parent = self._parent(parent)
        return isinstance(parent, cst.AnnAssign) and parent.annotation is node

    def _is_name_of_package(self, node: cst.SimpleString) -> bool:
        parent = self._parent(node)
        if isinstance(parent, cst.Arg):
            call = self._parent(parent)
            called = _last_name(call.func) if isinstance(call, cst.Call) else ""
            return called in NAMES_IT or (parent.keyword is not None and parent.keyword.value == "logger")
        if isinstance(parent, cst.DictElement):
            return self._is_logger(parent, node)
        if isinstance(parent, cst.Element):
            around = self._parent(parent)
            if isinstance(around, cst.List | cst.Tuple):
                return _is_command(around.elements, parent)
        return isinstance(parent, cst.Index) and self._key_above(parent) == "loggers"

    def _key_above(self, index: cst.CSTNode) -> str:
        """Return the key of ``LOGGING["loggers"]`` in ``LOGGING["loggers"]["procrastinate"]``."""
        element = self._parent(index)
        subscript = self._parent(element) if element is not None else None
        value = subscript.value if isinstance(subscript, cst.Subscript) else None
        if isinstance(value, cst.Subscript) and isinstance(value.slice[0].slice, cst.Index):
            return _text(value.slice[0].slice.value)
        return ""

    def _is_logger(self, element: cst.DictElement, node: cst.SimpleString) -> bool:
        """Return whether a text names a logger in a configuration of logging: of a logger, or of a filter by name."""
        above = self._key_of(self._parent(element))
        if element.key is node:
            return above == "loggers"
        outer = self._parent(element)
        named = self._parent(outer) if outer is not None else None
        return (
            _text(element.key) == "name"
            and self._key_of(self._parent(named) if named is not None else None) == "filters"
        )

    def _key_of(self, dictionary: cst.CSTNode | None) -> str:
        holder = self._parent(dictionary) if dictionary is not None else None
        if isinstance(holder, cst.DictElement):
            return _text(holder.key)
        if isinstance(holder, cst.Arg) and holder.keyword is not None:
            return holder.keyword.value
        return ""


def _imported(alias: cst.ImportAlias) -> cst.ImportAlias:
    ours = names.our_module(get_full_name_for_node(alias.name) or "")
    if ours is None:
        return alias
    if alias.asname is not None:
        return alias.with_changes(name=_dotted(ours))
    return alias.with_changes(name=cst.Name(names.OURS), asname=cst.AsName(cst.Name(names.THEIRS)))


def _code(alias: cst.ImportAlias) -> str:
    return cst.Module([]).code_for_node(alias.with_changes(comma=cst.MaybeSentinel.DEFAULT))


def _dotted(path: str) -> cst.Name | cst.Attribute:
    first, *rest = path.split(".")
    node: cst.Name | cst.Attribute = cst.Name(first)
    for name in rest:
        node = cst.Attribute(node, cst.Name(name))
    return node


def _last_name(node: cst.CSTNode) -> str:
    return (get_full_name_for_node(node) or "").rpartition(".")[2]


def _is_generic(name: str) -> bool:
    return name in GENERIC or (name[:1].isupper() and not name.isupper())


def _text(node: cst.CSTNode) -> str:
    return node.raw_value if isinstance(node, cst.SimpleString) else ""


def _is_command(elements: Sequence[cst.BaseElement], element: cst.BaseElement) -> bool:
    """Return whether an item of a list is the command or the module that a process is started with."""
    place = next(number for number, each in enumerate(elements) if each is element)
    before = _text(elements[place - 1].value) if place else ""
    after = _text(elements[place + 1].value) if place + 1 < len(elements) else ""
    starts = place == 0 and (after.startswith("-") or after in COMMANDS)
    return starts or before == "-m" or before.endswith("manage.py")
