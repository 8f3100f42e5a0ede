"""How much is answered at a time: requests, and what takes much memory. What is too much is told to try again."""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass

from charlm.serving.api_error import ApiError
from charlm.serving.limits import Limits


@dataclass(frozen=True)
class Load:
    """What a request adds to the load of the server."""

    requests: int = 0
    requests_with_regex: int = 0
    logprob_entries: int = 0

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.requests + other.requests,
            self.requests_with_regex + other.requests_with_regex,
            self.logprob_entries + other.logprob_entries,
        )

    def __neg__(self) -> "Load":
        return Load(-self.requests, -self.requests_with_regex, -self.logprob_entries)


class Admission:
    """Admits requests while all together are within the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._load = Load()

    @contextlib.contextmanager
    def admit(self, load: Load) -> Generator[None, None, None]:
        """Count a load as long as the context lasts.

        Raises:
            ApiError: it is too much beside the others.
        """
        after, limits = self._load + load, self._limits
        for found, limit, what in (
            (after.requests, limits.active_requests, "requests"),
            (after.requests_with_regex, limits.regex_requests, "requests with a regex"),
            (after.logprob_entries, limits.active_logprob_entries, "log-probabilities"),
        ):
            if found > limit:
                error = f"the server is busy: it answers {limit:,} {what} at a time"
                raise ApiError(429, error, "try again in a moment", code="busy", headers={"retry-after": "1"})
        self._load = after
        try:
            yield
        finally:
            self._load += -load
