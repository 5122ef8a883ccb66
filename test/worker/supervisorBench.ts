import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import type { RunnerReport } from '../../src/control/cluster/ports.js';
import type { RunnerStatus } from '../../src/control/runnerLife.js';
import type { RunnerFailure } from '../../src/control/state.js';
import type { RunnerId } from '../../src/shared/ids.js';
import { Supervisor } from '../../src/worker/supervisor.js';

const RUNNER = fileURLToPath(new URL('./scriptedRunner.js', import.meta.url));

/** A supervisor over the scripted runner, with what it published. */
export class SupervisorBench {
  readonly changes: RunnerReport[] = [];
  readonly failures: RunnerFailure[] = [];
  readonly supervisor: Supervisor;
  #waiting: (() => void)[] = [];

  constructor(behaviour: string) {
    this.supervisor = new Supervisor(
      {
        runnerEntry: RUNNER,
        allowFailpoints: false,
        publish: (report) => {
          this.changes.push(report);
          for (const wake of this.#waiting.splice(0)) wake();
        },
        onOutputLine: () => undefined,
        onTokens: () => undefined,
        onFailure: (failure) => this.failures.push(failure),
        onStarted: () => undefined,
        onEnded: () => undefined,
        random: () => 0.999,
        restartsItself: true,
      },
      {
        runnerId: 'runner' as RunnerId,
        modelPath: behaviour,
        contextTokens: 64,
        sequences: 1,
        cacheCells: 64,
        prefillChunkTokens: 16,
        threads: 1,
        gpuLayers: 0,
        part: null,
      },
    );
    this.supervisor.start();
  }

  /** The `nth` time that the status was published, counted from 1. */
  async until(status: RunnerStatus, nth = 1): Promise<RunnerReport> {
    for (;;) {
      const change = this.changes.filter((entry) => entry.status === status)[nth - 1];
      if (change !== undefined) return change;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  get pid(): number {
    return this.changes.findLast((change) => change.pid !== null)?.pid ?? assert.fail('no process');
  }
}
