"""The headings of a page of documentation, as others link to them."""

import re
from pathlib import Path


def anchors_of(page: Path) -> set[str]:
    """As GitHub makes them; what stands in a block of code is no heading."""
    prose = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {_anchor(heading) for heading in re.findall(r"^#+ (.+)$", prose, re.MULTILINE)}


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
