"""The mixture of a network and n-grams in one step: one call of C, or the head's own operators.

    tokens_B, contexts_BK, features_BH, logits_BV of the network ──> contexts_BK, log-probabilities_BV

B streams, H features, K contexts, V vocabulary.
"""

import ctypes

import torch
from torch import Tensor

from charlm.nn.fused.compiled import load_compiled_library
from charlm.nn.ngrams.head import NgramHead


class _Order(ctypes.Structure):
    """`ngram_order` of kernels.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("keys", "tokens", "counts", "starts", "totals")),
        *((name, ctypes.c_void_p) for name in ("squares", "mass", "discounts")),
    )


class _Mixture(ctypes.Structure):
    """`ngram_mixture` of kernels.c."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("orders", "vocab", "features", "units")),
        ("order", ctypes.POINTER(_Order)),
        *((name, ctypes.c_void_p) for name in ("unigrams", "from_features", "hidden_weight", "hidden_bias")),
        *((name, ctypes.c_void_p) for name in ("from_hidden_weight", "from_hidden_bias")),
    )


class NgramStep:
    """Advances the contexts of all streams by one token."""

    def __init__(self, head: NgramHead, contexts_BK: Tensor, features_BH: Tensor, logits_BV: Tensor) -> None:
        """
        Args:
            features_BH, logits_BV: the buffers that hold those of the network when `run` is called.
        """
        self._head = head
        self.contexts_BK = contexts_BK.clone()
        self._features_BH, self._logits_BV = features_BH, logits_BV
        library = load_compiled_library() if _is_plain_fp32(head, features_BH, logits_BV) else None
        self._step = None if library is None else library.ngram_step
        if self._step is not None:
            self._mixture, self._kept = _describe(head)
            self._work = torch.empty(
                4 * head.lookup.num_contexts + head.hidden.out_features + 2 * (head.lookup.order + 1)
            )
            self._log_p_BV = torch.empty_like(logits_BV)
            self._step.argtypes = [ctypes.c_void_p, ctypes.c_long, *[ctypes.c_void_p] * 6]
            self._step.restype = None

    @torch.inference_mode()
    def run(self, tokens_B: Tensor) -> Tensor:
        """Return log-probabilities_BV of the token after each token; valid until the next call."""
        if self._step is None:
            self.contexts_BK = self._head.lookup.advance(tokens_B[:, None], self.contexts_BK)[:, -1]
            return self._head.mix_logits(self._features_BH, self.contexts_BK, self._logits_BV)
        tokens_B = tokens_B.contiguous()
        self._step(
            ctypes.addressof(self._mixture),
            len(tokens_B),
            tokens_B.data_ptr(),
            self.contexts_BK.data_ptr(),
            self._features_BH.data_ptr(),
            self._logits_BV.data_ptr(),
            self._work.data_ptr(),
            self._log_p_BV.data_ptr(),
        )
        return self._log_p_BV

    def select_rows(self, rows_B: Tensor) -> None:
        """Stream i continues from the contexts of stream rows_B[i]."""
        self.contexts_BK = self.contexts_BK[rows_B]


def _is_plain_fp32(head: NgramHead, *buffers: Tensor) -> bool:
    """Whether the buffers and weights are those that the function in C reads."""
    tensors = (*buffers, head.hidden.weight, head.from_features.weight)
    return all(each.dtype == torch.float32 and each.device.type == "cpu" and each.is_contiguous() for each in tensors)


def _describe(head: NgramHead) -> tuple[_Mixture, list[object]]:
    """Return the addresses of the tables and weights, and what they point to."""
    orders = (_Order * head.lookup.num_contexts)()
    kept: list[object] = [orders]
    for order, tensors in zip(orders, head.lookup.orders, strict=True):
        for name, tensor in tensors.by_name().items():
            setattr(order, name, tensor.data_ptr())
            kept.append(tensor)
    weights = {
        "unigrams": head.lookup.unigrams_V,
        "from_features": head.from_features.weight,
        "hidden_weight": head.hidden.weight,
        "hidden_bias": head.hidden.bias,
        "from_hidden_weight": head.from_hidden.weight,
        "from_hidden_bias": head.from_hidden.bias,
    }
    mixture = _Mixture(
        head.lookup.num_contexts, head.vocab_size, head.from_features.in_features, head.hidden.out_features
    )
    mixture.order = ctypes.cast(orders, ctypes.POINTER(_Order))
    for name, tensor in weights.items():
        held = tensor.detach().contiguous()
        setattr(mixture, name, held.data_ptr())
        kept.append(held)
    return mixture, kept
