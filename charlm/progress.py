"""Bars for what takes a while outside training: on stderr, and only where that is a terminal."""

import contextlib
import sys
from collections.abc import Callable, Generator

from tqdm import tqdm


@contextlib.contextmanager
def preparing() -> Generator[Callable[[str, int], None], None, None]:
    """A counter of characters for each stage of `prepare`."""
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
def evaluating(*, quiet: bool) -> Generator[Callable[[int, int], None], None, None]:
    """A bar of tokens scored: called with (scored now, of how many in all)."""
    with tqdm(
        unit=" tokens", unit_scale=True, file=sys.stderr, disable=True if quiet else None, leave=False, desc="scoring"
    ) as bar:

        def show(scored: int, total: int) -> None:
            bar.total = total
            bar.update(scored)

        yield show


@contextlib.contextmanager
def downloading(total: int) -> Generator[Callable[[int], None], None, None]:
    """A bar of bytes, with the time left."""
    with tqdm(
        total=total or None, unit="B", unit_scale=True, file=sys.stderr, disable=None, leave=False, desc="downloading"
    ) as bar:
        done = 0

        def show(num_bytes: int) -> None:
            nonlocal done
            bar.update(num_bytes - done)
            done = num_bytes

        yield show
