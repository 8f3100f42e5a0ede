"""Documents of a source -> a prepared corpus -> batches.

    Source ──staging, row_builder──> staged shards ──selection──> kept documents ──DocumentWriter──> documents/*.parquet
    documents/*.parquet ──encoding──> vocab.json, SPLIT.npy, SPLIT.documents.npy ──Corpus──> TokenStream ──> Batches

`settings` describes a corpus, `documents` and `store` define its files (`array_files` writes and maps their arrays),
`corpus` opens and checks it, `batches` cuts a token stream for training (`spans` lets a run change its number of rows).
`worker_processes` and `dask_cluster` run tasks in parallel. `vocabulary_report` measures how a vocabulary fits a
corpus. `charlm.workflows.prepare` calls these in their order.
"""
