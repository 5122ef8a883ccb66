/**
 * An independent forward pass in double precision: the whole sequence from scratch, no cache, no batching. Written
 * from the papers' formulas, to compare the engine with.
 */

import { TINY_EPSILON, type TinyModelShape } from '../../src/engine/selfTest/tinyModel.js';
import type { WritableTensor } from '../../src/models/gguf/writer.js';

/** `[positions][vocabulary]` logits after each token. */
export function referenceLogits(
  shape: TinyModelShape,
  tensors: readonly WritableTensor[],
  tokens: readonly number[],
): Float64Array[] {
  const weights = new Map(tensors.map((tensor) => [tensor.name, toDoubles(tensor)]));
  const weight = (name: string): Float64Array => {
    const found = weights.get(name);
    if (found === undefined) throw new Error(`no tensor ${name}`);
    return found;
  };
  const linear = (name: string, x: Float64Array): Float64Array => {
    const y = multiply(weight(`${name}.weight`), x);
    return weights.has(`${name}.bias`) ? add(y, weight(`${name}.bias`)) : y;
  };
  const { hiddenSize, headSize, heads, kvHeads } = shape;
  const embedding = weight('token_embd.weight');
  let rows: Float64Array[] = tokens.map((token) =>
    embedding.slice(token * hiddenSize, (token + 1) * hiddenSize),
  );

  for (let layer = 0; layer < shape.layers; layer += 1) {
    const block = `blk.${layer}`;
    const normed = rows.map((row) => rmsNorm(row, weight(`${block}.attn_norm.weight`)));
    const perHead = (row: Float64Array, norm: string, position: number): Float64Array[] =>
      splitHeads(row, headSize).map((head) =>
        rotate(weights.has(norm) ? rmsNorm(head, weight(norm)) : head, position, shape),
      );
    const queries = normed.map((row, position) =>
      perHead(linear(`${block}.attn_q`, row), `${block}.attn_q_norm.weight`, position),
    );
    const keys = normed.map((row, position) =>
      perHead(linear(`${block}.attn_k`, row), `${block}.attn_k_norm.weight`, position),
    );
    const values = normed.map((row) => splitHeads(linear(`${block}.attn_v`, row), headSize));
    rows = rows.map((row, position) => {
      const attended = new Float64Array(heads * headSize);
      for (let head = 0; head < heads; head += 1) {
        const shared = Math.floor((head * kvHeads) / heads);
        const query = queries[position]?.[head] as Float64Array;
        const scores = keys
          .slice(0, position + 1)
          .map((key) => dot(query, key[shared] as Float64Array) / Math.sqrt(headSize));
        const shares = softmax(scores);
        for (const [earlier, share] of shares.entries()) {
          const value = values[earlier]?.[shared] as Float64Array;
          for (let i = 0; i < headSize; i += 1) {
            attended[head * headSize + i] =
              (attended[head * headSize + i] as number) + share * (value[i] as number);
          }
        }
      }
      return add(row, linear(`${block}.attn_output`, attended));
    });
    rows = rows.map((row) => {
      const x = rmsNorm(row, weight(`${block}.ffn_norm.weight`));
      const gate = linear(`${block}.ffn_gate`, x).map((value) => value / (1 + Math.exp(-value)));
      const up = linear(`${block}.ffn_up`, x);
      return add(
        row,
        linear(
          `${block}.ffn_down`,
          gate.map((value, i) => value * (up[i] as number)),
        ),
      );
    });
  }
  const head = weights.get('output.weight') ?? embedding;
  return rows.map((row) => multiply(head, rmsNorm(row, weight('output_norm.weight'))));
}

function toDoubles(tensor: WritableTensor): Float64Array {
  const { buffer, byteOffset, byteLength } = tensor.data;
  return Float64Array.from(new Float32Array(buffer, byteOffset, byteLength / Float32Array.BYTES_PER_ELEMENT));
}

/** The matrix is stored row by row, one row an output. */
function multiply(matrix: Float64Array, x: Float64Array): Float64Array {
  return Float64Array.from({ length: matrix.length / x.length }, (_, row) =>
    dot(matrix.subarray(row * x.length, (row + 1) * x.length), x),
  );
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

function add(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + (b[i] as number));
}

function rmsNorm(x: Float64Array, weight: Float64Array): Float64Array {
  const scale = 1 / Math.sqrt(dot(x, x) / x.length + TINY_EPSILON);
  return x.map((value, i) => value * scale * (weight[i] as number));
}

function splitHeads(x: Float64Array, headSize: number): Float64Array[] {
  return Array.from({ length: x.length / headSize }, (_, head) =>
    x.slice(head * headSize, (head + 1) * headSize),
  );
}

function softmax(scores: readonly number[]): number[] {
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/**
 * Rotary position embedding. Llama files pair neighbours (2i, 2i+1); Qwen files pair i with i + half
 * ("norm" and "neox" in ggml).
 */
function rotate(head: Float64Array, position: number, shape: TinyModelShape): Float64Array {
  const half = head.length / 2;
  const rotated = new Float64Array(head.length);
  for (let i = 0; i < half; i += 1) {
    const [first, second] = shape.architecture === 'llama' ? [2 * i, 2 * i + 1] : [i, i + half];
    const angle = position * shape.ropeBase ** ((-2 * i) / head.length);
    const [a, b] = [head[first] as number, head[second] as number];
    rotated[first] = a * Math.cos(angle) - b * Math.sin(angle);
    rotated[second] = a * Math.sin(angle) + b * Math.cos(angle);
  }
  return rotated;
}
