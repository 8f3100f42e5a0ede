// token -> vector: its own, and those of the hashed n-grams that end at it (charlm/nn/embeddings/context.py).

import { round } from "./fp32.js";

const MULTIPLIER = 0x9e3779b97f4a7c15n;
const MASK = 0x7fffffffn;
const signed = (value) => BigInt.asIntN(64, value);

export class Embedding {
  constructor(spec, tensors) {
    this.size = spec.size;
    this.vectors = tensors.floats(spec.tokens);
    this.context = spec.context;
    this.x = new Float32Array(spec.size);
    this.history = new Int32Array(0);
    if (!spec.context) return;
    this.scale = tensors.floats(spec.context.scale);
    this.table = this.scale ? tensors.int8(spec.context.table) : tensors.floats(spec.context.table);
    this.history = new Int32Array(spec.context.orders.at(-1)); // the last tokens, the latest one first
    this.reset();
  }

  reset() {
    this.history.fill(-1);
  }

  state() {
    return [this.history];
  }

  run(token) {
    const { x, size, vectors } = this;
    x.set(vectors.subarray(token * size, (token + 1) * size));
    if (!this.context) return;
    this.history.copyWithin(1, 0);
    this.history[0] = token;
    for (const row of contextRows(this.history, this.context)) this.addRow(row);
  }

  addRow(row) {
    const { x, size, table, scale } = this;
    const start = row * size;
    if (scale) for (let d = 0; d < size; d++) x[d] += round(table[start + d] * scale[row]);
    else for (let d = 0; d < size; d++) x[d] += table[start + d];
  }
}

// The row of the n-gram of each order. The hash is part of every trained model; its numbers have 64 bits.
function contextRows(history, { orders, buckets }) {
  let hash = 0n;
  const rows = [];
  for (let lag = 0; lag < history.length; lag++) {
    hash = signed(hash * MULTIPLIER + BigInt(history[lag] + 2));
    if (!orders.includes(lag + 1)) continue;
    const mixed = signed((hash ^ (hash >> 32n)) * MULTIPLIER) >> 33n;
    rows.push((Number(mixed & MASK) % buckets) + rows.length * buckets);
  }
  return rows;
}
