"""Options of nanoGPT and of char-rnn, which people type by habit, and what charlm has instead.

Both lists are complete: https://github.com/karpathy/nanoGPT (train.py, sample.py) and
https://github.com/karpathy/char-rnn (train.lua, sample.lua). An option that is missing here has its cure in `synonyms`,
or the same name in charlm.
"""

from charlm.suggestions.synonyms import normalize

_NO_WANDB = (
    "leave it out: charlm sends no logs to a server; --set training.tensorboard=true writes them for TensorBoard, and"
    " `charlm report` draws them"
)
_NO_COMPILER = "leave it out: charlm has compiled time steps of its own instead of torch.compile"
_SPLIT = "the shares belong to the corpus: `charlm prepare --set corpus.split=90/5/5`"
_DECAY = "the rate falls over the whole budget: --set training.schedule.type=cosine, or constant for a rate that stays"
_INTERVAL = "--set training.validation_interval={value}"
_GPT2_SIZES = ("", "-medium", "-large", "-xl")
_PRECISIONS = {"float16": "bf16", "bfloat16": "bf16", "float32": "fp32", "": "bf16"}

_CURES: dict[str, dict[str, str]] = {
    "train": {
        # nanoGPT
        "evalinterval": _INTERVAL,
        "evaliters": "a validation reads whole documents: --set training.validation_tokens=1000000 limits it",
        "evalonly": "score a run with `charlm eval RUN`",
        "alwayssavecheckpoint": "leave it out: every validation saves a checkpoint; the best and the newest two stay",
        "wandblog": _NO_WANDB,
        "wandbproject": _NO_WANDB,
        "wandbrunname": _NO_WANDB,
        "gradientaccumulationsteps": "--set training.micro_batches={value}",
        "nlayer": "--set model.body.num_layers={value}",
        "nhead": "leave it out: charlm's networks are recurrent or convolutional, without attention heads",
        "nembd": "--set model.body.hidden_size={value} --set model.embedding.size={value}",
        "bias": "leave it out: charlm has no setting for biases",
        "decaylr": _DECAY,
        "warmupiters": "--set training.schedule.warmup_steps={value}",
        "lrdecayiters": _DECAY,
        "minlr": "give the fraction of the rate that is left at the end: --set training.schedule.final_scale=0.1",
        "backend=nccl": "leave it out: charlm chooses nccl or gloo by the device",
        "backend=gloo": "leave it out: charlm chooses nccl or gloo by the device",
        "dtype": "--set training.precision={precision}",
        "compile": _NO_COMPILER,
        "initfrom=scratch": "leave it out: a new run starts from new weights",
        "initfrom=resume": "leave it out: the same command again continues a run (--resume auto)",
        **{f"initfrom=gpt2{size}": "charlm loads its own runs only: --init-from RUN" for size in _GPT2_SIZES},
        # char-rnn
        "model=bnlstm": "--config lstm --set model.body.norm=batch",
        "learningratedecay": _DECAY,
        "learningratedecayafter": _DECAY,
        "decayrate": "--set training.optimizer.beta2={value}",
        "trainfrac": _SPLIT,
        "valfrac": _SPLIT,
        "printevery": "--set training.log_interval={value}",
        "evalvalevery": _INTERVAL,
        "checkpointdir": "--out {value}",
        "savefile": "--out {value}",
        "accurategputiming": "leave it out: `charlm train --dry-run` measures the speed",
        "gpuid=-1": "--device cpu",
        "gpuid": "--device cuda",
        "opencl": "leave it out: charlm runs on --device cpu, cuda or mps",
    },
    "sample": {
        "initfrom": "name the run: `charlm sample RUN`",
        "outdir": "name the run: `charlm sample {value}`",
        "dtype": "--precision {precision}",
        "compile": _NO_COMPILER,
        "primetext": "--prompt {value}",
        "sample=0": "--temperature 0",
        "sample": "leave it out: charlm draws each character at random; --temperature 0 takes the most probable one",
        "gpuid=-1": "--device cpu",
        "gpuid": "--device cuda",
    },
}
"""Command -> normalized option, or option=value where the value decides -> the option to write, or a sentence."""


def find_cure(command: str, option: str, value: str, shown_value: str) -> str | None:
    """Return the option to write instead of another program's, which begins with `--`, or a sentence about it, or None.

    Args:
        value: the value that was given to the option, or an empty string.
        shown_value: the value as a shell needs it, or a word that stands for it.
    """
    cures = _CURES.get(command, {})
    name = normalize(option)
    template = cures.get(f"{name}={value}", cures.get(name))
    return template and template.format(value=shown_value, precision=_PRECISIONS.get(value, "bf16"))
