"""What `charlm demo` does: prepare, train, evaluate and sample, in data/sample and runs/sample."""

import contextlib
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from charlm import workspace
from charlm.errors import CharlmError
from charlm.evaluation.baselines.build import build_baseline
from charlm.evaluation.baselines.settings import XzSettings
from charlm.experiment import load_experiment
from charlm.sampling.options import SamplingOptions
from charlm.settings import merge_layers, parse_override, single_value_layer
from charlm.workflows.auto.choose import AUTO
from charlm.workflows.evaluate import EvalRequest, evaluate_run
from charlm.workflows.plan_training import plan_training
from charlm.workflows.prepare_corpus import PrepareOptions, prepare_corpus
from charlm.workflows.progress import evaluation_bar, stage_bar
from charlm.workflows.sample import sample_run
from charlm.workflows.train import run_training

_MINUTES = 1.6
_PROMPT = "The "
_LENGTH = 400


def run_demo(
    overrides: Sequence[str], start_time: float, say: Callable[[str], None], *, overwrite: bool = False
) -> dict[str, Any]:
    """Prepare, train, evaluate and sample; print each step with `say`, and return the results.

    Args:
        overwrite: replace the corpus and the run of an earlier demo.
    """
    own = {"corpus.source.type": "sample", "training.max_minutes": _MINUTES}
    given = [single_value_layer(key, value, "charlm demo") for key, value in own.items()]
    given += map(parse_override, overrides)
    settings = load_experiment(merge_layers(given))
    data, run = workspace.DATA / "sample", workspace.RUNS / "sample"
    say("1/4 charlm prepare --source sample")
    with _with_demo_cure(data):
        options = PrepareOptions(overwrite=overwrite, workers=1)  # starting processes takes longer than this small text
        corpus = prepare_corpus(settings.corpus, data, options).corpus
    assert corpus is not None, "no dry run"
    counts = corpus.metadata["splits"]
    say(f"    {data}: {sum(split['characters'] for split in counts.values()):,} characters of Python's documentation")
    say(f"2/4 charlm train --minutes {_MINUTES:g} --out {run}")
    sys.stdout.flush()
    plan = plan_training(AUTO, given, str(data), run, "auto", need_corpus=True, overwrite=overwrite)
    with _with_demo_cure(run):
        trained = run_training(plan, resume=True, overwrite=overwrite, quiet=False, start_time=start_time)
    assert trained is not None, "one process"
    say(f"    {trained['parameters']:,} parameters, {trained['epochs']:.2f} epochs")
    say(f"3/4 charlm eval {run}")
    with evaluation_bar(quiet=False) as on_progress:
        score = evaluate_run(str(run), "best", EvalRequest(data=str(data)), on_progress)
    with stage_bar(quiet=False) as on_stage:
        *_, xz = build_baseline(XzSettings()).results(corpus, "test", on_stage)
    say(f"    {score['bits_per_character']:.4f} bits per character on the test split")
    say(f"    {xz.score.bits_per_character:.4f} bits per character with xz -9e, given the training text")
    say(f'4/4 charlm sample {run} --prompt "{_PROMPT}" --temperature 0.7')
    text = "".join(sample_run(str(run), "best", SamplingOptions(prompt=_PROMPT, length=_LENGTH), "auto").with_prompt())
    say("")
    say(text)
    return {"score": score, "xz_bits_per_character": xz.score.bits_per_character, "sample": text}


@contextlib.contextmanager
def _with_demo_cure(directory: Path) -> Generator[None, None, None]:
    """Replace cures of `prepare` and `train` that name --out, which the demo does not have."""
    try:
        yield
    except CharlmError as error:
        if "--out" not in error.cure:
            raise
        raise type(error)(
            error.what, f"add --overwrite to run the demo from the beginning, or move {directory} away"
        ) from error
