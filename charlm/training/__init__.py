"""Training: a prepared corpus and settings in, a run directory with checkpoints and metrics out.

    corpus ──> Batches ──> ModelUpdater ──> weights ──> Validator ──> score, sample
                                               └─────> CheckpointWriter ──> checkpoints/, best.json, last.json

trainer            the loop: update, log, validate, save     resume               new runs and resumed ones
model_updater      one update of the weights                 checkpoint_writer    saving, and retries on a full disk
objective          the loss as a module                      run_directory        which files a run has
validator          one validation                            trainer_state        what a checkpoint says of the run
run_progress       budgets: how far, and why it ended        validation_history   early stopping and plateaus
norm_statistics    batch norms of averaged weights           distributed          one process, or those of torchrun
optim/             optimizers, schedules, averages           stop_signal          SIGINT and SIGTERM
logs/              metrics.jsonl, progress bar, TensorBoard  settings             the settings, torch-free
"""
