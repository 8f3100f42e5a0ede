// The server's API, as the page uses it. A passage is a list of tokens: { id, logp, alternatives: [[id, logp], ...] }.
// A model is told as { model, label }: its id, and the labels that it writes for, if it does.
//
// Every prompt is sent as ids that begin with <eod>. So the first token of a text has a probability too, and a text
// goes on from exactly the tokens that the page shows.

import { readEvents } from "./event_stream.js";
import { Vocabulary } from "./vocabulary.js";

const MAX_ALTERNATIVES = 20;
const MAX_ENTRIES = 300_000; // of an answer of the server
const ID = /^token_id:(\d+)$/;

export class Api {
  // askForKey(isWrong): resolves to the key that the reader gives. The key stays in this object alone.
  constructor({ needsKey, askForKey }) {
    this._needsKey = needsKey;
    this._askForKey = askForKey;
    this._key = null;
    this._answers = new Map(); // of what does not change
  }

  // { id, kind } of each: language, classify, tag, generate or transduce.
  async models() {
    return (await this._json("v1/models")).data;
  }

  // The labels or tags of a model: { labels, columns }.
  labels(id) {
    return this._once(`labels?model=${encodeURIComponent(id)}`, (content) => content);
  }

  // What a model predicts of a text, as `charlm predict --format jsonl`.
  async predict(id, text, fields, signal) {
    return (await this._json("predict", { model: id, text, ...fields }, signal)).predictions[0];
  }

  vocabulary({ model }) {
    return this._once(`vocabulary?model=${encodeURIComponent(model)}`, (content) => new Vocabulary(content));
  }

  // The tokens of a text with their probabilities.
  async score(model, text, signal) {
    if (text === "") return [];
    const { eod } = await this.vocabulary(model);
    const { tokens } = await this._json("tokenize", { model: model.model, prompt: text }, signal);
    const fields = { echo: true, max_tokens: 0, logprobs: countAlternatives(tokens.length + 1) };
    const answer = await this._json("v1/completions", completion(model, [eod, ...tokens], fields), signal);
    return readTokens(answer.choices[0]).slice(1);
  }

  // The log-probability of every token after `ids`: { ids, logprobs }, the likeliest first.
  async distribution(model, ids, signal) {
    const { eod } = await this.vocabulary(model);
    return this._json("distribution", { ...model, prompt: [eod, ...ids] }, signal);
  }

  // Text that goes on from `ids`; onTokens gets the new tokens as they come.
  async write(model, ids, settings, onTokens, signal) {
    const { eod } = await this.vocabulary(model);
    const fields = { ...settings, stream: true, logprobs: countAlternatives(settings.max_tokens) };
    const response = await this._fetch("v1/completions", completion(model, [eod, ...ids], fields), signal);
    for await (const event of readEvents(response)) {
      if (event.error) throw new Error(event.error.message);
      for (const choice of event.choices) onTokens(readTokens(choice));
    }
  }

  // Asks once, unless it fails.
  _once(path, convert) {
    if (!this._answers.has(path)) {
      const found = this._json(path).then(convert);
      found.catch(() => this._answers.delete(path));
      this._answers.set(path, found);
    }
    return this._answers.get(path);
  }

  async _json(path, content, signal) {
    return (await this._fetch(path, content, signal)).json();
  }

  async _fetch(path, content, signal) {
    if (this._needsKey && this._key === null) this._key = await this._askForKey(false);
    for (;;) {
      const response = await fetchOrExplain(path, this._request(content, signal));
      if (response.ok) return response;
      if (response.status !== 401) throw new Error(await messageOf(response));
      this._key = await this._askForKey(true);
    }
  }

  _request(content, signal) {
    const headers = this._key === null ? {} : { Authorization: `Bearer ${this._key}` };
    if (content === undefined) return { headers, signal };
    return {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body: JSON.stringify(content),
      signal,
    };
  }
}

const completion = (model, prompt, fields) => ({ ...model, prompt, return_tokens_as_token_ids: true, ...fields });

const countAlternatives = (places) =>
  Math.max(0, Math.min(MAX_ALTERNATIVES, Math.floor(MAX_ENTRIES / Math.max(1, places)) - 1));

function readTokens({ logprobs }) {
  const { tokens, token_logprobs: values, top_logprobs: others } = logprobs;
  return tokens.map((name, index) => {
    const alternatives = Object.entries(others[index] ?? {}).map(([key, logp]) => [idOf(key), logp]);
    return { id: idOf(name), logp: values[index], alternatives };
  });
}

const idOf = (name) => Number(ID.exec(name)[1]);

async function fetchOrExplain(path, request) {
  try {
    return await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer; start it again, or check the network.", { cause: error });
  }
}

async function messageOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `the server answered with status ${response.status}`;
  }
}
