/** Log probability of one token, by id. */
export interface TokenChance {
  readonly token: number;
  /** Natural logarithm of the probability at temperature 1 before any penalty, bias or filter. */
  readonly logprob: number;
}

export interface SampledChance extends TokenChance {
  /** The likeliest tokens, best first; the lower id first among equals. */
  readonly top: readonly TokenChance[];
}

/** Log-softmax of the raw logits at `token` and at the `topCount` likeliest tokens. */
export function chances(logits: Float32Array, token: number, topCount: number): SampledChance {
  const normaliser = logSumExp(logits);
  const top = likeliest(logits, topCount).map((id) => ({ token: id, logprob: logits[id]! - normaliser }));
  return { token, logprob: logits[token]! - normaliser, top };
}

function logSumExp(logits: Float32Array): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < logits.length; token++) {
    if (logits[token]! > most) most = logits[token]!;
  }
  let sum = 0;
  for (let token = 0; token < logits.length; token++) sum += Math.exp(logits[token]! - most);
  return most + Math.log(sum);
}

/** Ids of the `count` highest logits by insertion: `count` is small, and most tokens fail the first comparison. */
function likeliest(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  if (count === 0) return best;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token]!;
    if (best.length === count && !(logit > logits[best[count - 1]!]!)) continue;
    let at = best.length;
    while (at > 0 && logit > logits[best[at - 1]!]!) at -= 1;
    best.splice(at, 0, token);
    if (best.length > count) best.pop();
  }
  return best;
}
