"""An ONNX graph that grows operation by operation. A tensor in it is its name.

    graph.constant(weight_VD) ──> "t1"     graph.op("Gather", "t1", "token") ──> "t2"     graph.linear("t2", W) ──> "t3"

B batch.
"""

from typing import Any

import onnx  # pyright: ignore[reportMissingImports] - an extra
import torch
from onnx import helper, numpy_helper  # pyright: ignore[reportMissingImports]
from torch import Tensor

OPSET = 18
"""The version of ONNX's operators: the first with bitwise operations on integers."""
IR_VERSION = 8
"""The version of the file format that goes with it; runtimes refuse a newer one than they know."""
_DTYPES = {torch.float32: onnx.TensorProto.FLOAT, torch.int64: onnx.TensorProto.INT64}

Name = str
"""A tensor of the graph."""
State = tuple[Name, ...]


class Graph:
    """Nodes and constants of one step."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._num_names = 0
        self._numbers: dict[tuple[Any, torch.dtype], Name] = {}
        self._tensors: dict[tuple[int, torch.Size], tuple[Tensor, Name]] = {}

    def input(self, name: Name, like: Tensor) -> Name:
        """Declare an input of the graph, of the type and shape of a tensor with any number of rows."""
        self._inputs.append(_value_info(name, like))
        return name

    def output(self, tensor: Name, name: Name, like: Tensor) -> None:
        """Declare that a tensor is an output of the graph."""
        self._nodes.append(helper.make_node("Identity", [tensor], [name]))
        self._outputs.append(_value_info(name, like))

    def constant(self, tensor: Tensor) -> Name:
        """Return a constant; the same one for the same tensor, such as the vectors of a tied head."""
        key = (tensor.data_ptr(), tensor.shape)
        if key not in self._tensors:
            name = self._new_name()
            array = tensor.detach().cpu().contiguous().numpy()
            self._constants.append(numpy_helper.from_array(array, name))
            self._tensors[key] = tensor, name  # the tensor is kept, so that no other one gets its place in memory
        return self._tensors[key][1]

    def number(self, value: float, dtype: torch.dtype = torch.int64) -> Name:
        """Return a scalar."""
        if (value, dtype) not in self._numbers:
            self._numbers[value, dtype] = self.constant(torch.tensor(value, dtype=dtype))
        return self._numbers[value, dtype]

    def shape(self, *sizes: int) -> Name:
        """Return a vector of integers, as axes, shapes and bounds of slices are given."""
        key = (sizes, torch.int64)
        if key not in self._numbers:
            self._numbers[key] = self.constant(torch.tensor(sizes, dtype=torch.int64))
        return self._numbers[key]

    def op(self, kind: str, *inputs: Name, **attributes: Any) -> Name:
        """Add an operation with one output, and return that."""
        name = self._new_name()
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def split(self, tensor: Name, sizes: list[int]) -> list[Name]:
        """Cut a tensor along axis 1."""
        names = [self._new_name() for _ in sizes]
        self._nodes.append(helper.make_node("Split", [tensor, self.shape(*sizes)], names, axis=1))
        return names

    def linear(self, x_BK: Name, weight_GK: Tensor, bias_G: Tensor | None = None) -> Name:
        """Return x W^T + b."""
        terms = [x_BK, self.constant(weight_GK)] + ([] if bias_G is None else [self.constant(bias_G)])
        return self.op("Gemm", *terms, transB=1)

    def cast(self, tensor: Name, dtype: torch.dtype) -> Name:
        return self.op("Cast", tensor, to=_DTYPES[dtype])

    def unsqueeze(self, tensor: Name, axis: int) -> Name:
        return self.op("Unsqueeze", tensor, self.shape(axis))

    def slice(self, tensor: Name, start: int, end: int, axis: int) -> Name:
        bounds = (self.shape(each) for each in (start, end, axis))
        return self.op("Slice", tensor, *bounds)

    def concat(self, tensors: list[Name], axis: int) -> Name:
        return tensors[0] if len(tensors) == 1 else self.op("Concat", *tensors, axis=axis)

    def to_model(self, name: str, description: str, metadata: dict[str, str]) -> onnx.ModelProto:
        """Return the finished model, checked by ONNX."""
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._constants)
        model = helper.make_model(
            graph,
            producer_name="charlm",
            doc_string=description,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model)
        return model

    def _new_name(self) -> Name:
        self._num_names += 1
        return f"t{self._num_names}"


def _value_info(name: Name, like: Tensor) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _DTYPES[like.dtype], ["B", *like.shape[1:]])
