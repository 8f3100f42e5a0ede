"""Every file comes back by every kind of network: real files, random text, random bytes."""

import random
from pathlib import Path

import pytest

from charlm.archives.model import CompressionModel
from tests.archives.archives import pack, unpack
from tests.archives.trained_networks import NETWORKS, open_network, train_networks
from tests.processes import Commands

WHOLE_BYTES = 100_000
"""A longer file of the shared data is cut to `BEGINNING_BYTES`."""
BEGINNING_BYTES = 65_536
NUM_STRINGS = 2000
MAX_GROWTH = 1.001
"""Of random bytes, beside `HEADER_BYTES`."""
HEADER_BYTES = 64


@pytest.fixture(scope="module")
def trained(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each network."""
    commands = Commands(charlm_server, tmp_path_factory.mktemp("networks"))
    train_networks(commands)
    return commands.folder


@pytest.fixture(params=NETWORKS, scope="module")
def model(trained: Path, request: pytest.FixtureRequest) -> CompressionModel:
    return open_network(trained, request.param)


def random_string(number: int) -> bytes:
    """Any characters of Unicode, of one range, or any bytes, up to 40 of them; the same for each number."""
    chosen = random.Random(number)
    length = chosen.randrange(40)
    if number % 3 == 0:
        return chosen.randbytes(length)
    top = 0x110000 if number % 3 == 1 else chosen.choice((0x80, 0x500, 0x3000, 0x10000))
    characters = (chosen.randrange(top) for _ in range(length))
    return "".join(chr(each) for each in characters if not 0xD800 <= each < 0xE000).encode()


def assert_comes_back(content: bytes, model: CompressionModel) -> bytes:
    archive = pack(content, model)
    assert unpack(archive, model) == content
    return archive


@pytest.mark.parametrize("number", range(30))
def test_random_strings(model: CompressionModel, number: int) -> None:
    assert_comes_back(random_string(number), model)


def test_text_of_the_corpus_becomes_shorter(model: CompressionModel, trained: Path) -> None:
    content = (trained / "texts/00.txt").read_bytes()[:6000]
    assert len(assert_comes_back(content, model)) < len(content) / 2


@pytest.mark.parametrize("num_bytes", [0, 1, 3000])
def test_random_bytes_hardly_grow(model: CompressionModel, num_bytes: int) -> None:
    content = random.Random(1).randbytes(num_bytes)
    assert len(assert_comes_back(content, model)) <= MAX_GROWTH * num_bytes + HEADER_BYTES


@pytest.mark.faults
def test_many_random_strings(model: CompressionModel) -> None:
    for number in range(NUM_STRINGS):
        assert_comes_back(random_string(number), model)


@pytest.mark.faults
def test_many_random_bytes_hardly_grow(model: CompressionModel) -> None:
    content = random.Random(2).randbytes(WHOLE_BYTES)
    assert len(assert_comes_back(content, model)) <= MAX_GROWTH * len(content)


@pytest.mark.faults
@pytest.mark.real_data
def test_real_files(model: CompressionModel, shared_data: Path) -> None:
    """All short files of the shared data, and the beginnings of the long ones."""
    paths = sorted(path for path in shared_data.rglob("*") if path.is_file())
    assert len(paths) > 100
    for path in paths:
        with open(path, "rb") as file:
            content = file.read(WHOLE_BYTES + 1)
        content = content if len(content) <= WHOLE_BYTES else content[:BEGINNING_BYTES]
        archive = assert_comes_back(content, model)
        assert len(archive) <= MAX_GROWTH * len(content) + HEADER_BYTES, path
