"""The C code of charlm compiles where there is a compiler. Other tests of it are skipped where it does not."""

import os
import shutil
from collections.abc import Callable

import pytest

from charlm.archives.integer_model.compiled import load_network_library
from charlm.archives.integer_model.compiled_counts import load_counts_library
from charlm.archives.range_coder import load_coder_library
from charlm.nn.fused.compiled import load_compiled_library

has_compiler = any(map(shutil.which, ("cc", "gcc", "clang"))) and os.environ.get("CHARLM_COMPILE") != "0"


@pytest.mark.skipif(not has_compiler, reason="no C compiler here")
@pytest.mark.parametrize("load", [load_compiled_library, load_network_library, load_counts_library, load_coder_library])
def test_it_compiles(load: Callable[[], object]) -> None:
    assert load() is not None
