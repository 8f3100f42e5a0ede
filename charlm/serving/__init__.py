"""Models behind HTTP: completions, models and tokens as OpenAI's client and lm-evaluation-harness read them.

    request ──request_log──access──> application, service ──json_body──> completion_request ──writing_tasks──> tasks
                                                                                                                 │
    JSON, or server-sent events <──completion_json── completions <──text_events── engine (a thread for the models)

`batching/` is how the engine writes the texts of all requests side by side. `api_error` is what a client is told
instead, `limits` and `admission` how much clients may ask for. `address` binds the socket, and `server` owns its life
and its end. Everything from `completion_request` to `completion_json` knows no HTTP.
`text_starts` is the state in which a text begins, and `predictions` what models of labels, tags and texts predict.

`page_files` has the page at `/`, whose files are in the folder `page`; it asks the same API, and `distributions`.
"""
