/** What it is that is lacking, when nothing can be chosen. */
import { slicesRefusal } from '../../shared/modelDivision.js';
import { type ChoiceParts, choose, countsOf } from './choose.js';
import type { Candidates } from './exclusions.js';
import { Machines } from './machines.js';
import { Network } from './network.js';
import type { RefusalCode } from './types.js';

export function refusalCode(parts: ChoiceParts, { usable, unknown }: Candidates): RefusalCode {
  const { machines, model, wish, parameters } = parts;
  const { least, most } = countsOf(wish, machines.all.length);
  if (unknown.length > 0) return 'unknown_nodes';
  if (usable.length === 0) return 'no_nodes';
  if (least > most) return 'too_few_nodes';
  if (wish.requireRdma && !hasWay(parts)) return 'no_rdma';
  const joined = Machines.joined(usable, parameters);
  if (choose({ ...parts, machines: joined, wish: { ...wish, requireRdma: false } }) !== null) {
    return wish.requireRdma ? 'no_rdma' : 'not_connected';
  }
  if (most > 1 && wish.sharding === 'Tensor') {
    const counts = Array.from({ length: most }, (_, index) => index + 1).slice(Math.max(1, least - 1));
    if (counts.every((count) => slicesRefusal(model.slices, count) !== null)) return 'cannot_be_sliced';
  }
  const mostShards = model.cuts.canBeCut ? model.cuts.cuts.length + 1 : 1;
  if (most > 1 && wish.sharding === 'Pipeline' && mostShards < Math.max(2, least)) return 'cannot_be_cut';
  return 'too_large';
}

/** Is any pair of machines linked as the wish requires? */
function hasWay({ machines, wish }: ChoiceParts): boolean {
  const network = new Network(machines, wish);
  return machines.all.some((_, from) => machines.all.some((__, to) => network.way(from, to) !== null));
}
