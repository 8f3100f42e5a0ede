"""From a request and a model to the tasks of the engine: one for each prompt, all with the same plan.

CompletionRequest, vocabulary ──> SamplingOptions ──plan_sampling──> SamplingPlan, with penalties and biases
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from charlm.errors import OptionError
from charlm.sampling.constraints.regex_parser import parse_regex
from charlm.sampling.constraints.tokens import token_texts
from charlm.sampling.filters import Filter, FrequencyPenalty, LogitBias, PresencePenalty, sort_filters
from charlm.sampling.options import SamplingOptions
from charlm.sampling.plan import SamplingPlan, plan_sampling
from charlm.serving.api_error import invalid_field
from charlm.serving.completion_request import CompletionRequest
from charlm.serving.limits import Limits
from charlm.serving.prompts import Prompt
from charlm.serving.served_models import ServedModel
from charlm.serving.text_events import WritingTask
from charlm.vocab.base import Vocab

_UNBOUNDED = 10**9


def make_tasks(
    request: CompletionRequest, model: ServedModel, prompts: Sequence[Prompt], limits: Limits
) -> list[WritingTask]:
    """Return a task for each prompt.

    Raises:
        ApiError: all prompts together ask for too much, the regex is too large, or the model writes no text for these
            labels.
        UsageError: an option is out of range, or no text satisfies the options.
    """
    start = model.starts.find(request.label)
    _check_amount(request, prompts, limits)
    plan = _plan(request, model.vocab, limits)
    needs_scores = request.logprobs is not None or request.best_of > request.n
    return [
        WritingTask(
            start=start,
            vocab=model.vocab,
            device=model.device,
            context_ids=prompt.context_ids,
            pending_ids=() if plan.constraint is not None else prompt.pending_ids,
            plan=plan,
            count=request.best_of,
            max_tokens=request.max_tokens,
            num_alternatives=(request.logprobs or 0) if needs_scores else None,
            scores_prompt=request.echo and request.logprobs is not None,
        )
        for prompt in prompts
    ]


def _check_amount(request: CompletionRequest, prompts: Sequence[Prompt], limits: Limits) -> None:
    num_texts = len(prompts) * request.best_of
    if num_texts > limits.texts:
        name = "best_of" if request.best_of > request.n else "n"
        what = f"{len(prompts)} prompts with {request.best_of} texts each are {num_texts:,} texts"
        raise invalid_field(name, what, f"ask for at most {limits.texts} at a time")
    num_entries = count_logprob_entries(request, prompts)
    if num_entries > limits.logprob_entries:
        what = f"{num_entries:,} log-probabilities are too much for one answer"
        raise invalid_field("logprobs", what, f"lower it, or ask for fewer places (limit: {limits.logprob_entries:,})")


def count_logprob_entries(request: CompletionRequest, prompts: Sequence[Prompt]) -> int:
    """Return the most log-probabilities that an answer can have."""
    if request.logprobs is None:
        return 0
    echoed = request.best_of * sum(len(prompt.ids) for prompt in prompts) if request.echo else 0
    return (len(prompts) * request.best_of * request.max_tokens + echoed) * (request.logprobs + 1)


def _plan(request: CompletionRequest, vocab: Vocab, limits: Limits) -> SamplingPlan:
    _check_regex(request.regex, limits)
    options = SamplingOptions(
        length=_max_characters(request, vocab),
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
        min_p=request.min_p,
        stop=request.stop,
        regex=request.regex,
        seed=request.seed,
    )
    try:
        plan = plan_sampling(options, vocab, single_document=not request.ignore_eos)
    except OptionError as error:
        if "length" not in error.options or vocab.spells_characters:
            raise
        what = f"no text of max_tokens {request.max_tokens}, of at most {options.length:,} characters, can match"
        raise invalid_field("max_tokens", what, "give a higher one") from error
    filters = sort_filters([*plan.filters, *_filters(request, vocab)])
    return replace(plan, filters=filters, penalty_window=max(1, request.max_tokens))


def _max_characters(request: CompletionRequest, vocab: Vocab) -> int:
    """The characters that a text may have. They bound a regex alone, which is told to be complete by then.

    If each token is a character, it then is complete within `max_tokens` too; a text of longer tokens, or of bytes, may
    be cut before.
    """
    if request.regex is None:
        return _UNBOUNDED
    longest = 1 if vocab.spells_characters else max(map(len, token_texts(vocab)))
    return request.max_tokens * longest


def _check_regex(regex: str | None, limits: Limits) -> None:
    """
    Raises:
        ApiError: its automaton is too large for a server.
        OptionError: it is not supported.
    """
    if not regex:
        return
    if len(regex) > limits.regex_characters:
        cure = f"give at most {limits.regex_characters:,}"
        raise invalid_field("regex", f"regex has {len(regex):,} characters", cure)
    nfa = parse_regex(regex)
    if len(nfa.nodes) > limits.regex_nodes:
        what = f"regex has {len(nfa.nodes):,} states, each copy of a repetition counted"
        raise invalid_field("regex", what, f"give a simpler one, of at most {limits.regex_nodes:,}")
    num_classes = sum(not isinstance(atom, str) for atom in nfa.atoms)
    if num_classes > limits.regex_classes:
        what = f"regex has {num_classes} different classes of characters"
        raise invalid_field("regex", what, f"give at most {limits.regex_classes}")


def _filters(request: CompletionRequest, vocab: Vocab) -> list[Filter]:
    """The filters that only the API has. Penalties count the tokens of the text alone, as OpenAI's do."""
    found: list[Filter] = []
    if request.frequency_penalty:
        found.append(FrequencyPenalty(request.frequency_penalty))
    if request.presence_penalty:
        found.append(PresencePenalty(request.presence_penalty))
    if request.logit_bias:
        highest = max(request.logit_bias)
        if highest >= vocab.size:
            what = f"logit_bias has the token {highest}, which the vocabulary does not have"
            raise invalid_field("logit_bias", what, f"give ids from 0 to {vocab.size - 1:,}")
        ids, values = zip(*request.logit_bias.items(), strict=True)
        found.append(LogitBias(torch.tensor(ids), torch.tensor(values)))
    return found
