/** What any store must do. Each test opens stores on one medium, one after the other, as a node does over its lives. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ControlStore } from '../contract.js';

export interface TestRecord {
  readonly index: number;
  readonly text: string;
}

export type TestStore = ControlStore<TestRecord, readonly string[], { readonly term: number }>;

export interface Medium {
  open(): TestStore;
  remove(): void;
}

export const record = (index: number, text = `event ${index}`): TestRecord => ({ index, text });

const records = (from: number, to: number): TestRecord[] =>
  Array.from({ length: to - from + 1 }, (_, place) => record(from + place));

export function testStoreCompliance(name: string, createMedium: () => Medium): void {
  describe(`${name} is a store`, () => {
    for (const [title, check] of Object.entries(CASES)) {
      test(title, { timeout: 20_000 }, async (context) => {
        const medium = createMedium();
        context.after(() => medium.remove());
        await check(medium);
      });
    }
  });
}

const CASES: Record<string, (medium: Medium) => Promise<void>> = {
  async 'an empty one has nothing'({ open }) {
    const store = open();
    assert.deepEqual(await store.load(), { position: 0, snapshot: null, records: [], meta: null });
    assert.equal(await store.flush(), true);
    assert.equal(store.wantsSnapshot, false);
    await store.close();
    await store.close();
  },

  async 'R35 records and facts are there after a restart, in order'({ open }) {
    const store = open();
    await store.load();
    store.append(records(1, 3));
    assert.equal(await store.setMeta({ term: 7 }), true);
    store.append(records(4, 5));
    assert.equal(await store.flush(), true);
    await store.close();
    const again = open();
    assert.deepEqual(await again.load(), {
      position: 0,
      snapshot: null,
      records: records(1, 5),
      meta: { term: 7 },
    });
    again.append(records(6, 6));
    await again.close();
    const third = open();
    assert.equal((await third.load()).records.length, 6, 'closing writes what was not flushed');
    await third.close();
  },

  async 'R58 a snapshot takes the place of the records up to it, and those after it stay'({ open }) {
    const store = open();
    await store.load();
    store.append(records(1, 10));
    await store.setMeta({ term: 2 });
    assert.equal(await store.saveSnapshot(['state at 8'], 8), true);
    store.append(records(11, 12));
    await store.close();
    const again = open();
    const kept = { position: 8, snapshot: ['state at 8'], records: records(9, 12), meta: { term: 2 } };
    assert.deepEqual(await again.load(), kept);
    assert.equal(await again.saveSnapshot(['state at 12'], 12), true);
    await again.close();
    const third = open();
    assert.deepEqual(await third.load(), { ...kept, position: 12, snapshot: ['state at 12'], records: [] });
    await third.close();
  },

  async "a follower's tail is replaced from the first record that differs"({ open }) {
    const store = open();
    await store.load();
    store.append(records(1, 6));
    await store.flush();
    store.append([record(4, 'of the master'), record(5, 'of the master')]);
    await store.close();
    const again = open();
    const { records: kept } = await again.load();
    assert.deepEqual(
      kept.map(({ text }) => text),
      ['event 1', 'event 2', 'event 3', 'of the master', 'of the master'],
    );
    await again.close();
  },

  async 'another history takes the place of everything, also of a longer one'({ open }) {
    const store = open();
    await store.load();
    store.append(records(1, 50));
    assert.equal(await store.replace(['the state of the master'], 20), true);
    store.append([record(21)]);
    await store.close();
    const again = open();
    assert.deepEqual(await again.load(), {
      position: 20,
      snapshot: ['the state of the master'],
      records: [record(21)],
      meta: null,
    });
    await again.close();
  },

  async 'a gap and a record within the snapshot are refused, and change nothing'({ open }) {
    const store = open();
    await store.load();
    store.append(records(1, 3));
    await store.saveSnapshot([], 2);
    assert.throws(() => store.append([record(5)]), RangeError);
    assert.throws(() => store.append([record(2)]), RangeError);
    assert.throws(() => store.saveSnapshot([], 4), RangeError);
    store.append([record(4)]);
    assert.equal(await store.flush(), true);
    await store.close();
    const again = open();
    assert.deepEqual((await again.load()).records, records(3, 4));
    await again.close();
  },

  async 'a record that is too long is kept by the next snapshot, which the store asks for'({ open }) {
    const store = open();
    await store.load();
    store.append([record(1), record(2, 'x'.repeat(2 ** 21)), record(3)]);
    assert.equal(store.wantsSnapshot, true);
    assert.equal(await store.flush(), false);
    assert.equal(await store.saveSnapshot(['all three'], 3), true);
    assert.equal(store.wantsSnapshot, false);
    store.append([record(4)]);
    await store.close();
    const again = open();
    const { position, snapshot, records: kept } = await again.load();
    assert.deepEqual([position, snapshot, kept], [3, ['all three'], [record(4)]]);
    await again.close();
  },

  async 'many writers share a write, and each is answered once'({ open }) {
    const store = open();
    await store.load();
    const answers: Promise<boolean>[] = [];
    for (let index = 1; index <= 500; index += 1) {
      store.append([record(index)]);
      answers.push(store.flush());
      if (index % 50 === 0) await Promise.resolve();
    }
    assert.deepEqual(new Set(await Promise.all(answers)), new Set([true]));
    await store.close();
    const again = open();
    assert.equal((await again.load()).records.length, 500);
    await again.close();
  },
};
