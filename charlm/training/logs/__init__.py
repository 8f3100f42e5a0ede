"""Logs of a run: updates and scores in; metrics.jsonl, the progress bar, notes and TensorBoard out.

UpdateResult, Score ──> metrics_logger ──┬──> metrics_file        metrics.jsonl, which reports read
                                         ├──> console             a progress bar, or lines in a log file
                                         ├──> duration_note       how long the run will take
                                         └──> tensorboard_writer  an event file
"""
