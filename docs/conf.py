"""How Sphinx builds the documentation. Run it by ``scripts/docs``."""

from __future__ import annotations

import importlib.metadata
import inspect
import pydoc
import sys
from typing import Any

from numpydoc.docscrape import NumpyDocString
from sphinx.application import Sphinx

project = "adjourn"
author = "The adjourn developers"
release = version = importlib.metadata.version("adjourn")
html_title = f"adjourn {release}"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.mermaid",
]
exclude_patterns = ["_static", "_build"]
# Another project's names cannot be resolved without its inventory, which would have to be downloaded for each build.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!adjourn\.).*"),
    # Signatures name internal classes and variables of types.
    ("py:.*", r"adjourn\..*\b(_\w+|P|R|T|Args|Context|EventT|PoolT)\b.*"),
    ("py:.*", r"adjourn\.manager\.source\..*"),
    ("py:.*", r"adjourn\.connectors\.faces\.Blocking"),
    # A function in an annotation, which is no type.
    ("py:class", r"adjourn\.contrib\.starlette\.lifespan\.get_app"),
    ("py:.*", r"adjourn\.manager\.schedules\.Ticks"),
]

# Prose. A fence of Mermaid is a diagram here and on code hosts, too.
myst_enable_extensions = ["colon_fence", "deflist"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 3
mermaid_height = "auto"
mermaid_fullscreen = False
mermaid_light_theme = "neutral"
copybutton_exclude = ".linenos, .gp, .go"

# The reference. The pages in reference/api say which modules there are; a test compares them with the package.
autodoc_default_options = {
    "members": True,
    "undoc-members": True,
    # Managers and connectors inherit their operations from two halves. Members of Python's own classes are left out.
    "inherited-members": "BaseException,Generic,Protocol,dict,str,tuple",
}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
numpydoc_show_class_members = False
# A name in single backticks, as docstrings have it, leads to the name's description.
default_role = "py:obj"

html_theme = "furo"
# Its own style for the dark underlines names, as if they were links.
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False


def is_public(cls: type) -> bool:
    """Return whether a class is Python's, or one that adjourn offers to users."""
    package, _, _ = cls.__module__.rpartition(".")
    homes = [sys.modules[name] for name in (cls.__module__, package) if name in sys.modules]
    offered = any(cls.__name__ in getattr(home, "__all__", ()) for home in homes)
    return not cls.__module__.startswith("adjourn.") or ("._" not in cls.__module__ and offered)


def public_bases(cls: type) -> list[type]:
    """Return the classes that users know of those that a class inherits from."""
    found: list[type] = []
    for base in cls.__bases__:
        found += [base] if is_public(base) else public_bases(base)
    return [base for base in dict.fromkeys(found) if base is not object]


def show_public_bases(app: Sphinx, name: str, cls: type, options: Any, bases: list[Any]) -> None:
    """Leave out the halves that a class is made of."""
    bases[:] = public_bases(cls) or [object]


def described_attributes(cls: type) -> dict[str, list[str]]:
    """Return what the docstring of a class says of its attributes, by name."""
    described: dict[str, list[str]] = {}
    for parent in reversed(cls.__mro__):
        for names, _, words in NumpyDocString(inspect.cleandoc(parent.__doc__ or ""))["Attributes"]:
            described |= dict.fromkeys(names.split(", "), words)
    return described


def describe_attribute(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Give an attribute the words that its class's docstring has for it."""
    if what == "attribute" and not any(lines):
        path, _, attribute = name.rpartition(".")
        owner = pydoc.locate(path)
        if isinstance(owner, type):
            lines[:] = described_attributes(owner).get(attribute, [])


def leave_out_attributes(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Leave out of a class's docstring the section on attributes, where each of them is described by itself below."""
    if what != "class" or "Attributes" not in lines:
        return
    start = lines.index("Attributes")
    ends = (line for line in range(start + 3, len(lines)) if lines[line].startswith("---"))
    end = next(ends, len(lines) + 1) - 1
    listed = {each for names, _, _ in NumpyDocString("\n".join(lines))["Attributes"] for each in names.split(", ")}
    if all(hasattr(value, each) or each in inspect.get_annotations(value) for each in listed):
        del lines[start:end]


def skip_member(app: Sphinx, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the tests of the contract, which are described by what they check."""
    return True if name.startswith("test_") else None


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("autodoc-process-bases", show_public_bases)
    # Before numpydoc, which shapes the docstring of a class.
    app.connect("autodoc-process-docstring", describe_attribute, priority=400)
    app.connect("autodoc-process-docstring", leave_out_attributes, priority=401)
    app.connect("autodoc-skip-member", skip_member)
