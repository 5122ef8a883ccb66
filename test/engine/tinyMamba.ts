/** A tiny recurrent model (Mamba) with random weights: no keys and values, but a state that cannot be cut. */
import { byteVocabulary } from '../../src/engine/selfTest/byteVocabulary.js';
import type { WritableGguf, WritableMetadata, WritableTensor } from '../../src/models/gguf/writer.js';

const HIDDEN = 32;
const INNER = 64;
const STATE = 8;
const CONVOLUTION = 4;
const TIME_RANK = 4;
const LAYERS = 2;
export const MAMBA_VOCABULARY = 288;

export function tinyMamba(): WritableGguf {
  const number = (key: string, value: number): [string, WritableMetadata] => [
    `mamba.${key}`,
    { type: 'uint32', value },
  ];
  const tensors: WritableTensor[] = [];
  let state = 5;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  const add = (name: string, dims: readonly number[], value: () => number): void => {
    const values = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
    for (let index = 0; index < values.length; index += 1) values[index] = value();
    tensors.push({ name, dims, type: 'f32', data: new Uint8Array(values.buffer) });
  };
  add('token_embd.weight', [HIDDEN, MAMBA_VOCABULARY], () => random() * 2);
  add('output_norm.weight', [HIDDEN], () => 1 + random() * 0.3);
  for (let layer = 0; layer < LAYERS; layer += 1) {
    const block = `blk.${layer}`;
    add(`${block}.attn_norm.weight`, [HIDDEN], () => 1 + random() * 0.3);
    add(`${block}.ssm_in.weight`, [HIDDEN, 2 * INNER], () => random() * 0.6);
    add(`${block}.ssm_conv1d.weight`, [CONVOLUTION, INNER], random);
    add(`${block}.ssm_conv1d.bias`, [INNER], random);
    add(`${block}.ssm_x.weight`, [INNER, TIME_RANK + 2 * STATE], () => random() * 0.5);
    add(`${block}.ssm_dt.weight`, [TIME_RANK, INNER], random);
    add(`${block}.ssm_dt.bias`, [INNER], random);
    add(`${block}.ssm_a`, [STATE, INNER], () => -1 + random());
    add(`${block}.ssm_d`, [INNER], random);
    add(`${block}.ssm_out.weight`, [INNER, HIDDEN], () => random() * 0.5);
  }
  return {
    metadata: [
      ['general.architecture', { type: 'string', value: 'mamba' }],
      number('block_count', LAYERS),
      number('context_length', 4096),
      number('embedding_length', HIDDEN),
      number('feed_forward_length', 0),
      number('attention.head_count', 0),
      number('ssm.conv_kernel', CONVOLUTION),
      number('ssm.inner_size', INNER),
      number('ssm.state_size', STATE),
      number('ssm.time_step_rank', TIME_RANK),
      ['mamba.attention.layer_norm_rms_epsilon', { type: 'float32', value: 1e-5 }],
      ...byteVocabulary(MAMBA_VOCABULARY),
    ],
    tensors,
  };
}
