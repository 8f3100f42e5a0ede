"""`--format onnx`: one step of a language model, with its state as inputs and outputs.

    LanguageModel ──embeddings, bodies, cells, norms, heads──> Graph ──> ModelProto ──write──> a file

Each module writes the operations of the modules of its name in `charlm.nn`. They are the plain operators of ONNX, and
no operator of ONNX for whole recurrent layers, so dilation, strides, norms and zoneout are what they are in training.
"""
