"""Small seeded trainings, one for each cell, norm, body, head and direction, as arguments of `charlm train`."""

COMMON = {
    "model.embedding.size": "8",
    "model.body.hidden_size": "16",
    "training.batch_size": "4",
    "training.seq_len": "16",
    "training.max_steps": "8",
    "training.log_interval": "1",
    "training.validation_interval": "4",
    "training.precision": "fp32",
    "training.max_epochs": "1000",
    "training.schedule.warmup_steps": "2",
}

VOCABULARIES = {"char": "char", "word": "word", "ngram": "ngram"}
"""Corpora that the trainings read: the stored one and the same text with other vocabularies."""

EXPERIMENTS: dict[str, tuple[str, dict[str, str]]] = {
    "rnn": ("char", {"model.body.cell.type": "rnn"}),
    "lstm": ("char", {"model.body.cell.type": "lstm"}),
    "gru": ("char", {"model.body.cell.type": "gru", "model.body.dropout": "0.2", "model.body.num_layers": "2"}),
    "lstm-plain": ("char", {"model.body.backend": "plain", "model.body.zoneout": "0.1"}),
    "layer": ("char", {"model.body.norm": "layer", "model.body.weight_drop": "0.2", "training.averaging.type": "ema"}),
    "batch": ("char", {"model.body.norm": "batch", "model.body.norm_steps": "16"}),
    "weight": ("char", {"model.body.norm": "weight", "training.optimizer.type": "sgd"}),
    "strided": (
        "char",
        {
            "model.body.num_layers": "2",
            "model.body.strides": "[1, 2]",
            "model.body.dilations": "[1, 2]",
            "model.body.skip": "residual",
        },
    ),
    "mogrifier": ("char", {"model.body.cell.type": "lstm", "model.body.cell.mogrifier_rounds": "4"}),
    "window": ("char", {"model.body.type": "window"}),
    "tcn": ("char", {"model.body.type": "tcn", "model.body.num_blocks": "2"}),
    "adaptive": ("word", {"model.head.type": "adaptive", "model.head.cutoffs": "[20, 40]"}),
    "ngram": ("ngram", {"model.embedding.type": "ngram", "model.head.label_smoothing": "0.1"}),
    "context": ("char", {"model.embedding.context_ngrams": "[2, 3]", "training.optimizer.type": "muon"}),
    "backward": ("char", {"model.direction": "backward", "model.head.tied": "true"}),
}

TWO_RANKS = "lstm"
"""The experiment that two processes train together too."""

DUMPS = (
    "ltgwiki-2017-09-repacked-pages-articles-multistream.xml.bz2",
    "simplewiki-small.xml.bz2",
    "enwiki-table-markup.xml.bz2",
    "tinywiki-latest-pages-articles.xml.bz2",
    "minidumps/ru.xml.bz2",
)
"""Dumps below `mediawiki/` of the real data whose corpora are compared."""


def arguments(name: str) -> list[str]:
    """The settings of an experiment as `--set` options."""
    chosen = COMMON | EXPERIMENTS[name][1]
    return [part for key, value in chosen.items() for part in ("--set", f"{key}={value}")]
