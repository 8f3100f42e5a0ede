"""The scripts of a page in node: what its model computes, without a browser."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from charlm.export.web_page.scripts import join_modules

_READ = """
const fs = require("node:fs");
const { Model } = modules.model;
const { Tensors, decodeBytes, decompress } = modules.tensors;
const { spec, texts, ids } = JSON.parse(fs.readFileSync(0, "utf-8"));
const load = async (key) => {
  if (!texts[key]) return null;
  const { bytes, index } = spec.sections[key];
  return new Tensors(await decompress(decodeBytes(texts[key], bytes)), index);
};
(async () => {
  const model = new Model(spec, await load("weights"), await load("tables"));
  const logits = new Float32Array(ids.length * spec.vocab_size);
  ids.forEach((id, index) => logits.set(model.step(id), index * spec.vocab_size));
  fs.writeSync(1, Buffer.from(logits.buffer));
})();
"""


class _Scripts(HTMLParser):
    """Collects the scripts with an id."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self._id: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._id = dict(attrs).get("id") if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._id:
            self.texts[self._id] = self.texts.get(self._id, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._id = None


def scripts_of(page: Path) -> dict[str, str]:
    """Return the text of each script with an id."""
    parser = _Scripts()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.texts


def run_in_node(code: str, given: object) -> bytes:
    """Run a script that reads JSON from its standard input, and return its output."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine")
    done = subprocess.run([node, "-e", code], input=json.dumps(given).encode(), capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def logits_in_node(page: Path, ids: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return what the model of a page says after each id, (T, V)."""
    texts = scripts_of(page)
    spec: dict[str, Any] = json.loads(texts.pop("model"))
    given = {"spec": spec, "texts": texts, "ids": list(ids)}
    output = run_in_node(join_modules("model", "tensors") + _READ, given)
    return np.frombuffer(output, dtype=np.float32).reshape(len(ids), -1)
