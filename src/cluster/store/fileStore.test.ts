import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../shared/limits.js';
import { FailpointFiles } from './failpointFiles.js';
import { FileControlStore, type FileStoreOptions } from './fileStore.js';
import { DROPPED_FILE, logName, snapshotName } from './generations.js';
import { FolderFiles, type StoreFiles } from './storeFiles.js';
import { SimulatedDisk } from './testing/simulatedDisk.js';
import { record, type TestStore, testStoreCompliance } from './testing/storeCompliance.js';

const silent = () => undefined;

function storeOn(files: StoreFiles, notices: string[] = [], options: FileStoreOptions = {}): TestStore {
  const notify = (_level: string, message: string) => void notices.push(message);
  return new FileControlStore({ files, notify }, { retryMs: 1, ...options });
}

/** Lets the event loop turn until it is so. */
async function until(isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error('it never came to be');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

testStoreCompliance('a folder on disk', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-store-'));
  return {
    open: () => storeOn(new FolderFiles(join(folder, 'log'))),
    remove: () => rmSync(folder, { recursive: true }),
  };
});

testStoreCompliance('a simulated disk', () => {
  const disk = new SimulatedDisk();
  return { open: () => storeOn(disk), remove: silent };
});

/** A disk with one log of ten records. */
async function tenRecords(): Promise<{ disk: SimulatedDisk; bytes: Buffer }> {
  const disk = new SimulatedDisk();
  const store = storeOn(disk);
  await store.load();
  for (let index = 1; index <= 10; index += 1) store.append([record(index)]);
  await store.close();
  return { disk, bytes: disk.contents().get(logName(1)) as Buffer };
}

describe('damage', () => {
  test('R35 a log cut off at any byte gives the records before it, says so, and goes on', async () => {
    const { bytes } = await tenRecords();
    let kept = 0;
    for (let length = 0; length <= bytes.length; length += 1) {
      const disk = new SimulatedDisk();
      disk.put(logName(1), bytes.subarray(0, length));
      const notices: string[] = [];
      const store = storeOn(disk, notices);
      const { records } = await store.load();
      assert.deepEqual(
        records,
        Array.from({ length: records.length }, (_, place) => record(place + 1)),
      );
      assert.ok(records.length >= kept && records.length <= kept + 1, 'a longer file never holds less');
      kept = records.length;
      assert.equal(store.wantsSnapshot, notices.length > 0);
      store.append([record(kept + 1, 'after')]);
      await store.close();
      const again = await storeOn(disk).load();
      assert.deepEqual(again.records.at(-1), record(kept + 1, 'after'));
      assert.equal(again.records.length, kept + 1);
    }
    assert.equal(kept, 10);
  });

  test('R35 a damaged byte anywhere costs what stands behind it, which is kept aside; never a wrong record', async () => {
    const { bytes } = await tenRecords();
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (place, change) => {
        const damaged = Buffer.from(bytes);
        damaged[place] = (damaged[place] as number) ^ change;
        const disk = new SimulatedDisk();
        disk.put(logName(1), damaged);
        const notices: string[] = [];
        let records: readonly unknown[];
        try {
          ({ records } = await storeOn(disk, notices).load());
        } catch (error) {
          // The mark of a newer version is refused instead of overwritten.
          assert.match((error as Error).message, /newer version/);
          return;
        }
        assert.deepEqual(
          records,
          Array.from({ length: records.length }, (_, index) => record(index + 1)),
        );
        assert.ok(records.length < 10 && notices.length > 0);
        const dropped = disk.contents().get(DROPPED_FILE);
        if (records.length > 0) assert.ok(dropped && damaged.subarray(-dropped.length).equals(dropped));
      }),
      { numRuns: 300 },
    );
  });

  test('a stretch of zeros behind the log, as file systems leave it, is no record', async () => {
    const { bytes } = await tenRecords();
    const disk = new SimulatedDisk();
    disk.put(logName(1), Buffer.concat([bytes, Buffer.alloc(4096)]));
    assert.equal((await storeOn(disk).load()).records.length, 10);
  });

  test('a damaged snapshot loses nothing: the generation before it is still there', async () => {
    const { disk } = await tenRecords();
    const store = storeOn(disk);
    await store.load();
    await store.saveSnapshot(['up to 9'], 9);
    store.append([record(11)]);
    await store.close();
    const bytes = Buffer.from(disk.contents().get(snapshotName(2)) as Buffer);
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    disk.put(snapshotName(2), bytes);
    const notices: string[] = [];
    const again = storeOn(disk, notices);
    const { position, records } = await again.load();
    assert.equal(position, 0);
    assert.deepEqual(
      records.map(({ index }) => index),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    );
    assert.match(notices.join(), /not whole/);
    assert.equal(again.wantsSnapshot, true);
    await again.saveSnapshot(['up to 11'], 11);
    assert.equal(again.wantsSnapshot, false);
    await again.close();
  });

  test('files of a newer version are left alone', async () => {
    const disk = new SimulatedDisk();
    disk.put(logName(1), Buffer.from('SHOALOG2 something else'));
    await assert.rejects(storeOn(disk).load(), { code: 'storage_failed', message: /newer version/ });
    assert.equal(disk.contents().get(logName(1))?.toString(), 'SHOALOG2 something else');
  });
});

