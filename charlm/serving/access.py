"""Who may ask: checked before any route, by headers alone.

    Host ──> Origin, Sec-Fetch-Site and Content-Type of a POST ──> bearer token ──> application

A web page elsewhere must not use a server on this machine: its requests carry its own Origin, or, once it has pointed
its name to 127.0.0.1 (DNS rebinding), its own Host. Neither is ours.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from charlm.serving.api_error import ApiError
from charlm.serving.json_response import error_response
from charlm.serving.page_files import PAGE_FOLDER, wants_page

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


@dataclass(frozen=True, kw_only=True)
class AccessRules:
    """Who may use the server."""

    host_names: tuple[str, ...] | None
    """The names that a Host header may have; None for any, on a server that needs a key."""
    api_key: str | None = None
    """None: any bearer token is good, as OpenAI's client always sends one."""
    allowed_origins: Sequence[str] = ()
    """Origins of web pages that may ask, beside the server's own."""


class AccessGuard:
    """Lets requests through that follow the rules, and adds the headers that tell browsers to be careful."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    answered.setdefault(name, value)  # the page has a policy of its own
            await send(message)

        try:
            check_access(scope["method"], scope["path"], headers, self._rules)
        except ApiError as error:
            await error_response(error)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


def check_access(method: str, path: str, headers: Headers, rules: AccessRules) -> None:
    """
    Raises:
        ApiError: the request breaks a rule.
    """
    host = _check_host(headers, rules)
    if method == "POST":
        _check_origin(headers, host, rules)
        _check_content_type(headers)
    is_preflight = method == "OPTIONS"  # browsers send no key with it
    if rules.api_key is not None and not _is_open(path, headers) and not is_preflight:
        _check_key(headers, rules.api_key)


def _is_open(path: str, headers: Headers) -> bool:
    """Whether a path needs no key. The page is the same for all, and asks for the key itself."""
    return path == "/health" or path.startswith(PAGE_FOLDER) or (path == "/" and wants_page(headers))


def _check_host(headers: Headers, rules: AccessRules) -> str:
    hosts = headers.getlist("host")
    found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if found is None:
        raise ApiError(400, "the request has no valid Host header", "send one, such as Host: localhost")
    name = found["name"].lower()
    if rules.host_names is not None and name not in rules.host_names:
        cure = f"use {' or '.join(rules.host_names)} as the host"
        raise ApiError(421, f"this server is not {name}", cure, code="wrong_host")
    return hosts[0].lower()


def _check_origin(headers: Headers, host: str, rules: AccessRules) -> None:
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin in rules.allowed_origins:
        return
    if origin is not None and urlsplit_host(origin) != host:
        what = "the request comes from a web page of another origin"
        raise ApiError(403, what, "allow the page with --allow-origin", code="wrong_origin")
    if site is not None and site not in ("same-origin", "none"):
        what = f"the request comes from a {site} web page"
        raise ApiError(403, what, "allow its origin with --allow-origin", code="wrong_origin")


def urlsplit_host(origin: str) -> str | None:
    """The host and port of an origin; None if it is not one, such as null."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    is_origin = parts.scheme in ("http", "https") and parts.netloc and not (parts.path or parts.query or parts.fragment)
    return parts.netloc.lower() if is_origin else None


def _check_content_type(headers: Headers) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "the request is not declared as JSON", "send Content-Type: application/json")


def _check_key(headers: Headers, key: str) -> None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), key.encode()):
        raise ApiError(
            401,
            "the API key is missing or wrong",
            "send Authorization: Bearer KEY, with the key that the server was started with",
            code="invalid_api_key",
            headers={"www-authenticate": "Bearer"},
        )
