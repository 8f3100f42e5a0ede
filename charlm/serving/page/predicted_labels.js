// The likeliest labels of a text as bars.

import { drawBars } from "./bars.js";
import { make } from "./elements.js";
import { percent } from "./surprisal.js";
import { escapeInvisible } from "./visible.js";

const MAX_NAME = 28; // characters

export class PredictedLabels {
  constructor() {
    this.element = make("ol", { className: "bars labels", "aria-label": "Labels, the most probable first" });
  }

  // Returns what a screen reader is told.
  show({ labels }) {
    const sorted = Object.entries(labels).sort(([, a], [, b]) => b - a); // keys that are numbers come first in JSON
    return this.showBars(sorted.map(([label, probability]) => ({ text: label, probability })));
  }

  // items: { text, probability }, the best first.
  showBars(items) {
    const rows = items.map(({ text, probability }, index) => ({
      name: escapeInvisible(text),
      share: probability,
      label: percent(probability),
      isTaken: index === 0,
    }));
    drawBars(this.element, rows, null, MAX_NAME);
    return `${rows[0].name}: ${rows[0].label}`;
  }
}