describe('a disk that refuses', () => {
  for (const code of ['ENOSPC', 'EIO']) {
    test(`R35 ${code} is told once; nothing durable is lost, and all of it is there when the disk is well again`, async () => {
      const { disk } = await tenRecords();
      const notices: string[] = [];
      const store = storeOn(disk, notices);
      await store.load();
      disk.failNext(Number.POSITIVE_INFINITY, code);
      store.append([record(11)]);
      assert.equal(await store.flush(), false);
      assert.equal(await store.setMeta({ term: 3 }), false);
      assert.equal(await store.saveSnapshot(['up to 4'], 4), false);
      store.append([record(12)]);
      assert.equal(await store.flush(), false);
      assert.equal((await storeOn(disk).load()).records.length, 10);
      const before = disk.operations;
      await until(() => disk.operations > before + 20);
      assert.equal(notices.filter((notice) => notice.includes(code)).length, 1);
      disk.failNext(0);
      await until(() => notices.some((notice) => notice.includes('log again')));
      assert.equal(await store.flush(), true);
      await store.close();
      const { position, records, meta } = await storeOn(disk).load();
      assert.deepEqual([position, records.length, meta], [4, 8, { term: 3 }]);
    });
  }

  test('a disk that hangs holds nobody up, and what it was given counts when it wakes', async () => {
    const { disk } = await tenRecords();
    const notices: string[] = [];
    const store = storeOn(disk, notices, { stallMs: 20 });
    await store.load();
    let wake = silent as () => void;
    disk.frozen = new Promise((resolve) => {
      wake = resolve as () => void;
    });
    store.append([record(11)]);
    assert.equal(await store.flush(), false);
    assert.equal(await store.flush(), false);
    assert.match(notices.join(), /does not answer/);
    wake();
    await until(() => notices.length === 2);
    assert.equal(await store.flush(), true);
    disk.frozen = new Promise(silent);
    store.append([record(12)]);
    await store.close();
  });

  test('without a snapshot in time records are kept in memory only, and the snapshot heals it', async () => {
    const disk = new SimulatedDisk();
    const notices: string[] = [];
    const store = storeOn(disk, notices);
    await store.load();
    const text = 'x'.repeat(LIMITS.controlRecordBytes - 100);
    const count = Math.ceil(LIMITS.controlLogHardBytes / text.length) + 3;
    for (let index = 1; index <= count; index += 1) {
      store.append([record(index, text)]);
      await store.flush();
    }
    assert.equal(store.wantsSnapshot, true);
    assert.equal(await store.flush(), false);
    assert.match(notices.join(), /past its bound/);
    assert.ok((disk.contents().get(logName(1))?.length ?? 0) <= LIMITS.controlLogHardBytes + 1_000);
    assert.equal(await store.saveSnapshot(['all'], count), true);
    assert.equal(store.wantsSnapshot, false);
    store.append([record(count + 1)]);
    await store.close();
    const { position, records } = await storeOn(disk).load();
    assert.deepEqual([position, records], [count, [record(count + 1)]]);
  });
});

describe('failpoints of the store', () => {
  test('store.disk_full refuses writes for as long as it is told', async () => {
    const files = new FailpointFiles(new SimulatedDisk());
    const store = storeOn(files);
    await store.load();
    assert.equal(files.trigger({ name: 'store.disk_full', arg: null }), true);
    store.append([record(1)]);
    assert.equal(await store.flush(), false);
    files.trigger({ name: 'store.disk_full', arg: '0' });
    await store.close();
    assert.equal((await storeOn(files).load()).records.length, 1);
  });

  test('store.torn_write leaves half a write, and the next life drops it', async () => {
    const disk = new SimulatedDisk();
    let deaths = 0;
    const files = new FailpointFiles(disk, () => {
      deaths += 1;
      disk.cutPowerAfter(0);
    });
    const store = storeOn(files);
    await store.load();
    store.append([record(1)]);
    await store.flush();
    assert.equal(files.trigger({ name: 'store.torn_write', arg: null }), true);
    assert.equal(files.trigger({ name: 'runner.die', arg: null }), false);
    store.append([record(2)]);
    assert.equal(await store.flush(), false);
    assert.equal(deaths, 1);
    await store.close();
    disk.restart(() => 0);
    const notices: string[] = [];
    assert.deepEqual((await storeOn(disk, notices).load()).records, [record(1)]);
    assert.match(notices.join(), /torn or damaged/);
  });
});

test('the files are for their owner only, and old generations go', {
  skip: process.platform === 'win32',
}, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-store-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const files = new FolderFiles(join(folder, 'log'));
  writeFileSync(join(folder, 'beside'), '');
  const store = storeOn(files);
  await store.load();
  for (let index = 1; index <= 6; index += 1) {
    store.append([record(index)]);
    assert.equal(await store.saveSnapshot([`up to ${index}`], index), true);
  }
  await store.close();
  const names = await files.list();
  assert.deepEqual(names.sort(), [logName(6), snapshotName(6), logName(7), snapshotName(7)].sort());
  for (const name of names) assert.equal(statSync(join(folder, 'log', name)).mode & 0o777, 0o600);
  assert.equal(statSync(join(folder, 'log')).mode & 0o777, 0o700);
  assert.equal(readFileSync(join(folder, 'beside'), 'utf8'), '');
});
