"""Signing in as an app (OAuth 2.0 client credentials), by MSAL."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from errors import StorageError, StorageUnavailableError
from storages.onedrive.errors import clock_hint, sign_in_refused
from storages.onedrive.http import Answer, OneDriveHttp
from utils import remember_secret


@dataclass(frozen=True, slots=True)
class Cloud:
    """One of Microsoft's clouds: the hosts of its sign-in and of Graph.

    https://learn.microsoft.com/en-us/graph/deployments
    """

    sign_in_host: str
    graph_host: str


CLOUDS = {
    "global": Cloud("login.microsoftonline.com", "graph.microsoft.com"),
    "us-government": Cloud("login.microsoftonline.us", "graph.microsoft.us"),
    "us-defense": Cloud("login.microsoftonline.us", "dod-graph.microsoft.us"),
    "china": Cloud("login.chinacloudapi.cn", "microsoftgraph.chinacloudapi.cn"),
}


@dataclass(frozen=True, slots=True)
class App:
    """The app as it is registered. Exactly one of ``secret`` and ``certificate_file`` is not None."""

    tenant_id: str
    client_id: str
    secret: str | None
    certificate_file: Path | None


class SignIn:
    """Tokens for Graph. MSAL keeps one for as long as it lasts, and knows when to ask for the next."""

    def __init__(self, storage_name: str, app: App, cloud: Cloud, http: OneDriveHttp) -> None:
        self._storage_name = storage_name
        self._app = app
        self._cloud = cloud
        self._http = _SignInHttp(storage_name, app, http)
        self._lock = threading.Lock()
        self._client: Any = None  # msal has no types

    def token(self) -> str:
        """A token that is valid now. Raises StorageError, which says what is wrong with the app."""
        with self._lock:
            return self._token()

    def token_in_place_of(self, refused: str) -> str:
        """A new token, where Graph took this one no longer: it may be revoked, or the clocks differ."""
        with self._lock:
            if self._client is not None and self._token() == refused:
                self._client.remove_tokens_for_client()
            return self._token()

    def _token(self) -> str:
        try:
            if self._client is None:
                self._client = self._new_client()
            answer = self._client.acquire_token_for_client([f"https://{self._cloud.graph_host}/.default"])
        except StorageError:
            raise
        except Exception as error:
            # MSAL and what it uses say nowhere what they raise for a bad certificate or a page in place of an answer.
            raise self._failed(error) from None
        token = answer.get("access_token")
        if not isinstance(token, str):
            raise sign_in_refused(self._storage_name, self._app.tenant_id, self._app.client_id, answer)
        remember_secret(token)
        return token

    def _failed(self, error: Exception) -> StorageError:
        if self._app.certificate_file is not None:
            return StorageError(
                f"The storage {self._storage_name} cannot sign in with CERTIFICATE_FILE {self._app.certificate_file} "
                f"({type(error).__name__}). The private key must not have a passphrase, and must belong to the "
                "certificate. See docs/onedrive.md."
            )
        return StorageUnavailableError(
            f"The storage {self._storage_name} cannot sign in: the answer of {self._cloud.sign_in_host} is not one of "
            f"Microsoft's ({type(error).__name__}). Check TENANT_ID and the proxy of this machine."
        )

    def _new_client(self) -> Any:
        import msal  # type: ignore[import-untyped]

        return msal.ConfidentialClientApplication(
            self._app.client_id,
            client_credential=self._credential(),
            authority=f"https://{self._cloud.sign_in_host}/{self._app.tenant_id}",
            http_client=self._http,
            instance_discovery=False,  # the hosts are known, see CLOUDS
        )

    def _credential(self) -> str | dict[str, str]:
        if self._app.certificate_file is None:
            return self._app.secret or ""
        file = self._app.certificate_file
        try:
            pem = file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not PEM, which is plain text"
            raise StorageError(
                f"The storage {self._storage_name} cannot read CERTIFICATE_FILE {file}: {reason}."
            ) from None
        if "PRIVATE KEY-----" not in pem or "BEGIN CERTIFICATE-----" not in pem:
            raise StorageError(
                f"The storage {self._storage_name} cannot use CERTIFICATE_FILE {file}: it must hold the private key "
                "and the certificate, both as PEM. See docs/onedrive.md."
            )
        return {"private_key": pem, "public_certificate": pem}


@dataclass(frozen=True, slots=True)
class _Response:
    """An answer as MSAL knows it."""

    status_code: int
    text: str
    headers: Mapping[str, str]


class _SignInHttp:
    """What MSAL sends its requests with. Refusals are translated here, where the whole answer is at hand."""

    def __init__(self, storage_name: str, app: App, http: OneDriveHttp) -> None:
        self._storage_name = storage_name
        self._app = app
        self._http = http

    def get(
        self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None, **_: object
    ) -> _Response:
        return self._checked(self._http.send("GET", _with_query(url, params), headers))

    def post(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_: object,
    ) -> _Response:
        form = {**(headers or {}), "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(data or {}).encode("ascii")
        return self._checked(self._http.send("POST", _with_query(url, params), form, body))

    def close(self) -> None:
        """MSAL asks for it; the connections are those of the storage."""

    def _checked(self, answer: Answer) -> _Response:
        if answer.status < 400:
            return _Response(answer.status, answer.body.decode("utf-8", "replace"), answer.headers)
        document = answer.json()
        raise sign_in_refused(
            self._storage_name,
            self._app.tenant_id,
            self._app.client_id,
            document if isinstance(document, dict) else {},
            clock_hint(answer),
        )


def _with_query(url: str, params: Mapping[str, str] | None) -> str:
    return f"{url}?{urlencode(params)}" if params else url
