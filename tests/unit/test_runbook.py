"""The runbook explains every sentence that an audit can say, and leads from symptoms to each of its sections."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from order_saga.inspection import rules

RUNBOOK = Path(__file__).parents[2] / "deploy" / "runbook.md"
ROW = re.compile(r"^\| (I\d) \| `(.+?)` \| .+ \|$", re.MULTILINE)


def test_every_sentence_of_an_audit_has_its_row():
    assert sorted(ROW.findall(RUNBOOK.read_text())) == sorted(_sentences())


def test_every_section_is_found_by_a_symptom():
    text = RUNBOOK.read_text()
    symptoms = text.partition("| symptom | section |")[2].partition("\n\n")[0]
    sections = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert sorted(re.findall(r"\[(.+?)\]", symptoms)) == sorted(["What to watch", *sections])


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
