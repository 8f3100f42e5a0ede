// The texts that a model writes for another one, and which parts of that one each part of the best text looked at.

import { make } from "./elements.js";
import { Pointing } from "./pointing.js";
import { PredictedLabels } from "./predicted_labels.js";
import { percent } from "./surprisal.js";
import { cutUnits } from "./text_units.js";
import { displayName, escapeInvisible } from "./visible.js";

const NUM_LEVELS = 20;
const MIN_TOLD = 0.05; // weights below are not told
const HELP = "The text that was written. The arrow keys move through it, and tell which characters it came from.";
const HINT = "Point at a written character, or move there with the arrow keys, to see what it came from.";

export class AlignedText {
  // say(text): tells a screen reader.
  constructor(say) {
    const read = { dir: "auto", role: "group", "aria-label": "The text that was read" };
    this.source = make("div", { className: "line source", ...read });
    this.box = make("div", { className: "predicted target", tabIndex: 0, role: "group", "aria-label": HELP });
    this.detail = make("p", { className: "detail soft" });
    this.alignment = make("div", { className: "alignment" }, this.source, this.box, this.detail);
    this.targets = new PredictedLabels();
    this.targets.element.setAttribute("aria-label", "Written texts, the most probable first");
    this.element = make("div", {}, this.targets.element, this.alignment);
    this._units = [];
    this._elements = [];
    this._pointing = new Pointing(this.box, this._elements, {
      onPoint: (index, _, { pinned }) => this._point(this._units[index], pinned && say),
      onLeave: () => this._point(null),
    });
  }

  leave() {
    this._pointing.leave();
  }

  // Returns what a screen reader is told.
  show({ targets, alignment }, { vocabulary }) {
    this.leave();
    this._elements.splice(0);
    this._units = alignment === null ? [] : makeUnits(alignment, vocabulary);
    this.alignment.hidden = !this._units.length;
    if (this._units.length) {
      const cells = alignment.cells.map((cell) => make("span", { className: "cell" }, displayName(cell)));
      this.source.replaceChildren(...cells);
      this._elements.push(...this._units.map(({ text }) => make("span", { className: "unit" }, escapeInvisible(text))));
      this.box.replaceChildren(make("div", { className: "line", dir: "auto" }, ...this._elements));
      this.detail.textContent = HINT;
    }
    return this.targets.showBars(targets);
  }

  _point(unit, say = null) {
    const cells = [...this.source.children];
    cells.forEach((cell, index) => {
      const level = unit === null ? 0 : Math.round(unit.weights[index] * NUM_LEVELS);
      cell.className = level ? `cell c${level}` : "cell";
    });
    this.detail.textContent = unit === null ? HINT : describe(unit, cells.map((cell) => cell.textContent));
    if (say) say(this.detail.textContent);
  }
}

// { text, probability, weights } of each unit of the written text: the mean weights of its tokens.
function makeUnits({ cells, ids, probabilities, weights }, vocabulary) {
  const places = ids.map((_, place) => place).filter((place) => ids[place] !== vocabulary.eod);
  const written = places.map((place) => ids[place]);
  return cutUnits(written, vocabulary).map(({ from, to, text }) => {
    const own = places.slice(from, to);
    const mean = cells.map((_, cell) => own.reduce((sum, place) => sum + weights[place][cell], 0) / own.length);
    return { text, weights: mean, probability: own.reduce((product, place) => product * probabilities[place], 1) };
  });
}

// b, probability 97 %, from c (1) 90 %, a (2) 8 %
function describe({ text, weights, probability }, cells) {
  const told = weights
    .map((weight, index) => ({ weight, index }))
    .filter(({ weight }) => weight >= MIN_TOLD)
    .sort((a, b) => b.weight - a.weight)
    .map(({ weight, index }) => `${cells[index]} (${index + 1}) ${percent(weight)}`);
  const origin = told.length ? `from ${told.join(", ")}` : "from no single character";
  return `${escapeInvisible(text)}, probability ${percent(probability)}, ${origin}`;
}
