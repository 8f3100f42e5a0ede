"""Models on the Hugging Face hub, as runs: `charlm sample hub:USER/NAME`.

    hub:USER/NAME@REVISION ──address──> HubAddress ──download──> a checkpoint in the cache, verified by its manifest

`charlm export --format hub` writes the directory that is uploaded there. Only files with the names in `model_files` are
downloaded, and none of them is a pickle.
"""
