"""More than a hundred command lines as strangers mistype them.

Each is answered by one line that names the cure, and by the right exit code; nothing is printed, made or changed.
"""

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.fault_server import FaultServer
from tests.mirror import DATE, serve_wiki, small_dump
from tests.processes import Commands
from tests.workspaces import snapshot

Wrong = dict[str, tuple[int, str]]
"""A command line -> its exit code, and what the cure has to say."""

COMMANDS: Wrong = {
    "trian": (2, "`charlm train`"),
    "Train --config lstm": (2, "`charlm train`"),
    "evaluate": (2, "`charlm eval`"),
    "generate --prompt Hello": (2, "`charlm sample`"),
    "chat": (2, "`charlm sample --interactive`"),
    "download --language ru": (2, "`charlm prepare`"),
    "list": (2, "`charlm runs`"),
    "help": (2, "`charlm --help`"),
    "lstm": (2, "`charlm train --config lstm`"),
    "novel.txt": (2, "`charlm inspect novel.txt`"),
    "--versoin": (2, "--version"),
    "--config lstm": (2, "behind `charlm prepare`, `charlm train`"),
}
PREPARE: Wrong = {
    "prepare --lang ru": (2, "--language ru?"),
    "prepare --language Russian": (2, "ru (Russian)"),
    "prepare --language english": (2, "en (English)"),
    "prepare --language русский": (2, "ru (Russian)"),
    "prepare --language en_US.UTF-8": (2, "en (English)"),
    "prepare --language xx-unknown": (4, "the code in the address of the site"),
    "prepare --wiki ru": (4, "ruwiki (Russian Wikipedia)"),
    "prepare --language simple --date 2026-11-01": (2, f"write {DATE} or latest"),
    "prepare --language simple --date yesterday": (2, "write YYYYMMDD or latest"),
    "prepare --language simple --date 20250101": (4, f"there are {DATE}; or use latest"),
    "prepare --source txt --input novel.txt": (2, 'did you mean "text"?'),
    "prepare --source gutenberg": (2, "allowed are wikipedia, hub, text"),
    "prepare --source text": (2, "give files or folders with --input PATH"),
    "prepare --source text novel.txt": (2, "write --input novel.txt"),
    "prepare --source text --input nvel.txt": (2, "did you mean novel.txt?"),
    "prepare --source text --input empty.txt --workers 1": (3, "give an input that holds text"),
    "prepare --source text --input noise.bin --workers 1": (
        3,
        "give its encoding, such as --set corpus.source.encoding=",
    ),
    "prepare --source text --input latin1.txt --errors ignore": (2, "allowed are strict, replace"),
    "prepare --source text --input latin1.txt --encoding latin-1": (2, "--set corpus.source.encoding=latin-1"),
    "prepare --source text --input latin1.txt --set corpus.source.encoding=cp-12511": (2, 'did you mean "cp1251"?'),
    "prepare --source text --input http://example.org/novel.txt": (2, "download it and give the file with --input"),
    "prepare --source text --input novel.txt --language ru": (2, "set that type, or leave it out"),
    "prepare --source text --input novel.txt --vocab characters": (2, 'did you mean "char"?'),
    "prepare --source text --input novel.txt --vocab bpe": (
        2,
        "--set corpus.vocab.type=sentencepiece --set corpus.vocab.model_type=bpe",
    ),
    "prepare --source text --input novel.txt --split 80/10/10": (2, "--set corpus.split=80/10/10"),
    "prepare --source text --input novel.txt --set corpus.split=80-10-10": (2, "write 80/10/10"),
    "prepare --source text --input novel.txt --set corpus.split=0.8": (2, "write whole numbers with slashes between"),
    "prepare --source text --input novel.txt --out texts": (2, "choose another --out"),
    "prepare --source text --input novel.txt --vocab-from nowhere": (2, "there are tiny-texts"),
    "prepare --input novel.txt": (3, "`charlm prepare --source text --input novel.txt`"),
    "prepare --input ftp://example.org/ruwiki.xml.bz2": (2, "download it and give the file with --input"),
    "prepare --data runs/tiny-texts --vocab word": (2, "there are texts"),
    "prepare --data data/texts": (2, "add --vocab KIND"),
    "prepare --max-characters 1M": (2, "write --max-characters 1000000"),
    "prepare --workers 0": (2, "give one such as 1"),
}
TRAIN: Wrong = {
    "train --epochs 5": (2, "--set training.max_epochs=5"),
    "train --lr 0.001": (2, "--set training.optimizer.lr=0.001"),
    "train --learning-rate=0.001": (2, "--set training.optimizer.lr=0.001"),
    "train --batch_size 64": (2, "--set training.batch_size=64"),
    "train --hidden-size 512 --layers 2": (2, "--set model.body.hidden_size=512"),
    "train --optimizer adam": (2, "--set training.optimizer.type=adamw"),
    "train --dropout 0.2": (2, "--set model.embedding.dropout=0.2 or --set model.body.dropout=0.2"),
    "train --model gru": (2, "--config gru"),
    "train --gpu": (2, "--device cuda"),
    "train --n_layer=6 --n_head=6": (2, "--set model.body.num_layers=6"),
    "train -rnn_size 128": (2, "--set model.body.hidden_size=128"),
    "train --compile=False": (2, "leave it out"),
    "train --vocab byte": (2, "an option of `charlm prepare`"),
    "train --device gpu": (2, "did you mean cuda?"),
    "train --device cuda": (2, "use --device cpu"),
    "train --config lsmt": (2, 'did you mean "lstm"?'),
    "train --config configs/tiny": (2, "did you mean configs/tiny.toml?"),
    "train --config broken.toml": (2, "correct that line"),
    "train --config twice.toml": (2, "remove one of the two lines"),
    "train --config noise.bin": (2, "name a TOML file"),
    "train gru": (2, "write --config gru"),
    "train training.max_steps=5": (2, "write --set training.max_steps=5"),
    "train --set training.max_steps 5": (2, "write --set training.max_steps=5"),
    "train --set 'training.max_steps: 5'": (2, "--set training.max_steps=5"),
    "train --set training.optimiser.lr=1": (2, 'did you mean "optimizer"?'),
    "train --set training.lr=1": (2, "did you mean training.optimizer.lr?"),
    "train --set model.body.cell=lstm": (2, "write --set model.body.cell.type=lstm"),
    "train --set model.body.type=gru": (2, "did you mean --set model.body.cell.type=gru?"),
    "train --set model.body.hidden_size=big": (2, "write a number"),
    "train --set training.max_steps=1e3": (2, "training.max_steps=1000"),
    "train --set training.optimizer.lr=0,001": (2, "training.optimizer.lr=0.001"),
    "train --set training.batch_size=-8": (2, "give 1 or more"),
    "train --data novel.txt": (2, "`charlm prepare --source text --input novel.txt`"),
    "train --data runs/tiny-texts": (2, "there are texts"),
    "train --out novel.txt": (2, "choose another --out"),
    "train --resume yes": (2, "give auto or never"),
}
EVAL: Wrong = {
    "eval novel.txt": (2, "--text novel.txt"),
    "eval data/texts": (2, "there are tiny-texts"),
    "eval tiny-text": (2, 'did you mean "tiny-texts"?'),
    "eval --split validation": (2, 'did you mean "valid"?'),
    "eval --streams 0": (2, "give one such as 1"),
    "eval --precision fp64": (2, "give fp32 or bf16"),
    "eval --text texts": (2, "give a file in it"),
    "eval --dynamic": (2, "run `charlm tune runs/tiny-texts"),
    "explain 'Some text'": (2, "`charlm explain RUN 'Some text'`"),
    "explain tiny-texts Some text": (2, "write the text in quotes"),
    "inspect lsmt": (2, 'did you mean "lstm"?'),
    "inspect empty.txt": (3, "give a .xml.bz2"),
    "eval bundled": (2, "`charlm eval bundled --text FILE`"),
    "compare bundled": (2, "`charlm eval bundled --text FILE`"),
    "compare": (2, "`charlm runs` lists them"),
    "report tiny-texts --out curves.html": (2, "write --out curves"),
    "--json runs": (2, "write `charlm runs --json`"),
    "train —config lstm": (2, "write --config lstm"),
    "train --set training.max_minutes = 0.5": (2, "write --set training.max_minutes=0.5, without spaces"),
    "prepare --source text --input novel.txt --vocab byte --vocab-from tiny-texts": (2, "leave one of them out"),
    "sample bundled --checkpoint best.pt": (2, "leave --checkpoint out, or name a run of your own"),
    "runs --all": (2, "see `charlm runs --help`"),
    "report data/texts": (2, "there are tiny-texts"),
    "compare tiny-texts --baselines --csv nowhere/table.csv": (2, "make it first"),
    "baseline tiny-texts": (2, "there are texts"),
    "baseline --set baselines=xz": (2, """write --set 'baselines=[{type="xz"}]'"""),
    "tune --set lr=0.1": (2, "write --set 'lr=[0.1]'"),
    "demo --config gru": (2, "an option of `charlm prepare`, `charlm train`"),
    "demo --set training.max_step=3": (2, 'did you mean "max_steps"?'),
}
SAMPLE: Wrong = {
    "sample --temprature 0.5": (2, "--temperature 0.5?"),
    "sample --temperature -1": (2, "give 0 (the most probable token each time) to 100"),
    "sample --temperature nan": (2, "give 0 (the most probable token each time) to 100"),
    "sample --temperature hot": (2, "give one such as 0.7"),
    "sample --top_k 5": (2, "--top-k 5?"),
    "sample --top-k 0": (2, "give 1 or more"),
    "sample --top-p 90": (2, "give a number above 0 and at most 1"),
    "sample --max-tokens 100": (2, "--length 100?"),
    "sample --length 1k": (2, "write --length 1000"),
    "sample -n 3": (2, "--count 3?"),
    "sample --seed x": (2, "give one such as"),
    "sample --prompt caf\udce9": (2, "give it in the terminal's encoding"),
    "sample --prompt": (2, "write --prompt TEXT"),
    "sample 'Once upon a time'": (2, "write --prompt 'Once upon a time'"),
    "sample --model tiny-texts": (2, "`charlm sample tiny-texts`"),
    "sample --regex ''": (2, "leave it out, or give one such as '.*'"),
    "sample --regex '[a-'": (2, "takes a backslash"),
    "sample --beams 4 --count 3": (2, "give one of them"),
    "sample --interactive --json": (2, "leave --json, --count and the like out"),
    "serve data/texts": (2, "there are tiny-texts"),
    "serve --host 0.0.0.0": (2, "add --api-key with a secret"),
    "serve --host 0.0.0.0:80 --api-key x": (2, "or give one such as 0.0.0.0"),
    "serve --port 65536": (2, "give one such as 8000"),
    "serve --port http": (2, "give one such as"),
    "export": (2, "give --format html, onnx, hub, stanza or flair"),
    "export --format hbu": (2, 'did you mean "hub"?'),
    "export --format html --licence mit": (2, "leave --licence out"),
    "export --format html --max-bytes 1000": (2, "or name a smaller model"),
    "export --format hub --max-bytes 1000000": (2, "leave --max-bytes out"),
    "export --format hub --out texts": (2, "choose another --out"),
    "export --format hub --out .": (2, "choose another --out"),
    "export --format hub --out novel.txt": (2, "choose another --out"),
    "export --format hub --figures novel.txt": (3, "give the output of `charlm eval --json`"),
    "export --format hub --out runs/tiny-texts --overwrite": (2, "choose another --out"),
    "compress": (2, "give one: `charlm compress [RUN] FILE`"),
    "compress tiny-texts": (2, "give one: `charlm compress tiny-texts FILE`"),
    "compress novel.tx": (2, "novel.txt"),
    "compress texts": (2, "give a file in it"),
    "compress novel.txt --lanes 0": (2, "give one such as 1"),
    "compress novel.txt --out texts": (2, "name a file in it"),
    "decompress novel.txt": (2, "give --out FILE"),
    "decompress novel.txt --out new": (3, "give a file that `charlm compress` wrote"),
    "decompress tiny-text novel.txt --out new": (2, 'did you mean "tiny-texts"?'),
    "serve --allow-origin example.org": (2, "give one such as https://example.org"),
}
TOO_EARLY: Wrong = {
    "train": (2, "make one with `charlm prepare`"),
    "eval": (2, "make one with `charlm train`"),
    "explain lstm Hello": (2, "make one with `charlm train`"),
    "report": (2, "make one with `charlm train`"),
    "report lstm": (2, "make one with `charlm train`"),
    "baseline": (2, "make one with `charlm prepare`"),
}
THERE = COMMANDS | PREPARE | TRAIN | EVAL | SAMPLE


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """The only mirror there is; it has one wiki."""
    with FaultServer() as server:
        serve_wiki(server, "simplewiki", small_dump("simplewiki"))
        yield server


