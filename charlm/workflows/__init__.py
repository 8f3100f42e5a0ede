"""What each command does, as functions: from names and settings to a result that can be printed.

prepare   prepare_corpus ──> acquire (download) ──> prepare ──┐
          reencode (--data) ──────────────────────────────────┴──> corpus_directory ──> data/NAME
train     plan_training ──> describe_training, estimate_training (--dry-run), or train ──> runs/NAME
eval      load_run ──> evaluate, with tune's settings and mix_ngrams          compare   compare, with training_cost
labels    load_run ──> evaluate_labels, predict, compare_labels, baselines_of_labels
sample    load_run ──> sample         explain   explain                       demo      all of these in turn
inspect   inspect_path                progress  the bars of all that takes a while, but training
"""
