"""The runbook explains every sentence that an audit can say, and every warning of a daemon, and leads from symptoms to
each of its sections."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from order_saga.inspection import rules
from tests.unit.folders import PACKAGES, ROOT

RUNBOOK = ROOT / "deploy" / "runbook.md"
ROW = re.compile(r"^\| (I\d) \| `(.+?)` \| .+ \|$", re.MULTILINE)
OF_COMMANDS = ROOT / "messages" / "transport" / "edge"
LOGS_A_WARNING = re.compile(r"log\.(warning|error|exception)\b|\._warn$|^level$")


def test_every_sentence_of_an_audit_has_its_row():
    assert sorted(ROW.findall(RUNBOOK.read_text())) == sorted(_sentences())


def test_every_warning_of_a_daemon_is_explained():
    text = " ".join(RUNBOOK.read_text().split())
    warnings = set(_warnings())
    assert "batch failed, retrying" in warnings
    assert not [warning for warning in sorted(warnings) if f"`{warning}`" not in text]


def test_every_section_is_found_by_a_symptom():
    text = RUNBOOK.read_text()
    symptoms = text.partition("| symptom | section |")[2].partition("\n\n")[0]
    sections = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert sorted(re.findall(r"\[(.+?)\]", symptoms)) == sorted(["What to watch", *sections])


def _warnings() -> Iterator[str]:
    """The event of each log line from level `warning` on, wherever it stands as a constant."""
    modules = [module for package in PACKAGES for module in (ROOT / package).rglob("*.py")]
    for module in modules:
        if OF_COMMANDS in module.parents:
            continue
        for node in ast.walk(ast.parse(module.read_text())):
            match node:
                case ast.Call(func=func, args=[ast.Constant(value=str(event)), *_]):
                    if LOGS_A_WARNING.search(ast.unparse(func)):
                        yield event


def _sentences() -> Iterator[tuple[str, str]]:
    """Invariant and sentence of each finding; what is filled in stands as an ellipsis."""
    tree = ast.parse(Path(rules.__file__).read_text())
    nodes = [node for node in ast.walk(tree) if isinstance(node, (ast.stmt, ast.expr))]
    sentence = ""
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
        match node:
            case ast.Assign(targets=[ast.Name(id="sentence")], value=value):
                sentence = _text(value)
            case ast.Yield(value=ast.Tuple(elts=[ast.Constant(value=str(invariant)), value])):
                yield invariant, _text(value)
            case ast.Yield(value=ast.Call(args=[ast.Constant(value=str(invariant)), ast.Name(id="sentence")])):
                yield invariant, sentence


def _text(value: ast.expr) -> str:
    parts = value.values if isinstance(value, ast.JoinedStr) else [value]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
