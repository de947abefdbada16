"""What the demo prints: a line for each outcome, and a table of them all. Coloured on a terminal only."""

import shutil
import statistics
from collections import defaultdict
from collections.abc import Sequence

import click

from deploy.demo.conversation import Answer
from messages.contracts.order import CancelOrder, OrderNotPlaced, OrderPlaced, OrderRequested
from order_saga.client.telling import outcome_word

COLOURS = {"placed": "green", "not placed": "yellow", "rejected": "magenta", "unanswered": "red"}
GAP = "  "
NUMBER, OUTCOME, DETAILS, SECONDS, ASKED = 4, 10, 24, 8, 34
TABLE = "{:<10}  {:<18}  {:>6}  {:>8}  {:>8}"


def remark(text: str) -> None:
    """Print something besides outcomes, between them."""
    _bold(f"\n{text}\n")


def tell(answer: Answer) -> None:
    """`  12  placed      agent centre-7     31 ms  2 milk, 1 rye-bread                 the last two`."""
    row = (
        f"{answer.line.number:>{NUMBER}}",
        click.style(f"{_kind(answer):<{OUTCOME}}", fg=COLOURS[_kind(answer)]),
        _cell(_details(answer), DETAILS),
        f"{_milliseconds(answer.seconds):>{SECONDS}}",
        _cell(_asked(answer), ASKED),
        click.style(answer.line.about[: _room_at_the_end()], dim=True),
    )
    click.echo(GAP.join(row))
    if not answer.is_expected:
        expected = " or ".join(sorted(answer.line.expected)) or "an answer"
        click.echo(click.style(f"      expected: {expected}", fg="red"))


def sum_up(answers: Sequence[Answer]) -> None:
    """Outcomes and reasons, how many lines had them, and how long that took."""
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for answer in answers:
        groups[_kind(answer), _reason(answer)].append(answer.seconds)
    _bold("\n" + TABLE.format("outcome", "reason", "lines", "p50", "p95"))
    for (kind, reason), seconds in sorted(groups.items(), key=lambda group: (list(COLOURS).index(group[0][0]), group)):
        times = (_milliseconds(quantile) for quantile in _quantiles(seconds))
        click.echo(click.style(TABLE.format(kind, reason, len(seconds), *times), fg=COLOURS[kind]))
    _bold(TABLE.format("", "", len(answers), "", "").rstrip() + "\n")


def verdict(text: str, *, is_good: bool) -> None:
    click.echo(click.style(text, fg="green" if is_good else "red"))


def _bold(text: str) -> None:
    click.echo(click.style(text, bold=True))


def _kind(answer: Answer) -> str:
    return outcome_word(answer.outcome).replace("_", " ")


def _reason(answer: Answer) -> str:
    return "" if answer.word == _kind(answer) else answer.word


def _details(answer: Answer) -> str:
    match answer.outcome:
        case OrderPlaced(agent_id=agent_id):
            return f"agent {agent_id}"
        case OrderNotPlaced(participant=str(participant), reason=reason):
            return f"{reason} ({participant})"
    return _reason(answer)


def _asked(answer: Answer) -> str:
    match answer.line.message:
        case OrderRequested(lines=lines):
            return ", ".join(f"{line.quantity} {line.sku}" for line in lines)
        case CancelOrder():
            return "cancel"
    text = answer.line.body.decode(errors="replace")
    return "".join(character if character.isprintable() else "?" for character in text)


def _cell(text: str, width: int) -> str:
    return f"{text if len(text) <= width else text[: width - 3] + '...':<{width}}"


def _room_at_the_end() -> int:
    columns = shutil.get_terminal_size((140, 24)).columns
    return max(0, columns - sum((NUMBER, OUTCOME, DETAILS, SECONDS, ASKED)) - 5 * len(GAP))


def _quantiles(seconds: Sequence[float]) -> tuple[float, float]:
    """The median, and what 95 of a hundred stayed below."""
    return statistics.median(seconds), sorted(seconds)[int(0.95 * (len(seconds) - 1) + 0.5)]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"
