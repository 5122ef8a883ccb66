import { selectPrefix } from './selection.js';

/**
 * Least share of the likeliest token's probability that a token needs to be drawn at all: 2^-30. All the tokens
 * below it together have less than 0.02 % of the probability in a vocabulary of 150,000, and leaving them
 * out saves most of the exponentials.
 */
export const LEAST_SHARE = 2 ** -30;

const HISTOGRAM_BUCKETS = 512;

/**
 * The tokens that may be drawn, in order of id, with their weights: exp((logit − greatest) / temperature), so the
 * likeliest weighs 1. Scratch memory for one vocabulary, used again for each token.
 */
export class Candidates {
  readonly ids: Int32Array;
  readonly weights: Float64Array;
  readonly #order: Int32Array;
  readonly #histogram = new Int32Array(HISTOGRAM_BUCKETS);
  count = 0;

  constructor(vocabularySize: number) {
    this.ids = new Int32Array(vocabularySize);
    this.weights = new Float64Array(vocabularySize);
    this.#order = new Int32Array(vocabularySize);
  }

  /**
   * Fills in every token with at least `LEAST_SHARE`; with `topK` also leaves out most of the tokens that it cuts
   * off anyway, but none that it keeps.
   */
  gather(logits: Float32Array, greatestLogit: number, temperature: number, topK: number): void {
    let least = greatestLogit + temperature * Math.log(LEAST_SHARE);
    if (topK > 0 && topK < logits.length) least = this.#raiseLeast(logits, greatestLogit, least, topK);
    let count = 0;
    for (let token = 0; token < logits.length; token++) {
      const logit = logits[token]!;
      if (logit < least) continue;
      const weight = Math.exp((logit - greatestLogit) / temperature);
      if (weight < LEAST_SHARE) continue;
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
    if (p < 1) this.#keep(this.count, p * this.total());
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
