"""What `network.c` calls as soon as it has the powers of some lanes, so that one thread goes on with them."""

from typing import NamedTuple

from charlm.archives.predictor import UInt32Array


class PowerReader(NamedTuple):
    """A function in C that turns the powers of some lanes into frequencies; see `step` in network.c."""

    function: int
    argument: int
    """The address that it is called with."""
    frequencies_LV: UInt32Array
    """Where it writes."""
