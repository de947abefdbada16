"""What is small is read: no function over 50 lines, half of the product's under 8, and no module over 199."""

import ast
from collections.abc import Iterator
from statistics import median

from tests.unit.folders import PRODUCT, ROOT

TESTS = "tests"
MODULE_LINES, FUNCTION_LINES, MEDIAN_FUNCTION_LINES = 199, 50, 7


def modules(*folders: str) -> Iterator[tuple[str, str]]:
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            yield str(path.relative_to(ROOT)), path.read_text()


def functions(*folders: str) -> Iterator[tuple[str, int]]:
    for name, source in modules(*folders):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}: {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_module_is_long():
    assert [name for name, source in modules(*PRODUCT, TESTS) if len(source.splitlines()) > MODULE_LINES] == []


def test_no_function_is_long_and_half_of_them_are_short():
    assert [name for name, lines in functions(*PRODUCT, TESTS) if lines > FUNCTION_LINES] == []
    assert median(lines for _, lines in functions(*PRODUCT)) <= MEDIAN_FUNCTION_LINES
