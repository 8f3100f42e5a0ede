"""`charlm runs`: list the runs."""

import time

from charlm import terminal
from charlm.commands.options import JsonOption


def runs(as_json: JsonOption = False) -> None:
    """List the runs in ./runs: state, best score on the validation text, size, age."""
    from charlm import workspace
    from charlm.report.listing import format_runs, runs_as_json
    from charlm.report.run_summary import list_runs

    found = list_runs(workspace.RUNS)
    if as_json:
        terminal.print_json({"runs": runs_as_json(found, time.time())})
    elif found:
        print("\n".join(map(terminal.printable, format_runs(found, time.time()))))
    else:
        terminal.note(f"there are no runs in {workspace.RUNS}; make one with `charlm train`")
