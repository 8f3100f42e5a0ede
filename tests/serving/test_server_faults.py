"""A server whose surroundings fail: killed, its port taken, its run deleted, its disk full."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from tests.processes import Channel, Commands, assert_one_error, until
from tests.serving.live_server import LiveServer, live_server, receive_until

LONG: dict[str, Any] = {"prompt": "A", "max_tokens": 16_000, "stream": True, "ignore_eos": True}
PATH = "/v1/completions"


def test_a_port_in_use_is_one_clear_line(commands: Commands) -> None:
    with live_server(commands, "bundled") as server:
        line = commands.fail(2, "serve", "bundled", "--port", str(server.port))
    assert line == f"charlm: error: --port {server.port} is in use; choose another --port, or --port 0 for any free one"


def test_the_next_server_takes_the_port_of_one_that_was_killed(commands: Commands) -> None:
    with live_server(commands, "bundled") as server, server.connect() as connection:
        connection.sendall(server.request("POST", PATH, LONG))
        receive_until(connection, b"data: ")
        server.process.send(signal.SIGKILL)
        assert server.process.wait().code == -signal.SIGKILL
        with commands.start("serve", "bundled", "--port", str(server.port)) as process:
            until(lambda: "\n" in process.out.text or process.err.text.startswith("charlm: error"))
            assert process.out.text == f"{server.url}\n"
            assert LiveServer(process, server.url).ask("GET", "/health")[0] == 200


class FullDisk(Channel):
    """A file on a disk that is full."""

    def __init__(self) -> None:
        self.writing = os.open("/dev/full", os.O_WRONLY)
        self.content = b""

    def finish(self) -> str:
        return ""

    def close(self) -> None:
        """Whoever starts the process has closed it."""


def test_a_log_on_a_full_disk_does_not_end_the_server(commands: Commands) -> None:
    with commands.start("serve", "bundled", "--port", "0", err=FullDisk()) as process:
        until(lambda: "\n" in process.out.text)
        server = LiveServer(process, process.out.text.strip())
        for _ in range(3):
            assert server.ask("POST", PATH, {"prompt": "a", "max_tokens": 3})[0] == 200
        process.send(signal.SIGINT)
        assert process.wait().code == 130


def test_an_address_that_cannot_be_told_is_one_line(commands: Commands) -> None:
    with commands.start("serve", "bundled", "--port", "0", out=FullDisk()) as process:
        ended = process.wait()
    assert ended.code == 5
    assert_one_error(ended.stderr)
    assert "No space left" in ended.stderr


def test_a_run_may_be_deleted_while_it_is_served(toured: Commands, tmp_path: Path) -> None:
    own = toured.within(shutil.copytree(toured.folder, tmp_path / "folder"))
    with live_server(own, "tiny-texts") as server:
        shutil.rmtree(own.folder)
        status, body = server.ask("POST", PATH, {"prompt": "мы", "max_tokens": 3, "model": "tiny-texts"})
        assert status == 200
        assert json.loads(body)["usage"]["prompt_tokens"] == 2
