/** A fingerprint of everything that happened: two runs of a seed must have the same. */
import type { NodeInput, NodeOutput } from '../../src/control/cluster/ports.js';
import type { Process } from './machine.js';

export class Trace {
  #hash = 2166136261;
  inputs = 0;

  get fingerprint(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  handled(now: number, process: Process, input: NodeInput, outputs: readonly NodeOutput[]): void {
    this.inputs += 1;
    this.#mix(Math.round(now * 1_000));
    this.#mix(process.node.incarnation);
    this.#mixText(process.machine.id);
    this.#mixText(input.kind === 'Received' ? input.message.kind : input.kind);
    this.#mix(process.core.position.index);
    for (const output of outputs) {
      this.#mixText(output.kind === 'Send' ? output.message.kind : output.kind);
    }
  }

  #mixText(text: string): void {
    this.#mix(text.length);
    for (let at = 0; at < text.length; at += 1) this.#mix(text.charCodeAt(at));
  }

  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 16777619);
  }
}
