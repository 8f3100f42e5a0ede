"""Every way a download may fail: never a bad file, no unnecessary download, and one sentence."""

import hashlib
import json
from pathlib import Path

import pytest

from charlm.errors import CharlmError
from charlm.text.download.retry import RetryPolicy
from charlm.text.download.whole_file import download
from tests.fault_server import FaultServer
from tests.rare_faults import flipped
from tests.text.download.scenarios_of_connections import CONNECTIONS
from tests.text.download.scenarios_of_files import FILES
from tests.text.wikimedia.scenarios import CONTENT, NAME, OTHER, PATH, Scenario

SCENARIOS = (*CONNECTIONS, *FILES)
STALL = 0.3  # seconds


def test_there_are_enough_scenarios() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS) >= 40


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario, tmp_path: Path) -> None:
    waits: list[float] = []
    notes: list[str] = []
    target = tmp_path / NAME
    with FaultServer() as server, FaultServer() as mirror:
        server.files[PATH] = mirror.files[PATH] = scenario.content
        server.script += scenario.script
        mirror.script += scenario.mirror or ()
        urls = [server.url(PATH), *([mirror.url(PATH)] if scenario.mirror is not None else [])]
        if scenario.part is not None:
            (tmp_path / f"{NAME}.part").write_bytes(scenario.part)
            note = {"url": urls[0], "validator": scenario.version}
            (tmp_path / f"{NAME}.part.json").write_text(json.dumps(note))
        error = None
        try:
            download(
                urls, target, size=len(scenario.content) if scenario.size else None, sha1=scenario.hashes["sha1"],
                md5=scenario.hashes["md5"],
                user_agent="charlm/test",
                retry_policy=RetryPolicy(stall_timeout=STALL, sleep=waits.append, notify=notes.append),
            )  # fmt: skip
        except CharlmError as caught:
            error = caught
        left = sorted(path.name for path in tmp_path.iterdir())
        assert len(server.requests) == scenario.requests, (error, notes)
        assert len(mirror.requests) == scenario.mirror_requests
        assert waits == list(scenario.waits)
        num_retries = sum("; trying again in " in note for note in notes)
        assert num_retries == len(waits)
        num_others = sum("; trying " in note for note in notes) - num_retries
        assert num_others == bool(scenario.mirror_requests) + scenario.anew
        server.sent += mirror.sent
        assert server.sent_twice(PATH) <= scenario.twice
        if not scenario.error:
            assert error is None
            assert target.read_bytes() == scenario.content
            assert left == [NAME]
            return
        found = hashlib.new("sha1" if scenario.hashes["sha1"] else "md5", flipped(CONTENT)).hexdigest()
        assert str(error) == scenario.error.format(
            url=server.url(PATH), host=server.host, mirror=mirror.url(PATH), found=found
        )
        assert error is not None
        assert error.exit_code == scenario.code
        if scenario.kept is None:
            assert left == []
        else:
            assert left == [f"{NAME}.part", f"{NAME}.part.json"]
            kept = (tmp_path / f"{NAME}.part").read_bytes()
            assert CONTENT.startswith(kept) or OTHER.startswith(kept)
            assert len(kept) == scenario.kept or scenario.kept < 0
