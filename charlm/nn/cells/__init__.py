"""Recurrent cells: the equations of one time step, one file a cell.

    CellSettings ──build.py──> Cell        inputs ──project──> gates ──step, step, ...──> outputs, state

    base.py                                   what every cell has, and the plain unroll that runs it step by step
    a file a cell, such as lstm.py            the cells of the papers; mogrifier.py is a part of an LSTM

A new cell is a file here, a class in settings.py and a name in its union, and a case in build.py. The tests of
tests/nn then run over it. `charlm.nn.fused` says how to make it fast.
"""
