"""Progress bars of everything but training: on stderr, and only if that is a terminal."""

import contextlib
import sys
from collections.abc import Callable, Generator
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm


@contextlib.contextmanager
def preparation_bar() -> Generator[Callable[[str, int], None], None, None]:
    """Show a counter of characters for each stage of `prepare`; yields an OnProgress."""
    with tqdm(unit=" chars", unit_scale=True, file=sys.stderr, disable=None, leave=False) as bar:
        current = ("", 0)

        def show(stage: str, characters: int) -> None:
            nonlocal current
            if current[0] != stage:
                current = (stage, 0)
                bar.reset()
                bar.set_description_str(stage, refresh=False)
            bar.update(characters - current[1])
            current = (stage, characters)

        yield show


@contextlib.contextmanager
def evaluation_bar(*, quiet: bool) -> Generator[Callable[[int, int], None], None, None]:
    """Show a bar of scored tokens; yields a function of (newly scored tokens, all tokens)."""
    with tqdm(
        unit=" tokens", unit_scale=True, file=sys.stderr, disable=True if quiet else None, leave=False, desc="scoring"
    ) as bar:

        def show(scored: int, total: int) -> None:
            bar.total = total
            bar.update(scored)

        yield show


@contextlib.contextmanager
def stage_bar(*, quiet: bool) -> Generator[Callable[[str, int, int], None], None, None]:
    """Show the current stage in percent; yields a function of (its name, the part that is done, the whole)."""
    with tqdm(
        file=sys.stderr, disable=True if quiet else None, leave=False, bar_format="{desc}: {percentage:3.0f} %", delay=1
    ) as bar:

        def on_stage(name: str, done: int, total: int) -> None:
            bar.set_description_str(name, refresh=False)
            bar.total, bar.n = max(1, total), done
            bar.update(0)

        yield on_stage


@contextlib.contextmanager
def byte_bar(title: str, file: str | None, *, quiet: bool) -> Generator[Callable[[float], None], None, None]:
    """Show a bar of the bytes of a file; yields a function of the bytes that are newly done.

    Args:
        file: whose size is the whole; None, or no file: the whole is unknown.
    """
    total = Path(file).stat().st_size if file is not None and Path(file).is_file() else None
    with tqdm(
        total=total,
        unit="B",
        unit_scale=True,
        file=sys.stderr,
        disable=True if quiet else None,
        leave=False,
        desc=title,
        bar_format=None if total else "{desc}: {n_fmt}B [{elapsed}, {rate_fmt}]",
    ) as bar:

        def show(num_bytes: float) -> None:
            bar.update(num_bytes)

        yield show


@contextlib.contextmanager
def download_bar(num_missing: int) -> Generator[Callable[[int], None], None, None]:
    """Show a bar of bytes with speed and remaining time, for `num_missing` bytes (0: unknown) to download.

    Yields a function of the bytes that are there. Its first call tells where the bar begins. Log messages appear above
    the bar.
    """
    with (
        tqdm(unit="B", unit_scale=True, file=sys.stderr, disable=None, leave=False, desc="downloading") as bar,
        logging_redirect_tqdm(),
    ):
        has_begun = False

        def show(num_bytes: int) -> None:
            nonlocal has_begun
            if not has_begun:
                has_begun = True
                bar.total = num_bytes + num_missing if num_missing else None
                bar.initial = bar.last_print_n = bar.n = num_bytes
                bar.refresh()
            bar.update(num_bytes - bar.n)

        yield show
