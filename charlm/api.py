"""The Python interface: a trained model that scores text, writes text, returns features, and predicts labels or tags.

    model = charlm.load("runs/lstm-ltgwiki")
    model.score("Latgola ir Latvejis dala.").bits_per_character
    model.sample("Latgola ", temperature=0.7)
    model.hidden("Latgola")                                     characters, features

    model = charlm.load("runs/names-lstm")
    model.predict("Ivanov").labels[0].label

    model = charlm.load("runs/names-generate").given("Russian")
    model.sample(), model.score("Ivanov")

Errors are those of `charlm.errors`: each says what was found and what to do about it.

T tokens, H features, C characters.
"""

import copy
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal, Unpack, get_args, overload

import torch
from torch import Tensor

from charlm import workspace
from charlm.arguments import one_of, path_text, whole_number
from charlm.arguments import text as check_text
from charlm.arguments import texts as checked_texts
from charlm.checkpoint import LoadedModel
from charlm.data.conditions import LabelConditions
from charlm.data.source_texts import SourceConditions
from charlm.data.store import TokenStream
from charlm.device import Precision, choose_device
from charlm.errors import OptionError, UsageError
from charlm.evaluation.evaluate import evaluate
from charlm.evaluation.score import Score
from charlm.nn.model import LanguageModel
from charlm.nn.quantize import quantize_cells
from charlm.nn.settings import ModelSettings
from charlm.sampling.options import SampleKeywords, SamplingOptions
from charlm.vocab.base import Vocab
from charlm.workflows.evaluate import stream_from_text
from charlm.workflows.given import Given, give
from charlm.workflows.load_run import load_any_run
from charlm.workflows.predict import Predictor, as_queries
from charlm.workflows.predict_options import PredictKeywords, PredictOptions
from charlm.workflows.prediction import TextPrediction
from charlm.workflows.sample import build_generator
from charlm.workflows.text_features import text_features


