"""The entry of the table of formats."""

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from charlm.export.base import FileFormat

if TYPE_CHECKING:
    from charlm.export.exported_model import ExportedModel


class OnnxFormat(FileFormat):
    """One file for onnxruntime and other runtimes of ONNX."""

    name = "onnx"
    description = "one step of the network, for ONNX runtimes"
    suffix = ".onnx"
    packages = ("onnx",)

    def write(self, model: "ExportedModel", file: IO[bytes]) -> Sequence[str]:
        from charlm.export.onnx_step.write import write_onnx

        return write_onnx(model, file)
