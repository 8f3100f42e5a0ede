// exp, sigmoid and tanh in fp32, in the steps of charlm/nn/fused/kernels.c. Python rounds inputs to 16 bits after them:
// a difference in the last bit here could become one of 1/32767 there, and grow from step to step.
//
// A product and a sum are rounded once, as the fused multiply-add of today's processors does it.

export const round = Math.fround;

const LOG2_E = round(1.44269504);
const LN2_HIGH = 0.693359375;
const LN2_LOW = round(2.1219444e-4);
const ROUND_TO_WHOLE = 12582912;
const C5 = round(1.98756915e-4);
const C4 = round(1.3981999507e-3);
const C3 = round(8.3334519073e-3);
const C2 = round(4.1665795894e-2);
const C1 = round(1.6666665459e-1);
const C0 = round(5.0000001201e-1);
const THIRD = round(1 / 3);
const NEAR_ZERO = round(4e-4);
const bits = new Int32Array(1);
const powerOfTwo = new Float32Array(bits.buffer);

export function exp(x) {
  const limited = x > 88 ? 88 : x < -87 ? -87 : x;
  const n = round(limited * LOG2_E + ROUND_TO_WHOLE) - ROUND_TO_WHOLE;
  const r = round(round(limited - n * LN2_HIGH) + n * LN2_LOW);
  let p = round(C5 * r + C4);
  p = round(p * r + C3);
  p = round(p * r + C2);
  p = round(p * r + C1);
  p = round(p * r + C0);
  p = round(round(round(p * r) * r + r) + 1);
  bits[0] = (n + 127) << 23;
  return round(p * powerOfTwo[0]);
}

export const sigmoid = (x) => round(1 / round(1 + exp(-x)));

export function tanh(x) {
  const square = round(x * x);
  if (square < NEAR_ZERO) return round(x - round(x * square) * THIRD);
  return round(1 - round(2 / round(exp(round(2 * x)) + 1)));
}
