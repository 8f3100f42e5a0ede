"""A hub on 127.0.0.1: the part of its HTTP interface by which datasets of files, and models, are read.

with HubServer() as hub:
    hub.datasets["owner/name"] = HubDataset(files={"README.md": b"...", "data.parquet": b"..."})
    # HF_ENDPOINT=hub.url() in the environment of a process
"""

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

_API = re.compile(r"/api/(?:datasets|models)/([\w.-]+/[\w.-]+)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?")
_FILE = re.compile(r"(?:/datasets)?/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")


@dataclass
class HubDataset:
    """One repository with a single commit."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    refused: tuple[int, str] | None = None
    """Status and X-Error-Code of every answer."""

    @property
    def commit(self) -> str:
        return hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()

    def entries(self, below: str = "") -> list[dict[str, Any]]:
        found = [
            {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for name, content in self.files.items()
        ]
        folders = {name.rpartition("/")[0] for name in self.files} - {""}
        found += [{"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in folders]
        return [entry for entry in found if not below or str(entry["path"]).startswith(f"{below}/")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: "HubServer"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.owner.requests.append(f"{self.command} {path}")
        found = _API.fullmatch(path) or _FILE.fullmatch(path)
        is_dataset = path.startswith(("/api/datasets/", "/datasets/"))
        dataset = (self.owner.datasets if is_dataset else self.owner.models).get(found[1]) if found else None
        if not found or dataset is None:
            return self._answer(401, b"{}", X_Error_Code="RepoNotFound")
        if dataset.refused:
            return self._answer(dataset.refused[0], b"{}", X_Error_Code=dataset.refused[1])
        if found.re is _FILE:
            return self._file(dataset, found[2], found[3])
        _, kind, revision, below = found.groups()
        if revision not in (None, "main", dataset.commit):
            return self._answer(404, b"{}", X_Error_Code="RevisionNotFound")
        if kind in (None, "revision"):
            return self._json({"_id": "1", "id": found[1], "sha": dataset.commit, "private": False, "tags": []})
        entries = dataset.entries(below or "")
        if kind == "paths-info":
            wanted = json.loads(body)["paths"]
            entries = [entry for entry in dataset.entries() if entry["path"] in wanted]
        return self._json(entries)

    do_HEAD = do_POST = do_GET

    def _file(self, dataset: HubDataset, revision: str, name: str) -> None:
        content = dataset.files.get(name)
        if revision not in ("main", dataset.commit):
            return self._answer(404, X_Error_Code="RevisionNotFound")
        if content is None:
            return self._answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=dataset.commit)
        status, etag = 200, f'"{hashlib.sha1(content).hexdigest()}"'
        if span := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            status, content = 206, content[int(span[1]) : int(span[2] or len(content)) + 1]
        return self._answer(status, content, ETag=etag, X_Repo_Commit=dataset.commit)

    def _json(self, content: object) -> None:
        self._answer(200, json.dumps(content).encode(), Content_Type="application/json")

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        pass


class HubServer:
    def __init__(self) -> None:
        self.datasets: dict[str, HubDataset] = {}
        self.models: dict[str, HubDataset] = {}
        self.requests: list[str] = []
        handler = type("BoundHandler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
