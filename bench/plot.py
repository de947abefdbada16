"""Two bar charts in one SVG: orders a second against the ceiling, and where the CPU time of an order goes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

WIDTH, ROW, LABEL, TITLE, GAP = 860, 26, 150, 44, 30
BARS = WIDTH - LABEL - 110
PARTS = {
    "broker": "#d95f02",
    "postgresql": "#386cb0",
    "order_saga": "#1b9e77",
    "store_worker": "#66a61e",
    "delivery_worker": "#a6761d",
    "generator": "#bbbbbb",
}


def plot(lines: Sequence[Mapping[str, Any]]) -> str:
    fast = [line for line in lines if "orders_per_second" in line and not line["scenario"].startswith("latency")]
    # The bar of `plain` is fifteen times as long as the others, and would leave no room for them.
    costed = [
        line
        for line in fast
        if "generator" in line.get("cpu_milliseconds_per_order", {}) and line["scenario"] != "plain"
    ]
    second = TITLE + ROW * len(fast) + GAP
    height = second + TITLE + ROW * len(costed) + GAP
    marks = [*_throughput(fast, 0), *_cpu(costed, second), *_legend(height - GAP + 14)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif"'
        f' font-size="13"><rect width="100%" height="100%" fill="white"/>{"".join(marks)}</svg>\n'
    )


def _throughput(lines: Sequence[Mapping[str, Any]], top: int) -> Iterator[str]:
    yield _text(10, top + 24, "Orders a second", size=16)
    most = max((line["orders_per_second"] for line in lines), default=1)
    for row, line in enumerate(lines):
        y, value = top + TITLE + row * ROW, line["orders_per_second"]
        yield _text(LABEL - 10, y + 15, line["scenario"], anchor="end")
        yield _bar(LABEL, y, BARS * value / most, "#999999" if line["scenario"] == "ceiling" else "#386cb0")
        yield _text(LABEL + BARS * value / most + 6, y + 15, f"{value:,.0f}")


def _cpu(lines: Sequence[Mapping[str, Any]], top: int) -> Iterator[str]:
    yield _text(10, top + 24, "CPU milliseconds an order", size=16)
    costs = [line["cpu_milliseconds_per_order"] for line in lines]
    most = max((sum(cost[part] for part in PARTS) for cost in costs), default=1)
    for row, (line, cost) in enumerate(zip(lines, costs, strict=True)):
        x, y = float(LABEL), top + TITLE + row * ROW
        yield _text(LABEL - 10, y + 15, line["scenario"], anchor="end")
        for part, colour in PARTS.items():
            yield _bar(x, y, BARS * cost[part] / most, colour)
            x += BARS * cost[part] / most
        yield _text(x + 6, y + 15, f"{cost['without_generator']:.2f} + {cost['generator']:.2f}")


def _legend(y: int) -> Iterator[str]:
    for column, (part, colour) in enumerate(PARTS.items()):
        x = LABEL + column * 115
        yield _bar(x, y - 12, 12, colour, height=12)
        yield _text(x + 16, y, part)


def _bar(x: float, y: float, width: float, colour: str, height: int = ROW - 6) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{max(width, 0):.1f}" height="{height}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, *, size: int = 13, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'
