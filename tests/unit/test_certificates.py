"""A certificate or key that is named and cannot be used is told with its file, before anybody connects."""

import shutil
import subprocess
from pathlib import Path

import pytest

from messages.transport.certificates import WrongCertificate, read_certificates

BROKER = "amqps://toy:hunter2@broker.example/?"
DATABASE = "postgresql://toy:hunter2@db.example,standby.example/toy?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mine.pem and mine.key, the same with a passphrase as locked.key, and another.key; a file with nothing in it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("mine", "another"):
        _openssl(folder, f"req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=toy -keyout {name}.key -out {name}.pem")
    _openssl(folder, "rsa -aes256 -passout pass:sesame -in mine.key -out locked.key")
    (folder / "empty").touch()
    return folder


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"{BROKER}cafile=DIR/none", "cannot read its cafile DIR/none: No such file or directory"),
        (f"{BROKER}cafile=DIR/empty", "its cafile DIR/empty holds no certificate in PEM format"),
        (f"{BROKER}certfile=DIR", "cannot read its certfile DIR: Is a directory"),
        (f"{BROKER}certfile=DIR/mine.pem&keyfile=DIR/none", "cannot read its keyfile DIR/none: "),
        (
            f"{BROKER}certfile=DIR/mine.pem&keyfile=DIR/another.key",
            "its keyfile DIR/another.key is not the key of its certfile DIR/mine.pem, or has a passphrase",
        ),
        (
            f"{BROKER}certfile=DIR/mine.pem&keyfile=DIR/locked.key",
            "its keyfile DIR/locked.key is not the key of its certfile DIR/mine.pem, or has a passphrase",
        ),
        (f"{DATABASE}sslrootcert=DIR/none", "cannot read its sslrootcert DIR/none: No such file or directory"),
        (f"{DATABASE}sslcrl=DIR/empty", "its sslcrl DIR/empty holds no certificate in PEM format"),
        (f"{DATABASE}sslcert=DIR/none&sslkey=DIR/mine.key", "cannot read its sslcert DIR/none: "),
        (
            f"{DATABASE}sslcert=DIR/mine.pem&sslkey=DIR/locked.key&sslpassword=mellon",
            "its sslkey DIR/locked.key is not the key of its sslcert DIR/mine.pem, or sslpassword is wrong",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(folder: Path, url: str, told: str) -> None:
    with pytest.raises(WrongCertificate) as raised:
        read_certificates(url.replace("DIR", str(folder)))
    assert str(raised.value).startswith(told.replace("DIR", str(folder)))


@pytest.mark.parametrize(
    "url",
    [
        BROKER,
        f"{BROKER}cafile=DIR/mine.pem&certfile=DIR/mine.pem&keyfile=DIR/mine.key",
        "amqp://broker.example/?cafile=DIR/none",
        f"{DATABASE}sslmode=verify-full&sslrootcert=DIR/mine.pem&sslcert=DIR/mine.pem&sslkey=DIR/mine.key",
        f"{DATABASE}sslcert=DIR/mine.pem&sslkey=DIR/locked.key&sslpassword=sesame",
        f"{DATABASE}sslmode=disable&sslrootcert=DIR/none",
    ],
)
def test_what_can_be_used_or_is_not_used_is_no_problem(folder: Path, url: str) -> None:
    read_certificates(url.replace("DIR", str(folder)))


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ("PGSSLCERT=DIR/none", "cannot read PGSSLCERT DIR/none: No such file or directory"),
        ("PGSSLMODE=require PGSSLROOTCERT=DIR/empty", "PGSSLROOTCERT DIR/empty holds no certificate in PEM format"),
        (
            "PGSSLCERT=DIR/mine.pem PGSSLKEY=DIR/another.key",
            "PGSSLKEY DIR/another.key is not the key of PGSSLCERT DIR/mine.pem, or sslpassword is wrong",
        ),
    ],
)
def test_the_environment_may_name_the_files_for_postgresql(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variables: str, told: str
) -> None:
    _set(monkeypatch, variables.replace("DIR", str(folder)))
    with pytest.raises(WrongCertificate) as raised:
        read_certificates(DATABASE)
    assert str(raised.value) == told.replace("DIR", str(folder))


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ("", "postgresql:///toy"),
        ("", "postgresql:///toy?host=db.example"),
        ("", "postgresql://%2Frun%2Fpostgresql,db.example/toy"),
        ("PGHOST=db.example", "postgresql:///toy"),
        ("PGSSLMODE=prefer", "postgresql:///toy?host=/run/postgresql"),
    ],
)
def test_the_environment_matters_wherever_the_host_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: str, url: str
) -> None:
    """Without one, asyncpg also tries localhost; and with a mode, it reads the files even for a socket."""
    _set(monkeypatch, f"PGSSLCERT=/no/such.pem {variables}")
    with pytest.raises(WrongCertificate, match=r"cannot read PGSSLCERT /no/such\.pem"):
        read_certificates(url)


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ("PGSSLCERT=DIR/none PGSSLKEY=DIR/none", f"{DATABASE}sslcert=DIR/mine.pem&sslkey=DIR/mine.key"),
        ("PGSSLMODE=disable PGSSLCERT=DIR/none", DATABASE),
        ("PGSSLCERT=", DATABASE),
        ("PGSSLCERT=DIR/none", "postgresql:///toy?host=/run/postgresql"),
        ("PGSSLCERT=DIR/none", "postgresql://toy@%2Frun%2Fpostgresql/toy"),
        ("PGSSLCERT=DIR/none PGHOST=/run/postgresql", "postgresql:///toy"),
        ("PGSSLROOTCERT=DIR/none PGSSLCRL=DIR/none", DATABASE),
        ("PGSSLROOTCERT=DIR/none PGSSLMODE=require", f"{DATABASE}sslmode=prefer"),
        ("PGSSLCERT=DIR/none CERTFILE=DIR/none", BROKER),
    ],
)
def test_what_the_environment_names_in_vain_is_no_problem(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variables: str, url: str
) -> None:
    _set(monkeypatch, variables.replace("DIR", str(folder)))
    read_certificates(url.replace("DIR", str(folder)))


def test_a_variable_that_is_not_postgresql_s_spares_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLMODE", "disable")
    with pytest.raises(WrongCertificate):
        read_certificates("amqps://mq/?cafile=/no/such.pem")


def _set(monkeypatch: pytest.MonkeyPatch, variables: str) -> None:
    for variable in variables.split():
        monkeypatch.setenv(*variable.split("="))


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)
