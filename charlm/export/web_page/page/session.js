// The text that the model has read: its tokens { id, logp, alternatives }, and a way back to any place in it.

import { logSumOfExp } from "./softmax.js";

const INTERVAL = 64; // tokens between two states that are kept
const NUM_ALTERNATIVES = 20;

export class Session {
  constructor(model, eod) {
    this.model = model;
    this.tokens = [];
    model.reset();
    model.step(eod);
    this.saved = [model.save()];
  }

  // The logits of the next token.
  get logits() {
    return this.model.logits;
  }

  append(id) {
    const { logits } = this.model;
    const total = logSumOfExp(logits);
    const alternatives = likeliest(logits, NUM_ALTERNATIVES).map((other) => [other, logits[other] - total]);
    this.tokens.push({ id, logp: logits[id] - total, alternatives });
    this.model.step(id);
    const length = this.tokens.length;
    if (length % INTERVAL === 0) this.saved[length / INTERVAL] = this.model.save();
  }

  // Goes back to the longest beginning that it has in common with these ids.
  goBackTo(ids) {
    let length = 0;
    while (length < this.tokens.length && this.tokens[length].id === ids[length]) length++;
    if (length === this.tokens.length) return;
    const number = Math.floor(length / INTERVAL);
    const again = this.tokens.slice(number * INTERVAL, length);
    this.saved.length = number + 1;
    this.tokens.length = length;
    this.model.restore(this.saved[number]);
    for (const { id } of again) this.model.step(id);
  }
}

// The ids of the largest logits, the largest first.
function likeliest(logits, count) {
  const ids = [];
  for (let id = 0; id < logits.length; id++) {
    if (ids.length === count && logits[id] <= logits[ids[count - 1]]) continue;
    let place = ids.length;
    while (place > 0 && logits[id] > logits[ids[place - 1]]) place--;
    ids.splice(place, 0, id);
    ids.length = Math.min(ids.length, count);
  }
  return ids;
}
