/** Steps on a pipe, as bytes: two counts, then positions, sequences, outputs and numbers. */
import type { Readable } from 'node:stream';

export interface WireStep {
  readonly positions: Int32Array;
  readonly sequences: Int32Array;
  readonly outputs: Uint8Array;
  /** Tokens or hidden states. */
  readonly numbers: Float32Array;
}

const HEAD_BYTES = 8;
const NUMBER_BYTES = 4;

export function encodeStep({ positions, sequences, outputs, numbers }: WireStep): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(positions.length, 0);
  head.writeUInt32LE(numbers.length, NUMBER_BYTES);
  return Buffer.concat([head, ...[positions, sequences, numbers, outputs].map(bytesOf)]);
}

/** Bytes of a step with so many rows and numbers. */
export function stepBytes(rows: number, numbers: number): number {
  return HEAD_BYTES + rows * (2 * NUMBER_BYTES + 1) + numbers * NUMBER_BYTES;
}

export function readSteps(stream: Readable, onStep: (step: WireStep) => void): void {
  let pending: Buffer[] = [];
  let length = 0;
  stream.on('data', (chunk: Buffer) => {
    pending.push(chunk);
    length += chunk.length;
    for (;;) {
      if (length < HEAD_BYTES) return;
      if (pending.length > 1 && (pending[0] as Buffer).length < HEAD_BYTES)
        pending = [Buffer.concat(pending)];
      const head = pending[0] as Buffer;
      const [rows, numbers] = [head.readUInt32LE(0), head.readUInt32LE(NUMBER_BYTES)];
      const size = stepBytes(rows, numbers);
      if (length < size) return;
      const all = Buffer.concat(pending);
      // A copy of its own is aligned.
      onStep(decode(Uint8Array.from(all.subarray(HEAD_BYTES, size)).buffer, rows, numbers));
      pending = [all.subarray(size)];
      length -= size;
    }
  });
}

function decode(bytes: ArrayBuffer, rows: number, numbers: number): WireStep {
  const rowBytes = rows * NUMBER_BYTES;
  return {
    positions: new Int32Array(bytes, 0, rows),
    sequences: new Int32Array(bytes, rowBytes, rows),
    numbers: new Float32Array(bytes, 2 * rowBytes, numbers),
    outputs: new Uint8Array(bytes, 2 * rowBytes + numbers * NUMBER_BYTES, rows),
  };
}

function bytesOf(array: Int32Array | Float32Array | Uint8Array): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}
