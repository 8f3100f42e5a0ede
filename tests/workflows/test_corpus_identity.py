"""What decides a corpus: a setting or an input that changes alone is noticed, or makes no difference to the bytes."""

import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from charlm.data.corpus import Corpus, open_corpus
from charlm.data.example_sources import open_example_source
from charlm.data.settings import CorpusSettings
from charlm.data.task_settings import (
    ClassifyTaskSettings,
    GenerateTaskSettings,
    LanguageTaskSettings,
    TagTaskSettings,
    TaskSettings,
    TransduceTaskSettings,
)
from charlm.errors import CharlmError, DataError, SettingsError, UsageError
from charlm.settings import Settings, settings_classes
from charlm.text.build import build_source
from charlm.text.examples.settings import (
    AlignedSettings,
    ClassesSettings,
    ConlluSettings,
    DerivedSettings,
    TableSettings,
)
from charlm.text.settings import (
    Enwik8Settings,
    HubSettings,
    MixSettings,
    SampleSettings,
    Text8Settings,
    TextSettings,
    WikipediaSettings,
)
from charlm.vocab.settings import (
    ByteSettings,
    CharSettings,
    CopiedSettings,
    NgramSettings,
    SentencePieceSettings,
    SymbolsSettings,
    WordSettings,
)
from charlm.workflows import prepare as prepare_module
from charlm.workflows.corpus_identity import find_prepared, find_prepared_examples
from charlm.workflows.input_changes import find_missing_inputs
from charlm.workflows.prepare_examples import prepare_examples
from tests.corpora import TINY, build_corpus, text_settings, write_files
from tests.fault_server import FaultServer
from tests.mirror import serve_wiki, small_dump
from tests.processes import Commands
from tests.source_cases import CASES, GIVEN, AnySource, put
from tests.text.examples.example_cases import ALL_CASES as EXAMPLE_CASES
from tests.workflows.prepared import make, of_source, refused, tree
from tests.workspaces import texts

GOLDEN = Path(__file__).parents[1] / "golden" / "charlm-0.1.0"
INDEPENDENT = object()
"""Marks a setting that makes no difference to a corpus."""
SEPARATE = object()
"""Marks a setting with a test of its own below."""

EXAMPLE_FILES: dict[str, Any] = {
    "input": ("other",),
    "train": ("a",),
    "valid": ("b",),
    "test": ("c",),
    "encoding": "cp1251",
    "errors": "replace",
}
OTHER_VALUES: dict[type[Settings], dict[str, Any]] = {
    CorpusSettings: {
        "source": Text8Settings(),
        "split": "50/50",
        "min_characters": 7,
        "normalize": "nfc",
        "vocab": ByteSettings(),
        "task": ClassifyTaskSettings(),
        "repeats": SEPARATE,
    },
    WikipediaSettings: {
        "language": "ru",
        "wiki": "ruwikisource",
        "date": "20200101",
        "input": ("other.xml",),
        "math": "tex",
        "versions": "all",
        "mirrors": INDEPENDENT,
        "max_characters": 5_000,
        "subset_seed": 1,
        "contact": INDEPENDENT,
    },
    TextSettings: {"input": ("other",), "documents": "line", "encoding": "cp1251", "errors": "replace"},
    HubSettings: {
        "dataset": "owner/name",
        "config": "other",
        "language": "ru",
        "split": "test",
        "column": "review",
        "id_column": "id",
        "title_column": "title",
        "url_column": "url",
        "revision": "main",
        "streaming": False,
        "max_characters": 500,
        "errors": "replace",
        "input": ("other.jsonl",),
        "label_column": "label",
        "tags_column": "tags",
        "target_column": "spoken",
        "valid_split": "validation",
        "test_split": "test",
    },
    Enwik8Settings: {"url": INDEPENDENT, "input": ("other",)},
    Text8Settings: {"url": INDEPENDENT, "input": ("other",)},
    SampleSettings: {},
    MixSettings: {"sources": (TextSettings(input=("other",)), Text8Settings()), "weights": (3.0, 1.0)},
    CharSettings: {"min_count": 2, "max_size": 30, "byte_fallback": False},
    ByteSettings: {},
    WordSettings: {"max_size": 9, "min_count": 3},
    NgramSettings: {"max_size": 9, "min_count": 3, "n": 2, "max_ngrams": 9, "min_ngram_count": 3},
    SentencePieceSettings: {"model_type": "bpe", "vocab_size": 600, "sample_characters": 20_000},
    SymbolsSettings: {"max_size": 9, "min_count": 3, "byte_fallback": False},
    CopiedSettings: {"directory": SEPARATE},
}
"""Settings class -> each of its settings -> another value. A new setting belongs here."""

