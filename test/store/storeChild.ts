/**
 * A node as far as its log goes, for tests that kill it: appends records without end and prints after each flush how far
 * the log is durable. Words on its standard input: `torn` and `full=MS` act as failpoints, `free` removes the ballast.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { FailpointFiles } from '../../src/cluster/store/failpointFiles.js';
import { FileControlStore } from '../../src/cluster/store/fileStore.js';
import { FolderFiles } from '../../src/cluster/store/storeFiles.js';

const folder = process.argv[2] as string;
const ballastBytes = Number(process.argv[3] ?? 0);
const ballast = join(folder, 'ballast');
const SNAPSHOT_EVERY = 40;
const TEXT = 'x'.repeat(500);
const PAUSE_MS = 5;

const print = (line: object) => void process.stdout.write(`${JSON.stringify(line)}\n`);
const files = new FailpointFiles(new FolderFiles(join(folder, 'log')));
const store = new FileControlStore<{ index: number; text: string }, { count: number }, never>(
  { files, notify: (_level, notice) => print({ notice }) },
  { retryMs: 20 },
);

createInterface({ input: process.stdin })
  .on('line', (word) => {
    if (word === 'torn') files.trigger({ name: 'store.torn_write', arg: null });
    else if (word === 'free') rmSync(ballast);
    else files.trigger({ name: 'store.disk_full', arg: word.slice('full='.length) });
  })
  .on('close', () => process.exit(0));

const { position, records, snapshot } = await store.load();
const isWhole = records.every(({ index }, place) => index === position + place + 1);
print({ loaded: position + records.length, isWhole: isWhole && (snapshot?.count ?? 0) === position });
if (ballastBytes > 0) writeFileSync(ballast, Buffer.alloc(ballastBytes));

for (let index = position + records.length + 1; ; index += 1) {
  store.append([{ index, text: TEXT }]);
  if (index % SNAPSHOT_EVERY === 0) void store.saveSnapshot({ count: index }, index);
  const isDurable = await store.flush();
  print(isDurable ? { durable: index } : { refused: index });
  // A node that is told of a full disk goes on, but does not decide as fast as it can count.
  await new Promise((resolve) => setTimeout(resolve, isDurable ? 0 : PAUSE_MS));
}
