// Surprisal: minus the base-2 logarithm of a probability, and its colour. The classes c0 to c20 have the colours.

import { make } from "./elements.js";

const NUM_LEVELS = 21;
const LEVELS_PER_BIT = 2;

export const toBits = (logProbability) => -logProbability / Math.LN2;

export function levelOf(bits) {
  return Math.min(NUM_LEVELS - 1, Math.max(0, Math.floor(bits * LEVELS_PER_BIT)));
}

// Three digits, or five above 99 %: 99.987 %, 4.25 %, 0.0031 %.
export function percent(probability) {
  const percentage = 100 * probability;
  if (percentage > 0 && percentage < 0.0001) return "<\u00a00.0001\u00a0%";
  return `${Number(percentage.toPrecision(percentage > 99 ? 5 : 3))}\u00a0%`;
}

// A row with a cell for each level.
export function makeLegend() {
  const cells = Array.from({ length: NUM_LEVELS }, (_, level) => {
    const label = level % (2 * LEVELS_PER_BIT) ? "" : `${level / LEVELS_PER_BIT}`;
    return make("b", { className: `c${level}` }, label);
  });
  const legend = make("div", { className: "legend", role: "img", "aria-label": "Colours from 0 to 10 bits and more" });
  legend.append(make("span", {}, "bits"), ...cells, make("span", {}, "and more"));
  return legend;
}