EXAMPLE_VALUES: dict[type[Settings], dict[str, Any]] = {
    LanguageTaskSettings: {},
    ClassifyTaskSettings: {},
    GenerateTaskSettings: {},
    TagTaskSettings: {"scheme": "segments", "asks": "words"},
    TransduceTaskSettings: {"source_vocab": "byte", "source_normalize": "nfd"},
    TableSettings: {
        **EXAMPLE_FILES,
        "text_column": "other",
        "label_column": "other",
        "label_columns": ("one", "other"),
        "tags_column": "other",
        "target_column": "other",
        "weight_column": "other",
        "header": "yes",
    },
    ClassesSettings: {**EXAMPLE_FILES, "label": "folder", "documents": "block"},
    ConlluSettings: {**EXAMPLE_FILES, "annotation": "xpos", "document_characters": 9},
    AlignedSettings: EXAMPLE_FILES,
    DerivedSettings: {"input": ("other",), "change": "case", "piece_characters": 9},
}
"""The same for the settings of labels, tags and targets."""

FIELDS = [(kind, field) for kind, values in OTHER_VALUES.items() for field in values]


def is_task(kind: type[Settings]) -> bool:
    return kind in settings_classes(TaskSettings)


def settings_below(kind: type[Settings]) -> Iterator[type[Settings]]:
    """The class and all settings classes in the types of its fields."""
    yield kind
    for info in kind.model_fields.values():
        for inner in settings_classes(info.annotation):
            yield from settings_below(inner)


# ---- settings

Base = Callable[[type[Settings]], tuple[CorpusSettings, Corpus]]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A standard library of a few modules in place of the real one, which takes seconds."""
    folder = tmp_path_factory.mktemp("library")
    for name in ("river", "lake", "brook"):
        put(folder, f"{name}.py", f'"""The {name} has {len(name)} letters."""\n'.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlm.text.sources.python_docs.sysconfig", SimpleNamespace(get_path=lambda name: str(folder)))
        yield folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, library: Path) -> Base:
    """Settings in which a class is used, and their corpus."""
    made: dict[type[Settings], tuple[CorpusSettings, Corpus]] = {}

    def find(kind: type[Settings]) -> tuple[CorpusSettings, Corpus]:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind.__name__)
            name = kind.model_fields["type"].default if "type" in kind.model_fields else "text"
            settings = of_source(CASES[name if name in CASES else "text"](folder, "river"))
            if "vocab" in kind.__module__:
                settings = settings.model_copy(update={"vocab": kind()})
            made[kind] = settings, make(settings, folder / "corpus")
        return made[kind]

    return find


@pytest.fixture(scope="module")
def example_base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Settings in which a class of examples is used, and their corpus."""
    made: dict[type[Settings], tuple[CorpusSettings, Corpus]] = {}

    def find(kind: type[Settings]) -> tuple[CorpusSettings, Corpus]:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind.__name__)
            if is_task(kind):
                cases = (case(folder / name, "river") for name, case in EXAMPLE_CASES.items())
                settings = next(each for each in cases if isinstance(each.task, kind))
            else:
                settings = EXAMPLE_CASES[kind.model_fields["type"].default](folder, "river")
            made[kind] = settings, prepare_examples(settings, open_example_source(settings), folder / "corpus")
        return made[kind]

    return find


