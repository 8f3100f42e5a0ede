"""configs/bundled.toml ──prepare, train──> runs/bundled-training ──round──> charlm/bundled ──eval──> its card"""

import json
import platform
import subprocess
import sys
from pathlib import Path

import torch

from charlm.checkpoint import load_model, save_fp16
from charlm.training.run_directory import find_checkpoint

ROOT = Path(__file__).parents[1]
DATA, RUN, BUNDLED = "data/bundled", "runs/bundled-training", ROOT / "charlm" / "bundled"
LICENCE = "the text it learned from is Python's documentation: PSF License Version 2; the weights: MIT, as charlm"
LARGEST = 2_000_000  # bytes

CARD = """\
# The bundled model

`charlm sample` uses it until there is a run. Its name is `bundled`: `charlm eval bundled --text FILE`, `charlm explain
bundled TEXT`, `charlm.load("bundled")`.

- **Text**: the documentation in Python {python} (`pydoc_data.topics`), each paragraph once: {train:,} characters of
  training text, in English, with some code. It knows nothing else.
- **Network**: {network}; {parameters:,} parameters in fp16,
  {bytes:,} bytes with the vocabulary.
- **Recipe**: `configs/bundled.toml`, run by `scripts/bundle`; {epochs:.1f} epochs.
- **Scores** of these weights on held-out text: validation {valid:.3f} bits per character, test {test:.3f}
  ({low:.3f} to {high:.3f}). The text is small and repetitive: compare the scores only with baselines on this text.
- **Licence**: {licence}.
"""


def main() -> None:
    charlm("prepare", "--config", "bundled", "--out", DATA)
    charlm("train", "--config", "bundled", "--data", DATA, "--out", RUN)
    loaded = load_model(find_checkpoint(Path(RUN)), torch.device("cpu"))
    save_fp16(BUNDLED, loaded, {"licence": LICENCE})
    test, valid = (charlm_json("eval", "bundled", "--data", DATA, "--split", split) for split in ("test", "valid"))
    last = json.loads((Path(RUN) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-2])
    body, embedding = loaded.settings.body, loaded.settings.embedding
    size = sum(path.stat().st_size for path in BUNDLED.iterdir())
    if size > LARGEST:
        sys.exit(f"scripts/bundle: {size:,} bytes are too many; reduce the network in configs/bundled.toml")
    lengths = ", ".join(map(str, embedding.context_ngrams))
    card = CARD.format(
        python=platform.python_version(),
        train=json.loads((Path(DATA) / "corpus.json").read_text(encoding="utf-8"))["splits"]["train"]["characters"],
        network=f"an LSTM of {body.hidden_size} with layer norm, and n-grams of {lengths} as context",
        parameters=loaded.model.num_parameters,
        bytes=size,
        epochs=last.get("epoch", 0),
        valid=valid["bits_per_character"],
        test=test["bits_per_character"],
        low=test["interval"][0],
        high=test["interval"][1],
        licence=LICENCE,
    )
    (BUNDLED / "CARD.md").write_text(card, encoding="utf-8")


def charlm(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "charlm", *arguments], check=True)


def charlm_json(*arguments: str) -> dict[str, object]:
    command = [sys.executable, "-m", "charlm", *arguments, "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


if __name__ == "__main__":
    main()
