"""The server as a process: its address, its end, and clients that do not behave."""

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from charlm.checkpoint import ResumeData, save_checkpoint
from charlm.errors import UsageError
from charlm.nn.build import build_model
from charlm.nn.settings import ModelSettings
from charlm.serving.served_models import load_models
from charlm.settings import Layer, validate
from charlm.vocab.char import CharVocab
from tests.processes import Commands, assert_one_error, until
from tests.serving.live_server import LiveServer, live_server, receive_all, receive_until

LONG: dict[str, Any] = {"prompt": "A", "max_tokens": 16_000, "stream": True, "ignore_eos": True}
PATH = "/v1/completions"
POST = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def server(charlm_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One server for tests that leave it as it was."""
    with live_server(Commands(charlm_server, tmp_path_factory.mktemp("server")), "bundled") as server:
        yield server


def write_checkpoint(directory: Path, **settings: Any) -> Path:
    """A checkpoint of an untrained model."""
    vocab = CharVocab("abc")
    chosen = validate(ModelSettings, Layer({"embedding": {"size": 4}, "body": {"hidden_size": 4}, **settings}))
    directory.mkdir(parents=True)
    model = build_model(chosen, vocab.size)
    trained_on = {"corpus": "none", "fingerprint": "none"}
    save_checkpoint(
        directory, model=model, settings=chosen, vocab=vocab, trained_on=trained_on, training=ResumeData({})
    )
    return directory


# ---- models


def test_a_run_is_known_by_its_name(toured: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toured.folder)
    step = sorted((toured.folder / "runs/tiny-texts/checkpoints").iterdir())[-1]
    names = ["tiny-texts", str(step.relative_to(toured.folder)), "bundled"]
    models = load_models(names, None, "cpu").all
    assert [model.id for model in models] == ["tiny-texts", f"tiny-texts:{step.name}", "bundled"]
    assert load_models([None], "last", "cpu").all[0].id == "tiny-texts"
    with pytest.raises(UsageError, match="both have the id tiny-texts"):
        load_models(["tiny-texts", "runs/tiny-texts"], None, "cpu")


def test_a_model_that_writes_backward_is_refused(toured: Commands, tmp_path: Path) -> None:
    backward = write_checkpoint(tmp_path / "backward", direction="backward")
    with pytest.raises(UsageError, match="writes backward"):
        load_models([str(backward)], None, "cpu")
    assert load_models([str(write_checkpoint(tmp_path / "forward"))], None, "cpu").all[0].id == "forward"
    line = toured.fail(2, "serve", str(backward), "--port", "0")
    assert f"{backward} writes backward" in line


# ---- address and end


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_ends_it(commands: Commands, number: int, code: int) -> None:
    with live_server(commands, "bundled") as server:
        assert server.ask("GET", "/health") == (200, '{"status": "ok"}')
        began = time.monotonic()
        server.process.send(number)
        ended = server.process.wait()
        assert ended.code == code
        assert time.monotonic() - began < 3
        assert ended.stdout == f"{server.url}\n"
        assert ended.error.startswith("charlm: error: the server was stopped by ")
        assert "Traceback" not in ended.stderr


def test_a_signal_ends_streams_with_an_error(commands: Commands) -> None:
    with live_server(commands, "bundled") as server, server.connect() as connection:
        connection.sendall(server.request("POST", PATH, LONG))
        receive_until(connection, b"data: ")
        server.process.send(signal.SIGINT)
        assert b'"message": "the server is stopping; try again later"' in receive_all(connection)
        assert server.process.wait().code == 130


def test_a_second_signal_quits_at_once(commands: Commands) -> None:
    with live_server(commands, "bundled") as server, server.connect() as connection:
        connection.sendall(server.request("POST", PATH, None, **{"Content-Length": "99"}))
        receive_until_logged(server, None)
        server.process.send(signal.SIGINT)
        time.sleep(0.3)
        server.process.send(signal.SIGINT)
        assert server.process.wait(timeout=2).code == 130


def receive_until_logged(server: LiveServer, text: str | None) -> None:
    """Wait for a line of the log; without a text, for the server to have answered someone."""
    if text is None:
        server.ask("GET", "/health")
        text = "GET /health 200"
    until(lambda: text in server.log)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--host", "0.0.0.0"), "--host 0.0.0.0 can be reached from other machines"),
        (("--host", "192.0.2.1", "--api-key", "x"), "--host 192.0.2.1 is no address of this machine"),
        (("--host", "no.such.host.invalid", "--api-key", "x"), "--host no.such.host.invalid is no address"),
        (("--allow-origin", "*"), "--allow-origin * is no origin"),
        (("bundled", "--device", "tpu", "--port", "0"), "tpu"),
        (("no-such-run", "--port", "0"), "no-such-run"),
    ],
)
def test_what_cannot_be_served_is_one_line(commands: Commands, arguments: tuple[str, ...], named: str) -> None:
    assert named in commands.fail(2, "serve", *arguments)


def test_a_key_can_come_from_the_environment(commands: Commands) -> None:
    locked = Commands(commands.address, commands.folder, {"CHARLM_API_KEY": "secret"})
    with live_server(locked, "--host", "0.0.0.0") as server:
        assert server.url.startswith("http://0.0.0.0:")
        assert server.ask("GET", "/v1/models")[0] == 401
        assert server.ask("GET", "/v1/models", Authorization="Bearer secret")[0] == 200
        assert "bundled model" in server.log  # there is no run


def test_a_browser_is_opened(commands: Commands, tmp_path: Path) -> None:
    asking = Commands(commands.address, commands.folder, {"BROWSER": f"sh -c 'echo %s > {tmp_path}/opened'"})
    with live_server(asking, "bundled", "--open") as server:
        until(lambda: (tmp_path / "opened").is_file() and (tmp_path / "opened").read_text())
        assert (tmp_path / "opened").read_text().strip() == server.url


# ---- clients


def test_a_client_that_goes_stops_its_text(server: LiveServer) -> None:
    for streamed in (True, False):
        with server.connect() as connection:
            connection.sendall(server.request("POST", PATH, LONG | {"stream": streamed, "max_tokens": 16_001}))
            if streamed:
                receive_until(connection, b"data: ")
            else:
                time.sleep(0.1)
    until(lambda: server.log.count("1+") >= 2)
    lines = [line for line in server.log.splitlines() if " bundled 1+" in line]
    assert all(int(line.partition("1+")[2].split()[0]) < 16_001 for line in lines)
    assert any("(the client has gone)" in line for line in lines)
    assert any(f"{PATH} 499" in line for line in lines)


@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET /" + b"a" * 70_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70_000,
        POST + b"Content-Length: 99999999999\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ],
    ids=lambda content: repr(content[:24]),
)
def test_what_is_no_request_is_refused(server: LiveServer, content: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        answer = receive_all(connection)
    assert answer[:13] in (
        b"",
        b"HTTP/1.1 400 ",
        b"HTTP/1.1 404 ",
        b"HTTP/1.1 413 ",
        b"HTTP/1.1 405 ",
        b"HTTP/1.1 200 ",
    )
    assert server.ask("GET", "/health")[0] == 200
    assert "Traceback" not in server.log


def test_nothing_but_errors_of_the_server_follows_errors_of_the_command(commands: Commands) -> None:
    ended = commands("serve", "bundled", "--host", "0.0.0.0")
    assert_one_error(ended.stderr)
