"""What decides the last bits of a result: the processor and the build of torch."""

from pathlib import Path

import torch


def describe_machine() -> dict[str, str]:
    """Results of two machines with equal descriptions are expected to be equal to the bit."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    cpu = " ".join(found.get(key, "").strip() for key in found if key.strip() in ("model name", "cpu family", "model"))
    return {"cpu": cpu, "capability": torch.backends.cpu.get_cpu_capability(), "torch": torch.__version__}
