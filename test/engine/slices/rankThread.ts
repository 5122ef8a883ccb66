/** A rank in a thread of its own, which never returns to its event loop: it takes commands, computes, and answers. */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Engine } from '../../../src/engine/contract.js';
import { openTensorSlice } from '../../../src/engine/llama/slice/open.js';
import { ShoalError } from '../../../src/shared/errors.js';
import { type Answer, CONTROL, type Command, type RankData, waitForChange } from './rankCommands.js';
import { SharedSums } from './sharedSums.js';

const { port, control } = workerData as RankData;
let engine: Engine | null = null;
let sums: SharedSums | null = null;

for (let asked = 0; ; asked += 1) {
  waitForChange(control, CONTROL.asked, asked);
  const command = receiveMessageOnPort(port)?.message as Command | undefined;
  if (command === undefined) throw new Error('asked without a command');
  port.postMessage(answerTo(command));
  Atomics.add(control, CONTROL.answered, 1);
  Atomics.notify(control, CONTROL.answered);
}

function answerTo(command: Command): Answer {
  try {
    return { result: carryOut(command) };
  } catch (error) {
    if (error instanceof ShoalError) return { code: error.code, message: error.message };
    // Rank 0 waits for an answer, not for this thread: it would not hear of its death.
    return { code: 'internal_error', message: error instanceof Error ? `${error.stack}` : String(error) };
  }
}

function carryOut(command: Command): unknown {
  if (command.kind === 'open') {
    sums = new SharedSums(command.memory, command.rank, command.options.worldSize);
    engine = openTensorSlice({ ...command.options, rank: command.rank, allReduce: sums });
    return { flag: engine.abortFlag.buffer, memoryBytes: engine.memoryBytes };
  }
  if (engine === null || sums === null) throw new Error('no engine');
  switch (command.kind) {
    case 'perturb':
      sums.perturbation =
        command.perturbation === null
          ? null
          : { ...command.perturbation, atSum: sums.count + command.perturbation.atSum };
      return null;
    case 'step':
      return engine.step(command.input).kind;
    case 'copyPrefix':
      return engine.copyPrefix(command.from, command.to, command.length);
    case 'truncate':
      return engine.truncate(command.sequence, command.length);
    case 'close':
      return engine.close();
  }
}
