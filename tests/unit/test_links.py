"""What the documentation links to is there, down to the section."""

import re
from pathlib import Path

import pytest

from tests.unit.headings import anchors_of

ROOT = Path(__file__).parents[2]
PAGES = sorted(page for folder in (".", "deploy", "docs") for page in (ROOT / folder).glob("*.md"))
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for path, section in LINK.findall(page.read_text()):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not section or section in anchors_of(target), f"{path}#{section}"


def test_the_runbook_and_what_comes_before_it_are_among_the_pages():
    assert {ROOT / "README.md", ROOT / "deploy" / "README.md", ROOT / "deploy" / "runbook.md"} <= set(PAGES)
