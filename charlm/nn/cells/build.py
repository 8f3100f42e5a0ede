"""Settings -> a cell."""

from typing import assert_never

from charlm.nn.cells.base import Cell, CellOptions
from charlm.nn.cells.gru import GRUCell
from charlm.nn.cells.lstm import LSTMCell
from charlm.nn.cells.mingru import MinGRUCell
from charlm.nn.cells.rnn import RNNCell
from charlm.nn.cells.settings import CellSettings, GRUSettings, LSTMSettings, MinGRUSettings, RNNSettings


def build_cell(settings: CellSettings, input_size: int, hidden_size: int, options: CellOptions) -> Cell:
    sizes = input_size, hidden_size, options
    match settings:
        case RNNSettings():
            return RNNCell(*sizes, activation=settings.activation)
        case LSTMSettings(forget_bias=forget_bias, coupled=coupled, mogrifier_rounds=rounds):
            return LSTMCell(*sizes, forget_bias=forget_bias, coupled=coupled, mogrifier_rounds=rounds)
        case GRUSettings():
            return GRUCell(*sizes, reset=settings.reset)
        case MinGRUSettings(activation=activation, forget_bias=forget_bias):
            return MinGRUCell(*sizes, activation=activation, forget_bias=forget_bias)
        case _:
            assert_never(settings)
