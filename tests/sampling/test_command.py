"""`charlm sample`: its options do what they say, together and on a terminal."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from charlm.sampling.detokenizer import DOCUMENT_BREAK
from tests.processes import Channel, Commands, Ended


def texts(commands: Commands, *arguments: str) -> list[str]:
    found = commands.json("sample", *arguments)
    return [each["text"] for each in found.get("texts", [found])]


def test_several_texts(toured: Commands) -> None:
    many = texts(toured, "--count", "4", "--length", "30", "--seed", "5")
    assert len(set(many)) == 4
    assert texts(toured, "--length", "30", "--seed", "5") == many[:1]
    alone = texts(toured, "--count", "4", "--length", "30", "--seed", "5", "--deterministic")
    assert [text[:10] for text in alone] == [text[:10] for text in many]
    shown = toured.succeed("sample", "--count", "2", "--length", "9", "--prompt", "мы ").stdout
    assert re.fullmatch(r"--- 1 of 2\nмы .{9}\n\n--- 2 of 2\nмы .{9}\n", shown, re.DOTALL)


def test_the_best_of_several(toured: Commands) -> None:
    found = toured.json("sample", "--best-of", "6", "--length", "25")
    assert found["text"] in texts(toured, "--count", "6", "--length", "25")
    assert 0 < found["nats_per_character"] < 10
    ended = toured.succeed("sample", "--best-of", "6", "--length", "25")
    assert ended.stdout == found["text"] + "\n"
    assert f"{found['nats_per_character']:.4f} nats per character" in ended.stderr
    beams = toured.json("sample", "--beams", "6", "--length", "25")
    assert beams["nats_per_character"] <= found["nats_per_character"]


def test_constraints(toured: Commands) -> None:
    for seed in range(3):
        more = ("--seed", str(seed), "--length", "40", "--temperature", "2")
        (text,) = texts(toured, "--regex", r"[а-я]{3,9}, (東京|café)!", *more)
        assert re.fullmatch(r"[а-я]{3,9}, (東京|café)!", text)
        (text,) = texts(toured, "--must-contain", "東京", "--must-contain", "ё🙂", *more)
        assert "東京" in text
        assert "ё🙂" in text
        assert set(texts(toured, "--only", "абв🙂", *more)[0]) <= set("абв🙂")
        assert not set(texts(toured, "--never", "оеа \n", *more)[0]) & set("оеа \n")


def test_a_stop(toured: Commands) -> None:
    (whole,) = texts(toured, "--length", "80")
    stop = whole[30:33]
    (text,) = texts(toured, "--length", "80", "--stop", stop, "--stop", "☃")
    assert text == whole[: whole.index(stop)]


def test_novelty(toured: Commands) -> None:
    learned = (toured.folder / "texts" / "00.txt").read_text(encoding="utf-8")[:60]
    found = toured.json("sample", "--novelty", "texts", "--regex", re.escape(learned), "--length", "60")
    assert found["text"] == learned
    assert found["novelty"] == {"longest": learned, "share": 1.0}
    ended = toured.succeed("sample", "--novelty", "", "--length", "200", "--temperature", "5")
    assert re.search(
        r"\d+\.\d% of its 10-grams occur in the training text; the longest passage that does has \d+ characters: ",
        ended.stderr,
    )


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_precisions(toured: Commands, precision: str) -> None:
    assert len(texts(toured, "--precision", precision, "--length", "30")[0]) == 30


CONTRADICTIONS = {
    "count and best": ("--count 2 --best-of 2", "--count and --best-of do not go together"),
    "beams and count": ("--count 2 --beams 2", "--count and --beams do not go together"),
    "regex and text": ("--regex a --must-contain b", "--regex and --must-contain do not go together"),
    "too short": (
        "--must-contain abcdefgh --length 7",
        "no text of --length 7 can match; the shortest match has 8 characters; give --length 8 or more",
    ),
    "no match": (r"--regex [^\s\S]", "no text"),
    "back-reference": (r"--regex (a)\1", "back"),
    "empty stop": ("--stop=", "an empty --stop occurs in every text; give at least one character"),
    "no character left": ("--only abc --never abc", "no character is left"),
    "none at once": ("--only=", "no character is left"),
    "unknown precision": ("--precision int4", "--precision int4 is not known; give one of fp32, bf16, int8"),
    "talk in json": ("--interactive --json", "--interactive works on one text"),
    "talk of many": ("--interactive --count 2", "--interactive works on one text"),
    "no top": ("--top-k 0", "--top-k 0 is out of range; give 1 or more"),
    "too much": ("--top-p 1.5", "--top-p 1.5 is out of range; give a number above 0 and at most 1"),
    "no corpus": ("--novelty elsewhere", "elsewhere"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions(toured: Commands, name: str) -> None:
    arguments, complaint = CONTRADICTIONS[name]
    assert complaint in toured.fail(2, "sample", *arguments.split())


def test_a_top_k_beyond_the_vocabulary_is_all_of_it(toured: Commands) -> None:
    assert texts(toured, "--top-k", "1000000", "--length", "20") == texts(toured, "--length", "20")


def test_a_backward_model_takes_no_constraint(workspace: Commands) -> None:
    workspace.succeed("train", "--config", "tiny", "--set", "model.direction=backward", "--out", "runs/back")
    for option in ("--regex=.*", "--must-contain=а", "--only=аб", "--never=а"):
        assert "a backward model" in workspace.fail(2, "sample", option)
    assert "--beams needs a forward model" in workspace.fail(2, "sample", "--beams", "2")
    assert "backward" in workspace.fail(2, "sample", "--interactive")
    (text,) = texts(workspace, "--length", "40", "--stop", "о")
    assert "о" not in text
    assert len(texts(workspace, "--length", "20", "--count", "3")) == 3


def test_a_backward_model_shows_its_prompt_last(workspace: Commands) -> None:
    workspace.succeed("train", "--config", "tiny", "--set", "model.direction=backward", "--out", "runs/back")
    line = ("sample", "--prompt", "конец", "--length", "9")
    alone = workspace.json(*line)["text"] + "конец\n"
    assert workspace.succeed(*line).stdout == alone
    shown = workspace.succeed(*line, "--count", "2").stdout
    assert re.fullmatch(r"--- 1 of 2\n.{9}конец\n\n--- 2 of 2\n.{9}конец\n", shown, re.DOTALL)
    assert workspace.succeed(*line, "--novelty", "").stdout == alone
    best = workspace.json(*line, "--best-of", "3")["text"]
    assert workspace.succeed(*line, "--best-of", "3").stdout == best + "конец\n"


# ---- a conversation


def talk(commands: Commands, lines: list[str], *arguments: str) -> Ended:
    spoken = "".join(f"{line}\n" for line in lines).encode()
    return commands("sample", "--interactive", "--length", "20", *arguments, stdin=spoken)


def test_a_conversation(toured: Commands, tmp_path: Path) -> None:
    saved = tmp_path / "talk.safetensors"
    lines = [
        *("мы ", "/branch start", "", "/text", "/back", "", "/temperature 0", "", "/go start", "/text"),
        *(
            "/length 5",
            "",
            f"/save {saved}",
            "/go nowhere",
            "/temperature hot",
            "/length x",
            "/length " + "9" * 5000,
            "/nonsense",
            "/branch",
        ),
        *("/back", f"/load {saved}", "/text", "/help", "/quit", "never read"),
    ]
    ended = talk(toured, lines)
    assert ended.code == 0
    shown = ended.stdout
    assert saved.exists()
    first = shown[:20]
    second = shown[21:41]
    assert f"мы {first}{second}" in shown, "the text so far is what was read and written"
    assert shown.count(second) >= 3, "from the same snapshot it writes the same text"
    complaints = [line for line in ended.stderr.splitlines() if ";" in line]
    for complaint in (
        "no branch 'nowhere'",
        "'hot' is not a number",
        "/length 'x' is not a number of characters",
        "no command /nonsense",
        "the name is missing",
    ):
        assert sum(complaint in line for line in complaints) == 1
    assert "Traceback" not in ended.stderr
    assert "/temperature T" in ended.stderr
    again = talk(toured, [f"/load {saved}", "/text"])
    assert again.stdout.rstrip("\n") in shown


def test_greedy_turns_are_the_uninterrupted_text(toured: Commands) -> None:
    greedy = ("--temperature", "0", "--frequency-penalty", "1")
    ended = talk(toured, ["", "", "", "/text"], *greedy, "--prompt", "мы ")
    expected = toured.json("sample", *greedy, "--prompt", "мы ", "--length", "60")["text"]
    assert ended.stdout.endswith(f"мы {expected}\n")
    assert ended.stdout.startswith(f"{expected[:20]}\n{expected[20:40]}\n")


def test_a_conversation_ends_with_its_input(toured: Commands) -> None:
    ended = talk(toured, ["я"], "--prompt", "мы из ")
    assert ended.code == 0
    assert len(ended.stdout.replace(DOCUMENT_BREAK, "")) > 0


# ---- a terminal


@pytest.mark.parametrize(
    "prompt", ["語言模型", "نموذج لغوي", "भाषा का नमूना", "e\u0301a\u0308o\u0302", "👩\u200d👩\u200d👧"], ids=str
)
def test_scripts_on_a_terminal(toured: Commands, prompt: str) -> None:
    """A terminal of 80 columns gets the same text as a pipe; the terminal wraps and shapes it."""
    command = ("sample", "--length", "120", "--prompt", prompt)
    piped = toured.succeed(*command).stdout
    shown = toured(*command, out=Channel(80)).stdout
    assert shown.replace("\r\n", "\n") == piped
    assert shown.startswith(prompt)


def test_options_that_change_nothing_are_noted(toured: Commands) -> None:
    greedy = ("sample", "--length", "9", "--temperature", "0", "--top-p", "0.5", "--seed", "3")
    said = "--temperature 0 takes the most probable token each time: --top-p and --seed have no effect"
    assert toured.succeed(*greedy).stderr == f"{said}\n"
    assert toured.json(*greedy)["notes"] == [said]
    assert toured.json(*greedy, "--count", "2")["notes"] == [f"{said}, and all texts are the same"]
    (note,) = toured.json("sample", "--length", "9", "--top-k", "9999")["notes"]
    assert note.startswith("--top-k 9999 has no effect: the vocabulary has ")
    assert "notes" not in toured.json("sample", "--length", "9", "--top-k", "5")


def test_a_search_has_neither_temperature_nor_seed(toured: Commands) -> None:
    found = toured.json("sample", "--beams", "2", "--length", "9")
    assert (found["temperature"], found["seed"]) == (None, None)
    refused = toured.fail(2, "sample", "--beams", "2", "--top-k", "3", "--seed", "0")
    assert "--top-k and --seed have no effect with --beams" in refused


def test_json_says_what_was_asked(toured: Commands) -> None:
    found: dict[str, Any] = toured.json("sample", "--temperature", "0.5:1.5", "--length", "5", "--seed", "9")
    assert {key: found[key] for key in ("prompt", "temperature", "seed")} == {
        "prompt": "",
        "temperature": "0.5:1.5",
        "seed": 9,
    }
    assert json.dumps(found)