def changed(settings: CorpusSettings, kind: type[Settings], field: str, value: object) -> CorpusSettings:
    """The settings with another value in one field of the part that has this class."""
    if kind is CorpusSettings:
        return settings.model_copy(update={field: value})
    part = "vocab" if "vocab" in kind.__module__ else "source"
    return settings.model_copy(update={part: getattr(settings, part).model_copy(update={field: value})})


def test_every_setting_of_a_corpus_is_in_the_table() -> None:
    found = {kind: {*kind.model_fields} - {"type"} for kind in settings_below(CorpusSettings)}
    tables = "OTHER_VALUES or EXAMPLE_VALUES in tests/workflows/test_corpus_identity.py"
    assert found == {kind: {*values} for kind, values in (OTHER_VALUES | EXAMPLE_VALUES).items()}, f"complete {tables}"


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind, values in EXAMPLE_VALUES.items() for field in values]
)
def test_a_setting_of_examples_that_is_changed_alone_is_noticed(
    example_base: Base, kind: type[Settings], field: str
) -> None:
    settings, corpus = example_base(kind)
    assert find_prepared_examples(settings, corpus.directory, None) is not None
    part = "task" if is_task(kind) else "source"
    other = getattr(settings, part).model_copy(update={field: EXAMPLE_VALUES[kind][field]})
    with pytest.raises(SettingsError, match=rf"prepared with other settings \(.*\b{field}") as caught:
        find_prepared_examples(settings.model_copy(update={part: other}), corpus.directory, None)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("case", ["table", "classes", "conllu", "table of targets", "aligned"])
def test_examples_that_have_changed_are_named(tmp_path: Path, case: str) -> None:
    settings = EXAMPLE_CASES[case](tmp_path / "files", "river")
    corpus = prepare_examples(settings, open_example_source(settings), tmp_path / "corpus")
    assert find_prepared_examples(settings, corpus.directory, open_example_source(settings)) is not None
    EXAMPLE_CASES[case](tmp_path / "files", "brook")
    with pytest.raises(SettingsError, match="has changed"):
        find_prepared_examples(settings, corpus.directory, open_example_source(settings))


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_a_setting_that_is_changed_alone_is_noticed_or_makes_no_difference(
    base: Base, tmp_path: Path, kind: type[Settings], field: str
) -> None:
    value = OTHER_VALUES[kind][field]
    if value is SEPARATE:
        return
    settings, corpus = base(kind)
    assert find_prepared(settings, corpus.directory) is not None
    if value is INDEPENDENT:
        value = ("https://other.example",) if field == "mirrors" else "https://other.example"
        other = changed(settings, kind, field, value)
        assert find_prepared(other, corpus.directory) is not None
        assert tree(make(other, tmp_path / "corpus").directory) == tree(corpus.directory)
        return
    other = changed(settings, kind, field, value)
    with pytest.raises(SettingsError, match=rf"prepared with other settings \(.*\b{field}") as caught:
        find_prepared(other, corpus.directory)
    assert caught.value.exit_code == 2
    assert "--overwrite" in caught.value.cure


def test_the_mirror_and_the_contact_make_no_difference_to_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees: list[dict[str, bytes]] = []
    with FaultServer() as one, FaultServer() as two:
        for server, contact in ((one, "a@example.org"), (two, "b@example.org")):
            serve_wiki(server, "xxwiki", small_dump("xxwiki"))
            monkeypatch.setenv("CHARLM_CACHE", str(tmp_path / contact))
            source = WikipediaSettings(wiki="xxwiki", mirrors=(server.url(),), contact=contact)
            corpus = make(of_source(source), tmp_path / contact / "corpus")
            found = find_prepared(
                of_source(source.model_copy(update={"mirrors": ("https://other.example",)})), corpus.directory
            )
            assert found is not None
            trees.append(tree(corpus.directory))
    records = [json.loads(files.pop("corpus.json")) for files in trees]
    assert trees[0] == trees[1]
    assert records[0]["origin"].pop("urls") != records[1]["origin"].pop("urls")
    assert records[0] == records[1]


