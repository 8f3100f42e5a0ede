// The model: token -> logits of the next one, with a state that can be kept and restored.
//
//   token -- embedding --> x -- layers --> features -- head --> logits -- n-grams, if there are any --> logits

import { Embedding } from "./embedding.js";
import { Layer } from "./layer.js";
import { NgramMixture } from "./ngrams.js";
import { FullProduct } from "./products.js";

export class Model {
  // spec: as network.py describes it. ngramTensors: null without an n-gram component.
  constructor(spec, tensors, ngramTensors) {
    const { network, vocab_size: vocabSize } = spec;
    this.skip = network.skip;
    this.embedding = new Embedding(network.embedding, tensors);
    const vectors = network.has_table ? this.embedding.vectors : null;
    this.layers = network.layers.map((layer, index) => new Layer(layer, tensors, index ? null : vectors));
    const sizes = [network.embedding.size, ...network.layers.map((layer) => layer.hidden_size)];
    this.ends = sizes.map((_, index) => sizes.slice(0, index + 1).reduce((sum, size) => sum + size, 0));
    this.dense = new Float32Array(this.ends.at(-1)); // of dense networks: the vector and all outputs side by side
    this.residual = this.layers.map((layer) => new Float32Array(layer.output.length));
    this.buildHead(network.head, tensors, this.skip === "dense" ? this.ends.at(-1) - this.ends[0] : sizes.at(-1));
    this.networkLogits = new Float32Array(vocabSize);
    this.ngrams = spec.ngrams && new NgramMixture(spec.ngrams, ngramTensors, tensors, vocabSize);
    this.logits = new Float32Array(vocabSize);
    this.initial = this.save();
  }

  buildHead(head, tensors, numFeatures) {
    const projection = tensors.floats(head.projection);
    const bias = tensors.floats(head.bias);
    this.projection = projection && new FullProduct(projection, numFeatures, null);
    this.projected = new Float32Array(projection ? projection.length / numFeatures : 0);
    this.head = new FullProduct(tensors.floats(head.weight), projection ? this.projected.length : numFeatures, bias);
  }

  // Reads a token; the logits are valid until the next step.
  step(token) {
    if (!this.layers[0].vectors) this.embedding.run(token);
    const features = this.runLayers(token);
    if (this.projection) this.projection.run(features, this.projected);
    this.head.run(this.projection ? this.projected : features, this.networkLogits);
    this.logits.set(this.ngrams ? this.ngrams.run(token, features, this.networkLogits) : this.networkLogits);
    return this.logits;
  }

  runLayers(token) {
    const { layers, dense, ends, skip, residual } = this;
    const isDense = skip === "dense";
    let x = this.embedding.x;
    if (isDense) dense.set(x);
    layers.forEach((layer, index) => {
      const input = isDense ? dense.subarray(0, ends[index]) : x;
      layer.step(input, token);
      x = layer.output;
      if (skip === "residual" && index > 0) {
        for (let k = 0; k < x.length; k++) residual[index][k] = input[k] + layer.output[k];
        x = residual[index];
      }
      if (isDense) dense.set(x, ends[index]);
    });
    return isDense ? dense.subarray(ends[0]) : x;
  }

  state() {
    const parts = [this.embedding, ...this.layers, ...(this.ngrams ? [this.ngrams] : [])];
    return [...parts.flatMap((part) => part.state()), this.logits];
  }

  save() {
    return this.state().map((array) => array.slice());
  }

  restore(saved) {
    this.state().forEach((array, index) => array.set(saved[index]));
  }

  reset() {
    this.restore(this.initial);
  }
}
