"""What it means that an S3 service could not be asked at all: no credentials, no connection, no S3 answer."""

from __future__ import annotations

from errors import StorageError, StorageUnavailableError
from storages.s3.errors import Place
from utils import redact


def connection_error(place: Place, error: Exception) -> StorageError:
    """The error that an exception of botocore means. It is no StorageUnavailableError where waiting cannot help."""
    from botocore import exceptions

    address = place.options.endpoint_url or "Amazon S3"
    match error:
        case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError():
            return _unusable(place, "no credentials were found. Set ACCESS_KEY_ID and SECRET_ACCESS_KEY "
            "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment), or a PROFILE.")  # fmt: skip
        case exceptions.ProfileNotFound():
            return _unusable(place, f"{error}. Check PROFILE, and ~/.aws of the user that runs Holdfast (cron's HOME).")
        case exceptions.CredentialRetrievalError() | exceptions.TokenRetrievalError() | exceptions.SSOError():
            return _unusable(place, f"boto3 could not get credentials: {error}. Sign in again, or check the profile.")
        case exceptions.NoRegionError():
            return _unusable(place, "it needs a region. Set REGION (AWS_REGION in the environment).")
        case exceptions.SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return _unusable(place, f"the certificate of {address} cannot be trusted ({_reason(error)}). Check "
            "ENDPOINT_URL, or let CA_FILE name the certificates of whoever signed it.")  # fmt: skip
        case exceptions.ConnectTimeoutError():
            return _later(place, f"{address} does not answer. Check ENDPOINT_URL, the network and the firewall.")
        case exceptions.ReadTimeoutError():
            return _later(place, f"{address} stopped answering.")
        case exceptions.ProxyConnectionError():
            return _later(place, "the proxy (HTTPS_PROXY in the environment) does not take the connection.")
        case exceptions.EndpointConnectionError():
            return _later(place, _no_connection(address, error))
        case exceptions.HTTPClientError() | exceptions.IncompleteReadError() | OSError():
            return _later(place, f"the connection to {address} broke ({_reason(error)}).")
    return _unusable(place, f"{_reason(error)}. Check ENDPOINT_URL and its other settings.")


def _no_connection(address: str, error: Exception) -> str:
    text = str(getattr(error, "kwargs", {}).get("error", error))
    if "resolve" in text or "Name or service not known" in text or "getaddrinfo" in text:
        return f"the name of {address} is not known. Check ENDPOINT_URL, REGION and the DNS of this machine."
    if "refused" in text:
        return f"nothing takes connections at {address}. Check ENDPOINT_URL and its port, and whether the service runs."
    return f"there is no connection to {address}. Check ENDPOINT_URL and the network of this machine."


def _reason(error: Exception) -> str:
    return redact(str(error)).removesuffix(".")


def _unusable(place: Place, reason: str) -> StorageError:
    return StorageError(f"The storage {place.storage_name} cannot be used: {reason}")


def _later(place: Place, reason: str) -> StorageUnavailableError:
    return StorageUnavailableError(f"The storage {place.storage_name} cannot be reached: {reason}")
