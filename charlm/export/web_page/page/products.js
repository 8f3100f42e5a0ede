// Products of a fixed matrix and a vector: y = W x, as Int8Product and FullProduct of charlm/sampling/fast/matmul.py.

import { round } from "./fp32.js";

// 1.5 * 2^52: adding and subtracting it rounds to the nearest whole number, of two to the even one.
const NEAREST = 6755399441055744;

// 8-bit weights with a scale for each row; x is rounded to 16 bits, so small that no sum of products exceeds 32 bits.
export class Int8Product {
  // words: four rows in a word, of a matrix that is filled up to a multiple of eight rows.
  constructor(words, scale, numColumns) {
    this.words = words;
    this.scale = scale;
    this.numColumns = numColumns;
    this.maxRounded = Math.min(32767, Math.floor(round(2 ** 24 / numColumns)));
    this.rounded = new Int32Array(numColumns);
    this.sums = new Int32Array((words.length / numColumns) * 4);
  }

  run(x, y) {
    const unit = this.roundInputs(x);
    const { scale, sums } = this;
    this.addUp();
    for (let g = 0; g < scale.length; g++) y[g] = round(scale[g] * unit) * round(sums[g]);
  }

  // Fills `rounded`; returns the value of one unit of it.
  roundInputs(x) {
    const { numColumns, rounded } = this;
    let largest = 0;
    for (let k = 0; k < numColumns; k++) largest = Math.max(largest, Math.abs(x[k]));
    const factor = largest > 0 ? round(this.maxRounded / largest) : 0;
    for (let k = 0; k < numColumns; k++) rounded[k] = round(x[k] * factor) + NEAREST - NEAREST;
    return round(largest / this.maxRounded);
  }

  // Eight rows at a time, whose sums do not wait for one another.
  addUp() {
    const { words, rounded, sums, numColumns } = this;
    for (let row = 0, a = 0; row < sums.length; row += 8, a += 2 * numColumns) {
      let [s, t, u, v, e, f, h, i] = [0, 0, 0, 0, 0, 0, 0, 0];
      for (let k = 0; k < numColumns; k++) {
        const x = rounded[k];
        const p = words[a + k];
        const q = words[a + numColumns + k];
        s = (s + Math.imul((p << 24) >> 24, x)) | 0;
        t = (t + Math.imul((p << 16) >> 24, x)) | 0;
        u = (u + Math.imul((p << 8) >> 24, x)) | 0;
        v = (v + Math.imul(p >> 24, x)) | 0;
        e = (e + Math.imul((q << 24) >> 24, x)) | 0;
        f = (f + Math.imul((q << 16) >> 24, x)) | 0;
        h = (h + Math.imul((q << 8) >> 24, x)) | 0;
        i = (i + Math.imul(q >> 24, x)) | 0;
      }
      sums[row] = s;
      sums[row + 1] = t;
      sums[row + 2] = u;
      sums[row + 3] = v;
      sums[row + 4] = e;
      sums[row + 5] = f;
      sums[row + 6] = h;
      sums[row + 7] = i;
    }
  }

  // One weight, as Python multiplies it in fp32.
  weight(row, column) {
    const word = this.words[(row >> 2) * this.numColumns + column];
    return round(((word << (24 - 8 * (row & 3))) >> 24) * this.scale[row]);
  }
}

// Weights in full precision; y = W x + bias, if there is one.
export class FullProduct {
  constructor(weight, numColumns, bias) {
    this.weight = weight;
    this.numColumns = numColumns;
    this.numRows = weight.length / numColumns;
    this.bias = bias ?? new Float32Array(this.numRows);
  }

  run(x, y) {
    const { weight, bias, numColumns: n, numRows } = this;
    let row = 0;
    for (; row + 4 <= numRows; row += 4) {
      let [s, t, u, v] = [0, 0, 0, 0];
      for (let k = 0, a = row * n; k < n; k++, a++) {
        const value = x[k];
        s += weight[a] * value;
        t += weight[a + n] * value;
        u += weight[a + 2 * n] * value;
        v += weight[a + 3 * n] * value;
      }
      y[row] = s + bias[row];
      y[row + 1] = t + bias[row + 1];
      y[row + 2] = u + bias[row + 2];
      y[row + 3] = v + bias[row + 3];
    }
    for (; row < numRows; row++) {
      let sum = bias[row];
      for (let k = 0; k < n; k++) sum += weight[row * n + k] * x[k];
      y[row] = sum;
    }
  }
}
