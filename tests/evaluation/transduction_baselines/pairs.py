"""Small languages, and pairs of them."""

import random

from charlm.evaluation.transduction_baselines.base import Pair, Symbols


def pair(source: str, target: str, weight: float = 1.0) -> Pair:
    """A pair whose symbols are characters."""
    return Pair(tuple(source), tuple(target), weight)


def pronounce(word: str) -> str:
    """The invented language: `sh` is S, `a` before `e` is A, `h` and a final `e` are silent, `x` is `ks`."""
    spoken = word.removesuffix("e").replace("sh", "S").replace("h", "").replace("x", "ks")
    return spoken.replace("ae", "Ae")


def words(seed: int, number: int) -> list[str]:
    generator = random.Random(seed)
    return ["".join(generator.choices("asheptx", k=generator.randint(1, 8))) for _ in range(number)]


def spoken_pairs(seed: int, number: int) -> list[Pair]:
    return [pair(word, pronounce(word)) for word in words(seed, number)]


def random_pairs(seed: int, number: int) -> list[Pair]:
    """Pairs without any rule, of 0 to 6 source and 0 to 9 target symbols."""
    generator = random.Random(seed)

    def text(symbols: str, longest: int) -> Symbols:
        return tuple(generator.choices(symbols, k=generator.randint(0, longest)))

    return [Pair(text("abc", 6), text("xyz", 9), generator.choice([0.5, 1.0, 3.0])) for _ in range(number)]
