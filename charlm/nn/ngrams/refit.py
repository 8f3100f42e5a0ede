"""Fitting the weights of a mixture once more, on text that neither the network nor the counts have seen.

    fitted text ──examples──> AdamW on the weights alone, epoch by epoch
    held-out text ──examples──> the loss after each epoch ──> the weights of the best epoch, or those from before

In training, the network has seen the text and its kind, so the weights suit that text. Jelinek & Mercer (1980) fit the
weights of interpolation on text that was held out.

N targets.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from charlm.nn.ngrams.head import NgramHead
from charlm.nn.ngrams.mixture_examples import MixtureExamples

_LR = 3e-3
_BATCH_SIZE = 1024


def refit_mixture(head: NgramHead, fitted: MixtureExamples, held_out: MixtureExamples, epochs: int) -> None:
    """Fit the parameters of the mixture in place, with a learning rate that falls to 0.

    They end as they were after the epoch with the lowest loss of `held_out`, or before the first one.
    """
    parameters = list(head.mixture_parameters().values())
    best_loss, best = _mean_loss(head, held_out), _copies(parameters)
    optimizer = torch.optim.AdamW(parameters, lr=_LR, weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    num_batches = -(-len(fitted) // _BATCH_SIZE)
    for epoch in range(epochs):
        order_N = torch.randperm(len(fitted), generator=generator).to(fitted.features_NH.device)
        for index, rows in enumerate(order_N.chunk(num_batches)):
            fraction = (epoch * num_batches + index) / (epochs * num_batches)
            optimizer.param_groups[0]["lr"] = _LR * (1 - fraction)
            loss = head.nll_of_examples(fitted.select(rows)).mean()
            gradients = torch.autograd.grad(loss, parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
        if (held_out_loss := _mean_loss(head, held_out)) < best_loss:
            best_loss, best = held_out_loss, _copies(parameters)
    optimizer.zero_grad()
    with torch.no_grad():
        for parameter, value in zip(parameters, best, strict=True):
            parameter.copy_(value)


@torch.no_grad()
def _mean_loss(head: NgramHead, examples: MixtureExamples) -> float:
    losses = [head.nll_of_examples(part).sum() for part in examples.split(_BATCH_SIZE * 16)]
    return float(torch.stack(losses).double().sum()) / len(examples)


def _copies(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]
