"""A terminal sees a bar that makes way for what is told, and nobody else sees one."""

import io

from order_saga.client.progress import Progress, bar


def test_a_terminal_sees_a_bar_that_makes_way() -> None:
    terminal = Terminal()
    progress = Progress(4, terminal)
    progress.show({"placed": 1, "not_placed": 1})
    progress.clear()

    assert terminal.getvalue() == "\r\x1b[K[###############---------------] 2/4  1 not placed, 1 placed\r\x1b[K"
    assert bar(7, None) == "7 done"


def test_nobody_else_sees_a_bar() -> None:
    file = io.StringIO()
    progress = Progress(4, file)
    progress.show({"placed": 1})
    progress.clear()

    assert file.getvalue() == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
