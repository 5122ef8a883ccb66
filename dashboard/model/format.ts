/** Numbers and times as people read them. */
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const SHORT_ID_CHARACTERS = 8;
const PERCENT = 100;
const US_PER_MS = 1_000;

/** `340 ms`, `4.2 s`, `3 min`, `5 h`, `2 d`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < SECOND_MS) return `${Math.max(0, Math.round(milliseconds))} ms`;
  if (milliseconds < MINUTE_MS) {
    const seconds = milliseconds / SECOND_MS;
    return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`;
  }
  if (milliseconds < HOUR_MS) return `${Math.floor(milliseconds / MINUTE_MS)} min`;
  if (milliseconds < DAY_MS) return `${Math.floor(milliseconds / HOUR_MS)} h`;
  return `${Math.floor(milliseconds / DAY_MS)} d`;
}

/** `layers 0–7`, `layer 3`; the end is not among them. */
export function formatLayers(start: number, end: number): string {
  return end - start === 1 ? `layer ${start}` : `layers ${start}–${end - 1}`;
}

/** How long ago a time of the API was; clocks of machines differ, so the future is `now`. */
export function formatAgo(time: string, now: number): string {
  const at = Date.parse(time);
  if (Number.isNaN(at)) return 'unknown';
  return now - at < SECOND_MS ? 'now' : `${formatDuration(now - at)} ago`;
}

export function formatRoundTrip(microseconds: number | null): string {
  if (microseconds === null) return 'not measured';
  const milliseconds = microseconds / US_PER_MS;
  return `${milliseconds < 10 ? milliseconds.toFixed(2) : Math.round(milliseconds)} ms`;
}

/** `1.2 GB/s`, as networks are sold: in powers of ten. */
export function formatBandwidth(bytesPerSecond: number): string {
  const scale = BANDWIDTHS.find(({ size }) => bytesPerSecond >= size);
  if (scale === undefined) return `${Math.round(bytesPerSecond)} B/s`;
  const scaled = bytesPerSecond / scale.size;
  return `${scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)} ${scale.unit}`;
}

const BANDWIDTHS = [
  { size: 1e9, unit: 'GB/s' },
  { size: 1e6, unit: 'MB/s' },
  { size: 1e3, unit: 'kB/s' },
] as const;

/** @param share from 0 to 1 */
export function formatShare(share: number): string {
  return `${Math.round(Math.min(1, Math.max(0, share)) * PERCENT)} %`;
}

export function formatRate(tokensPerSecond: number): string {
  return `${tokensPerSecond >= PERCENT ? Math.round(tokensPerSecond) : tokensPerSecond.toFixed(1)} tokens/s`;
}

/** The first characters of an id, as the command line shows them. */
export function shortId(id: string): string {
  return id.slice(0, SHORT_ID_CHARACTERS);
}

/** The same of a request, whose id begins with what kind it is (`chatcmpl-…`). */
export function shortRequestId(commandId: string): string {
  return shortId(commandId.replace(/^[a-z]+-/, ''));
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
