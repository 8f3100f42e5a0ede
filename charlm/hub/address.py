"""`hub:USER/NAME@REVISION` -> its parts."""

import re
from dataclasses import dataclass

from charlm.errors import UsageError

_PREFIX = "hub:"
_NAME = r"[A-Za-z0-9][\w.-]*"
_ADDRESS = re.compile(rf"{_PREFIX}({_NAME}/{_NAME})(?:@({_NAME}(?:/{_NAME})*))?", re.ASCII)
_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class HubAddress:
    """A model on the hub, at a commit, a tag or a branch."""

    repository: str
    revision: str = "main"

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return _COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        return f"{_PREFIX}{self.repository}@{self.revision}"


def is_hub_address(name: str) -> bool:
    return name.startswith(_PREFIX)


def parse_address(name: str) -> HubAddress:
    """
    Raises:
        UsageError: the name is not the address of a model.
    """
    found = _ADDRESS.fullmatch(name)
    if found is None:
        raise UsageError(
            f"{name!r} is not a model on the hub", "write it like hub:USER/NAME, or hub:USER/NAME@REVISION"
        )
    repository, revision = found.groups()
    return HubAddress(repository, revision) if revision else HubAddress(repository)
