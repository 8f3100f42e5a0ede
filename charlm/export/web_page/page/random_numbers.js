// The Mersenne Twister (Matsumoto & Nishimura, 1998), with the numbers that torch.rand(dtype=torch.float64) gives: so a
// seed means here what it means for `charlm sample`.

const SIZE = 624;

export class RandomNumbers {
  // seed: a whole number from 0 on, of which the low 32 bits count.
  constructor(seed) {
    this.words = new Uint32Array(SIZE);
    this.words[0] = seed % 2 ** 32;
    for (let k = 1; k < SIZE; k++) {
      const before = this.words[k - 1];
      this.words[k] = Math.imul(1812433253, before ^ (before >>> 30)) + k;
    }
    this.at = SIZE;
  }

  // A number from [0, 1), of 53 bits.
  next() {
    const high = this.nextWord() & 0x1fffff;
    return (high * 2 ** 32 + this.nextWord()) / 2 ** 53;
  }

  nextWord() {
    if (this.at === SIZE) this.refill();
    let word = this.words[this.at++];
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  refill() {
    const { words } = this;
    for (let k = 0; k < SIZE; k++) {
      const mixed = (words[k] & 0x80000000) | (words[(k + 1) % SIZE] & 0x7fffffff);
      words[k] = words[(k + 397) % SIZE] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    this.at = 0;
  }
}
