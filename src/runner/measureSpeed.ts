/**
 * Measures how fast this machine computes and writes it to standard output as JSON: in a process of its own, where a
 * crash of native code can do no harm. Its argument is `SpeedOptions` as JSON.
 */
import { measureSpeed, type SpeedOptions } from '../engine/speed/measureSpeed.js';
import { toFault } from '../shared/errors.js';

try {
  const options = JSON.parse(process.argv[2] ?? '') as SpeedOptions;
  process.stdout.write(`${JSON.stringify(measureSpeed(options))}\n`);
} catch (error) {
  process.stderr.write(`${toFault(error).message}\n`);
  process.exitCode = 1;
}
