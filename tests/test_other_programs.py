"""Every option of nanoGPT and of char-rnn has a cure of its own, whose settings and options exist."""

import re
import shlex

import pytest
import typer.main

from charlm.cli import app
from charlm.experiment import DEFAULT_CONFIG, Experiment, load_experiment, read_layers
from charlm.suggestions.setting_keys import all_keys
from tests.processes import Commands

NANOGPT_TRAIN = """\
out_dir=out eval_interval=2000 log_interval=1 eval_iters=200 eval_only=False always_save_checkpoint=True
init_from=scratch init_from=resume init_from=gpt2 init_from=gpt2-xl wandb_log=False wandb_project=owt
wandb_run_name=gpt2 dataset=openwebtext gradient_accumulation_steps=40 batch_size=12 block_size=1024 n_layer=12
n_head=12 n_embd=768 dropout=0.0 bias=False learning_rate=6e-4 max_iters=600000 weight_decay=1e-1 beta1=0.9
beta2=0.95 grad_clip=1.0 decay_lr=True warmup_iters=2000 lr_decay_iters=600000 min_lr=6e-5 backend=nccl
backend=gloo dtype=float16 dtype=bfloat16 dtype=float32 compile=True compile
""".split()
NANOGPT_SAMPLE = """\
init_from=resume out_dir=out start=Hello num_samples=10 max_new_tokens=500 top_k=200 dtype=bfloat16 compile=False
""".split()
CHAR_RNN_TRAIN = """\
data_dir data/tinyshakespeare; rnn_size 128; num_layers 2; model lstm; model bnlstm; model gru; learning_rate 2e-3;
learning_rate_decay 0.97; learning_rate_decay_after 10; decay_rate 0.95; dropout 0.5; seq_length 50; batch_size 50;
max_epochs 50; grad_clip 5; train_frac 0.95; val_frac 0.05; init_from tiny-texts; seed 123; print_every 1;
eval_val_every 1000; checkpoint_dir cv; savefile lstm; accurate_gpu_timing 0; gpuid 0; gpuid -1; opencl 0
""".split(";")
CHAR_RNN_SAMPLE = """\
seed 123; sample 0; sample 1; primetext "The meaning"; length 2000; temperature 0.5; gpuid 0; gpuid -1
""".split(";")
LINES = [
    *[f"train --{option}" for option in NANOGPT_TRAIN],
    *[f"sample --{option}" for option in NANOGPT_SAMPLE],
    *[f"train -{option.strip()}" for option in CHAR_RNN_TRAIN],
    *[f"sample -{option.strip()}" for option in CHAR_RNN_SAMPLE],
]


@pytest.mark.parametrize("line", LINES)
def test_an_option_of_another_program_has_a_cure_of_its_own(toured: Commands, line: str) -> None:
    command, *_ = words = shlex.split(line)
    what, cure = toured.fail(2, *words).split("; ", 1)
    typed = re.split("[= ]", line)[1]
    assert what.endswith(f"`charlm {command}` has no option {typed}")
    assert not cure.startswith("see `charlm")
    assert "VALUE" not in cure or "=" not in line
    check_settings(cure)
    check_options(command, cure)


def check_settings(cure: str) -> None:
    """Each setting exists, and a training accepts the values of all of one suggestion."""
    for suggestion in cure.partition("? (")[0].split(" or --set"):
        assignments = re.findall(r"((?:training|model|corpus)\.[\w.]+=[^\s,`;:]+)", suggestion)
        assert {key.partition("=")[0] for key in assignments} <= set(all_keys(Experiment))
        load_experiment(read_layers(DEFAULT_CONFIG, (), assignments))


def check_options(command: str, cure: str) -> None:
    """Each option is one of the command, or of the command that the cure names."""
    commands = typer.main.get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    named = re.search(r"`charlm (\w+) --(?!help)", cure)
    owner = named[1] if named else command
    known = {option for parameter in commands[owner].params for option in parameter.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", cure.replace(f"`charlm {command} --help`", ""))) <= known


def test_the_first_unknown_option_is_the_one_that_is_explained(toured: Commands) -> None:
    error = toured.fail(2, "train", "--config", "tiny", "-rnn_size", "64", "--n_layer=2")
    assert "has no option -rnn_size; did you mean --set model.body.hidden_size=64?" in error
