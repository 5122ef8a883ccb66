/** Whatever the moment of a power cut and whatever remains of unsynced writes: a store comes back with a state that was, and not an older one than it promised. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FileControlStore } from './fileStore.js';
import { SimulatedDisk } from './testing/simulatedDisk.js';
import { record, type TestRecord, type TestStore } from './testing/storeCompliance.js';

type Step =
  | { readonly kind: 'append'; readonly count: number }
  | { readonly kind: 'rewrite'; readonly back: number }
  | { readonly kind: 'snapshot'; readonly back: number }
  | { readonly kind: 'replace'; readonly position: number }
  | { readonly kind: 'meta' | 'flush' }
  | { readonly kind: 'fail'; readonly operations: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('append' as const), count: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('rewrite' as const), back: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constant('snapshot' as const), back: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ kind: fc.constant('replace' as const), position: fc.integer({ min: 0, max: 30 }) }),
  fc.record({ kind: fc.constantFrom('meta' as const, 'flush' as const) }),
  fc.record({ kind: fc.constant('fail' as const), operations: fc.integer({ min: 1, max: 6 }) }),
);

/** One life of a node: what it does, after how many disk operations the power goes, and what then remains. */
interface Life {
  readonly steps: readonly Step[];
  readonly operations: number;
  readonly luck: fc.Stream<number>;
}

const life: fc.Arbitrary<Life> = fc.record({
  steps: fc.array(step, { maxLength: 14 }),
  operations: fc.integer({ min: 0, max: 40 }),
  luck: fc.infiniteStream(fc.nat()),
});

/** The whole history as one list: a snapshot holds the texts of its records. */
class Model {
  texts: string[] = [];
  position = 0;
  term = 0;
  #versions: string[] = [];
  #durable = 0;

  constructor() {
    this.changed();
  }

  changed(): number {
    this.#versions.push(JSON.stringify([this.texts, this.term]));
    return this.#versions.length - 1;
  }

  get newest(): number {
    return this.#versions.length - 1;
  }

  isDurable(version: number): void {
    this.#durable = Math.max(this.#durable, version);
  }

  /** Goes back to what the store gave back, which must be one of the versions since the last that was promised. */
  restore(texts: string[], position: number, term: number): void {
    const version = JSON.stringify([texts, term]);
    const allowed = this.#versions.slice(this.#durable);
    assert.ok(allowed.includes(version), `${version} is none of ${allowed.join(' ')}`);
    Object.assign(this, { texts, position, term });
    this.#versions = [version];
    this.#durable = 0;
  }
}

function open(disk: SimulatedDisk): TestStore {
  return new FileControlStore({ files: disk, notify: () => undefined }, { retryMs: 1 });
}

async function loadInto(model: Model, store: TestStore): Promise<void> {
  const { snapshot, records, position, meta } = await store.load();
  const texts = [...(snapshot ?? []), ...records.map(({ text }) => text)];
  assert.equal(texts.length, position + records.length);
  model.restore(texts, position, meta?.term ?? 0);
}

let made = 0;

function take(step: Step, model: Model, store: TestStore, disk: SimulatedDisk): void {
  const promise = (answer: Promise<boolean>, version: number) =>
    void answer.then((isDurable) => isDurable && model.isDurable(version));
  switch (step.kind) {
    case 'append':
    case 'rewrite': {
      const last = model.texts.length;
      const first =
        step.kind === 'append'
          ? last + 1
          : Math.max(model.position + 1, Math.min(last, last + 1 - step.back));
      const count = step.kind === 'append' ? step.count : 1;
      const records: TestRecord[] = [];
      for (let index = first; index < first + count; index += 1) {
        made += 1;
        const text = `${made}`;
        records.push(record(index, text));
        model.texts = [...model.texts.slice(0, index - 1), text];
        model.changed();
      }
      store.append(records);
      return;
    }
    case 'snapshot': {
      const position = Math.max(model.position, model.texts.length - step.back);
      promise(store.saveSnapshot(model.texts.slice(0, position), position), model.newest);
      model.position = position;
      return;
    }
    case 'replace': {
      made += 1;
      model.texts = Array.from({ length: step.position }, (_, place) => `${made}/${place}`);
      model.position = step.position;
      promise(store.replace(model.texts, step.position), model.changed());
      return;
    }
    case 'meta': {
      made += 1;
      model.term = made;
      promise(store.setMeta({ term: made }), model.changed());
      return;
    }
    case 'flush':
      promise(store.flush(), model.newest);
      return;
    case 'fail':
      disk.failNext(step.operations);
  }
}

async function live(disk: SimulatedDisk, model: Model, { steps, operations, luck }: Life): Promise<void> {
  const store = open(disk);
  await loadInto(model, store);
  disk.cutPowerAfter(operations);
  for (const [place, step] of steps.entries()) {
    take(step, model, store, disk);
    // Some steps come together, between others the disk goes on.
    for (let turn = 0; turn < (place % 3) * 4; turn += 1) await Promise.resolve();
  }
  await store.close();
  disk.restart((below) => (luck.next().value as number) % below);
}

describe('R35 power cuts', () => {
  test('what was promised is there, and what is there was so once', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 4 }), async (lives) => {
        const disk = new SimulatedDisk();
        const model = new Model();
        for (const one of lives) await live(disk, model, one);
        await loadInto(model, open(disk));
      }),
      { numRuns: 2_000 },
    );
  });
});
