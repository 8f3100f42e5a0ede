"""A run that tells odd numbers from even ones, one that tags words, and a language model of the same texts."""

from tests.processes import Commands

NUMBERS = [f"number {number}" for number in range(60)]
_SMALL = (
    "--set training.max_steps=60 --set model.body.hidden_size=12 --set training.optimizer.lr=0.02"
    " --set training.validation_interval=20 --set training.log_interval=5"
).split()


def make_label_runs(commands: Commands) -> Commands:
    """Make the corpora and the runs `labels` and `tags`."""
    rows = "".join(f"{text}\t{('even', 'odd')[index % 2]}\n" for index, text in enumerate(NUMBERS))
    (commands.folder / "numbers.tsv").write_text(f"text\tlabel\n{rows}", encoding="utf-8")
    words = "".join(
        f"1\tword{number}\t_\tNOUN\t_\t_\t_\t_\t_\t_\n2\t{number}\t_\tNUM\t_\t_\t_\t_\t_\tSpaceAfter=No\n\n"
        for number in range(60)
    )
    (commands.folder / "bank.conllu").write_text(words, encoding="utf-8")
    prepare_examples(commands, "tag", "bank.conllu", "tags")
    train(commands, "tags")
    prepare_examples(commands, "classify", "numbers.tsv", "labels")
    train(commands, "labels", "--set", "model.direction=both")
    return commands


def prepare_examples(commands: Commands, task: str, path: str, name: str, *options: str) -> None:
    commands.succeed("prepare", "--task", task, "--input", path, "--workers", "1", "--out", f"data/{name}", *options)


def train(commands: Commands, data: str, *options: str, name: str | None = None) -> None:
    commands.succeed("train", "--data", data, "--out", f"runs/{name or data}", *_SMALL, *options)


def make_language_run(commands: Commands) -> None:
    """Make the run `language`."""
    (commands.folder / "novel.txt").write_text("\n".join(NUMBERS * 9), encoding="utf-8")
    commands.succeed("prepare", "--source", "text", "--input", "novel.txt", "--workers", "1", "--out", "data/novel")
    train(commands, "novel", name="language")
