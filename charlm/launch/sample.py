"""Text from a run."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from charlm.device import choose_device
from charlm.launch.runs import load_run
from charlm.sampling.filters import Temperature
from charlm.sampling.generate import generate


@dataclass(frozen=True)
class Sample:
    """Text from a run, piece by piece, and the prompt that it goes on from, or leads to."""

    prompt: str
    pieces: Iterator[str]
    is_before_prompt: bool

    def whole(self) -> Iterator[str]:
        """Prompt and text in the order in which they are read."""
        return chain(self.pieces, [self.prompt]) if self.is_before_prompt else chain([self.prompt], self.pieces)


def sample_run(
    run: str | None, checkpoint: str, prompt: str, length: int, temperature: Temperature, seed: int, device: str
) -> Sample:
    """
    Raises:
        DataError: the prompt cannot be spelled.
    """
    loaded, _ = load_run(run, checkpoint, device)
    direction = loaded.settings.direction
    pieces = generate(
        loaded.model,
        loaded.vocab,
        prompt=prompt,
        length=length,
        temperature=temperature,
        seed=seed,
        device=choose_device(device),
        direction=direction,
    )
    return Sample(prompt, pieces, direction == "backward")
