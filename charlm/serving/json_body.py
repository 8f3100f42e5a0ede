"""The body of a request: read within its bounds, and parsed as one JSON object.

chunks ──at most so many bytes, in so many seconds──> UTF-8 ──> JSON ──> object            anything else: 400 to 415
"""

import asyncio
from typing import Any, cast

from starlette.requests import ClientDisconnect, Request

from charlm import storage
from charlm.serving.api_error import ApiError
from charlm.serving.limits import Limits

_CURE = "send one JSON object in UTF-8"


async def read_body(request: Request, limits: Limits) -> bytes:
    """Return the body of a request.

    Raises:
        ApiError: it is too long, or arrives too slowly.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > limits.body_bytes:
        raise _too_long(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body_bytes:
                    raise _too_long(limits)
    except TimeoutError as error:
        what = f"the request did not arrive within {limits.body_seconds:g} seconds"
        raise ApiError(408, what, "send it faster", headers={"connection": "close"}) from error
    except ClientDisconnect as error:
        raise ApiError(400, "the connection ended before the request did", "send it whole") from error
    return bytes(body)


def parse_body(body: bytes) -> dict[str, Any]:
    """Parse a body.

    Raises:
        ApiError: it is not an object in JSON: it is broken, nested too deeply, or has a number that is not finite.
    """
    try:
        content = storage.from_json(body.decode("utf-8"))
    except ValueError as error:  # UnicodeDecodeError is one
        raise ApiError(400, f"the request is not JSON: {error}", _CURE) from error
    if not isinstance(content, dict):
        raise ApiError(400, "the request is not a JSON object", _CURE)
    return cast("dict[str, Any]", content)


def _too_long(limits: Limits) -> ApiError:
    what = f"the request has more than {limits.body_bytes:,} bytes"
    return ApiError(413, what, "send several smaller ones", headers={"connection": "close"})
