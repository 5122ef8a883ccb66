/** What is measured, and how long; both sides get the same plan. */

export interface Plan {
  readonly modelPath: string;
  readonly threads: number;
  readonly parts: readonly Part[];
  /** Tokens that a decode part generates in each sequence. */
  readonly decodeTokens: number;
}

export type Part =
  | { readonly name: string; readonly kind: 'decode'; readonly context: number; readonly batch: number }
  | { readonly name: string; readonly kind: 'prefill'; readonly tokens: number };

export const PARTS: readonly Part[] = [
  { name: 'decode, context 16', kind: 'decode', context: 16, batch: 1 },
  { name: 'decode, context 512', kind: 'decode', context: 512, batch: 1 },
  { name: 'decode, batch 4', kind: 'decode', context: 16, batch: 4 },
  { name: 'decode, batch 8', kind: 'decode', context: 16, batch: 8 },
  { name: 'decode, batch 16', kind: 'decode', context: 16, batch: 16 },
  { name: 'prefill 512', kind: 'prefill', tokens: 512 },
  { name: 'prefill 2048', kind: 'prefill', tokens: 2048 },
];

/** Cells that hold the largest part; both sides allocate so many. */
export const CELLS = 4096;
export const BATCH_ROWS = 512;
export const SEQUENCES = 16;

export interface Measurement {
  readonly loadMs: number;
  /** Tokens a second, by the name of the part. */
  readonly speeds: Readonly<Record<string, number>>;
  readonly residentBytes: number;
  /** Shared pages divided among those who map them; null where the system does not say. */
  readonly proportionalBytes: number | null;
}
