"""The emulator's sign-in: MSAL goes through it as through Microsoft's, and each mistake has its answer."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import msal  # type: ignore[import-untyped]
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.support.graph_requests import Graph, sign_in
from tests.support.onedrive import (
    CLIENT_ID,
    CLIENT_SECRET,
    DRIVE_ID,
    TENANT_ID,
    OneDriveEmulator,
    fresh,
    started_emulator,
)

SCOPE = "https://graph.microsoft.com/.default"


@pytest.fixture(scope="module")
def running() -> Iterator[OneDriveEmulator]:
    with started_emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(running: OneDriveEmulator) -> Iterator[OneDriveEmulator]:
    with fresh(running) as emulator:
        yield emulator


def application(
    emulator: OneDriveEmulator,
    credential: object = CLIENT_SECRET,
    host: str = "login.microsoftonline.com",
    tenant: str = TENANT_ID,
) -> msal.ConfidentialClientApplication:
    return msal.ConfidentialClientApplication(
        CLIENT_ID,
        client_credential=credential,
        authority=f"https://{host}/{tenant}",
        http_client=emulator.session(),
    )


def routes(emulator: OneDriveEmulator) -> list[str]:
    return [request["route"] for request in emulator.requests()]


@pytest.mark.parametrize("tenant", [TENANT_ID, "contoso.onmicrosoft.com"])
def test_msal_signs_in_with_two_requests(emulator: OneDriveEmulator, tenant: str) -> None:
    answer = application(emulator, tenant=tenant).acquire_token_for_client([SCOPE])
    assert answer["expires_in"] == 3599
    assert routes(emulator) == ["sign_in.configuration", "sign_in.token"]
    graph = Graph(emulator, answer["access_token"])
    assert graph.call("GET", f"drives/{DRIVE_ID}").status_code == 200


def test_msal_keeps_the_token_until_it_is_told_not_to(emulator: OneDriveEmulator) -> None:
    client = application(emulator)
    tokens = [client.acquire_token_for_client([SCOPE])["access_token"] for _ in range(3)]
    assert len(set(tokens)) == 1
    client.remove_tokens_for_client()
    assert client.acquire_token_for_client([SCOPE])["access_token"] != tokens[0]
    assert routes(emulator) == ["sign_in.configuration", "sign_in.token", "sign_in.instances", "sign_in.token"]


def test_msal_renews_a_token_that_ends_soon(emulator: OneDriveEmulator) -> None:
    emulator.change(token_seconds=200)
    client = application(emulator)
    assert len({client.acquire_token_for_client([SCOPE])["access_token"] for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("sign_in_host", "graph_host"),
    [
        ("login.microsoftonline.us", "graph.microsoft.us"),
        ("login.microsoftonline.us", "dod-graph.microsoft.us"),
        ("login.chinacloudapi.cn", "microsoftgraph.chinacloudapi.cn"),
    ],
)
def test_national_clouds(emulator: OneDriveEmulator, sign_in_host: str, graph_host: str) -> None:
    client = application(emulator, host=sign_in_host)
    token = client.acquire_token_for_client([f"https://{graph_host}/.default"])["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    session = emulator.session()
    assert session.get(f"https://{graph_host}/v1.0/drives/{DRIVE_ID}", headers=bearer).status_code == 200
    assert session.get(f"https://graph.microsoft.com/v1.0/drives/{DRIVE_ID}", headers=bearer).status_code == 401
    assert client.acquire_token_for_client([SCOPE])["error_codes"] == [500011]


@pytest.fixture(scope="module")
def certificate() -> tuple[str, str]:
    """A private key and a certificate of its own, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "holdfast test")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return private.decode(), public.decode()


def test_a_certificate_in_place_of_a_secret(emulator: OneDriveEmulator, certificate: tuple[str, str]) -> None:
    credential = {"private_key": certificate[0], "public_certificate": certificate[1]}
    assert application(emulator, credential).acquire_token_for_client([SCOPE])["error_codes"] == [700027]
    emulator.change(apps=[{"certificate": certificate[1]}])
    assert "access_token" in application(emulator, credential).acquire_token_for_client([SCOPE])