class Model:
    """A trained model with its vocabulary, in evaluation mode; `charlm.load` returns one."""

    def __init__(self, loaded: LoadedModel, device: str, name: str) -> None:
        """
        Args:
            name: of the run, for messages.
        """
        self._loaded = loaded
        self._device = device
        self._name = name

    @property
    def network(self) -> LanguageModel:
        """The `torch.nn.Module`: (inputs_BT, state) -> (features_BTH, state), and a head."""
        return self._loaded.model

    @property
    def vocab(self) -> Vocab:
        """text <-> ids."""
        return self._loaded.vocab

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels or tags that the model predicts, or those that a conditional language model can be given; none for
        another language model."""
        loaded = self._loaded
        known = loaded.conditions.labels if isinstance(loaded.conditions, LabelConditions) else loaded.labels
        return () if known is None else known.names

    @property
    def settings(self) -> ModelSettings:
        return self._loaded.settings

    def given(self, *condition: str) -> "Model":
        """Return the language model that writes for a label, of a run of `charlm prepare --task generate`, or for a
        source, of a run of `--task transduce`.

        Args:
            condition: the label, or one of each column of labels; or the source.

        Raises:
            UsageError: the model is given nothing, or does not know this label.
            OptionError: the condition has another type, or there are several sources.
            DataError: the source has a lone surrogate, or a character that the vocabulary cannot spell.
        """
        checked = tuple(check_text("condition", each) for each in condition)
        match self._loaded.conditions:
            case None:
                raise UsageError(f"{self._name} is given no label and no source", "leave given(...) out")
            case LabelConditions():
                given = Given(checked)
            case SourceConditions():
                if len(checked) != 1:
                    raise OptionError(f"{{condition}}: {len(checked)} sources instead of one", "give one text")
                given = Given(source=checked[0])
        return Model(give(self._loaded, given, self._name), self._device, self._name)

    def score(self, text: str, *, streams: int | None = None, precision: Precision = "fp32") -> Score:
        """Score a text as `<eod> text <eod>`, like `charlm eval --text`.

        Args:
            streams: parallel lanes; 1 is the exact definition, any other number agrees to 0.0005 bits per character.
            precision: of matrix products, "fp32" or "bf16".

        Returns:
            Sums (`nats`, `tokens`, `characters`, `words`, `bytes`) and their ratios (`perplexity`,
            `bits_per_character` and so on). Scores add.

        Raises:
            UsageError: the model predicts labels or tags, or must be given a label.
            OptionError: `streams` or `precision` is out of range, or a value has another type.
            DataError: the text is empty, or has a lone surrogate or a character that the vocabulary cannot spell.
        """
        self._check_language_model("score", "score it with `charlm eval`")
        num_lanes = None if streams is None else whole_number("streams", streams)
        if num_lanes is not None and num_lanes < 1:
            raise OptionError(f"{{streams}} {num_lanes} is out of range", "give 1 or more, or leave {streams} out")
        chosen = one_of("precision", precision, get_args(Precision))
        stream = self._encode(check_text("text", text))
        return evaluate(self.network, stream, num_lanes=num_lanes, device=self._torch_device, precision=chosen)

    def sample(self, prompt: str = "", **options: Unpack[SampleKeywords]) -> str:
        """Return text that continues the prompt (of a backward model: that leads to it), without the prompt.

        The same arguments give the same text.

        Args:
            options: described in `charlm.sampling.options.SamplingOptions`.

        Raises:
            TypeError: there is no such option.
            UsageError: an option has another type or is out of range, or contradicts another one or the model; or the
                model predicts labels or tags, or must be given a label.
            DataError: the prompt has a lone surrogate, or a character that the vocabulary cannot spell.
        """
        return "".join(self.stream(prompt, **options))

    def stream(self, prompt: str = "", **options: Unpack[SampleKeywords]) -> Iterator[str]:
        """Yield the text of `sample` in pieces, as it is drawn.

        Raises:
            TypeError, UsageError, DataError: as `sample`.
        """
        self._check_language_model("sample", "predict with model.predict(texts)")
        chosen = SamplingOptions(prompt=prompt, **options)
        loaded = self._round_cells() if chosen.precision == "int8" else self._loaded
        return build_generator(loaded, chosen, self._device).stream_generate()

    def hidden(self, text: str, *, per: Literal["character", "token"] = "character") -> Tensor:
        """Return the features of each character, the input of the head, for example for taggers (Akbik et al., 2018).

        Args:
            per: "character": a row for each character of the text, after the model has read the whole token (or all
                bytes) that spell it. "token": a row for each id of `vocab.encode(text)`.

        Returns:
            (C, H) or (T, H), fp32, on the CPU, without gradient. A forward model has read everything up to the row's
            character, including the `<eod>` before the text; a backward model everything from there to the end. A
            model of labels or tags reads the text without an `<eod>` before it.

        Raises:
            UsageError: it is a model of labels or tags that reads backward, or must be given a label.
            OptionError: `per` is neither of these, or a value has another type.
            DataError: the text has a lone surrogate, or a character that the vocabulary cannot spell.
        """
        unit = one_of("per", per, ("character", "token"))
        checked = check_text("text", text)
        self._check_given("hidden")
        return text_features(self._loaded, checked, self._name, per_token=unit == "token", device=self._torch_device)

    @overload
    def predict(self, texts: str, **options: Unpack[PredictKeywords]) -> TextPrediction: ...  # pyright: ignore[reportOverlappingOverload] - a text is also an iterable of its letters
    @overload
    def predict(self, texts: Iterable[str], **options: Unpack[PredictKeywords]) -> list[TextPrediction]: ...
    def predict(
        self, texts: str | Iterable[str], **options: Unpack[PredictKeywords]
    ) -> TextPrediction | list[TextPrediction]:
        """Predict the labels of texts, the tags of their characters, or other texts for them, like `charlm predict`.

        A conditional language model predicts the most likely label of a text, by Bayes' rule.

        Args:
            texts: several, or a single one.
            options: described in `charlm.workflows.predict_options.PredictOptions`.

        Returns:
            A prediction for each text, in order; of a single text its prediction.

        Raises:
            TypeError: there is no such option.
            UsageError: it is a language model; a text is no str or has a lone surrogate; or an option has another type,
                is out of range or is not for the model.
            DataError: a text has a character that the vocabulary cannot spell.
        """
        if self._loaded.labels is None and self._loaded.conditions is None:
            raise UsageError(
                f"{self._name} is a language model, and predicts no labels or tags",
                "use model.score(text) or model.sample(prompt), or load a run of `charlm prepare --task`",
            )
        predictor = Predictor(self._loaded, self._name, self._device, PredictOptions.from_keywords(**options))
        found = list(predictor.predict(as_queries(checked_texts("texts", texts))))
        return found[0] if isinstance(texts, str) else found

    def _check_language_model(self, method: str, cure: str) -> None:
        if self._loaded.labels is not None:
            raise UsageError(
                f"{self._name} predicts {self._loaded.task.noun}, and model.{method} is for language models", cure
            )
        self._check_given(method)

    def _check_given(self, method: str) -> None:
        conditions = self._loaded.conditions
        if conditions is not None:
            noun = "label" if isinstance(conditions, LabelConditions) else "source"
            example = repr(conditions.labels.names[0]) if isinstance(conditions, LabelConditions) else "source"
            raise UsageError(
                f"{self._name} is given a {noun} for each text, and there is none",
                f"write model.given({example}).{method}(...)",
            )

    @property
    def _torch_device(self) -> torch.device:
        return choose_device(self._device)

    def _round_cells(self) -> LoadedModel:
        """A copy of the model with 8-bit integers in its cells, as `charlm sample --precision int8` uses."""
        rounded = copy.deepcopy(self.network)
        quantize_cells(rounded)
        return replace(self._loaded, model=rounded)

    def _encode(self, text: str) -> TokenStream:
        """The tokens of a text in the order in which the model reads them."""
        return stream_from_text(text, self.vocab).in_direction(self.settings.text_direction)


def load(
    run: str | os.PathLike[str] | None = None,
    *,
    checkpoint: str | int | None = None,
    device: str | torch.device = "auto",
) -> Model:
    """Load a trained model.

    Args:
        run: the name or directory of a run, the directory of a checkpoint, or "bundled" for the small model that comes
            with charlm; if left out, the latest run in this folder, or the bundled model if there is no run.
        checkpoint: "best", "last", or a step of the run; the best one if left out.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UsageError: there is no such run, checkpoint or device, or a value has another type.
        CheckpointError: the checkpoint is damaged, or was written by a newer charlm.
    """
    name = None if run is None else path_text("run", run)
    which = (
        checkpoint if checkpoint is None or isinstance(checkpoint, str) else str(whole_number("checkpoint", checkpoint))
    )
    device_name = check_text("device", str(device) if isinstance(device, torch.device) else device)
    loaded, shown = load_any_run(workspace.run_or_bundled(name), which, device_name)
    loaded.model.eval()
    return Model(loaded, device_name, shown)
