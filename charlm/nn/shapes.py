"""A model without its weights: names, shapes and types, on the meta device, whatever its size and in no time."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from charlm.nn.embeddings.settings import BagLayout
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings

if TYPE_CHECKING:
    from charlm.vocab.base import NgramBags


def build_meta_model(
    settings: ModelSettings, vocab_size: int, bags: "NgramBags | BagLayout | None" = None
) -> LanguageModel:
    """
    Raises:
        SettingsError: the embedding needs bags, and there are none; or parts of the model do not fit.
    """
    layout = bags if bags is None or isinstance(bags, BagLayout) else BagLayout.from_bags(bags)
    with without_weights():
        return settings.build(vocab_size, layout)


@contextmanager
def without_weights() -> Generator[None, None, None]:
    """Modules built inside have no weights."""
    with torch.device("meta"), _NoInitialisation():
        yield


class _NoInitialisation(TorchFunctionMode):
    """Leaves out what torch.nn.init would do.

    Drawing numbers on the meta device also imports torch._dynamo, 1.7 s that a sample would wait for.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return func(*args, **(kwargs or {}))
