/** The ways between nodes as people read them, the slowest first: what a model over several nodes would run on. */
import { clip, formatTable } from './output.js';
import { type LinkForm, nodeName, type StateForm } from './stateForm.js';

const NAME_CHARACTERS = 18;
/** Lines; the rest is in `shoal status --json`. */
const MOST_LINES = 12;
const US_PER_MS = 1_000;
const UNITS = ['B/s', 'kB/s', 'MB/s', 'GB/s', 'TB/s'] as const;
const STEP = 1_000;

/** Null while no speed of a link is known. */
export function describeLinks(state: StateForm): string | null {
  const pairs = pairsOf(state.links).filter(({ bytesPerSecond }) => bytesPerSecond !== null);
  if (pairs.length === 0) return null;
  pairs.sort((a, b) => (a.bytesPerSecond ?? 0) - (b.bytesPerSecond ?? 0));
  const rows = pairs
    .slice(0, MOST_LINES)
    .map(({ from, to, roundTripUs, bytesPerSecond, kind, rdma }) => [
      clip(nodeName(state, from), NAME_CHARACTERS),
      clip(nodeName(state, to), NAME_CHARACTERS),
      roundTripUs === null ? '' : `${(roundTripUs / US_PER_MS).toFixed(2)} ms`,
      bytesPerSecond === null ? '' : speedText(bytesPerSecond),
      `${kind ?? ''}${rdma ? ', RDMA' : ''}`,
    ]);
  const table = formatTable(['LINK OF', 'AND', 'ROUND TRIP', 'SPEED', 'BY'], rows);
  const left = pairs.length - rows.length;
  return left > 0 ? `${table}\n… and ${left} faster ones` : table;
}

interface Pair {
  readonly from: string;
  readonly to: string;
  readonly roundTripUs: number | null;
  readonly bytesPerSecond: number | null;
  readonly kind: string | null;
  readonly rdma: boolean;
}

/** What the two ends say of one link, the worse of it. */
function pairsOf(links: readonly LinkForm[]): Pair[] {
  const pairs = new Map<string, Pair>();
  for (const link of links) {
    const [from, to] = [link.from, link.to].sort() as [string, string];
    const key = `${from} ${to}`;
    const other = pairs.get(key);
    const kind = link.interface_kind ?? null;
    const bandwidth = link.bandwidth_bytes_per_s ?? null;
    pairs.set(key, {
      from,
      to,
      roundTripUs: pick(Math.max, other?.roundTripUs ?? null, link.rtt_us),
      bytesPerSecond: pick(Math.min, other?.bytesPerSecond ?? null, bandwidth),
      kind: kind === 'wifi' ? kind : (other?.kind ?? kind),
      rdma: link.rdma === true && (other === undefined || other.rdma),
    });
  }
  return [...pairs.values()];
}

function pick(choose: typeof Math.max, left: number | null, right: number | null): number | null {
  return left === null || right === null ? (left ?? right) : choose(left, right);
}

/** Such as `112 MB/s`. */
export function speedText(bytesPerSecond: number): string {
  let amount = bytesPerSecond;
  let unit = 0;
  while (amount >= STEP && unit < UNITS.length - 1) {
    amount /= STEP;
    unit += 1;
  }
  return `${amount >= 100 || unit === 0 ? Math.round(amount) : amount.toFixed(1)} ${UNITS[unit]}`;
}
