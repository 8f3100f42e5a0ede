"""The options of `charlm prepare` that no other command has, with their help."""

from pathlib import Path
from typing import Annotated

import typer

from charlm.commands import completion
from charlm.commands.options import parse_folder

TaskOption = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="KIND",
        help="What a model predicts: language (the next token), classify (a label for each document), tag (a tag"
        " for each character that has one), generate (the next token of a document with a given label) or transduce"
        " (the next token of a text made from a given one).",
        autocompletion=completion.tasks,
    ),
]
SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="KIND",
        help="The kind of source: wikipedia, hub, text, enwik8, text8, mix, sample, table, classes, conllu, aligned"
        " or derived.",
        autocompletion=completion.sources,
    ),
]
LanguageOption = Annotated[
    str | None, typer.Option("--language", metavar="CODE", help="The language code of a Wikipedia, such as ru.")
]
WikiOption = Annotated[
    str | None, typer.Option("--wiki", metavar="NAME", help="The database name of a wiki, such as ruwikisource.")
]
DateOption = Annotated[
    str | None, typer.Option("--date", metavar="DATE", help="The date of the dump: latest, or YYYYMMDD.")
]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="PATH_OR_URL",
        help="A dump, a text file, a table, a folder, a corpus, or - for standard input (repeatable).",
    ),
]
TrainOption = Annotated[
    list[str] | None,
    typer.Option("--train", metavar="PATH", help="Examples: a file of the training split (repeatable)."),
]
ValidOption = Annotated[
    list[str] | None,
    typer.Option("--valid", metavar="PATH", help="Examples: a file of the validation split (repeatable)."),
]
TestOption = Annotated[
    list[str] | None,
    typer.Option("--test", metavar="PATH", help="Examples: a file of the test split (repeatable)."),
]
TextColumnOption = Annotated[
    str | None, typer.Option("--text-column", metavar="NAME", help="The column with the text; or its number.")
]
LabelColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--label-column",
        metavar="NAME",
        help="The column with the label; or its number. Of --task generate repeatable.",
    ),
]
TagsColumnOption = Annotated[
    str | None, typer.Option("--tags-column", metavar="NAME", help="The column with the tags; or its number.")
]
TargetColumnOption = Annotated[
    str | None,
    typer.Option("--target-column", metavar="NAME", help="The column with the text to be written; or its number."),
]
WeightColumnOption = Annotated[
    str | None,
    typer.Option("--weight-column", metavar="NAME", help="The column with a weight of each target; or its number."),
]
SourceNormalizeOption = Annotated[
    str | None,
    typer.Option(
        "--source-normalize",
        metavar="FORM",
        help="Of --task transduce: the Unicode normalisation of the texts that are read: none, nfc or nfd.",
        autocompletion=completion.words("none", "nfc", "nfd"),
    ),
]
AnnotationOption = Annotated[
    str | None,
    typer.Option(
        "--annotation",
        metavar="KIND",
        help="The tags of CoNLL-U: upos, xpos, feats or words.",
        autocompletion=completion.words("upos", "xpos", "feats", "words"),
    ),
]
ChangeOption = Annotated[
    str | None,
    typer.Option(
        "--change",
        metavar="KIND",
        help="What is to be restored in a derived corpus: marks, case or blanks.",
        autocompletion=completion.words("marks", "case", "blanks"),
    ),
]
MaxCharactersOption = Annotated[
    int | None,
    typer.Option("--max-characters", metavar="N", help="Take at most N characters from a wiki or the hub."),
]
ErrorsOption = Annotated[
    str | None,
    typer.Option(
        "--errors",
        metavar="HOW",
        help="Invalid bytes: strict stops with an error, replace writes U+FFFD.",
        autocompletion=completion.words("strict", "replace"),
    ),
]
VocabOption = Annotated[
    str | None,
    typer.Option(
        "--vocab",
        metavar="KIND",
        help="The vocabulary: char, byte, word, ngram, sentencepiece or symbols.",
        autocompletion=completion.vocabularies,
    ),
]
VocabFromOption = Annotated[
    str | None,
    typer.Option(
        "--vocab-from",
        metavar="RUN",
        help="Use the vocabulary of a run or of another corpus.",
        autocompletion=completion.runs_and_corpora,
    ),
]
ReencodedDataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Re-encode this prepared corpus with another vocabulary, and do nothing else.",
        autocompletion=completion.corpora,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", parser=parse_folder, help="The folder of the corpus; data/NAME if left out."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be downloaded, and stop.")]
SplitLikeOption = Annotated[
    str | None,
    typer.Option(
        "--split-like",
        metavar="DIR",
        help="Split the documents as this prepared corpus does.",
        autocompletion=completion.corpora,
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", min=1, max=4096, help="Number of processes; one for each core if left out."),
]
DaskOption = Annotated[
    str | None,
    typer.Option("--dask", metavar="ADDRESS", help="Let a dask cluster do the work; ADDRESS is its scheduler's."),
]
RefreshOption = Annotated[
    bool, typer.Option("--refresh", help="Ask the server for the newest dump again, and download what has changed.")
]
DiscardDumpOption = Annotated[
    bool, typer.Option("--discard-dump", help="Delete the downloaded dump when the corpus is complete.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before a download of more than 1 GB.")]
