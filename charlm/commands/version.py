"""`charlm --version`: what somebody who is to help needs to know of an installation."""

import platform
from collections.abc import Iterator

from charlm import formats, terminal
from charlm.version import __version__


def describe_installation() -> Iterator[str]:
    """Lines: charlm, Python, torch and what it computes on, the formats that are written."""
    yield f"charlm {__version__}"
    yield f"Python {platform.python_version()}"
    try:
        yield from list(_torch())
    except Exception as error:  # noqa: BLE001 - a torch that is missing or broken may raise anything, and is told
        yield terminal.printable(f"torch does not work: {type(error).__name__}: {' '.join(str(error).split())}")
    yield f"corpus format {formats.CORPUS}"
    yield f"vocabulary format {formats.VOCABULARY}"
    yield f"checkpoint format {formats.CHECKPOINT}"
    yield f"conversation format {formats.CONVERSATION}"


def _torch() -> Iterator[str]:
    """Its build, and the device and precision that `auto` takes."""
    import torch

    from charlm.device import choose_device, resolve_precision

    toolkits = {"CUDA": torch.version.cuda, "ROCm": getattr(torch.version, "hip", None)}
    built = [f"{name} {version}" for name, version in toolkits.items() if version]
    built += ["MPS"] if torch.backends.mps.is_built() else []
    yield f"torch {torch.__version__}, built for {' and '.join(built) or 'CPUs alone'}"
    device = choose_device("auto")
    name = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    yield f"device {device.type}{name}, precision {resolve_precision('auto', device)}"
