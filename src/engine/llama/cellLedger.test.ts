import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { CellLedger } from './cellLedger.js';

const SEQUENCES = 4;
const CELLS = 24;

/** The same by definition: a cell is a value of its own, and is used while any sequence has it. */
class Model {
  readonly held: symbol[][] = Array.from({ length: SEQUENCES }, () => []);

  get freeCells(): number {
    return CELLS - new Set(this.held.flat()).size;
  }
}

type Action = {
  readonly kind: 'append' | 'share' | 'truncate';
  readonly a: number;
  readonly b: number;
  readonly length: number;
};

const actions = fc.array(
  fc.record<Action>({
    kind: fc.constantFrom('append', 'append', 'append', 'share', 'truncate'),
    a: fc.nat(SEQUENCES - 1),
    b: fc.nat(SEQUENCES - 1),
    length: fc.nat(CELLS),
  }),
  { maxLength: 200 },
);

it('R65: lengths and free cells are right after any appends, shared prefixes and cuts', () => {
  fc.assert(
    fc.property(actions, (list) => {
      const ledger = new CellLedger(SEQUENCES, CELLS);
      const model = new Model();
      for (const { kind, a, b, length } of list) {
        const held = model.held[a] as symbol[];
        if (kind === 'append' && model.freeCells > 0) {
          held.push(Symbol());
          ledger.append(a);
        } else if (kind === 'truncate') {
          held.splice(length);
          ledger.truncate(a, length);
        } else if (kind === 'share' && a !== b && model.held[b]?.length === 0) {
          model.held[b] = held.slice(0, length);
          ledger.share(a, b, Math.min(length, held.length));
        }
        assert.equal(ledger.freeCells, model.freeCells);
        for (let sequence = 0; sequence < SEQUENCES; sequence += 1) {
          assert.equal(ledger.length(sequence), model.held[sequence]?.length);
        }
      }
      for (let sequence = 0; sequence < SEQUENCES; sequence += 1) ledger.truncate(sequence, 0);
      assert.equal(ledger.freeCells, CELLS);
    }),
  );
});
