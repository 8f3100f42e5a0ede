// What is drawn from: the model's distribution after temperature, top-k, top-p and min-p, in this order.
//
// As in charlm/sampling/filters.py. All of them keep the likeliest tokens, so that each keeps a beginning of the list.

// logProbabilities: of all tokens, the likeliest first. topK, topP, minP: null keeps everything.
// Returns { probabilities, numKept, mass, cuts }: probabilities after temperature, before anything is cut off; the sum
// of those that are kept; and for each filter that cuts something off { name, from, to }.
export function shapeDistribution(logProbabilities, { temperature, topK, topP, minP }) {
  const probabilities = heat(logProbabilities, temperature);
  const cuts = [];
  let numKept = probabilities.length;
  const keep = (name, count) => {
    if (count < numKept) {
      cuts.push({ name, from: count, to: numKept });
      numKept = count;
    }
  };
  if (temperature === 0) keep("temperature 0", 1);
  if (topK !== null) keep("top-k", Math.max(1, topK));
  if (topP !== null && topP < 1) keep("top-p", smallestSet(probabilities, numKept, topP));
  if (minP !== null && minP > 0) keep("min-p", countAtLeast(probabilities, numKept, minP * probabilities[0]));
  return { probabilities, numKept, mass: sum(probabilities, numKept), cuts };
}

// Which filter cuts off the token at this place of the list; null if none does.
export function cutBy(shaped, index) {
  return shaped.cuts.find(({ from, to }) => index >= from && index < to)?.name ?? null;
}

// softmax(log p / T); at T = 0 the first has all.
function heat(logProbabilities, temperature) {
  const best = logProbabilities[0];
  if (temperature === 0) return Float64Array.from(logProbabilities, (_, index) => (index === 0 ? 1 : 0));
  const weights = Float64Array.from(logProbabilities, (value) => Math.exp((value - best) / temperature));
  const total = sum(weights, weights.length);
  return weights.map((weight) => weight / total);
}

// The length of the smallest beginning whose probability reaches p of that of the first `count`.
function smallestSet(probabilities, count, p) {
  const needed = p * sum(probabilities, count);
  let before = 0;
  let length = 0;
  while (length < count && before < needed) before += probabilities[length++];
  return Math.max(1, length);
}

function countAtLeast(probabilities, count, least) {
  let length = 0;
  while (length < count && probabilities[length] >= least) length++;
  return Math.max(1, length);
}

function sum(values, count) {
  let total = 0;
  for (let index = 0; index < count; index++) total += values[index];
  return total;
}