@pytest.fixture(scope="module")
def misled(toured: Commands, server: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """A folder with texts, a corpus and a run, and with files that are not what they are taken for."""
    folder = shutil.copytree(toured.folder, tmp_path_factory.mktemp("misled") / "folder")
    (folder / "novel.txt").write_text("Call me Ishmael. Some years ago, never mind how long. " * 60, encoding="utf-8")
    (folder / "latin1.txt").write_text("Où est le café? " * 60, encoding="latin-1")
    (folder / "empty.txt").touch()
    (folder / "noise.bin").write_bytes(bytes(range(256)) * 8)
    (folder / "broken.toml").write_text("[training\nmax_steps = 5\n", encoding="utf-8")
    (folder / "twice.toml").write_text("[training]\nmax_steps = 5\nmax_steps = 6\n", encoding="utf-8")
    environment = {"CHARLM_MIRROR": server.url(), "CHARLM_CACHE": str(folder.with_name("cache"))}
    return Commands(toured.address, folder, environment)


def words_of(line: str) -> list[str]:
    """The arguments; of a wiki, with a setting that leaves no mirror but the test's."""
    words = shlex.split(line)
    asks_a_server = words[:1] == ["prepare"] and {"--language", "--wiki"} & set(words) and "--source" not in words
    return [*words, "--set", "corpus.source.mirrors=[]"] if asks_a_server else words


def assert_cured(commands: Commands, line: str, code: int, cure: str) -> None:
    before = finished(commands.folder)
    said = commands.fail(code, *words_of(line))
    assert cure in said.partition("; ")[2], said
    assert finished(commands.folder) == before


def finished(folder: Path) -> dict[str, bytes | None]:
    """All that is there, but what a `prepare` that cannot go on keeps for one that can."""
    return {name: content for name, content in snapshot(folder).items() if ".partial" not in name}


@pytest.mark.parametrize("line", THERE)
def test_a_wrong_invocation_is_one_line_that_names_the_cure(misled: Commands, line: str) -> None:
    if line.endswith("--device cuda") and torch.cuda.is_available():
        pytest.skip("there is one")
    assert_cured(misled, line, *THERE[line])


@pytest.mark.parametrize("line", TOO_EARLY)
def test_what_comes_too_early_is_told_what_comes_before(commands: Commands, line: str) -> None:
    assert_cured(commands, line, *TOO_EARLY[line])


def test_there_are_a_hundred_and_they_try_every_command() -> None:
    lines = [*THERE, *TOO_EARLY]
    assert len(lines) >= 100
    commands = "prepare train eval sample explain inspect runs report compare baseline tune demo".split()
    assert all(any(line.startswith(f"{command} ") for line in lines) for command in commands)
