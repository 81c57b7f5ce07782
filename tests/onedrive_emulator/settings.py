"""What one emulated tenant is like. Every field can be given as JSON at the start, at a reset, and in between."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

TENANT_ID = "7a1b2c3d-0000-4000-8000-00000000cafe"
TENANT_DOMAIN = "contoso.onmicrosoft.com"
CLIENT_ID = "c11e47a9-0000-4000-8000-000000000001"
CLIENT_SECRET = "emulated~secret.value-that-no-log-may-hold"
USER = "backup@contoso.example"
DRIVE_ID = "b!emulated-drive"
SITE_ID = "contoso.sharepoint.com,5173a000-0000-4000-8000-000000000001,5173a000-0000-4000-8000-000000000002"

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class App:
    """An application that is registered in the tenant. ``certificate`` is PEM."""

    client_id: str = CLIENT_ID
    secret: str = CLIENT_SECRET
    is_secret_expired: bool = False
    certificate: str = ""
    permissions: tuple[str, ...] = ("Files.ReadWrite.All",)

    def thumbprints(self) -> set[str]:
        """The certificate's SHA-1 and SHA-256 as headers of assertions write them: URL-safe base64."""
        match = re.search(r"-----BEGIN CERTIFICATE-----(.+?)-----END", self.certificate, re.DOTALL)
        if match is None:
            return set()
        binary = base64.b64decode(match[1])
        digests = (hashlib.sha1(binary).digest(), hashlib.sha256(binary).digest())
        return {base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=") for digest in digests}


@dataclass(frozen=True)
class DriveSettings:
    """A drive and who owns it. ``quota_total`` 0 means that the quota is not known: the answer holds zeros only.

    ``used_elsewhere`` are bytes of the quota that are used by things which the emulator does not hold.
    """

    id: str = DRIVE_ID
    users: tuple[str, ...] = (USER,)
    sites: tuple[str, ...] = (SITE_ID,)
    kind: Literal["business", "documentLibrary", "personal"] = "business"
    quota_total: int = 1_099_511_627_776
    used_elsewhere: int = 0
    is_denied: bool = False


@dataclass(frozen=True)
class Settings:
    """Times are in seconds, sizes in bytes."""

    tenant_id: str = TENANT_ID
    tenant_domains: tuple[str, ...] = (TENANT_DOMAIN,)
    apps: tuple[App, ...] = (App(),)
    drives: tuple[DriveSettings, ...] = (DriveSettings(),)
    token_seconds: int = 3599
    page_size: int = 7
    simple_upload_limit: int = 250 * 1000 * 1000
    largest_file: int = 250 * 1000**3
    fragment_unit: int = 327_680
    fragment_limit: int = 60 * MEBIBYTE
    session_seconds: int = 15 * 60
    session_cap_seconds: int = 12 * 3600
    session_status_after_cap: int = 401
    quota_checked_at: Literal["create", "fragment", "commit"] = "fragment"
    download_seconds: int = 3600
    keep: Literal["memory", "disk", "nothing"] = "memory"

    # A client with several workers may have a request on its way, over another connection, while it is told to pause:
    # what comes so soon is no breach then. A client that sends one request after the other needs no such grace.
    throttle_grace_seconds: float = 0

    def changed(self, document: Mapping[str, Any]) -> Settings:
        """With these fields of JSON in place of those that it has. Raises TypeError for an unknown field."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
        }
        for name, kind in (("apps", App), ("drives", DriveSettings)):
            if name in values:
                values[name] = tuple(_from_json(kind, entry) for entry in values[name])
        return replace(self, **values)


def _from_json(kind: type[Any], document: Mapping[str, Any]) -> Any:
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in document.items()})
