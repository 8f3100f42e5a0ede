"""The model card: README.md, which the hub shows, with metadata at its top that the hub searches.

model.json ──> kind, network, vocabulary      corpus.json ──> language, attribution of the text
`charlm eval --json` ──> figures and their interval

The hub's own library writes the metadata, so it has the form that the hub reads.
"""

from charlm.checkpoint import describe_model
from charlm.data.task_settings import GenerateTaskSettings, LanguageTaskSettings
from charlm.export.exported_model import ExportedModel
from charlm.export.figures import NAMES
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.summary import summarize_network

_VOCABULARIES = {
    "char": "character by character",
    "byte": "byte by byte",
    "word": "word by word",
    "ngram": "word by word, with vectors of character n-grams",
    "sentencepiece": "in pieces of words",
    "symbols": "in symbols between blanks",
}
"""Type of a vocabulary -> how a model with it reads."""


def write_card(model: ExportedModel) -> str:
    """Return the content of README.md."""
    sections = [_introduction(model), _use(model), _figures(model), _text(model), _network(model), _licence(model)]
    body = "\n\n".join("\n".join(lines) for lines in sections if lines)
    return f"---\n{_front_matter(model)}\n---\n\n{body}\n"


def _front_matter(model: ExportedModel) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    task = model.loaded.task
    origin = model.text_origin or {}
    figures = model.options.figures
    results = [
        EvalResult(
            task_type=task.hub_pipeline,
            dataset_type="charlm-corpus",
            dataset_name=str(model.loaded.metadata["trained_on"]["corpus"]),
            dataset_split=figures.split if figures else None,
            metric_type=name,
            metric_name=NAMES[name],
            metric_value=value,
            metric_args={"interval_95": list(interval)} if interval else None,
        )
        for name, value, interval in (figures.shown() if figures else ())
    ]
    data = ModelCardData(
        model_name=model.name,
        language=origin.get("language") or None,
        license=model.options.licence,
        library_name="charlm",
        pipeline_tag=task.hub_pipeline,
        datasets=[origin["name"]] if origin.get("source") == "hub" and "urls" in origin else None,
        tags=["charlm", "character-level", model.loaded.settings.body.type, *_cell_tags(model)],
        eval_results=results or None,
    )
    return data.to_yaml()


def _cell_tags(model: ExportedModel) -> list[str]:
    body = model.loaded.settings.body
    return [body.cell.type] if body.type == "recurrent" else []


def _introduction(model: ExportedModel) -> list[str]:
    reads = _VOCABULARIES.get(model.loaded.vocab.type, "token by token")
    direction = model.loaded.settings.direction
    order = {"forward": "", "backward": ", from the end of a text to its beginning", "both": ", in both directions"}
    return [
        f"# {model.name}",
        "",
        f"{model.loaded.task.model_kind} {reads}{order[direction]}. It was trained with charlm.",
    ]


def _use(model: ExportedModel) -> list[str]:
    address = f"hub:USER/{model.name}"
    match model.loaded.task:
        case LanguageTaskSettings():
            command = f'charlm sample {address} --prompt "..."'
        case GenerateTaskSettings():
            command = f"charlm sample {address} --label NAME"
        case _:
            command = f'charlm predict {address} "A text"'
    return ["## Use", "", "```console", command, f"charlm inspect {address}", "```"]


def _figures(model: ExportedModel) -> list[str]:
    figures = model.options.figures
    if figures is None:
        return []
    rows = [
        f"| {NAMES[name]} | {value:.4f} | {f'{interval[0]:.4f} to {interval[1]:.4f}' if interval else '-'} |"
        for name, value, interval in figures.shown()
    ]
    corpus = model.loaded.metadata["trained_on"]["corpus"]
    measured = f"Measured by `charlm eval` on the split `{figures.split}` of the corpus `{corpus}`."
    return ["## Figures", "", measured, "", "| figure | value | 95 % interval |", "|---|---|---|", *rows]


def _text(model: ExportedModel) -> list[str]:
    trained_on, origin = model.loaded.metadata["trained_on"], model.text_origin or {}
    keys = ("source", "name", "wiki", "language", "date", "revision", "licence")
    facts = [("corpus", f"`{trained_on['corpus']}`, fingerprint `{trained_on['fingerprint']}`")]
    facts += [(key, origin[key]) for key in keys if origin.get(key)]
    facts += [("from", f"<{url}>") for url in origin.get("urls", [])]
    if origin.get("source") == "wikipedia":
        facts.append(("authors", "those of the pages, whom the history of each page lists"))
    if isinstance(model.loaded.model, NgramLanguageModel):
        facts.append(("in the model", "n-grams of this text, with their counts"))
    return ["## Text", "", *(f"- {name}: {fact}" for name, fact in facts)]


def _network(model: ExportedModel) -> list[str]:
    described = describe_model(model.loaded.directory)
    summary = summarize_network(
        described.settings, described.vocab_size, described.bags, described.interface, described.frozen
    )
    rows = [
        f"| {part.name} | {part.kind} | {part.inputs:,} | {part.outputs:,} | {part.parameters:,} |"
        for part in summary.parts
    ]
    heading = f"{summary.parameters:,} parameters; a vocabulary of {described.vocab_size:,} ids."
    table = ["| part | kind | inputs | outputs | parameters |", "|---|---|---|---|---|"]
    return ["## Network", "", heading, "", *table, *rows]


def _licence(model: ExportedModel) -> list[str]:
    weights = model.options.licence or "none is named, so ask before you use them"
    text = (model.text_origin or {}).get("licence") or "unknown"
    return ["## Licence", "", f"- of the weights: {weights}", f"- of the training text: {text}"]
