"""What a client is told instead of an answer, in the form that OpenAI's client reads.

ApiError, UsageError, DataError, ... ──> {"error": {"message", "type", "param", "code"}} and a status
"""

from collections.abc import Mapping
from typing import Any

from charlm.device import is_out_of_memory
from charlm.errors import CharlmError, CheckpointError, DataError, OptionError, UsageError
from charlm.suggestions.words import format_value

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_FIELDS = {"length": "max_tokens"}
"""Option of a sample -> field of a request, where they differ."""


class ApiError(Exception):
    """A request that is not answered."""

    def __init__(
        self,
        status: int,
        what: str,
        cure: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            status: of HTTP.
            param: the field of the request that is wrong.
            code: the name of the error, for programs.
            headers: of the answer.
        """
        super().__init__(f"{what}; {cure}")
        self.status = status
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def to_json(self) -> dict[str, Any]:
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def invalid_field(name: str, what: str, cure: str) -> ApiError:
    """The error for a field that has a wrong type or value."""
    return ApiError(400, what, cure, param=name)


def out_of_range(name: str, value: object, cure: str) -> ApiError:
    return invalid_field(name, f"{name} {format_value(value)} is out of range", cure)


def as_api_error(error: Exception) -> ApiError:
    """The error of a client for any other one."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, OptionError):
        what, cure = error.spelled(lambda option: _FIELDS.get(option, option))
        field = next((_FIELDS.get(option, option) for option in error.options), None)
        return ApiError(400, what, cure, param=field)
    if isinstance(error, CharlmError):
        is_of_client = isinstance(error, UsageError | DataError) and not isinstance(error, CheckpointError)
        return ApiError(400 if is_of_client else 500, error.what, error.cure)
    if is_out_of_memory(error):
        return ApiError(503, "the memory of the server is full", "ask for fewer or shorter texts at a time")
    return ApiError(500, f"a bug in charlm ({type(error).__name__}: {error})", "please report it")
