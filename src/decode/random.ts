/**
 * The random numbers of sampling: xoshiro128** 1.1 (Blackman and Vigna, https://prng.di.unimi.it/xoshiro128starstar.c), integer
 * arithmetic only, so a seed gives the same sequence on every machine and in every JavaScript engine.
 */

const { imul } = Math;
const rotate = (x: number, by: number) => (x << by) | (x >>> (32 - by));

/** A bijection of the 32-bit integers that spreads neighbouring values apart (the finaliser of MurmurHash3, Appleby). */
function mix(x: number): number {
  x = imul(x ^ (x >>> 16), 0x85ebca6b);
  x = imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

export class Random {
  readonly #state: Int32Array;

  private constructor(state: Int32Array) {
    this.#state = state;
  }

  /** From an integer 0 .. 2^53 - 1. Different seeds give different states: two words hold its low 32 bits, two its high bits. */
  static fromSeed(seed: number): Random {
    const golden = 0x9e3779b9; // 2^32 / golden ratio; mix(x + golden) and mix(x + 2 golden) are never both 0, a state that xoshiro cannot leave
    const words = [seed, seed, seed / 2 ** 32, seed / 2 ** 32].map((word, i) => mix((word + (i + 1) * golden) | 0));
    const random = new Random(Int32Array.from(words));
    for (let i = 0; i < 16; i++) random.uint32(); // let both halves of the seed reach every word
    return random;
  }

  /** From the four words of a state, not all 0. */
  static fromState(words: readonly number[]): Random {
    return new Random(Int32Array.from(words));
  }

  /** 0 .. 2^32 - 1. */
  uint32(): number {
    const s = this.#state;
    const result = imul(rotate(imul(s[1], 5), 7), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 11);
    return result;
  }

  /** A multiple of 2^-53 in [0, 1), from two outputs. */
  uniform(): number {
    const high = this.uint32() >>> 5;
    return (high * 2 ** 26 + (this.uint32() >>> 6)) / 2 ** 53;
  }

  /** A generator that continues from the same state. */
  fork(): Random {
    return new Random(this.#state.slice());
  }
}

/** A seed for `Random.fromSeed` from the platform's source of randomness: 0 .. 2^32 - 1, short enough to note down. */
export function drawSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}
