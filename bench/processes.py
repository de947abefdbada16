"""What Linux knows of processes: CPU time of whole trees, ended children included, and peak memory."""

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
ENDED = (FileNotFoundError, ProcessLookupError)
"""Of a process that ends while it is looked at, as those that the broker runs for a moment do."""


class Usage(NamedTuple):
    """One process: who started it, and the seconds that it and its ended children have used."""

    parent: int
    seconds: float


def cpu_seconds(groups: Mapping[str, Collection[int]]) -> dict[str, float]:
    """User and system time of each group's processes and all that descend from them."""
    usages = _usages()
    trees = {name: [pid for root in roots for pid in _tree(root, usages)] for name, roots in groups.items()}
    return {name: sum(usages[pid].seconds for pid in pids if pid in usages) for name, pids in trees.items()}


def machine_cpu_seconds() -> float:
    """What all CPUs of the machine have worked, for whichever process; stolen and idle time excluded."""
    user, nice, system, _idle, _wait, interrupt, soft_interrupt = (
        int(word) for word in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + interrupt + soft_interrupt) / TICKS_A_SECOND


def peak_rss_megabytes(root: int) -> float:
    """The largest resident size that the process has ever had; of a tree, the sum of each one's largest."""
    return sum(_peak(pid) for pid in _tree(root, _usages())) / 1024


def _tree(root: int, usages: Mapping[int, Usage]) -> list[int]:
    """The process and all that descend from it."""
    tree = [root]
    for pid in tree:
        tree.extend(child for child, usage in usages.items() if usage.parent == pid)
    return tree


def _usages() -> dict[int, Usage]:
    return {int(place.name): usage for place in PROC.iterdir() if place.name.isdigit() and (usage := _usage(place))}


def _usage(place: Path) -> Usage | None:
    try:
        # The name in parentheses may contain anything.
        fields = (place / "stat").read_text().rpartition(")")[2].split()
    except ENDED:
        return None
    return Usage(int(fields[1]), sum(int(ticks) for ticks in fields[11:15]) / TICKS_A_SECOND)


def _peak(pid: int) -> int:
    with suppress(*ENDED):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
