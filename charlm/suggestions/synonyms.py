"""What other programs call charlm's commands, options and settings. They are never accepted: an error that meets one
names charlm's word."""

from collections.abc import Mapping

COMMANDS = {
    "prepare": "download fetch preprocess tokenize tokenise tokenizer build data dataset corpus clean extract",
    "train": "fit learn run pretrain resume continue",
    "train --init-from RUN": "finetune tuning adapt",
    "eval": "test score perplexity ppl validate valid bpc loss measure",
    "sample": "generate gen write predict complete infer inference decode",
    "export": "convert deploy publish push upload onnx html",
    "sample --interactive": "chat talk interactive repl",
    "explain": "visualize visualise heatmap surprisal highlight",
    "inspect": "info show summary describe stats view cat",
    "runs": "list ls status models",
    "report": "plot plots curves graph draw",
    "compare": "diff table",
    "demo": "start init quickstart example tutorial",
    "--help": "help man usage",
    "--version": "version",
}
"""A command, or a command with an option -> other words for it."""

OPTIONS = {
    # options
    "device cuda": "gpu gpus cuda usegpu usecuda ngpus",
    "device cpu": "cpu nocuda nogpu cpuonly",
    "device mps": "mps metal",
    "language": "lang l locale",
    "date": "dumpdate version",
    "vocab": "tokenizer tokenization tokenisation level tokens",
    "data": "corpus dataset datadir dir trainingdata",
    "config": "c cfg conf configfile model preset",
    "input": "i file files path sourcefile infile url text",
    "max_characters": "limit maxchars maxdocs subset samplesize maxcharacter numcharacters",
    "workers": "jobs j threads numworkers processes njobs cores",
    "out": "o output outdir outputdir save saveto html outfile name",
    "overwrite": "force f replace",
    "licence": "license",
    "format": "kind type target to",
    "resume auto": "continue restart",
    "init_from": "pretrained finetune init from weights checkpoint",
    "yes": "y assumeyes noconfirm",
    "debug": "v verbose trace traceback",
    "temperature": "temp t temps",
    "length": "maxtokens maxlength maxnewtokens numtokens len l nchars chars tokens size characters",
    "count": "n numsamples samples numreturnsequences number num ntexts batchsize",
    "prompt": "start prime primer seedtext prefix text startwith context p",
    "streams": "batchsize batch lanes",
    "run": "run model modelpath path name r",
    "runs": "run model modelpath path name r",
    "beams": "numbeams beamsize beamwidth",
    "stop": "eos stopsequence until",
    "json": "jsonoutput format",
    "version": "V",
    # settings
    "lr": "learningrate alpha eta",
    "max_epochs": "epochs epoch numepochs nepochs e maxepoch",
    "max_steps": "steps iterations iters maxiters numsteps niter",
    "max_minutes": "minutes time timelimit maxtime",
    "batch_size": "bs batch b",
    "hidden_size": "hidden hiddendim units rnnsize hiddenunits width nhidden nhid",
    "num_layers": "layers nlayers numlayer depth",
    "num_heads": "heads nheads numhead",
    "seq_len": "sequencelength seqlength context contextlength blocksize bptt unroll",
    "clip_norm": "clip gradclip gradientclip maxgradnorm clipping",
    "optimizer": "opt optim optimiser",
    "schedule": "scheduler lrscheduler lrschedule decay",
    "warmup_steps": "warmup",
    "cell": "rnntype celltype arch architecture rnn",
    "precision": "fp16 amp bf16 half dtype",
    "encoding": "charset",
}
"""An option (with a value if the word stands for one), a setting or an argument -> normalized words for it."""


def normalize(word: str) -> str:
    """Drop dashes and underscores and lower the case (a single letter keeps it)."""
    bare = word.strip("-").replace("-", "").replace("_", "")
    return bare if len(bare) == 1 else bare.lower()


def find_synonyms(word: str, table: Mapping[str, str]) -> list[str]:
    """Return all meanings of a word, in the order of the table."""
    asked = normalize(word)
    return [meaning for meaning, words in table.items() if asked in words.split()]
