// logits -> an id: the filters and the draw of charlm/sampling/filters.py and random_draw.py.

import { largestOf, softmax } from "./softmax.js";

// settings: { temperature, topK, topP, minP }, null where a filter is off. uniform: a number from [0, 1).
export function drawId(logits, settings, uniform) {
  const kept = keptIds(logits, settings);
  if (kept.length === 1) return kept[0];
  const probabilities = softmax(heated(kept, logits, settings.temperature));
  let sum = 0;
  const rank = probabilities.findIndex((probability) => (sum += probability) > uniform);
  return kept[rank < 0 ? kept.length - 1 : rank];
}

// The ids that can be drawn, rising.
export function keptIds(logits, { temperature, topK, topP, minP }) {
  const best = logits.indexOf(largestOf(logits));
  if (temperature === 0) return [best];
  let ids = Array.from(logits.keys());
  if (topK !== null || topP !== null) ids.sort((a, b) => logits[b] - logits[a] || a - b);
  if (topK !== null) ids = ids.slice(0, topK);
  if (topP !== null) ids = smallestSet(ids, softmax(heated(ids, logits, temperature)), topP);
  if (minP) ids = ids.filter((id) => (logits[id] - logits[best]) / temperature >= Math.log(minP));
  return ids.sort((a, b) => a - b);
}

const heated = (ids, logits, temperature) => Float64Array.from(ids, (id) => logits[id] / temperature);

// The first ids whose probabilities reach p, at least one.
function smallestSet(ids, probabilities, p) {
  let length = 0;
  for (let before = 0; length < ids.length && (length === 0 || before < p); length++) before += probabilities[length];
  return ids.slice(0, length);
}
