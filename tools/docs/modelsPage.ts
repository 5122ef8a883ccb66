/** docs/models.md: which architectures run, and where they may be cut, from the tables of the program. */

import { CUT_RULES, type CutPeriod, type CutRule, REFUSED_CUTS } from '../../src/models/sharding/cutRules.js';
import { SLICE_RULES } from '../../src/models/sharding/sliceRules.js';

export function modelsPage(note: string): string {
  const rules = [...CUT_RULES].sort(([a], [b]) => a.localeCompare(b));
  const anywhere = rules.filter(([, rule]) => conditionsOf(rule).length === 0).map(([name]) => `\`${name}\``);
  const limited = rules.filter(([, rule]) => conditionsOf(rule).length > 0);
  return [
    note,
    '# Models',
    '',
    'Every architecture that llama.cpp v0.4.0 generates text with runs whole, in every quantisation; `shoal models list`',
    'names what cannot run, and why. For a model that is larger than one machine the layers are cut into shards, one',
    'after the other on several machines. To llama.cpp a shard is a model of its own with layers numbered from 0. Not',
    'every network stays the same so: some take the kind of a layer from its number, and compute something else without a',
    'word when they are cut in another place. Therefore only what is in these tables is cut, and only there; everything',
    'else is refused with `sharding_unsupported` and still runs whole. Each entry is tested: tiny models with random',
    'weights give the same logits whole and cut, to the last bit. And before a shard is used, its runner tests the very',
    'plan with a tiny likeness of the model: as many layers, of the same kinds.',
    '',
    'Logits are the same to the last bit on machines of the same kind: another processor may add in another order.',
    '',
    '## Cut anywhere',
    '',
    `${anywhere.join(', ')}.`,
    '',
    '## Cut in some places',
    '',
    'A cut is named by the number of the layer before which it lies; the first layer is 0.',
    '',
    '| architecture | where |',
    '|---|---|',
    ...limited.map(([name, rule]) => `| \`${name}\` | ${conditionsOf(rule).join('; ')} |`),
    '',
    '## Never cut',
    '',
    '| architecture | why |',
    '|---|---|',
    ...[...REFUSED_CUTS].map(([name, reason]) => `| \`${name}\` | It ${reason}. |`),
    '| all others | They have not been shown to compute the same when they are cut. |',
    '',
    '## Slices',
    '',
    `Of ${[...SLICE_RULES.keys()].map((name) => `\`${name}\``).join(', ')} (Llama, Mistral, Qwen2, Qwen3) each layer can also be`,
    'divided into equal slices that compute at the same time and add up their results, twice a layer. The number of',
    'slices divides KV heads, attention heads, hidden numbers and the numbers of the feed-forward layer; of the latter and',
    'of the heads a slice is whole blocks of its quantised matrix: 32 numbers in `q4_0` and `q8_0`, 256 in formats that end',
    'in `_K`. What does not divide, and every other family, mixtures of experts too, is refused with `sharding_unsupported`,',
    'which names the dimension. The vocabulary is divided too, in any way. Tests compare slices with the whole model, in',
    'f32, f16, bf16, `q8_0`, `q4_0`, `q4_K`, `q5_K` and `q6_K`. Sums are made in another order: logits in f32 differ by',
    'less than 1/100,000 of the largest; in f16 by less than 1/200; with quantised matrices, whose products round to 8 bits,',
    'by less than 1/20. Tokens at temperature 0 are the same but where the two best are as good as equal.',
    '',
  ].join('\n');
}

function conditionsOf(rule: CutRule): string[] {
  const conditions = (rule.periods ?? []).map(periodText);
  if (rule.firstLayerKind === true) {
    conditions.push(
      'before layers of the kind of layer 0: with keys and values (`attention.head_count_kv` above 0), or without',
    );
  }
  for (const count of rule.specialLayerCounts ?? []) conditions.push(`not with ${count} layers`);
  if (rule.layersBelow !== undefined) conditions.push(`with fewer than ${rule.layersBelow} layers`);
  if (rule.liteFamily === true) conditions.push('no shard of 26 or 27 layers');
  return conditions;
}

function periodText({ key, usual, acceptsList }: CutPeriod): string {
  if (key === null) return `multiples of ${usual}`;
  const list = acceptsList === true ? ', anywhere when it is a list' : '';
  return `multiples of \`${key}\` (${usual} when the file has no number there${list})`;
}
