/** Loads the engine, runs its self-test and tells what was found: for `shoal doctor`, in a process of its own. */
import { engineInfo } from '../engine/llama/engineInfo.js';
import { selfTest } from '../engine/selfTest/selfTest.js';
import { toFault } from '../shared/errors.js';

try {
  selfTest();
  process.stdout.write(`${engineInfo()}\n`);
} catch (error) {
  process.stderr.write(`${toFault(error).message}\n`);
  process.exitCode = 1;
}