@pytest.mark.parametrize(
    ("form", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": ""}, 401, "invalid_client", 7000218),
        ({"client_id": "00000000-0000-0000-0000-000000000000"}, 400, "unauthorized_client", 700016),
        ({"scope": "https://graph.microsoft.com/Files.ReadWrite.All"}, 400, "invalid_scope", 1002012),
        ({"scope": "https://elsewhere.example/.default"}, 400, "invalid_resource", 500011),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"tenant": "unknown.example"}, 400, "invalid_request", 90002),
        (
            {
                "client_secret": "",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": "no.token",
            },
            401,
            "invalid_client",
            50027,
        ),
    ],
)
def test_mistakes(emulator: OneDriveEmulator, form: dict[str, str], status: int, error: str, number: int) -> None:
    response = sign_in(emulator, **form)
    document = response.json()
    assert (response.status_code, document["error"], document["error_codes"]) == (status, error, [number])
    assert f"AADSTS{number}: " in document["error_description"]


def test_an_expired_secret(emulator: OneDriveEmulator) -> None:
    emulator.change(apps=[{"is_secret_expired": True}])
    answer = application(emulator).acquire_token_for_client([SCOPE])
    assert answer["error"] == "invalid_client"
    assert "AADSTS7000222" in answer["error_description"]


def test_msal_refuses_an_unknown_tenant_when_it_is_made(emulator: OneDriveEmulator) -> None:
    with pytest.raises(ValueError, match="tenant name or GUID"):
        application(emulator, tenant="unknown.example")


@pytest.mark.parametrize(
    ("fault", "error", "number"),
    [
        ({"status": 401}, "invalid_client", 7000215),
        ({"status": 400}, "unauthorized_client", 700016),
        ({"status": 401, "code": 7000222}, "invalid_client", 7000222),
    ],
)
def test_planned_refusals(emulator: OneDriveEmulator, fault: dict[str, Any], error: str, number: int) -> None:
    emulator.plan("status", "sign_in.token", **fault)
    answer = application(emulator).acquire_token_for_client([SCOPE])
    assert (answer["error"], answer["error_codes"]) == (error, [number])


@pytest.mark.parametrize("fault", [{"status": 429, "retry_after": 1}, {"status": 500}, {"status": 503, "body": "html"}])
def test_planned_faults_of_the_service(emulator: OneDriveEmulator, fault: dict[str, Any]) -> None:
    emulator.plan("status", "sign_in.token", **fault)
    response = sign_in(emulator)
    assert response.status_code == fault["status"]
    assert response.headers.get("Retry-After") == ("1" if "retry_after" in fault else None)
    assert response.text.startswith("<html>") == ("body" in fault)
    assert sign_in(emulator).status_code == 200


def test_a_token_lives_as_long_as_was_said(emulator: OneDriveEmulator) -> None:
    graph = Graph(emulator)
    emulator.advance_clock(3598)
    assert graph.call("GET", f"drives/{DRIVE_ID}").status_code == 200
    emulator.advance_clock(2)
    expired = graph.call("GET", f"drives/{DRIVE_ID}")
    assert expired.status_code == 401
    assert expired.json()["error"]["code"] == "unauthenticated"


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "bare-token", "Basic YTpi", "Bearer "])
def test_no_token_no_answer(emulator: OneDriveEmulator, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    assert Graph(emulator).call("GET", f"drives/{DRIVE_ID}", headers=headers).status_code == 401


def test_a_token_without_its_scheme_is_none(emulator: OneDriveEmulator) -> None:
    graph = Graph(emulator)
    assert graph.call("GET", f"drives/{DRIVE_ID}", headers={"Authorization": graph.token}).status_code == 401


def test_secrets_are_told_to_the_test(emulator: OneDriveEmulator) -> None:
    graph = Graph(emulator)
    graph.put("a")
    urls = [graph.upload_url("b"), graph.download_url("a")]
    assert {CLIENT_SECRET, graph.token, *urls} <= set(emulator.secrets())


def test_the_redirection_lets_no_request_out(emulator: OneDriveEmulator) -> None:
    with pytest.raises(requests.ConnectionError, match="tried to reach login"):
        emulator.session().get("https://login.windows.net/")
