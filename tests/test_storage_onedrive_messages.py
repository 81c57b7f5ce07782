"""What OneDrive says to each usual mistake: what is wrong and what to do; and never a secret."""

from __future__ import annotations

import io
import logging
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

import utils
from errors import StorageError, StorageUnavailableError
from model import Secret
from storages.spool import MemoryContent
from storages.storage import Storage
from storages.workplace import Patience, Workplace
from tests.support.onedrive import CLIENT_ID, CLIENT_SECRET, USER, OneDriveEmulator
from tests.support.onedrive_storage import (
    FRAGMENT,
    IMPATIENT,
    emulator,
    emulator_process,
    open_onedrive,
    routes,
    small_fragments,
)
from tests.support.storage_contract import keys

__all__ = ["emulator", "emulator_process", "small_fragments"]

APP = {"client_id": CLIENT_ID, "secret": CLIENT_SECRET}


def error_of(storage: Storage) -> str:
    with pytest.raises(StorageError) as caught:
        keys(storage)
    return str(caught.value)


# --- the app ---------------------------------------------------------------------------------------------------------


def test_a_wrong_secret(emulator: OneDriveEmulator) -> None:
    said = error_of(open_onedrive(CLIENT_SECRET=Secret("7c9e6679-7425-40de-944b-e07fc1f90ae7")))
    assert "cannot sign in: CLIENT_SECRET is wrong. It must be the Value of the secret, not its Secret ID" in said
    assert "7c9e6679" not in said
    assert routes(emulator, "sign_in").count("sign_in.token") == 1, "what cannot change is not tried again"


def test_an_expired_secret(emulator: OneDriveEmulator) -> None:
    emulator.change(apps=[{**APP, "is_secret_expired": True}])
    said = error_of(open_onedrive())
    assert "CLIENT_SECRET has expired. Make a new one in the Azure portal" in said


def test_an_unknown_tenant(emulator: OneDriveEmulator) -> None:
    said = error_of(open_onedrive(TENANT_ID="nobody.onmicrosoft.com"))
    assert "there is no tenant nobody.onmicrosoft.com. Copy the 'Directory (tenant) ID'" in said


def test_an_unknown_app(emulator: OneDriveEmulator) -> None:
    said = error_of(open_onedrive(CLIENT_ID="22222222-2222-2222-2222-222222222222"))
    assert "the tenant has no app 22222222-2222-2222-2222-222222222222" in said
    assert "'Application (client) ID'" in said


def test_an_error_of_the_sign_in_that_nobody_foresaw(emulator: OneDriveEmulator) -> None:
    emulator.plan("status", "sign_in.token", status=400, code=53003)
    said = error_of(open_onedrive())
    assert "Microsoft says: AADSTS53003" in said
    assert "Check TENANT_ID, CLIENT_ID and CLIENT_SECRET" in said


def test_a_page_of_a_proxy_in_place_of_the_sign_in(emulator: OneDriveEmulator) -> None:
    emulator.plan("status", "sign_in.configuration", times=None, status=200, body="html")
    assert "is not one of Microsoft's" in error_of(open_onedrive())


@pytest.mark.parametrize("key", ["TENANT_ID", "CLIENT_ID", "CLIENT_SECRET", "DRIVE"])
def test_a_missing_setting(key: str) -> None:
    with pytest.raises(StorageError, match=f"The storage ONEDRIVE has no {key}"):
        open_onedrive(**{key: None})


def test_a_missing_permission(emulator: OneDriveEmulator) -> None:
    emulator.change(apps=[{**APP, "permissions": []}])
    said = error_of(open_onedrive())
    assert "access is denied" in said
    assert "application permission (not the delegated one) Files.ReadWrite.All" in said
    assert "Grant admin consent" in said


def test_a_permission_to_read_only(emulator: OneDriveEmulator) -> None:
    emulator.change(apps=[{**APP, "permissions": ["Files.Read.All"]}])
    storage = open_onedrive()
    assert keys(storage) == []
    for size in (10, 5_000_000):
        with pytest.raises(StorageError, match=r"Files\.ReadWrite\.All"):
            storage.put("folder/object", [bytes(size)])


# --- the drive -------------------------------------------------------------------------------------------------------


def test_a_user_who_does_not_exist_or_has_no_onedrive(emulator: OneDriveEmulator) -> None:
    said = error_of(open_onedrive(DRIVE="nobody@contoso.example"))
    assert "finds no drive for DRIVE 'nobody@contoso.example'" in said
    assert "it needs a licence" in said


def test_a_drive_that_the_app_must_not_use(emulator: OneDriveEmulator) -> None:
    emulator.change(drives=[{"is_denied": True}])
    assert "Sites.Selected" in error_of(open_onedrive())


def test_the_user_as_the_owner_is_not_the_app(emulator: OneDriveEmulator) -> None:
    """With ``me`` there would be nobody: an app has no drive of its own."""
    assert "finds no drive for DRIVE 'me'" in error_of(open_onedrive(DRIVE="me"))


# --- the certificate -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certificate:
    """``file`` holds both parts, as docs/onedrive.md has it made; ``public`` is what the portal is given."""

    file: Path
    public: str


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "holdfast test")])
    now = utils.utc_now()
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    public = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")
    file = tmp_path_factory.mktemp("certificate") / "app.pem"
    file.write_text(private + public)
    return Certificate(file, public)


