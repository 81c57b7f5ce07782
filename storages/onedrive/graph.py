"""Requests to Microsoft Graph, with the app's token, and what its answers mean."""

from __future__ import annotations

import json
from typing import Any

from errors import StorageError, StorageUnavailableError
from storages.onedrive.errors import graph_refused
from storages.onedrive.http import Answer, OneDriveHttp
from storages.onedrive.sign_in import SignIn


class Graph:
    """Microsoft Graph v1.0 of one cloud. Each request is sent once, and once more with a new token after a 401."""

    def __init__(self, storage_name: str, host: str, sign_in: SignIn, http: OneDriveHttp) -> None:
        self._storage_name = storage_name
        self._root = f"https://{host}/v1.0"
        self._sign_in = sign_in
        self._http = http

    def ask(
        self, method: str, address: str, doing: str, *, document: object = None, body: bytes = b""
    ) -> dict[str, Any]:
        """The JSON of an answer of 200 or 201, ``{}`` for one of 204.

        ``address`` is a path below v1.0, or a whole address that Graph has given. ``doing`` completes "cannot …" in
        messages. Raises what ``onedrive_errors.graph_refused`` makes of a refusal, and StorageUnavailableError.
        """
        answer = self._send(method, address, document, body)
        if answer.status == 204:
            return {}
        if answer.status not in (200, 201):
            raise self._refused(answer, doing)
        found = answer.json()
        if not isinstance(found, dict):
            raise self.misunderstood(doing)
        return found

    def redirection(self, address: str, doing: str) -> str:
        """Where Graph sends whoever asks for this: an address that is a secret. Raises like :meth:`ask`."""
        answer = self._send("GET", address, None, b"")
        if answer.status >= 400:
            raise self._refused(answer, doing)
        if answer.status not in (302, 307) or not (location := answer.headers.get("Location")):
            raise self.misunderstood(doing)
        return location

    def misunderstood(self, doing: str) -> StorageUnavailableError:
        """The error for an answer that Graph does not give."""
        return StorageUnavailableError(
            f"The storage {self._storage_name} cannot {doing}: the answer is not one of Microsoft's. Check the "
            "proxy of this machine."
        )

    def _send(self, method: str, address: str, document: object, body: bytes) -> Answer:
        url = f"{self._root}{address}" if address.startswith("/") else address
        if not url.startswith(f"{self._root}/"):
            raise self.misunderstood("follow Graph to another host")
        headers = {}
        if document is not None:
            body = json.dumps(document).encode("utf-8")
            headers["Content-Type"] = "application/json"
        elif method == "PUT":
            headers["Content-Type"] = "application/octet-stream"
        token = self._sign_in.token()
        answer = self._http.send(method, url, {**headers, "Authorization": f"Bearer {token}"}, body)
        if answer.status == 401:
            token = self._sign_in.token_in_place_of(token)
            answer = self._http.send(method, url, {**headers, "Authorization": f"Bearer {token}"}, body)
        return answer

    def _refused(self, answer: Answer, doing: str) -> StorageError:
        return graph_refused(self._storage_name, doing, answer)
