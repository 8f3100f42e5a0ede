"""Exceptions of `datasets` and `huggingface_hub` -> errors of charlm; and their output, switched off."""

import contextlib
import difflib
import errno
import logging
import re
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path

from charlm.errors import CharlmError, DataError, NetworkError, SettingsError, StorageError
from charlm.suggestions.words import suggest
from charlm.text.settings import HubSettings

_RETRIES, _RETRY_WAIT = 4, 2  # attempts and seconds between them, for a stream that is interrupted
_CURE = "check the network, or give local files with --input"


@contextlib.contextmanager
def translate_errors(settings: HubSettings, inputs: Sequence[Path] = ()) -> Generator[None, None, None]:
    """Translate the exceptions of the libraries, of which there are dozens of kinds, inside this block.

    Only calls of the libraries belong into it.
    """
    silence_libraries()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except CharlmError:
        raise
    except Exception as error:
        raise _to_charlm_error(error, settings, inputs) from error


def _to_charlm_error(error: Exception, settings: HubSettings, inputs: Sequence[Path]) -> CharlmError:
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import errors

    reason = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return StorageError(f"cannot store {settings.dataset}: {error.strerror}", "free some space, or set HF_HOME")
    if isinstance(error, ValueError) and re.match("(Bad|Unknown) split", reason):
        names = re.findall(r"'([^']+)'", reason.partition("[")[2])
        return SettingsError(
            f"corpus.source.split = {settings.split!r}: the dataset has no such split",
            suggest(settings.split, names, "there are"),
        )
    if isinstance(error, ValueError) and "BuilderConfig" in reason:
        names = re.findall(r"'([^']+)'", reason.partition("Available:")[2])
        return SettingsError(
            f"corpus.source.config = {settings.config!r}: the dataset has no such config",
            list_similar(settings.config, names),
        )
    if inputs:
        return DataError(
            f"cannot read {', '.join(map(str, inputs))[:200]}: {reason[:300]}", "repair or replace that file"
        )
    name = settings.dataset
    if isinstance(error, errors.GatedRepoError):
        return NetworkError(
            f"the dataset {name} is open only to users who accept its terms",
            "accept them on its page, then set HF_TOKEN",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return SettingsError(f"{name} has no revision {settings.revision!r}", "give a branch, a tag or a commit")
    if isinstance(error, errors.RepositoryNotFoundError | DatasetNotFoundError):
        return NetworkError(
            f"the hub has no dataset {name}, or it is private", "check corpus.source.dataset, or set HF_TOKEN"
        )
    if isinstance(error, errors.HFValidationError):
        return SettingsError(
            f"corpus.source.dataset = {name!r} is not the name of a dataset", "write it like wikimedia/wikipedia"
        )
    if is_network_error(error):
        return NetworkError(f"{name} cannot be read from {endpoint()}: {reason[:200]}", _CURE)
    return DataError(f"{name} cannot be read: {type(error).__name__}: {reason[:300]}", "try another revision or config")


def is_network_error(error: BaseException) -> bool:
    """Return whether a connection or a server failed, with any of the HTTP libraries that the hub's client uses."""
    from huggingface_hub.errors import HfHubHTTPError

    kinds = (ConnectionError, TimeoutError, *(base for base in HfHubHTTPError.__bases__ if base is not OSError))
    return isinstance(error, kinds)


def silence_libraries() -> None:
    """Switch off progress bars and logs, limit retries to a minute, and keep `datasets` from importing torch."""
    import datasets
    import huggingface_hub
    from datasets import config

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(logging.CRITICAL)
    huggingface_hub.utils.disable_progress_bars()
    huggingface_hub.logging.set_verbosity(logging.CRITICAL)
    config.TORCH_AVAILABLE = False
    config.STREAMING_READ_MAX_RETRIES = config.STREAMING_OPEN_MAX_RETRIES = _RETRIES
    config.STREAMING_READ_RETRY_INTERVAL = config.STREAMING_OPEN_RETRY_INTERVAL = _RETRY_WAIT
    config.STREAMING_READ_SERVER_UNAVAILABLE_RETRY_INTERVAL = _RETRY_WAIT


def endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def list_similar(found: str, allowed: Sequence[str]) -> str:
    """Return a cure that lists the names most similar to `found`, of possibly hundreds."""
    close = difflib.get_close_matches(found, allowed, n=5, cutoff=0.4) or list(allowed[:20])
    return f"there are {', '.join(close)}{', ...' if len(close) < len(allowed) else ''}"
