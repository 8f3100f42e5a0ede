"""The command line, one file a command: parse the options, call one workflow, print what it returns.

    argv ──cli──> commands/NAME.py ──names, settings──> workflows/ ──result──> stdout: text, or one JSON object

options      options that several commands share, and checks of paths before the work begins
command_line how Typer reads a command line
table        the table of `baseline` and `compare`
drawn_texts  the texts of `sample`, if there are several or something is measured of them
completion   what a shell offers for a value
conversation the prompt loop of `sample --interactive`

A new command is one file here and two lines in `cli.py`. Heavy imports stay inside the functions, so that `--help`
answers at once.
"""
