// Counts of the training text, mixed with the network (charlm/nn/ngrams): contexts, and the probabilities after them.
//
// The context of length k is named by its index among the n-grams of length k (of length 1: by its token), or by -1.

import { softmax } from "./softmax.js";

const UNKNOWN = -1;
const SMALLEST = 1e-20;
const WEIGHTS = ["from_features", "hidden_weight", "hidden_bias", "from_hidden_weight", "from_hidden_bias"];

// The n-grams of one order, sorted by context and token.
class Order {
  constructor(names, tensors, numContexts, vocabSize) {
    const size = tensors.sizeOf(names.tokens);
    this.discounts = tensors.floats(names.discounts);
    this.tokens = tensors.wholeNumbers(names.tokens, vocabSize > 65535 ? new Int32Array(size) : new Uint16Array(size));
    this.counts = tensors.wholeNumbers(names.counts, new Int32Array(size));
    this.starts = new Int32Array(numContexts + 1);
    this.totals = new Int32Array(numContexts);
    this.masses = new Float32Array(numContexts);
    this.squares = new Float32Array(numContexts);
    const lengths = tensors.wholeNumbers(names.lengths, new Int32Array(numContexts));
    for (let c = 0; c < numContexts; c++) this.addUp(c, lengths[c]);
  }

  // Sums over the tokens that follow a context; tokens were distances.
  addUp(context, length) {
    const start = this.starts[context];
    const end = start + length;
    this.starts[context + 1] = end;
    let total = 0;
    let mass = 0;
    let square = 0;
    for (let i = start; i < end; i++) {
      if (i > start) this.tokens[i] += this.tokens[i - 1];
      total += this.counts[i];
      mass += this.discounts[Math.min(3, this.counts[i])];
      square += this.counts[i] ** 2;
    }
    this.totals[context] = total;
    this.masses[context] = mass;
    this.squares[context] = square;
  }

  find(context, token) {
    const end = this.starts[context + 1];
    let low = this.starts[context];
    let high = end;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tokens[middle] < token) low = middle + 1;
      else high = middle;
    }
    return low < end && this.tokens[low] === token ? low : UNKNOWN;
  }
}

export class NgramMixture {
  constructor(spec, tensors, weights, vocabSize) {
    this.vocabSize = vocabSize;
    const counts = tensors.wholeNumbers("unigram_counts", new Float64Array(vocabSize));
    const total = counts.reduce((sum, count) => sum + count + 0.5, 0);
    this.unigrams = Float32Array.from(counts, (count) => (count + 0.5) / total);
    this.orders = [];
    for (const names of spec.orders) {
      const numContexts = this.orders.length ? this.orders.at(-1).tokens.length : vocabSize;
      this.orders.push(new Order(names, tensors, numContexts, vocabSize));
    }
    for (const name of WEIGHTS) this[name] = weights.floats(spec.mixture[name]);
    this.contexts = new Int32Array(this.orders.length);
    this.logP = new Float32Array(vocabSize);
    this.reset();
  }

  reset() {
    this.contexts.fill(UNKNOWN);
  }

  state() {
    return [this.contexts];
  }

  // Advances the contexts by a token, and returns the log-probabilities of the next one.
  run(token, features, logits) {
    const { contexts, orders } = this;
    for (let k = orders.length - 1; k > 0; k--) {
      contexts[k] = contexts[k - 1] === UNKNOWN ? UNKNOWN : orders[k - 1].find(contexts[k - 1], token);
    }
    contexts[0] = token;
    const gammas = new Float64Array(orders.length);
    return this.mix(this.weights(features, gammas), gammas, logits);
  }

  // The weights of the network and of the orders 1, 2, ...; fills the gamma of each context.
  weights(features, gammas) {
    const { orders, contexts, hidden_bias: hiddenBias } = this;
    const K = orders.length;
    const units = hiddenBias.length;
    const figures = new Float64Array(4 * K);
    orders.forEach((order, k) => {
      const context = contexts[k];
      const total = context === UNKNOWN ? 0 : order.totals[context];
      gammas[k] = total ? order.masses[context] / total : 1;
      figures[k] = Math.log1p(total) / 5;
      figures[K + k] = gammas[k];
      figures[2 * K + k] = Math.log(Math.max(gammas[k], 1e-4)) / 3;
      figures[3 * K + k] = total ? order.squares[context] / total ** 2 : 0;
    });
    const hidden = new Float64Array(units);
    const scores = new Float64Array(K + 2);
    for (let u = 0; u < units; u++) hidden[u] = Math.max(0, hiddenBias[u] + dot(this.hidden_weight, u, figures));
    for (let i = 0; i < K + 2; i++) {
      const hasCounts = i < 2 || figures[i - 2] > 0;
      const fromContexts = this.from_hidden_bias[i] + dot(this.from_hidden_weight, i, hidden);
      scores[i] = hasCounts ? fromContexts + dot(this.from_features, i, features) : -Infinity;
    }
    return softmax(scores);
  }

  mix(weights, gammas, logits) {
    const { orders, contexts, unigrams, logP, vocabSize } = this;
    const probabilities = softmax(logits);
    let share = 0; // of an order in the sum: its own weight, and what longer ones leave to it
    for (let k = orders.length - 1; k >= 0; k--) {
      share = weights[k + 2] += share;
      share *= gammas[k];
    }
    for (let v = 0; v < vocabSize; v++) {
      probabilities[v] = weights[0] * probabilities[v] + (weights[1] + share) * unigrams[v];
    }
    orders.forEach((order, k) => {
      const context = contexts[k];
      if (context === UNKNOWN || !order.totals[context]) return;
      const factor = weights[k + 2] / order.totals[context];
      for (let i = order.starts[context]; i < order.starts[context + 1]; i++) {
        const count = order.counts[i];
        probabilities[order.tokens[i]] += factor * (count - order.discounts[Math.min(3, count)]);
      }
    });
    for (let v = 0; v < vocabSize; v++) logP[v] = Math.log(Math.max(SMALLEST, probabilities[v]));
    return logP;
  }
}

function dot(matrix, row, x) {
  let sum = 0;
  for (let k = 0, at = row * x.length; k < x.length; k++, at++) sum += matrix[at] * x[k];
  return sum;
}
