"""`--format stanza` and `--format flair`: these libraries load the files, and their features are charlm's.

B batch, T time, H features.
"""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from charlm.checkpoint import LoadedModel
from charlm.errors import UsageError
from charlm.export.exported_model import ExportedModel
from charlm.export.taggers.flair_file import write_flair
from charlm.export.taggers.stanza_file import write_stanza
from charlm.nn.build import build_model
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate
from charlm.vocab.char import CharVocab
from tests.export.peers import run_peer
from tests.nn.model_cases import CASES, build, model_settings, vocab_of
from tests.processes import Commands

VOCAB = CharVocab("\n abcdefghéж.")
SENTENCES = [["abc", "dé", "."], ["ж"], ["he", "had", "a", "bad", "cab", "."]]
UNKNOWN = [["ab", "☃", "x"]]
PLAIN: dict[str, dict[str, Any]] = {
    "one layer": {},
    "three layers": {"body": {"num_layers": 3}},
    "backward": {"direction": "backward", "body": {"num_layers": 2}},
    "weight norm": {"body": {"norm": "weight"}},
    "tied": {"head": {"type": "softmax", "tied": True}},
    "without bytes": {},
}
TOLERANCE = 1e-5


def exported(case: str) -> ExportedModel:
    torch.manual_seed(1)
    tree = PLAIN[case]
    body = {"hidden_size": 24, "dropout": 0.2, **tree.get("body", {})}
    settings = validate(ModelSettings, Layer({"embedding": {"size": 10}, **tree, "body": body}))
    vocab = CharVocab(VOCAB.characters, byte_fallback=False) if case == "without bytes" else VOCAB
    model = build_model(settings, vocab.size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.4)
    return ExportedModel(case, LoadedModel(model.eval(), settings, vocab, {}, Path()), None)


@torch.no_grad()
def features(model: ExportedModel, text: str) -> Tensor:
    """The features (T, H) of charlm after <eod> and after each character."""
    network, vocab = model.loaded.model, model.loaded.vocab
    inputs = torch.tensor([[vocab.eod_id, *vocab.encode(text).tolist()]])
    return network(inputs, network.initial_state(1))[0][0]


STANZA = """
import json, sys
from stanza.models.common.char_model import CharacterLanguageModel
found = {}
for name in sys.argv[2:]:
    model = CharacterLanguageModel.load(name)
    found[name] = [each.tolist() for each in model.build_char_representation(json.loads(sys.argv[1]))]
print(json.dumps(found))
"""


@pytest.mark.peers
def test_stanza_reads_the_features_of_charlm(tmp_path: Path) -> None:
    found = read_by_peer("stanza", STANZA, write_stanza, [*SENTENCES, *UNKNOWN], tmp_path)
    for case, representations in found.items():
        model, is_forward = exported(case), case != "backward"
        for words, of_words in zip(SENTENCES, representations, strict=False):
            read = words if is_forward else [word[::-1] for word in reversed(words)]
            features_TH = features(model, "\n" + "".join(f"{word} " for word in read))
            ends = torch.tensor([len(word) + 1 for word in read]).cumsum(0) + 1
            expected = features_TH[ends if is_forward else ends.flip(0)]
            torch.testing.assert_close(torch.tensor(of_words), expected, rtol=0, atol=TOLERANCE)
        assert torch.tensor(representations[-1]).isfinite().all()


FLAIR = """
import json, sys, warnings
warnings.simplefilter("ignore")
from flair.data import Sentence
from flair.embeddings import FlairEmbeddings
texts, found = json.loads(sys.argv[1]), {}
for name in sys.argv[2:]:
    embeddings = FlairEmbeddings(name)
    sentence = Sentence(texts[0].split(" "))
    embeddings.embed(sentence)
    found[name] = [embeddings.lm.get_representation([text], "\\n", " ")[:, 0].tolist() for text in texts]
    found[name].append([token.embedding.tolist() for token in sentence])
print(json.dumps(found))
"""


@pytest.mark.peers
def test_flair_reads_the_features_of_charlm(tmp_path: Path) -> None:
    texts = [" ".join(words) for words in (*SENTENCES, *UNKNOWN)]
    found = read_by_peer("flair", FLAIR, write_flair, texts, tmp_path)
    for case, (*known, unknown, tokens) in found.items():
        model, is_forward = exported(case), case != "backward"
        for text, of_text in zip(texts, known, strict=False):
            read = (text if is_forward else text[::-1]) + " "
            torch.testing.assert_close(torch.tensor(of_text), features(model, read), rtol=0, atol=TOLERANCE)
        assert torch.tensor(unknown).isfinite().all()
        ends = (4, 7, 9) if is_forward else (9, 5, 2)  # of "abc dé ." and its reverse, with the space after each
        expected = torch.stack([torch.tensor(known[0])[end] for end in ends])
        torch.testing.assert_close(torch.tensor(tokens), expected, rtol=0, atol=TOLERANCE)


def read_by_peer(name: str, script: str, write: Any, texts: Any, folder: Path) -> dict[str, Any]:
    """Export every case; return what the script prints, by case. Starting a peer takes most of the time."""
    for case in PLAIN:
        with open(folder / case, "wb") as file:
            write(exported(case), file)
    found = json.loads(run_peer(name, script, json.dumps(texts), *PLAIN, folder=folder).splitlines()[-1])
    assert [*found] == [*PLAIN]
    return found


@pytest.mark.parametrize("write", [write_stanza, write_flair])
@pytest.mark.parametrize(
    ("case", "difference"),
    [
        ("gru-1-plain", "has a GRUCell"),
        ("lstm-layer", "has layer normalisation"),
        ("lstm-coupled", "has an LSTM that is coupled"),
        ("lstm-mogrifier", "mogrified 3 times"),
        ("noisy", "has zoneout"),
        ("dense", "has connections around layers"),
        ("dilated", "has dilations or strides"),
        ("window-none", "is a WindowNetwork"),
        ("adaptive", "has an AdaptiveSoftmax"),
        ("token-context", "has a ContextEmbedding"),
        ("contextual", "has a ContextualEmbedding"),
    ],
)
def test_what_is_not_plain_is_refused_by_name(write: Any, case: str, difference: str) -> None:
    assert case in CASES
    loaded = LoadedModel(build(case), model_settings(case), vocab_of(case), {}, Path())
    content = io.BytesIO()
    with pytest.raises(UsageError, match=difference):
        write(ExportedModel(case, loaded, None), content)
    assert content.getvalue() == b""


def test_the_command_writes_files_that_charlm_does_not_read(workspace: Commands) -> None:
    for kind in ("stanza", "flair"):
        ended = workspace.succeed("export", "--format", kind)
        assert ended.stdout == f"tiny-texts-{kind}.pt\n"
        assert "a forward character language model" in ended.stderr
        path = workspace.folder / f"tiny-texts-{kind}.pt"
        assert path.stat().st_size > 10_000
        assert "there is no run" in workspace.fail(2, "sample", path.name)
    state = torch.load(workspace.folder / "tiny-texts-stanza.pt", weights_only=True)
    assert len(state["vocab"]["_id2unit"]) == len(state["state_dict"]["char_emb.weight"])
