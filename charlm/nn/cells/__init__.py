"""Recurrent cells: the equations of one time step, one file a cell.

    CellSettings ──build.py──> Cell        inputs ──project──> gates ──step, step, ...──> outputs, state

    base.py     what every cell has, and the plain unroll that runs it step by step
    rnn.py, lstm.py, gru.py, mogrifier.py     the cells of the papers

A new cell is a file here, a class in settings.py and a name in its union, and a case in build.py. The tests of
tests/nn then run over it. `charlm.nn.fused` says how to make it fast.
"""
