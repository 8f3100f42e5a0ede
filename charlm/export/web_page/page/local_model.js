// The model in the page, in the form in which the page of `charlm serve` asks its server (its api.js).

import { drawId } from "./drawing.js";
import { Encoder } from "./encoding.js";
import { RandomNumbers } from "./random_numbers.js";
import { Session } from "./session.js";
import { inSlices } from "./slices.js";
import { logSumOfExp } from "./softmax.js";

export class LocalModel {
  constructor(model, vocabulary) {
    this._vocabulary = vocabulary;
    this._encoder = new Encoder(vocabulary);
    this._session = new Session(model, vocabulary.eod);
    this.speed = null; // tokens a second of the last text that was written
  }

  async vocabulary() {
    return this._vocabulary;
  }

  // The ids of a text, and the characters that have none, which are not read.
  encode(text) {
    return this._encoder.encode(text);
  }

  // The tokens of a text with their probabilities.
  async score(_, text, signal) {
    await this._read(this.encode(text).ids, signal);
    return this._session.tokens.slice();
  }

  // The log-probability of every token after `ids`: { ids, logprobs }, the likeliest first.
  async distribution(_, ids, signal) {
    await this._read(ids, signal);
    const { logits } = this._session;
    const total = logSumOfExp(logits);
    const byRank = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a]);
    return { ids: byRank, logprobs: byRank.map((id) => logits[id] - total) };
  }

  // Text that goes on from `ids`; onTokens gets the new tokens after each slice.
  async write(_, ids, settings, onTokens, signal) {
    await this._read(ids, signal);
    const { tokens } = this._session;
    const random = new RandomNumbers(settings.seed);
    const begin = performance.now();
    let shown = tokens.length;
    const step = () => {
      this._session.append(drawId(this._session.logits, settings, random.next()));
      return tokens.length < ids.length + settings.length;
    };
    const onSlice = () => {
      onTokens(tokens.slice(shown));
      shown = tokens.length;
      this.speed = ((shown - ids.length) / (performance.now() - begin)) * 1000;
    };
    await inSlices(step, onSlice, signal);
  }

  async _read(ids, signal) {
    const session = this._session;
    session.goBackTo(ids);
    const step = () => {
      if (session.tokens.length < ids.length) session.append(ids[session.tokens.length]);
      return session.tokens.length < ids.length;
    };
    await inSlices(step, () => {}, signal);
  }
}