def test_a_certificate_in_place_of_the_secret(emulator: OneDriveEmulator, certificate: Certificate) -> None:
    emulator.change(apps=[{**APP, "secret": "another", "certificate": certificate.public}])
    storage = open_onedrive(CLIENT_SECRET=None, CERTIFICATE_FILE=str(certificate.file))
    storage.put("object", [b"x"])
    assert keys(storage) == ["object"]


def test_a_certificate_that_the_app_does_not_know(emulator: OneDriveEmulator, certificate: Certificate) -> None:
    said = error_of(open_onedrive(CLIENT_SECRET=None, CERTIFICATE_FILE=str(certificate.file)))
    assert "the app does not know the certificate in CERTIFICATE_FILE" in said


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot read CERTIFICATE_FILE"),
        (b"\x30\x82\x00binary", "it is not PEM"),
        (b"-----BEGIN CERTIFICATE-----\n", "must hold the private key and the certificate"),
        (
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "The private key must not have a passphrase",
        ),
    ],
)
def test_a_certificate_file_that_is_none(
    emulator: OneDriveEmulator, tmp_path: Path, content: bytes | None, expected: str
) -> None:
    file = tmp_path / "app.pem"
    if content is not None:
        file.write_bytes(content)
    assert expected in error_of(open_onedrive(CLIENT_SECRET=None, CERTIFICATE_FILE=str(file)))


# --- the clock and the network ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "direction"), [(3, "ahead of"), (-3, "behind")])
def test_a_wrong_clock_is_named(
    emulator: OneDriveEmulator, monkeypatch: pytest.MonkeyPatch, hours: int, direction: str
) -> None:
    shown = utils.utc_now() + timedelta(hours=hours)
    monkeypatch.setattr("storages.onedrive.errors.utc_now", lambda: shown)
    emulator.plan("status", "graph.drive", times=None, status=401)
    said = error_of(open_onedrive())
    assert re.search(rf"The clock of this machine is (3 h 0|2 h 5)\d min {direction} Microsoft's: set it", said), said


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here, no host name of Microsoft's leads anywhere."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(StorageUnavailableError, match=r"no answer from login\.microsoftonline\.com.*HTTPS_PROXY"):
        keys(open_onedrive())


def test_a_name_that_cannot_be_resolved() -> None:
    from storages.onedrive.http import OneDriveHttp

    http = OneDriveHttp("ONEDRIVE", Workplace(patience=IMPATIENT))
    with pytest.raises(StorageUnavailableError, match=r"from no-such-host\.invalid: its name cannot be resolved"):
        http.send("GET", "https://no-such-host.invalid/secret-path")


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """What all loggers write, from DEBUG on."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.usefixtures("small_fragments")
def test_no_secret_is_in_any_message_log_or_traceback(
    emulator: OneDriveEmulator, everything_logged: io.StringIO, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = MemoryContent(bytes(3 * FRAGMENT))
    patience = Patience(attempts=2, first_wait=0.01, longest_wait=0.01, longest_asked_wait=1)
    said = []
    cases: list[tuple[str, str, dict[str, int]]] = [
        ("reset_in_body", "upload.fragment", {}),
        ("lost_response", "upload.fragment", {}),
        ("status", "upload.fragment", {"status": 500}),
        ("status", "upload.fragment", {"status": 400}),
        ("status", "upload.fragment", {"status": 429, "retry_after": 900}),
        ("status", "upload.status", {"status": 400}),
        ("status", "graph.item", {"status": 403}),
        ("lost_response", "sign_in.token", {}),
        ("status", "sign_in.token", {"status": 401}),
        ("truncated_answer", "download.content", {}),
        ("lost_response", "download.content", {}),
        ("status", "download.content", {"status": 403}),
    ]
    for number, (kind, route, options) in enumerate(cases):
        emulator.reset()
        storage = open_onedrive(workplace=Workplace(tmp_path / str(number), patience))
        if route.startswith("download"):
            storage.put("object", content)
        if route == "upload.status":
            emulator.plan("lost_response", "upload.fragment")
        emulator.plan(kind, route, times=None, **options)
        try:
            if route.startswith("download"):
                list(storage.get("object"))
            else:
                storage.put("folder/object", content)
        except StorageError as error:
            logging.getLogger("test").exception("it failed")
            said.append("".join(traceback.format_exception(error)))
        emulator.check()
        everything = everything_logged.getvalue() + "".join(said) + "".join(capfd.readouterr())
        secrets = emulator.secrets()
        assert len(secrets) >= 1
        for secret in [CLIENT_SECRET, *secrets]:
            assert secret not in everything
            # Libraries write host and path of an address apart.
            assert secret.partition("tempauth=")[2] == "" or secret.partition("tempauth=")[2] not in everything
    assert len(said) == len(cases) - 1, "where only answers are lost, each fragment comes"
    assert "it failed" in everything_logged.getvalue()


def test_an_upload_address_is_redacted_wherever_it_is_quoted(emulator: OneDriveEmulator, tmp_path: Path) -> None:
    open_onedrive(tmp_path).put("folder/object", [bytes(5_000_000)])
    addresses = [secret for secret in emulator.secrets() if "uploadSession" in secret]
    assert len(addresses) == 1
    assert utils.redact(f"failed at {addresses[0]}!") == "failed at ****!"


def test_a_secret_of_the_user_is_in_no_message_that_quotes_microsoft(emulator: OneDriveEmulator) -> None:
    emulator.plan("status", "sign_in.token", status=400, code=99999)
    assert CLIENT_SECRET not in error_of(open_onedrive(DRIVE=USER))
