"""The image runs as a user who is not root, and says so in a way that Kubernetes understands."""

import re
from pathlib import Path

DOCKERFILE = (Path(__file__).parents[2] / "deploy" / "Dockerfile").read_text()


def test_the_user_is_a_number_that_was_given_to_somebody() -> None:
    (user,) = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    uid, _, gid = user.partition(":")

    assert int(uid) > 0
    assert int(gid) > 0
    assert re.search(rf"\bgroupadd --gid {gid} saga\b", DOCKERFILE)
    assert re.search(rf"\buseradd --uid {uid} --gid {gid} .*\bsaga$", DOCKERFILE, re.MULTILINE)
