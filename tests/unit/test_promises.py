"""The page of promises: each has a test, and each test that it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PAGE = TESTS.parent / "docs" / "explanation" / "promises.md"
NAME = re.compile(r": `([\w/]+\.py)::(test_\w+)`")


def promises(page: str) -> dict[str, list[tuple[str, str]]]:
    """The tests, as file and name, of each promise: a paragraph that ends with lines of names."""
    found: dict[str, list[tuple[str, str]]] = {}
    for paragraph in re.split(r"\n\s*\n", page):
        lines = paragraph.strip().splitlines()
        names = [match for line in lines if (match := NAME.fullmatch(line))]
        if names:
            said = " ".join(line for line in lines if not line.startswith(": "))
            found[said] = [(match[1], match[2]) for match in names]
            assert len(names) == sum(line.startswith(": ") for line in lines), f"Not a name of a test: {said}"
    return found


PROMISES = promises(PAGE.read_text("utf-8"))


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("promise", PROMISES)
def test_each_test_that_the_page_of_promises_names_exists(promise: str) -> None:
    assert promise
    for file, name in PROMISES[promise]:
        assert (TESTS / file).is_file(), f"There is no tests/{file}."
        assert name in functions(TESTS / file), f"tests/{file} has no {name}."


def test_each_sentence_of_the_page_is_explanation_or_has_a_test() -> None:
    paragraphs = [each.strip() for each in re.split(r"\n\s*\n", PAGE.read_text("utf-8"))]
    without = [each for each in paragraphs if not each.startswith("#") and not NAME.search(each)]
    # The first says what the page is; the others say what is not promised.
    assert [each[:20] for each in without] == ["[What adjourn guaran", "What is not promised", "* a job that was run"]
    assert len(PROMISES) > 50


def test_a_name_without_a_test_and_a_line_without_a_name_are_found() -> None:
    assert promises("It holds.\n: `a/b.py::test_c`\n\nWords.") == {"It holds.": [("a/b.py", "test_c")]}
    with pytest.raises(AssertionError, match="Not a name of a test: It holds"):
        promises("It holds.\n: `a/b.py::test_c`\n: or so")
