"""A certificate that the fault server can show; tests are skipped, with a reason, where nothing makes one."""

import shutil
import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, and its key, in one file."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("no openssl command to make a certificate with")
    path = folder / "certificate.pem"
    made = subprocess.run(
        [
            *(openssl, *"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1".split()),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key.pem"), "-out", str(path)),
        ],
        capture_output=True,
        text=True,
    )
    if made.returncode != 0:
        pytest.skip(f"openssl makes no certificate: {made.stderr[-200:]}")
    path.write_text(path.read_text() + (folder / "key.pem").read_text())
    return path
