"""What is said beside the result decides nothing."""

import os
import subprocess
import sys


def test_a_remark_that_nobody_reads_changes_no_exit_code() -> None:
    """As of an audit that is clean: its findings would be on stdout."""
    reading, writing = os.pipe()
    os.close(reading)
    program = "from messages.transport.command_line.remarks import remark; remark('clean'); remark('and clean')"
    said = subprocess.run([sys.executable, "-c", program], stderr=writing, check=False)
    os.close(writing)
    assert said.returncode == 0
