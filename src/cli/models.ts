/** `shoal models list`: every model, what it needs, and why it cannot run if it cannot. */
import { ModelCatalogue } from '../models/catalogue.js';
import { refuseTooLarge } from '../models/memoryVerdict.js';
import { formatBytes } from '../shared/bytes.js';
import { type ApiTarget, callJson } from './client.js';
import { readNodeMemory } from './nodeMemory.js';
import { formatTable } from './output.js';

/** The fields of `GET /models` that the list shows. */
interface ModelEntry {
  readonly id: string;
  readonly architecture: string | null;
  readonly quantisation: string | null;
  readonly parameters: number | null;
  readonly context_length: number | null;
  readonly size_bytes: number;
  /** Is its file on the node that was asked? */
  readonly downloaded: boolean;
  readonly memory: { readonly total_bytes: number } | null;
  readonly refusal: string | null;
}

interface ListOptions extends ApiTarget {
  readonly json: boolean;
  readonly models: readonly string[];
}

/** Asks a node, or with `--models` looks into the folders itself. */
export async function listModels(options: ListOptions): Promise<void> {
  const entries = options.models.length > 0 ? await readFolders(options.models) : await askNode(options);
  if (options.json) {
    process.stdout.write(`${JSON.stringify(entries, null, 2)}\n`);
    return;
  }
  const rows = entries.map((entry) => [
    entry.id,
    [entry.architecture, entry.quantisation].filter((part) => part !== null).join(' '),
    entry.parameters === null ? '' : formatCount(entry.parameters),
    entry.context_length === null ? '' : String(entry.context_length),
    entry.downloaded ? formatBytes(entry.size_bytes) : '',
    entry.memory === null ? '' : formatBytes(entry.memory.total_bytes),
    entry.refusal ?? (entry.downloaded ? 'can run' : 'served by another node'),
  ]);
  const header = ['MODEL', 'KIND', 'PARAMETERS', 'CONTEXT', 'FILE', 'MEMORY', 'HERE'];
  process.stdout.write(`${formatTable(header, rows)}\n`);
}

async function askNode(target: ApiTarget): Promise<readonly ModelEntry[]> {
  return (await callJson<{ data: readonly ModelEntry[] }>(target, '/models')).data;
}

async function readFolders(directories: readonly string[]): Promise<readonly ModelEntry[]> {
  const listings = await new ModelCatalogue({ directories }).list();
  const { totalBytes } = readNodeMemory();
  return listings.map((listing) => {
    const model = refuseTooLarge(listing, totalBytes);
    return {
      id: model.modelId,
      architecture: model.architecture,
      quantisation: model.quantisation,
      parameters: model.parameters,
      context_length: model.contextTokens,
      size_bytes: model.fileBytes,
      downloaded: true,
      memory: model.memory === null ? null : { total_bytes: model.memory.totalBytes },
      refusal: model.refusal,
    };
  });
}

function formatCount(value: number): string {
  return value >= 1e9 ? `${(value / 1e9).toFixed(1)} B` : `${(value / 1e6).toFixed(1)} M`;
}
