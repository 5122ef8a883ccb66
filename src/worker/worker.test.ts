import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ClusterListener } from '../cluster/clusterNode.js';
import type { ControlEvent } from '../control/events.js';
import { instanceRecord, NODE, nodeFact, stateAfter } from '../control/testing.js';
import { ShoalError } from '../shared/errors.js';
import type { InstanceId } from '../shared/ids.js';
import { TIMES } from '../shared/limits.js';
import { Leftovers } from './leftovers.js';
import { RankMeetings } from './rankMeetings.js';
import { Worker } from './worker.js';

const JOINED: ControlEvent = { kind: 'NodeJoined', node: nodeFact() };
const CREATED: ControlEvent = { kind: 'InstanceCreated', instance: instanceRecord('a') };
const DELETED: ControlEvent = { kind: 'InstanceDeleted', instanceId: 'a' as InstanceId };
const NOT_HERE = new ShoalError('model_not_found', 'the file is gone');

/** A worker that looks for the model of its only instance, and does not find it when the test says so. */
async function looking(action: (worker: LookingWorker) => Promise<void>): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), 'shoal-worker-'));
  try {
    await action(new LookingWorker(home));
  } finally {
    rmSync(home, { recursive: true });
  }
}

class LookingWorker {
  /** What it said to the cluster, in words. */
  readonly said: string[] = [];
  readonly #events: ControlEvent[] = [JOINED];
  readonly #listeners: ClusterListener[] = [];
  #refuse: (error: Error) => void = () => undefined;

  constructor(home: string) {
    const cluster = {
      isUpToDate: true,
      state: stateAfter(...this.#events),
      listen: (listener: ClusterListener) => {
        this.#listeners.push(listener);
        return () => undefined;
      },
      runnerChanged: ({ runnerId, status }: { runnerId: string; status: string }) =>
        void this.said.push(`${runnerId} ${status}`),
      runnerGone: (runnerId: string) => void this.said.push(`${runnerId} gone`),
    };
    this.apply = (event) => {
      this.#events.push(event);
      cluster.state = stateAfter(...this.#events);
      for (const listener of this.#listeners) listener.applied?.({ index: 0, event }, cluster.state);
    };
    const worker = new Worker(
      {
        cluster,
        leftovers: new Leftovers(home, (error) => assert.fail(error)),
        ranks: new RankMeetings(
          { gather: () => assert.fail('there is one rank'), secretOf: () => new Uint8Array(32) },
          { folder: join(home, 'side-channels') },
        ),
        model: () =>
          new Promise((_, reject) => {
            this.#refuse = reject;
          }),
        onOutputLine: () => undefined,
        onFailure: () => undefined,
      },
      { nodeId: NODE, runnerEntry: 'none', gpuLayers: 0, allowFailpoints: false },
    );
    worker.start();
  }

  readonly apply: (event: ControlEvent) => void;

  async doesNotFindIt(): Promise<void> {
    this.#refuse(NOT_HERE);
    await nextTurn();
  }
}

test('R49: a runner whose model is not found has failed, and is gone with its instance', () =>
  looking(async (worker) => {
    worker.apply(CREATED);
    await worker.doesNotFindIt();
    assert.deepEqual(worker.said, ['a-0 failed']);
    worker.apply(DELETED);
    await nextTurn();
    assert.deepEqual(worker.said, ['a-0 failed', 'a-0 gone']);
  }));

test('R49: a disk that does not answer is a failure of the start, and holds up nobody for good', (context) =>
  looking(async (worker) => {
    context.mock.timers.enable({ apis: ['setTimeout'] });
    worker.apply(CREATED);
    context.mock.timers.tick(TIMES.modelLookUpMs - 1);
    await nextTurn();
    assert.deepEqual(worker.said, []);
    context.mock.timers.tick(1);
    await nextTurn();
    assert.deepEqual(worker.said, ['a-0 failed']);
    await worker.doesNotFindIt();
    assert.deepEqual(worker.said, ['a-0 failed']);
  }));

test('R30, R52: of a runner whose instance was deleted while its model was looked for, the last word is that it is gone', () =>
  looking(async (worker) => {
    worker.apply(CREATED);
    worker.apply(DELETED);
    await nextTurn();
    await worker.doesNotFindIt();
    assert.deepEqual(worker.said, ['a-0 gone']);
  }));
