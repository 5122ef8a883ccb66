import { selectPrefix } from './selection.js';

/**
 * Least share of the likeliest token's probability that a token needs to be drawn at all: 2^-30. All the tokens
 * below it together have less than 0.02 % of the probability in a vocabulary of 150,000, and leaving them
 * out saves most of the exponentials.
 */
export const LEAST_SHARE = 2 ** -30;

const HISTOGRAM_BUCKETS = 512;

/**
 * Weights fall into buckets by the upper bits of their floating-point form: exponent and four bits of the fraction,
 * so that a bucket spans 1/16 of its weight and heavier weights have higher numbers.
 */
const BUCKET_SHIFT = 16;
const HIGHEST_BUCKET = 0x3ff0;
/** Index, in 32-bit words, of the upper half of a 64-bit number. */
const UPPER_WORD = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 1 : 0;

/**
 * The tokens that may be drawn, in order of id, with their weights: exp((logit − greatest) / temperature), so the
 * likeliest weighs 1. Scratch memory for one vocabulary, used again for each token.
 */
export class Candidates {
  readonly ids: Int32Array;
  readonly weights: Float64Array;
  readonly #order: Int32Array;
  readonly #histogram = new Int32Array(HISTOGRAM_BUCKETS);
  readonly #masses = new Float64Array(HISTOGRAM_BUCKETS);
  readonly #weightWords: Uint32Array;
  count = 0;

  constructor(vocabularySize: number) {
    this.ids = new Int32Array(vocabularySize);
    this.weights = new Float64Array(vocabularySize);
    this.#order = new Int32Array(vocabularySize);
    this.#weightWords = new Uint32Array(this.weights.buffer);
  }

  /**
   * Fills in every token with at least `leastShare`; with `topK` also leaves out most of the tokens that it cuts
   * off anyway, but none that it keeps.
   * @param leastShare at least `LEAST_SHARE`
   */
  gather(
    logits: Float32Array,
    greatestLogit: number,
    temperature: number,
    topK: number,
    leastShare: number,
  ): void {
    // A little lower than the exact bound, which the weights decide.
    let least = greatestLogit + temperature * (Math.log(leastShare) - 1e-6);
    if (topK > 0 && topK < logits.length) least = this.#raiseLeast(logits, greatestLogit, least, topK);
    let count = 0;
    for (let token = 0; token < logits.length; token++) {
      const logit = logits[token]!;
      if (logit < least) continue;
      const weight = Math.exp((logit - greatestLogit) / temperature);
      if (weight < leastShare) continue;
      this.ids[count] = token;
      this.weights[count] = weight;
      count += 1;
    }
    this.count = count;
  }

  /** Keeps the k likeliest; the lower id wins among equals. */
  keepTopK(k: number): void {
    if (k > 0 && k < this.count) this.#keep(k, Number.POSITIVE_INFINITY);
  }

  /** Keeps the fewest of the likeliest that together have the share `p` of what is left. At least one stays. */
  keepTopP(p: number): void {
    if (p >= 1) return;
    const mass = p * this.total();
    this.#dropTail(mass);
    this.#keep(this.count, mass);
  }

  /** Keeps those with at least the share `p` of the likeliest. */
  keepMinP(p: number): void {
    if (p > 0) this.#compact((index) => this.weights[index]! >= p);
  }

  total(): number {
    let sum = 0;
    for (let index = 0; index < this.count; index++) sum += this.weights[index]!;
    return sum;
  }

  /** @param share in [0, 1): which part of the probability, going through the candidates in order of id */
  draw(share: number): number {
    const target = share * this.total();
    let sum = 0;
    for (let index = 0; index < this.count; index++) {
      sum += this.weights[index]!;
      if (sum > target) return this.ids[index]!;
    }
    return this.ids[this.count - 1]!;
  }

  /** Keeps the shortest prefix, in order of weight, that has `count` candidates or `mass` weight. */
  #keep(count: number, mass: number): void {
    for (let index = 0; index < this.count; index++) this.#order[index] = index;
    const kept = selectPrefix(this.#order.subarray(0, this.count), this.weights, count, mass);
    const last = this.#order[kept - 1]!;
    const least = this.weights[last]!;
    this.#compact(
      (index) => this.weights[index]! > least || (this.weights[index] === least && index <= last),
    );
  }

  /** Leaves out what surely comes after the likeliest that have the weight `mass`, without sorting. */
  #dropTail(mass: number): void {
    const masses = this.#masses.fill(0);
    for (let index = 0; index < this.count; index++) {
      masses[HIGHEST_BUCKET - this.#bucket(index)]! += this.weights[index]!;
    }
    let sum = 0;
    let last = 0;
    while (last < masses.length && sum < mass) sum += masses[last++]!;
    // One bucket more than needed, so that rounding in the sum cannot lose a token.
    this.#compact((index) => HIGHEST_BUCKET - this.#bucket(index) <= last);
  }

  #bucket(index: number): number {
    return this.#weightWords[2 * index + UPPER_WORD]! >>> BUCKET_SHIFT;
  }

  #compact(keeps: (index: number) => boolean): void {
    let count = 0;
    for (let index = 0; index < this.count; index++) {
      if (!keeps(index)) continue;
      this.ids[count] = this.ids[index]!;
      this.weights[count] = this.weights[index]!;
      count += 1;
    }
    this.count = count;
  }

  /** A higher bound that still leaves at least `topK` tokens: the lower edge of the histogram bucket of the k-th. */
  #raiseLeast(logits: Float32Array, greatestLogit: number, least: number, topK: number): number {
    const perLogit = HISTOGRAM_BUCKETS / (greatestLogit - least);
    if (!Number.isFinite(perLogit)) return least;
    const histogram = this.#histogram.fill(0);
    for (let token = 0; token < logits.length; token++) {
      const bucket = (greatestLogit - logits[token]!) * perLogit;
      if (bucket < HISTOGRAM_BUCKETS) histogram[bucket | 0]! += 1;
    }
    let above = 0;
    for (let bucket = 0; bucket < HISTOGRAM_BUCKETS - 1; bucket++) {
      above += histogram[bucket]!;
      // One bucket further down than needed, so that rounding at an edge cannot lose a token.
      if (above >= topK) return greatestLogit - (bucket + 2) / perLogit;
    }
    return least;
  }
}
