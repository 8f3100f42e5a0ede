// From the text in the page to arrays: text -> bytes -> decompressed -> typed arrays by name (tensors.py writes them).

// As text_encoding.py: the digits are # to ~ without <.
const BASE = 91;
const BITS = 13;
const FIRST_DIGIT = 35;
const LEFT_OUT = 60;

export function decodeBytes(text, numBytes) {
  const bytes = new Uint8Array(numBytes);
  let buffer = 0;
  let numBits = 0;
  let written = 0;
  let high = -1; // the first digit of a pair
  for (let k = 0; k < text.length && written < numBytes; k++) {
    const code = text.charCodeAt(k);
    if (code < FIRST_DIGIT) continue; // the end of a line
    const digit = code - FIRST_DIGIT - (code > LEFT_OUT ? 1 : 0);
    if (high < 0) {
      high = digit;
      continue;
    }
    buffer = (buffer << BITS) | (high * BASE + digit);
    high = -1;
    for (numBits += BITS; numBits >= 8 && written < numBytes; numBits -= 8) bytes[written++] = buffer >> (numBits - 8);
    buffer &= (1 << numBits) - 1;
  }
  return bytes;
}

export async function decompress(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

export class Tensors {
  // index: name -> type, first byte, number of bytes and of elements.
  constructor(buffer, index) {
    this.buffer = buffer;
    this.index = new Map(Object.entries(index));
  }

  // Numbers of 16 or 32 bits, as Float32Array; null for no name.
  floats(name) {
    if (name === null) return null;
    const { type, start, size } = this.index.get(name);
    if (type === "f32") return new Float32Array(this.buffer, start, size);
    return halvesToFloats(new Uint16Array(this.buffer, start, size));
  }

  // 8-bit matrices in words of four rows.
  words(name) {
    const { start, size } = this.index.get(name);
    return new Int32Array(this.buffer, start, size);
  }

  int8(name) {
    const { start, size } = this.index.get(name);
    return new Int8Array(this.buffer, start, size);
  }

  // Whole numbers of 7 bits in a byte, into `found`, an array of any type that is long enough.
  wholeNumbers(name, found) {
    const { start, bytes, size } = this.index.get(name);
    const data = new Uint8Array(this.buffer, start, bytes);
    for (let k = 0, at = 0; k < size; k++) {
      let value = 0;
      let unit = 1;
      for (; data[at] > 127; unit *= 128) value += (data[at++] - 128) * unit;
      found[k] = value + data[at++] * unit;
    }
    return found;
  }

  sizeOf(name) {
    return this.index.get(name).size;
  }
}

function halvesToFloats(halves) {
  const floats = new Float32Array(halves.length);
  for (let k = 0; k < halves.length; k++) {
    const sign = halves[k] >> 15 ? -1 : 1;
    const exponent = (halves[k] >> 10) & 31;
    const fraction = halves[k] & 1023;
    floats[k] = sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
  }
  return floats;
}
