"""The answer of each route.

    request ──admit──> body ──prepare (a thread of its own)──> engine ──> answer, or events until the client has gone

Requests are prepared one at a time: vocabularies and automata are then used by one thread, and a client with a large
prompt keeps only others' preparation waiting, never the texts that are being written. A third thread predicts labels,
tags and texts, one request after the other, and a fourth one encodes answers.
"""

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from charlm.formatting import pluralize
from charlm.serving import distributions, tokenization
from charlm.serving.admission import Admission, Load
from charlm.serving.api_error import as_api_error
from charlm.serving.completions import Answer, PreparedCompletion, prepare_completion
from charlm.serving.engine import Engine, stopping
from charlm.serving.json_body import parse_body, read_body
from charlm.serving.json_response import DONE, EventResponse, call_when_gone, event, json_response, to_bytes
from charlm.serving.limits import Limits
from charlm.serving.page_files import Page, wants_page
from charlm.serving.predictions import describe_labels, prepare_prediction
from charlm.serving.request_log import CLIENT_GONE, notes_of
from charlm.serving.served_models import ServedModel, ServedModels
from charlm.serving.text_stream import CancelledTextError, TextStream
from charlm.version import __version__

_EVENT_SECONDS = 0.02  # pieces of text within this time are sent together
_EVENT_SECONDS_PER_STREAM = 0.001  # with many streams; sending an event takes longer than writing a character of a text
JsonObject = dict[str, Any]
Result = TypeVar("Result")


