"""Which files are migrations, in which order, and under which names."""

from pathlib import Path

from messages.transport.database import migrating
from messages.transport.database.migrating import OWN_MIGRATIONS, migrations_in
from tests.integration.migrating.migrations import OWN
from tests.integration.toy.service import MIGRATIONS


async def test_a_name_does_not_depend_on_where_the_package_is_installed(tmp_path: Path) -> None:
    names = []
    for place in ("checkout", "site-packages"):
        folder = tmp_path / place / "shop" / "migrations"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").touch()
        (folder / "0001_create_shelf.sql").touch()
        names.append([migration.name for migration in migrations_in([folder])])
    assert names[0] == names[1] == [*OWN, "shop/0001_create_shelf.sql"]


def test_files_are_taken_in_the_order_of_their_numbers_and_folders_in_the_order_given(folder: Path) -> None:
    (folder / "0010_later.sql").touch()
    (folder / "README.md").touch()
    (folder / "notes.sql").touch()
    names = [migration.name for migration in migrations_in([folder, MIGRATIONS])]
    assert names == [
        *OWN,
        "shop/0001_create_shelf.sql",
        "shop/0002_fill_shelf.sql",
        "shop/0010_later.sql",
        "tests.integration.toy/0001_create_purchase.sql",
    ]


def test_line_ends_change_no_checksum(folder: Path) -> None:
    file = folder / "0001_create_shelf.sql"
    file.write_bytes(b"CREATE TABLE shelf (\nid integer)\n")
    before = migrations_in([folder])
    file.write_bytes(b"CREATE TABLE shelf (\r\nid integer)\r\n")
    assert migrations_in([folder]) == before


def test_the_transport_s_own_migrations_come_first() -> None:
    assert [migration.name for migration in migrations_in([])] == OWN
    assert OWN_MIGRATIONS.is_dir()
    assert migrating.ADVISORY_LOCK < 2**63