# ---- inputs


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def overwrite(path: Path, content: bytes) -> None:
    """Change the content, and not the time of a file."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def edit(path: Path) -> None:
    """Change some letters of a file of plain text, and neither its size nor its time."""
    overwrite(path, path.read_bytes().replace(b"river", b"brook"))


def edit_case(case: str, folder: Path, path: Path) -> None:
    """Give a file of a case the content that it has with another word, and the same time."""
    other = folder.with_name("other words")
    CASES[case](other, "brook")
    overwrite(path, (other / path.relative_to(folder)).read_bytes())
    shutil.rmtree(other)


@pytest.mark.parametrize("case", GIVEN)
def test_each_file_that_has_changed_is_named(case: str, tmp_path: Path) -> None:
    settings = of_source(CASES[case](tmp_path / "files", "river"))
    corpus = make(settings, tmp_path / "corpus")
    for path in files_below(tmp_path / "files"):
        before = path.read_bytes()
        edit_case(case, tmp_path / "files", path)
        assert f"since {corpus.directory} was prepared ({path.name} has changed)" in refused(settings, corpus)
        path.write_bytes(before)
        assert find_prepared(settings, corpus.directory) is not None, "written again with the same content"


def reads(source: AnySource) -> bool:
    """Whether the source finds its inputs."""
    try:
        list(build_source(source).documents())
    except UsageError:
        return False
    return True


@pytest.mark.parametrize("case", [case for case in GIVEN if case != "mix"])
def test_the_files_of_a_pattern_are_compared(case: str, tmp_path: Path) -> None:
    source = CASES[case](tmp_path / "files", "river")
    first = files_below(tmp_path / "files")[0]
    source = source.model_copy(update={"input": (str(first.parent / f"*{first.suffix}"),)})
    assert reads(source) == source.takes_globs, f"takes_globs of {type(source).__name__} says something else"
    if not source.takes_globs:
        assert find_missing_inputs(source) == [*source.inputs]
        return
    settings = of_source(source)
    corpus = make(settings, tmp_path / "corpus")
    assert find_prepared(settings, corpus.directory) is not None
    new = shutil.copy(first, first.with_stem("new"))
    assert "(new" in refused(settings, corpus)
    Path(new).unlink()
    edit_case(case, tmp_path / "files", first)
    assert f"({first.name} has changed)" in refused(settings, corpus)
    for path in files_below(tmp_path / "files"):
        path.unlink()
    assert find_prepared(settings, corpus.directory) is not None, "nothing matches, and a missing input is no change"
    assert find_missing_inputs(source) == [*source.inputs]


@pytest.mark.parametrize("case", EXAMPLE_CASES)
def test_the_files_of_examples_that_a_pattern_names_are_compared(case: str, tmp_path: Path) -> None:
    settings = EXAMPLE_CASES[case](tmp_path / "files", "river")
    if not settings.source.takes_globs:
        return
    first = files_below(tmp_path / "files")[0]
    pattern = str(first.parent / f"*{first.suffix}")
    settings = settings.model_copy(update={"source": settings.source.model_copy(update={"input": (pattern,)})})
    corpus = prepare_examples(settings, open_example_source(settings), tmp_path / "corpus")
    assert find_prepared_examples(settings, corpus.directory, open_example_source(settings)) is not None
    EXAMPLE_CASES[case](tmp_path / "files", "brook")
    with pytest.raises(SettingsError, match="has changed"):
        find_prepared_examples(settings, corpus.directory, open_example_source(settings))


@pytest.mark.parametrize("case", GIVEN)
def test_another_place_or_time_of_the_same_content_is_no_change(case: str, tmp_path: Path) -> None:
    settings = of_source(CASES[case](tmp_path / "files", "river"))
    corpus = make(settings, tmp_path / "corpus")
    for path in files_below(tmp_path / "files"):
        os.utime(path, (1, 1))
    assert find_prepared(settings, corpus.directory) is not None
    assert find_prepared(of_source(CASES[case](tmp_path / "there", "river")), corpus.directory) is not None
    assert "has changed" in refused(of_source(CASES[case](tmp_path / "others", "brook")), corpus)


@pytest.mark.parametrize("case", GIVEN)
def test_a_missing_input_is_no_change(case: str, tmp_path: Path) -> None:
    settings = of_source(CASES[case](tmp_path / "files", "river"))
    corpus = make(settings, tmp_path / "corpus")
    shutil.rmtree(tmp_path / "files")
    assert find_prepared(settings, corpus.directory) is not None
    assert len(find_missing_inputs(settings.source)) == (2 if case == "mix" else 1)


def test_of_several_inputs_those_that_exist_are_compared(tmp_path: Path) -> None:
    write_files(tmp_path, {f"{folder}/same.txt": f"The text of {folder}. " * 30 for folder in ("a", "b", "c")})
    settings = of_source(TextSettings(input=tuple(str(tmp_path / folder / "same.txt") for folder in ("a", "b", "c"))))
    corpus = make(settings, tmp_path / "corpus")
    (tmp_path / "a" / "same.txt").unlink()
    assert find_prepared(settings, corpus.directory) is not None
    (tmp_path / "c" / "same.txt").write_text("another text", encoding="utf-8")
    assert "same.txt" in refused(settings, corpus)


def test_two_files_of_one_name_that_change_places(tmp_path: Path) -> None:
    one, two = (wikipedia_in(tmp_path / folder, word) for folder, word in (("a", "river"), ("b", "brook")))
    settings = of_source(WikipediaSettings(input=(one, two)))
    corpus = make(settings, tmp_path / "corpus")
    swapped = of_source(WikipediaSettings(input=(two, one)))
    assert "the order of the files has changed" in refused(swapped, corpus)


def wikipedia_in(folder: Path, word: str) -> str:
    source = CASES["wikipedia"](folder, word)
    assert isinstance(source, WikipediaSettings)
    return source.input[0]


def test_files_that_come_and_go_in_a_folder(tmp_path: Path) -> None:
    settings = of_source(CASES["text"](tmp_path / "files", "river"))
    corpus = make(settings, tmp_path / "corpus")
    new = Path(put(tmp_path / "files/novels", "new.txt", b"new"))
    assert "(new.txt is new)" in refused(settings, corpus)
    new.unlink()
    (tmp_path / "files/novels/0.txt").unlink()
    assert "(0.txt is gone)" in refused(settings, corpus)
    for number in range(1, 5):
        edit(tmp_path / f"files/novels/{number}.txt")
    message = "(1.txt has changed, 2.txt has changed, 3.txt has changed, 2 more changes)"
    assert message in refused(settings, corpus)


def test_one_of_many_files_whose_names_are_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlm.text.sources.text_files._MOST_NAMED", 8)
    write_files(tmp_path / "many", {f"{number}.txt": f"text {number} of the river" for number in range(9)})
    settings = of_source(TextSettings(input=(str(tmp_path / "many"),)))
    corpus = make(settings, tmp_path / "corpus")
    assert "files" not in corpus.metadata["origin"]
    assert find_prepared(settings, corpus.directory) is not None
    edit(tmp_path / "many/5.txt")
    assert "(a file of many has changed)" in refused(settings, corpus)


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "json", "csv", "tsv", "arrow"])
def test_rows_of_any_format(tmp_path: Path, suffix: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(word: str) -> None:
        rows = [{"text": f"{word} {number} " * 30} for number in range(20)]
        table = pa.Table.from_pylist(rows)
        path = tmp_path / f"rows.{suffix}"
        if suffix == "parquet":
            pq.write_table(table, path)
        elif suffix == "arrow":
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
                writer.write_table(table)
        elif suffix in ("csv", "tsv"):
            path.write_text("text\n" + "".join(f"{row['text']}\n" for row in rows), encoding="utf-8")
        else:
            lines = [json.dumps(row) for row in rows]
            path.write_text("\n".join(lines) if suffix == "jsonl" else f"[{','.join(lines)}]", encoding="utf-8")

    write("river")
    settings = of_source(HubSettings(input=(str(tmp_path / f"rows.{suffix}"),)))
    corpus = make(settings, tmp_path / "corpus")
    write("river")
    assert find_prepared(settings, corpus.directory) is not None
    write("brook")
    assert f"rows.{suffix} has changed" in refused(settings, corpus)


def test_the_documentation_of_another_python(library: Path, tmp_path: Path) -> None:
    settings = of_source(SampleSettings())
    corpus = make(settings, tmp_path / "corpus")
    assert find_prepared(settings, corpus.directory) is not None
    path = library / "river.py"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"letters", b"symbols"))
    assert "the documentation of this Python has changed" in refused(settings, corpus)
    path.write_bytes(before)


def test_a_url_that_is_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARLM_CACHE", str(tmp_path / "cache"))
    with FaultServer() as server:
        server.files |= {f"/{place}/ltgwiki.xml.bz2": small_dump("ltgwiki") for place in ("old", "new")}
        settings = of_source(WikipediaSettings(input=(server.url("/old/ltgwiki.xml.bz2"),)))
        corpus = make(settings, tmp_path / "corpus")
        asked = len(server.requests)
        assert find_prepared(settings, corpus.directory) is not None
        other = of_source(WikipediaSettings(input=(server.url("/new/ltgwiki.xml.bz2"),)))
        assert "/new/ltgwiki.xml.bz2 is not the file that it was made from" in refused(other, corpus)
        assert len(server.requests) == asked
    path = put(tmp_path, "ltgwiki.xml.bz2", small_dump("ltgwiki"))
    assert find_prepared(of_source(WikipediaSettings(input=(path,))), corpus.directory) is not None, "the same bytes"
    put(tmp_path, "ltgwiki.xml.bz2", small_dump("ltgwiki", seed=1))
    assert "ltgwiki.xml.bz2 has changed" in refused(of_source(WikipediaSettings(input=(path,))), corpus)


def test_standard_input_is_compared_unless_it_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pipe(content: bytes) -> CorpusSettings:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        return of_source(TextSettings(input=("-", put(tmp_path, "novel.txt", b"The lake of it. " * 100))))

    text = b"The river of it. " * 100
    corpus = make(pipe(text), tmp_path / "corpus")
    assert find_prepared(pipe(text), corpus.directory) is not None
    assert "(stdin has changed)" in refused(pipe(text + b"And more."), corpus)
    assert find_prepared(pipe(b""), corpus.directory) is not None
    settings = pipe(b"")
    (tmp_path / "novel.txt").write_bytes(b"another text")
    assert "(novel.txt has changed)" in refused(settings, corpus)


# ---- corpora of older versions


def test_what_an_older_charlm_did_not_record_is_no_change(tmp_path: Path) -> None:
    for case in GIVEN:
        settings = of_source(CASES[case](tmp_path / case, "river"))
        corpus = make(settings, tmp_path / f"{case}-corpus")
        record = corpus.metadata
        for origin in (record["origin"], *record["origin"].get("sources", {}).values()):
            for name in ("fingerprint", "files", "urls", "num_files"):
                origin.pop(name, None)
        record["charlm"] = "0.1.0"
        (corpus.directory / "corpus.json").write_text(json.dumps(record), encoding="utf-8")
        assert find_prepared(settings, corpus.directory) is not None, case


def test_a_corpus_of_charlm_0_1_0(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "data" / "char", tmp_path / "corpus")
    corpus = open_corpus(tmp_path / "corpus")
    write_files(tmp_path / "texts", texts())
    settings = CorpusSettings(source=TextSettings(input=(str(tmp_path / "texts"),)))
    assert find_prepared(settings, corpus.directory) is not None
    (tmp_path / "texts" / "03.txt").write_text("another text", encoding="utf-8")
    assert "(03.txt has changed)" in refused(settings, corpus)
    shutil.rmtree(tmp_path / "texts")
    assert find_prepared(settings, corpus.directory) is not None


# ---- the vocabulary of another corpus


def test_a_copied_vocabulary_is_compared_by_its_content(tmp_path: Path) -> None:
    """The folders have the same name; the vocabularies in two of them are equal."""
    for place, words in (("one", "river "), ("two", "brook "), ("three", "reviver ")):
        build_corpus(tmp_path / place, {"a.txt": words * 50, "b.txt": "river " * (place != "two")})
    source = text_settings(write_files(tmp_path / "files", TINY)).source

    def copied(place: str) -> CorpusSettings:
        vocab = CopiedSettings(directory=str(tmp_path / place / "corpus"))
        return CorpusSettings(source=source, split="80/10/10", vocab=vocab)

    corpus = make(copied("one"), tmp_path / "made")
    assert find_prepared(copied("one"), corpus.directory) is not None
    assert "two/corpus is another one" in refused(copied("two"), corpus)
    shutil.copytree(tmp_path / "one/corpus", tmp_path / "one/step-000000020")
    moved = copied("one").model_copy(
        update={"vocab": CopiedSettings(directory=str(tmp_path / "one" / "step-000000020"))}
    )
    assert find_prepared(moved, corpus.directory) is not None, "the same vocabulary in another folder"
    shutil.rmtree(tmp_path / "one")
    assert find_prepared(copied("one"), corpus.directory) is not None, "it is missing"


# ---- half-prepared corpora


@pytest.mark.parametrize("case", GIVEN)
def test_an_attempt_that_goes_on_after_a_change_mixes_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = of_source(CASES[case](tmp_path / "files", "river"))

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepare_module, "finish_corpus", stop)
        with pytest.raises(KeyboardInterrupt):
            make(settings, tmp_path / "corpus")
    assert (tmp_path / ".corpus.partial" / "staged").is_dir()
    edit_case(case, tmp_path / "files", files_below(tmp_path / "files")[0])
    resumed = make(settings, tmp_path / "corpus")
    assert tree(resumed.directory) == tree(make(settings, tmp_path / "fresh").directory)
    assert find_prepared(settings, resumed.directory) is not None


@pytest.mark.parametrize("case", [case for case in GIVEN if case != "mix"])
def test_a_file_that_changes_while_it_is_read_is_an_error(case: str, tmp_path: Path) -> None:
    settings = CASES[case](tmp_path, "river")
    source = build_source(settings)
    documents = source.documents()
    next(documents)
    os.utime(files_below(tmp_path)[0], (1, 1))
    with pytest.raises(DataError, match="changed while it was read"):
        list(documents)


@pytest.mark.parametrize("case", ["text", "enwik8", "text8", "wikipedia"])
def test_pieces_that_other_code_has_read_are_read_again(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys() -> list[str | None]:
        return [task.key for task in build_source(CASES[case](tmp_path, "river")).tasks()]

    before = keys()
    for module in ("sources.text_files", "sources.published_file"):
        monkeypatch.setattr(f"charlm.text.{module}.code_version", lambda: "other code")
    monkeypatch.setattr("charlm.text.dump.articles.reading_version", lambda: "other code")
    assert not {*before} & {*keys()}


# ---- the command

TEXT = ("prepare", "--workers", "1", "--source", "text", "--input")


def test_the_command_says_what_is_different(commands: Commands, tmp_path: Path) -> None:
    wikipedia_in(tmp_path, "river")
    prepare = ("prepare", "--workers", "1", "--source", "wikipedia", "--input", "ltgwiki.xml")
    commands.succeed(*prepare)
    before = tree(tmp_path / "data/ltgwiki")
    wikipedia_in(tmp_path, "brook")
    error = "charlm: error: the input has changed since data/ltgwiki was prepared (ltgwiki.xml has changed);"
    assert commands.fail(2, *prepare) == f"{error} add --overwrite, or choose another --out"
    assert tree(tmp_path / "data/ltgwiki") == before
    commands.succeed(*prepare, "--overwrite")
    assert "--refresh asks a server, and this text is on this machine" in commands.fail(2, *prepare, "--refresh")
    (tmp_path / "ltgwiki.xml").unlink()
    note = "data/ltgwiki is already prepared\nltgwiki.xml: no longer there, so not compared with the corpus\n"
    assert commands.succeed(*prepare).stderr == note
    assert "there is no file other.xml" in commands.fail(2, *prepare[:-1], "other.xml", "--out", "data/ltgwiki")
    record = json.loads((tmp_path / "data/ltgwiki/corpus.json").read_text(encoding="utf-8"))
    (tmp_path / "data/ltgwiki/corpus.json").write_text(json.dumps(record | {"charlm": "0.0.9"}), encoding="utf-8")
    assert "it was made by charlm 0.0.9" in commands.succeed(*prepare).stderr


def test_the_command_names_a_changed_member_of_a_mixture(commands: Commands, tmp_path: Path) -> None:
    write_files(tmp_path, {"novel.txt": "The river of it. " * 200, "poem.txt": "The lake of it. " * 200})
    sources = "".join(
        f'[[corpus.source.sources]]\ntype = "text"\ninput = ["{name}.txt"]\n' for name in ("novel", "poem")
    )
    (tmp_path / "mix.toml").write_text(f'[corpus.source]\ntype = "mix"\n{sources}', encoding="utf-8")
    commands.succeed("prepare", "--workers", "1", "--config", "mix.toml")
    edit(tmp_path / "novel.txt")
    assert "(novel.txt has changed)" in commands.fail(2, "prepare", "--config", "mix.toml")
    weights = ("--set", "corpus.source.weights=[1,2]")
    assert "source.weights" in commands.fail(2, "prepare", "--config", "mix.toml", *weights)


def test_the_command_compares_the_vocabulary_of_vocab_from(commands: Commands, tmp_path: Path) -> None:
    write_files(tmp_path, {"novel.txt": "The river of it. " * 200, "a.txt": "abc " * 99, "b.txt": "xyz " * 99})
    for name in "ab":
        commands.succeed(
            "prepare", "--workers", "1", "--source", "text", "--input", f"{name}.txt", "--out", f"{name}/words"
        )
    prepare = ("prepare", "--workers", "1", "--source", "text", "--input", "novel.txt", "--vocab-from")
    commands.succeed(*prepare, "a/words")
    commands.succeed(*prepare, "a/words")
    assert "the vocabulary in b/words is another one" in commands.fail(2, *prepare, "b/words")


def test_a_corpus_that_is_damaged_is_an_error_of_the_data(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, TINY)
    path = corpus.directory / "corpus.json"
    for files in (1, [1], [{}], [{"name": 1}]):
        record = json.loads(path.read_text(encoding="utf-8"))
        record["origin"]["files"] = files
        path.write_text(json.dumps(record), encoding="utf-8")
        with pytest.raises(CharlmError, match="is damaged") as caught:
            find_prepared(text_settings(tmp_path / "files"), corpus.directory)
        assert caught.value.exit_code == 3
