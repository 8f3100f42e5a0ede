"""The answer to `POST /v1/completions`: whole, or in chunks as the texts grow.

JSON object ──prepare_completion──> PreparedCompletion ──engine──> TextEvents ──Answer──> one object, or chunks
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from charlm.serving.admission import Load
from charlm.serving.completion_json import AnswerFrame, Choice, usage_json
from charlm.serving.completion_request import CompletionRequest, parse_completion
from charlm.serving.limits import Limits
from charlm.serving.prompts import Prompt, encode_prompts
from charlm.serving.served_models import ServedModel, ServedModels
from charlm.serving.text_events import PromptRead, TextEvent, WritingTask
from charlm.serving.text_stream import TextStream
from charlm.serving.writing_tasks import count_logprob_entries, make_tasks


@dataclass(frozen=True)
class PreparedCompletion:
    """A request that can be given to an engine."""

    request: CompletionRequest
    model: ServedModel
    prompts: Sequence[Prompt]
    tasks: Sequence[WritingTask]

    @property
    def load(self) -> Load:
        """What it adds to the load of the server, beside being a request."""
        has_regex = self.request.regex is not None
        return Load(0, int(has_regex), count_logprob_entries(self.request, self.prompts))


def prepare_completion(content: dict[str, Any], models: ServedModels, limits: Limits) -> PreparedCompletion:
    """Check a request, and encode its prompts.

    Raises:
        ApiError, UsageError, DataError: the request cannot be answered.
    """
    request = parse_completion(content, limits)
    model = models.find(request.model)
    prompts = encode_prompts(request.prompt, model.vocab, limits)
    return PreparedCompletion(request, model, prompts, make_tasks(request, model, prompts, limits))


class Answer:
    """The texts of all prompts, as the events of an engine come in."""

    def __init__(self, prepared: PreparedCompletion) -> None:
        self._request = prepared.request
        self._frame = AnswerFrame(prepared.request, prepared.model)
        count = prepared.request.best_of
        name = _name_by_id if prepared.request.return_tokens_as_token_ids else prepared.model.symbols.__getitem__
        self._choices = [[Choice(prompt, prepared.request, name) for _ in range(count)] for prompt in prepared.prompts]
        self.num_prompt_tokens = sum(len(prompt.ids) for prompt in prepared.prompts)

    @property
    def num_completion_tokens(self) -> int:
        return sum(choice.num_tokens for choices in self._choices for choice in choices)

    async def wait(self, stream: TextStream) -> None:
        """Wait for the end of all texts."""
        while events := await stream.read():
            self._add(events)

    def whole(self) -> dict[str, Any]:
        """Return the n best texts of each prompt, once all have ended."""
        n = self._request.n
        kept = [choices if len(choices) == n else _best(choices, n) for choices in self._choices]
        taken = [choice.take(index) for index, choice in enumerate(choice for choices in kept for choice in choices)]
        return self._frame.fill(taken, usage=self._usage())

    async def chunks(self, stream: TextStream) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the chunks that can be sent, one for each text that has grown; at the end the usage, if asked for."""
        usage = {"usage": None} if self._request.include_usage else {}
        numbered = list(enumerate(choice for choices in self._choices for choice in choices))
        while events := await stream.read():
            self._add(events)
            yield [self._frame.fill([choice.take(index)], **usage) for index, choice in numbered if choice.has_news]
        if self._request.include_usage:
            yield [self._frame.fill([], usage=self._usage())]

    def _add(self, events: Sequence[TextEvent]) -> None:
        for event in events:
            choices = self._choices[event.task]
            if isinstance(event, PromptRead):
                for choice in choices:
                    choice.begin(event.tokens)
            else:
                choices[event.number].add(event)

    def _usage(self) -> dict[str, Any]:
        return usage_json(self.num_prompt_tokens, self.num_completion_tokens)


def _name_by_id(token: int) -> str:
    return f"token_id:{token}"


def _best(choices: Sequence[Choice], count: int) -> list[Choice]:
    """The texts of the highest log-probability per token."""
    return sorted(choices, key=lambda choice: -choice.mean_log_p)[:count]
