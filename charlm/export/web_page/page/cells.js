// One step of each cell, after both products (charlm/nn/fused/kernels.c). Gates are inputs + gain * recurrent.

import { round, sigmoid, tanh } from "./fp32.js";

const EPSILON = round(1e-5);

// Replaces each part of x by (x - mean) / std.
export function layerNorm(x, sizes) {
  let start = 0;
  for (const size of sizes) {
    const part = x.subarray(start, start + size);
    let sum = 0;
    let square = 0;
    for (let k = 0; k < size; k++) sum += part[k];
    const mean = sum / size;
    const center = round(mean);
    for (let k = 0; k < size; k++) square += (part[k] - mean) ** 2;
    const scale = round(1 / Math.sqrt(square / size + EPSILON));
    for (let k = 0; k < size; k++) part[k] = round(part[k] - center) * scale;
    start += size;
  }
}

// The expectation of zoneout: fresh (1 - p) + old p.
function keepOld(fresh, old, probability) {
  if (probability) for (let k = 0; k < fresh.length; k++) fresh[k] += round(probability) * round(old[k] - fresh[k]);
}

// A cell: step(inputs, recurrent, gain, [hidden, ...], output). All vectors are Float32Array, which rounds.
class LSTM {
  constructor(spec, tensors) {
    this.spec = spec;
    this.numStates = 2;
    this.memoryGain = tensors.floats(spec.memory_gain);
    this.memoryBias = tensors.floats(spec.memory_bias);
    this.next = new Float32Array(spec.hidden_size);
    this.read = new Float32Array(spec.hidden_size);
  }

  step(inputs, recurrent, gain, [hidden, memory], output) {
    const { spec, next, read, memoryGain, memoryBias } = this;
    const H = spec.hidden_size;
    const gate = (g) => round(inputs[g] + recurrent[g] * gain[g]);
    const forget = spec.coupled ? 0 : H; // where its gates begin
    const candidate = forget + H;
    const out = candidate + H;
    for (let k = 0; k < H; k++) {
      const f = sigmoid(gate(forget + k));
      const i = spec.coupled ? round(1 - f) : sigmoid(gate(k));
      next[k] = f * memory[k] + round(i * tanh(gate(candidate + k)));
    }
    read.set(next);
    if (memoryGain) {
      layerNorm(read, [H]);
      for (let k = 0; k < H; k++) read[k] = read[k] * memoryGain[k] + memoryBias[k];
    }
    for (let k = 0; k < H; k++) output[k] = sigmoid(gate(out + k)) * tanh(read[k]);
    keepOld(output, hidden, spec.zoneout_hidden);
    keepOld(next, memory, spec.zoneout);
    memory.set(next);
    hidden.set(output);
  }
}

class GRU {
  constructor(spec, tensors) {
    this.spec = spec;
    this.numStates = 1;
    this.candidateBias = tensors.floats(spec.candidate_bias);
  }

  step(inputs, recurrent, gain, [hidden], output) {
    const { spec, candidateBias } = this;
    const H = spec.hidden_size;
    const gate = (g) => round(inputs[g] + recurrent[g] * gain[g]);
    for (let k = 0; k < H; k++) {
      const reset = sigmoid(gate(k));
      const update = sigmoid(gate(H + k));
      const read = round(candidateBias[k] + recurrent[2 * H + k] * gain[2 * H + k]);
      const candidate = tanh(round(inputs[2 * H + k] + reset * read));
      output[k] = round(round(1 - update) * candidate) + round(update * hidden[k]);
    }
    keepOld(output, hidden, spec.zoneout);
    hidden.set(output);
  }
}

class RNN {
  constructor(spec) {
    this.spec = spec;
    this.numStates = 1;
  }

  step(inputs, recurrent, gain, [hidden], output) {
    const { relu, zoneout } = this.spec;
    for (let k = 0; k < output.length; k++) {
      const sum = round(inputs[k] + recurrent[k] * gain[k]);
      output[k] = relu ? Math.max(0, sum) : tanh(sum);
    }
    keepOld(output, hidden, zoneout);
    hidden.set(output);
  }
}

export const CELLS = { lstm: LSTM, gru: GRU, rnn: RNN };
