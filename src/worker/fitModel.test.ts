import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { cardOf, type ModelCard } from '../models/card.js';
import { readGguf } from '../models/gguf/reader.js';
import { writeGguf } from '../models/gguf/writer.js';
import { testModel, uint } from '../models/testing/modelFile.js';
import { ShoalError } from '../shared/errors.js';
import { ENGINE } from '../shared/limits.js';
import { fitModel } from './fitModel.js';

const MEBIBYTE = 2 ** 20;
const WITHOUT_WISH = { contextTokens: null, sequences: null };

/** A real card: of a small file with 64 layers, so that its KV cache weighs something. */
let card: ModelCard;
before(() => {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-fit-'));
  const path = join(folder, 'small.gguf');
  writeGguf(path, testModel({ layers: 64, metadata: { 'llama.context_length': uint(32_768) } }));
  card = cardOf(readGguf(path), 'small');
  rmSync(folder, { recursive: true });
  assert.equal(card.contextTokens, 32_768);
});

test('R36: what is chosen fits, with one full context at least, and never past the trained context by itself', () => {
  fc.assert(
    fc.property(fc.integer({ min: 64 * MEBIBYTE, max: 65_536 * MEBIBYTE }), (availableBytes) => {
      try {
        const fit = fitModel(card, availableBytes, WITHOUT_WISH);
        assert.ok(fit.memory.totalBytes <= availableBytes);
        assert.ok(fit.cacheCells >= fit.contextTokens);
        assert.ok(fit.contextTokens <= ENGINE.contextTokens);
        assert.ok(fit.cacheCells <= fit.contextTokens * fit.sequences);
      } catch (error) {
        assert.ok(error instanceof ShoalError && error.code === 'placement_impossible');
      }
    }),
  );
});

test('R36: more memory gives more cells, within a share; a short one gives a shorter context', () => {
  const cells = [1, 4, 64].map(
    (gibibytes) => fitModel(card, gibibytes * 1024 * MEBIBYTE, WITHOUT_WISH).cacheCells,
  );
  assert.deepEqual(
    [...cells].sort((a, b) => a - b),
    cells,
  );
  assert.equal(cells[2], ENGINE.contextTokens * ENGINE.sequences);
  const least = fitModel(card, 1024 * MEBIBYTE, { contextTokens: 1024, sequences: 1 }).memory.totalBytes;
  const short = fitModel(card, least, WITHOUT_WISH);
  assert.ok(short.contextTokens < ENGINE.contextTokens);
});

test('R36: a context that was asked for is taken or refused with the numbers', () => {
  const fit = fitModel(card, 4_096 * MEBIBYTE, { contextTokens: 16_384, sequences: 2 });
  assert.deepEqual([fit.contextTokens, fit.sequences], [16_384, 2]);
  assert.throws(() => fitModel(card, 100 * MEBIBYTE, { contextTokens: 16_384, sequences: 2 }), {
    code: 'placement_impossible',
    message: /needs .* of memory \(weights .*, KV cache .*, overhead .*\), and this node offers 100 MiB/,
  });
});
