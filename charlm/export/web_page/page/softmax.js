// Sums over a vocabulary, in double precision.

export function largestOf(values) {
  let largest = -Infinity;
  for (const value of values) if (value > largest) largest = value;
  return largest;
}

export function softmax(logits) {
  const largest = largestOf(logits);
  const probabilities = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = probabilities.reduce((sum, value) => sum + value, 0);
  return probabilities.map((value) => value / total);
}

export function logSumOfExp(logits) {
  const largest = largestOf(logits);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return largest + Math.log(sum);
}
