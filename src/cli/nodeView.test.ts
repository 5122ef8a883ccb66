import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backendsOf } from './nodeView.js';

test('R61, R72: a node has its processor, and what its models compute on, whatever another version says of it', () => {
  const runners = {
    loading: { model: null },
    a: { model: { backends: ['CPU'] } },
    b: { model: { backends: ['CUDA0', 'CPU', 7] } },
    c: { model: { backends: 'CUDA0' } },
    d: {},
  };
  assert.deepEqual(backendsOf({ runners }), ['cpu', 'cuda0']);
  assert.deepEqual(backendsOf({ runners: {} }), ['cpu']);
});
