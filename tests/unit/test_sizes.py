"""What is small is read: no function of the product over 50 lines, half of them under 8, and no module over 199."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
FOLDERS = ("messages", "order_saga", "store_worker", "delivery_worker", "deploy", "bench")
MODULE_LINES, FUNCTION_LINES, MEDIAN_FUNCTION_LINES = 199, 50, 7


def modules() -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            yield str(path.relative_to(ROOT)), path.read_text()


def functions() -> Iterator[tuple[str, int]]:
    for name, source in modules():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}: {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_module_is_long():
    assert [name for name, source in modules() if len(source.splitlines()) > MODULE_LINES] == []


def test_no_function_is_long_and_half_of_them_are_short():
    lengths = list(functions())
    assert [name for name, lines in lengths if lines > FUNCTION_LINES] == []
    assert median(lines for _, lines in lengths) <= MEDIAN_FUNCTION_LINES
