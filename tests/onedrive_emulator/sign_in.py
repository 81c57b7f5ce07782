"""The sign-in: the calls that MSAL makes for an application's own token.

``GET /<tenant>/v2.0/.well-known/openid-configuration`` (OpenID Connect Discovery 1.0 section 4) and
``POST /<tenant>/oauth2/v2.0/token`` with the grant ``client_credentials`` (RFC 6749 section 4.4), the credential being
a secret or an assertion signed with a certificate (RFC 7523 section 2.2). The signature itself is not verified. When it
is refused a token, or is to forget those that it has, MSAL 1.39 also asks which hosts are one cloud, unless it was made
with ``instance_discovery=False``: ``GET /common/discovery/instance``.
"""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from .emulation import Emulation
from .errors import SignInError
from .hosts import CLOUDS, GRAPH_HOSTS
from .http_messages import Answer, Request, json_answer
from .services import Handler
from .settings import App

_ROUTE = re.compile(r"/(?P<tenant>[^/]+)/(?P<end>v2\.0/\.well-known/openid-configuration|oauth2/v2\.0/token)")
_INSTANCES = "/common/discovery/instance"
_ALIASES = (
    ("login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"),
    ("login.microsoftonline.us", "login.usgovcloudapi.net"),
    ("login.partner.microsoftonline.cn", "login.chinacloudapi.cn"),
)
_SCOPE = re.compile(r"https://(?P<host>[^/]+)/\.default")
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ALGORITHMS = {"PS256", "RS256"}
_FORM = "application/x-www-form-urlencoded"


class SignIn:
    """The service on the first port."""

    def app_of(self, request: Request, emulation: Emulation) -> str:
        return ""

    def resolve(self, request: Request, emulation: Emulation) -> tuple[str, frozenset[str], Handler] | None:
        if (request.method, request.path) == ("GET", _INSTANCES):
            return "sign_in.instances", frozenset(), lambda: _instances(request, emulation)
        match = _ROUTE.fullmatch(request.path)
        is_token = match is not None and match["end"].endswith("token")
        if match is None or request.method != ("POST" if is_token else "GET"):
            return None
        tenant = match["tenant"]
        if is_token:
            return "sign_in.token", frozenset(), lambda: _token(request, tenant, emulation)
        return "sign_in.configuration", frozenset(), lambda: _configuration(request, tenant, emulation)


def _base(request: Request, tenant: str, emulation: Emulation) -> str:
    settings = emulation.settings
    if tenant.lower() not in {settings.tenant_id, *settings.tenant_domains}:
        raise SignInError(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
    return f"{emulation.addresses.base('sign_in', request.host)}/{settings.tenant_id}"


def _instances(request: Request, emulation: Emulation) -> Answer:
    metadata = [
        {"preferred_network": aliases[0], "preferred_cache": aliases[-1], "aliases": list(aliases)}
        for aliases in _ALIASES
    ]
    endpoint = f"{emulation.addresses.base('sign_in', request.host)}/common/v2.0/.well-known/openid-configuration"
    return json_answer(200, {"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": metadata})


def _configuration(request: Request, tenant: str, emulation: Emulation) -> Answer:
    base = _base(request, tenant, emulation)
    document = {
        "token_endpoint": f"{base}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "issuer": f"{base}/v2.0",
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "jwks_uri": f"{base}/discovery/v2.0/keys",
    }
    return json_answer(200, document)


def _token(request: Request, tenant: str, emulation: Emulation) -> Answer:
    base = _base(request, tenant, emulation)
    if str(request.headers.get("Content-Type", "")).partition(";")[0] != _FORM:
        raise SignInError(400, "invalid_request", 900144, "The request body must be a form.")
    form = dict(parse_qsl(request.body.read().decode("ascii"), keep_blank_values=True))
    if form.get("grant_type") != "client_credentials":
        raise SignInError(400, "unsupported_grant_type", 70003, "The grant type is not supported.")
    graph_host = _graph_host(request, form.get("scope", ""))
    name, secret = _basic_credentials(request) or (form.get("client_id", ""), form.get("client_secret", ""))
    app = next((app for app in emulation.settings.apps if app.client_id == name), None)
    if app is None:
        raise SignInError(400, "unauthorized_client", 700016, f"Application '{name}' was not found in the directory.")
    if secret:
        _check_secret(app, secret)
    elif form.get("client_assertion_type") == _ASSERTION_TYPE:
        _check_assertion(app, form.get("client_assertion", ""), f"{base}/oauth2/v2.0/token")
    else:
        raise SignInError(401, "invalid_client", 7000218, "'client_assertion' or 'client_secret' is required.")
    seconds = emulation.settings.token_seconds
    token = emulation.tokens.give(app, graph_host, seconds)
    emulation.given_secrets.append(token)
    times = {"expires_in": seconds, "ext_expires_in": seconds}
    return json_answer(200, {"token_type": "Bearer", **times, "access_token": token})


def _graph_host(request: Request, scope: str) -> str:
    """The host of Graph that the token is for. It must be in the cloud whose sign-in was asked."""
    match = _SCOPE.fullmatch(scope)
    if match is None:
        raise SignInError(400, "invalid_scope", 1002012, f"The scope '{scope}' is not valid: it must end in /.default.")
    if match["host"] not in CLOUDS.get(request.host, GRAPH_HOSTS):
        raise SignInError(400, "invalid_resource", 500011, f"The resource '{match['host']}' was not found.")
    return match["host"]


def _basic_credentials(request: Request) -> tuple[str, str] | None:
    scheme, _, value = (request.authorization or "").partition(" ")
    if scheme != "Basic":
        return None
    name, _, secret = base64.b64decode(value).decode("ascii").partition(":")
    return unquote_plus(name), unquote_plus(secret)


def _check_secret(app: App, secret: str) -> None:
    if secret != app.secret:
        description = "Invalid client secret provided. Ensure the secret being sent is the value, not the ID."
        raise SignInError(401, "invalid_client", 7000215, description)
    if app.is_secret_expired:
        raise SignInError(401, "invalid_client", 7000222, "The provided client secret keys are expired.")


def _check_assertion(app: App, assertion: str, audience: str) -> None:
    """RFC 7523 section 3, without the signature."""
    parts = assertion.split(".")
    try:
        header, claims = (_decoded_part(part) for part in parts[:2])
        is_signed = len(parts) == 3 and len(base64.urlsafe_b64decode(parts[2] + "==")) >= 256
    except (TypeError, ValueError) as error:
        raise SignInError(401, "invalid_client", 50027, "The assertion is not a JSON Web Token.") from error
    thumbprint = str(header.get("x5t#S256") or header.get("x5t")).rstrip("=")
    if header.get("alg") not in _ALGORITHMS or not is_signed or thumbprint not in app.thumbprints():
        raise SignInError(401, "invalid_client", 700027, "The certificate is not registered on the application.")
    if claims.get("iss") != app.client_id or claims.get("sub") != app.client_id or claims.get("aud") != audience:
        raise SignInError(401, "invalid_client", 700021, "Issuer, subject or audience of the assertion are wrong.")
    if not claims.get("nbf", 0) - 300 <= time.time() < claims.get("exp", 0):
        raise SignInError(401, "invalid_client", 700024, "The assertion is not within its valid time range.")


def _decoded_part(part: str) -> dict[str, Any]:
    return dict(json.loads(base64.urlsafe_b64decode(part + "==")))
