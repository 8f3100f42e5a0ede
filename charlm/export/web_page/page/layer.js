// One recurrent layer: x -> output, one token at a time (charlm/sampling/fast/layer.py).
//
// A dilated layer has a slot of state for each of its interleaved sequences; one of stride s steps at every s-th token.

import { CELLS, layerNorm } from "./cells.js";
import { round } from "./fp32.js";
import { Int8Product } from "./products.js";

const PHASE = 0;
const SLOT = 1;

export class Layer {
  // vectors: those of all tokens, if they alone are the input of this layer; else null.
  constructor(spec, tensors, vectors) {
    this.spec = spec;
    this.cell = new CELLS[spec.type](spec, tensors);
    this.bias = tensors.floats(spec.bias);
    this.input = product(spec.input, tensors);
    this.recurrent = product(spec.recurrent, tensors);
    this.inputGain = tensors.floats(spec.input.gain);
    this.isNormed = spec.recurrent.gain !== null;
    this.gain = tensors.floats(spec.recurrent.gain) ?? new Float32Array(spec.recurrent.rows).fill(1);
    this.inputs = new Float32Array(spec.input.rows);
    this.sums = new Float32Array(spec.recurrent.rows);
    this.output = new Float32Array(spec.hidden_size);
    this.slots = Array.from({ length: spec.dilation }, () =>
      Array.from({ length: this.cell.numStates }, () => new Float32Array(spec.hidden_size)),
    );
    this.place = new Int32Array(2);
    this.vectors = vectors;
    this.rows = new Map(); // token -> its input product, complete
  }

  // The arrays that change from step to step.
  state() {
    return [this.place, this.output, ...this.slots.flat()];
  }

  step(x, token) {
    const { spec, place } = this;
    const isSilent = place[PHASE] > 0;
    place[PHASE] = (place[PHASE] + 1) % spec.stride;
    if (isSilent) return;
    const state = this.slots[place[SLOT]];
    place[SLOT] = (place[SLOT] + 1) % spec.dilation;
    const inputs = this.vectors ? this.rowOf(token) : this.readInput(x);
    this.recurrent.run(state[0], this.sums);
    if (this.isNormed) layerNorm(this.sums, spec.recurrent.norm_sizes);
    this.cell.step(inputs, this.sums, this.gain, state, this.output);
  }

  readInput(x) {
    this.input.run(x, this.inputs);
    this.complete(this.inputs);
    return this.inputs;
  }

  // The norm, the gain and the bias of an input product.
  complete(inputs) {
    const { bias, inputGain, spec } = this;
    if (inputGain) layerNorm(inputs, spec.input.norm_sizes);
    for (let g = 0; g < inputs.length; g++) inputs[g] = inputs[g] * (inputGain ? inputGain[g] : 1) + bias[g];
  }

  // Python has such a row for every token, computed from inputs in full precision.
  rowOf(token) {
    let row = this.rows.get(token);
    if (row) return row;
    const size = this.spec.input.columns;
    const vector = this.vectors.subarray(token * size, (token + 1) * size);
    row = new Float32Array(this.spec.input.rows);
    for (let g = 0; g < row.length; g++) {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += this.input.weight(g, k) * vector[k];
      row[g] = sum;
    }
    this.complete(row);
    this.rows.set(token, row);
    return row;
  }
}

const product = (spec, tensors) =>
  new Int8Product(tensors.words(spec.matrix), tensors.floats(spec.scale), spec.columns);
