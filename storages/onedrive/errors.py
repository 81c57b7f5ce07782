"""What Microsoft's refusals mean, in words that say what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    StorageError,
    StorageFullError,
)
from storages.onedrive.http import Answer
from utils import format_duration, redact, utc_now

# The Kerberos-like five minutes that Microsoft's services allow clocks to differ.
_LARGEST_CLOCK_DIFFERENCE = 300.0

_HOW_TO_RENEW = (
    "Make a new one in the Azure portal (App registrations > your app > Certificates & secrets) and write its Value "
    "into CLIENT_SECRET"
)
_WHERE_THE_TENANT_IS = "Copy the 'Directory (tenant) ID' from the overview of the app into TENANT_ID"

# https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
_SIGN_IN_ERRORS = {
    7000215: "CLIENT_SECRET is wrong. It must be the Value of the secret, not its Secret ID, and a secret of the app "
    f"that CLIENT_ID names. The portal shows the Value only once. {_HOW_TO_RENEW}",
    7000222: f"CLIENT_SECRET has expired. {_HOW_TO_RENEW}",
    7000218: "no CLIENT_SECRET and no CERTIFICATE_FILE reached Microsoft. Write one of them",
    90002: f"there is no tenant {{tenant_id}}. {_WHERE_THE_TENANT_IS}, and check CLOUD",
    900023: f"{{tenant_id}} is no id of a tenant. {_WHERE_THE_TENANT_IS}",
    900384: "the tenant {tenant_id} lies in another cloud. Check CLOUD",
    90038: "the tenant {tenant_id} lies in another cloud. Check CLOUD",
    700016: "the tenant has no app {client_id}. Copy the 'Application (client) ID' from the overview of the app into "
    "CLIENT_ID, and check that TENANT_ID is of the same tenant",
    7000229: "the app {client_id} has not been let into the tenant. Grant admin consent (API permissions)",
    7000112: "the app {client_id} is disabled. Enable it in the Azure portal (Enterprise applications > Properties)",
    700027: "the app does not know the certificate in CERTIFICATE_FILE, or it has expired. Upload it in the Azure "
    "portal (App registrations > your app > Certificates & secrets > Certificates)",
    700024: "the clock of this machine is wrong, so that the signature is not valid now. Set it (timedatectl)",
    500011: "the tenant knows no Microsoft Graph at this address. Check CLOUD",
}

_NO_PERMISSION = (
    "The app may not do that. In the Azure portal, give it the application permission (not the delegated one) "
    "Files.ReadWrite.All of Microsoft Graph and press 'Grant admin consent'; after that it can take some minutes. "
    "Where the app has Sites.Selected, give it the right to write to this site"
)


def sign_in_refused(
    storage_name: str, tenant_id: str, client_id: str, document: Mapping[str, Any], hint: str = ""
) -> StorageError:
    """What an error of the token endpoint (RFC 6749 section 5.2, with Microsoft's ``error_codes``) means."""
    codes = document.get("error_codes")
    known = [_SIGN_IN_ERRORS[code] for code in codes if code in _SIGN_IN_ERRORS] if isinstance(codes, list) else []
    if known:
        reason = known[0].format(tenant_id=tenant_id, client_id=client_id)
    else:
        said = str(document.get("error_description") or document.get("error") or "no reason").splitlines()[0]
        reason = f"Microsoft says: {redact(said).rstrip('.')}. Check TENANT_ID, CLIENT_ID and CLIENT_SECRET"
    return StorageError(f"The storage {storage_name} cannot sign in: {reason}.{hint}")


def graph_refused(storage_name: str, doing: str, answer: Answer) -> StorageError:
    """What a refusal of Graph means. ``doing`` completes "cannot …"."""
    status, document = answer.status, answer.json()
    codes = error_codes(document)
    where = f"The storage {storage_name} cannot {doing}:"
    if status == 507 or "quotaLimitReached" in codes:
        return StorageFullError(
            f"{where} the drive is full. Make room in it, empty its recycle bin (what lies there counts for 93 days; "
            "DELETE_FOR_GOOD avoids it), keep fewer copies, or have its quota raised."
        )
    if status == 401:
        return StorageError(
            f"{where} Microsoft does not accept the token that it has just given.{clock_hint(answer)} Check CLOUD and, "
            "if it lasts, whether the app was disabled."
        )
    if status == 403 and "accessDenied" in codes:
        return StorageError(f"{where} access is denied. {_NO_PERMISSION}.")
    if status == 404:
        return ObjectNotFoundError(f"{where} there is nothing.")
    if status == 409 and "nameAlreadyExists" in codes:
        return ObjectExistsError(f"{where} the name is taken already, and nothing is ever overwritten.")
    if status == 423:
        return StorageError(f"{where} it is locked. Somebody has it open, or an administrator has frozen the drive.")
    if "pathIsTooLong" in codes:
        return StorageError(f"{where} the path is too long for OneDrive. Shorten PATH or the NAME of the backup.")
    return StorageError(
        f"{where} Microsoft answers {status}: {_said(document, codes)}. Run the backup again; if it lasts, see "
        "docs/onedrive.md."
    )


def drive_refused(storage_name: str, drive: str, error: StorageError) -> StorageError:
    """The drive that DRIVE names cannot be opened because of ``error``."""
    if isinstance(error, ObjectNotFoundError):
        return StorageError(
            f"The storage {storage_name} finds no drive for DRIVE {drive!r}: there is no such user, site or drive, or "
            "the user has no OneDrive (it needs a licence, and comes to be when the user opens it for the first time). "
            "See docs/onedrive.md."
        )
    return error


def error_codes(document: object) -> list[str]:
    """The code of an error of Graph and of its inner errors, from the outside in."""
    error = document.get("error") if isinstance(document, dict) else None
    return list(_codes(error))


def clock_hint(answer: Answer) -> str:
    """A sentence for the user where this machine's clock and the ``Date`` of an answer differ too much, else ``""``."""
    try:
        difference = (utc_now() - parsedate_to_datetime(answer.headers.get("Date", ""))).total_seconds()
    except (TypeError, ValueError):
        return ""
    if abs(difference) <= _LARGEST_CLOCK_DIFFERENCE:
        return ""
    direction = "ahead of" if difference > 0 else "behind"
    return (
        f" The clock of this machine is {format_duration(abs(difference))} {direction} Microsoft's: set it "
        "(timedatectl)."
    )


def _codes(error: object) -> Iterator[str]:
    if isinstance(error, dict):
        if isinstance(error.get("code"), str):
            yield error["code"]
        yield from _codes(error.get("innerError") or error.get("innererror"))


def _said(document: object, codes: list[str]) -> str:
    error = document.get("error") if isinstance(document, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    said = redact(str(message or "without a reason")).strip().rstrip(".")
    return f"{said} ({', '.join(codes)})" if codes else said