class Service:
    """Answers requests with some models and an engine."""

    def __init__(self, models: ServedModels, engine: Engine, limits: Limits, page: Page) -> None:
        self._models = models
        self._engine = engine
        self._limits = limits
        self._page = page
        self._preparation = ThreadPoolExecutor(1, "requests")
        self._predicting = ThreadPoolExecutor(1, "predictions")
        self._encoding = ThreadPoolExecutor(1, "answers")
        self._admission = Admission(limits)
        self._num_streams = 0
        self._vocabularies: dict[str, bytes] = {}

    # ---- completions

    async def completions(self, request: Request) -> Response:
        with contextlib.ExitStack() as undo:
            undo.enter_context(self._admission.admit(Load(requests=1)))
            prepared = await self._prepare(request, prepare_completion)
            undo.enter_context(self._admission.admit(prepared.load))
            answer, stream = Answer(prepared), self._engine.submit(prepared.tasks)
            undo.callback(self._note, request, prepared, answer)
            undo.callback(stream.cancel)
            if prepared.request.stream:
                events = self._events(request, answer, stream)
                return EventResponse(events, self._limits.write_seconds, stream.cancel, undo.pop_all().close)
            return await self._whole(request, stream.cancel, answer.wait(stream), lambda _: answer.whole())

    async def _whole(
        self,
        request: Request,
        cancel: Callable[[], None],
        reading: Awaitable[Result],
        encode: Callable[[Result], JsonObject],
    ) -> Response:
        """Answer with one object, once that which it is made of is there.

        Args:
            cancel: called when the client has gone.
        """
        watching = asyncio.create_task(call_when_gone(request.receive, cancel))
        try:
            found = await reading
        except CancelledTextError:
            return Response(status_code=CLIENT_GONE)
        finally:
            watching.cancel()
        return await self._encoded(lambda: encode(found))

    async def _encoded(self, content: Callable[[], JsonObject]) -> Response:
        """Answer with an object that takes long to make."""
        body = await _in_thread(self._encoding, lambda: to_bytes(content()))
        return Response(body, media_type="application/json")

    async def _events(self, request: Request, answer: Answer, stream: TextStream) -> AsyncGenerator[bytes, None]:
        self._num_streams += 1
        try:
            async for chunks in answer.chunks(stream):
                began = time.monotonic()
                if chunks:
                    yield b"".join(map(event, chunks))
                seconds = max(_EVENT_SECONDS, _EVENT_SECONDS_PER_STREAM * self._num_streams)
                await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
            yield DONE
        except CancelledTextError:
            notes_of(request.scope).error = "(the client has gone)"
        except Exception as error:  # noqa: BLE001 - the status was sent already, so that the error is an event too
            notes_of(request.scope).error = f"({type(error).__name__}: {error})"
            yield event(as_api_error(error).to_json())
        finally:
            self._num_streams -= 1

    def _note(self, request: Request, prepared: PreparedCompletion, answer: Answer) -> None:
        counts = f"{answer.num_prompt_tokens}+{answer.num_completion_tokens} tokens"
        notes_of(request.scope).about = f"{prepared.model.id} {counts}"

    # ---- predictions

    async def predict(self, request: Request) -> Response:
        with self._admission.admit(Load(requests=1)):
            prepared = await self._prepare(request, prepare_prediction)
            num_texts = pluralize(len(prepared.queries), "text")
            notes_of(request.scope).about = f"{prepared.model.id} {num_texts}"
            is_gone = threading.Event()

            def check() -> None:
                if is_gone.is_set():
                    raise CancelledTextError
                if self._engine.is_closed:
                    raise stopping()

            predicting = _in_thread(self._predicting, lambda: prepared.predict(check))
            return await self._whole(request, is_gone.set, predicting, lambda found: found)

    async def labels(self, request: Request) -> Response:
        return json_response(describe_labels(self._models.find(request.query_params.get("model"))))

    # ---- models and tokens

    async def models(self, request: Request) -> Response:
        del request
        return json_response({"object": "list", "data": list(map(_model_json, self._models.all))})

    async def model(self, request: Request) -> Response:
        return json_response(_model_json(self._models.find(request.path_params["name"])))

    async def tokenize(self, request: Request) -> Response:
        with self._admission.admit(Load(requests=1)):
            return json_response(await self._prepare(request, tokenization.tokenize))

    async def detokenize(self, request: Request) -> Response:
        with self._admission.admit(Load(requests=1)):
            return json_response(await self._prepare(request, tokenization.detokenize))

    async def tokenizer_info(self, request: Request) -> Response:
        model = self._models.find(request.query_params.get("model"))
        return json_response(tokenization.tokenizer_info(model, self._limits))

    async def vocabulary(self, request: Request) -> Response:
        with self._admission.admit(Load(requests=1)):
            model = self._models.find(request.query_params.get("model"))
            body = await _in_thread(self._encoding, lambda: self._encode_vocabulary(model))
            return Response(body, media_type="application/json")

    def _encode_vocabulary(self, model: ServedModel) -> bytes:
        """Encode a vocabulary the first time."""
        if model.id not in self._vocabularies:
            self._vocabularies[model.id] = to_bytes(distributions.describe_vocabulary(model))
        return self._vocabularies[model.id]

    async def distribution(self, request: Request) -> Response:
        with contextlib.ExitStack() as undo:
            undo.enter_context(self._admission.admit(Load(requests=1)))
            prepared = await self._prepare(request, distributions.prepare_distribution)
            undo.enter_context(self._admission.admit(prepared.load))
            stream = self._engine.submit(prepared.tasks)
            undo.callback(stream.cancel)
            reading = distributions.read_token(stream)
            encode = functools.partial(distributions.distribution_json, prepared.model)
            return await self._whole(request, stream.cancel, reading, encode)

    # ---- others

    async def index(self, request: Request) -> Response:
        """The page for people; for programs, what is served."""
        if wants_page(request.headers):
            return self._page.index()
        return json_response({"charlm": __version__, "models": [model.id for model in self._models.all]})

    async def page_file(self, request: Request) -> Response:
        return self._page.file(request.path_params["name"])

    async def health(self, request: Request) -> Response:
        del request
        return json_response({"status": "ok"})

    async def chat(self, request: Request) -> Response:
        del request
        raise tokenization.refuse_chat()

    async def _prepare(
        self, request: Request, prepare: Callable[[dict[str, Any], ServedModels, Limits], Result]
    ) -> Result:
        body = await read_body(request, self._limits)
        return await _in_thread(self._preparation, lambda: prepare(parse_body(body), self._models, self._limits))


async def _in_thread(executor: Executor, function: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(executor, function)


def _model_json(model: ServedModel) -> dict[str, Any]:
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": "charlm", "kind": model.kind}
