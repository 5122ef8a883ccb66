import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CommandId, InstanceId, RunnerId, TaskId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import { MODEL, NODE, nodeFact, OTHER_NODE } from '../testing.js';
import type { Assignment } from './commands.js';
import { UNMOVED } from './moves.js';
import { type OpenTask, OpenTasks } from './openTasks.js';

const id = (name: string) => name as TaskId;
const open = (name: string, deadlineAt = 1_000): OpenTask => ({
  taskId: id(name),
  attemptId: id(name),
  moves: UNMOVED,
  commandId: `command-${name}` as CommandId,
  modelId: MODEL,
  deadlineAt,
  deadlineMs: 1_000,
  waitUntil: 1_000,
  nodeId: null,
  record: null,
});
const assignment = (name: string, instance = 'a'): Assignment => ({
  kind: 'Assignment',
  taskId: id(name),
  instanceId: instance as InstanceId,
  nodeId: OTHER_NODE,
  runnerId: `${instance}-0` as RunnerId,
});

function setUp(...names: string[]): OpenTasks {
  const tasks = new OpenTasks();
  for (const name of names) tasks.add(open(name));
  return tasks;
}

test('a request is found by its command until it ends', () => {
  const tasks = setUp('t');
  assert.equal(tasks.find('command-t' as CommandId)?.taskId, 't');
  assert.equal(tasks.end(id('t'), 'complete'), null);
  assert.equal(tasks.find('command-t' as CommandId), null);
  assert.equal(tasks.get(id('t')), null);
});

test('a request is placed once: a second answer, or one after its end, places nothing', () => {
  const tasks = setUp('t', 'ended');
  const placed = tasks.assigned(assignment('t'), nodeFact(NODE, 3), 77);
  assert.deepEqual(placed?.record, {
    taskId: 't',
    commandId: 'command-t',
    instanceId: 'a',
    kind: 'generation',
    status: 'running',
    apiNodeId: NODE,
    apiIncarnation: 3,
    createdAt: 77,
  });
  assert.equal(tasks.assigned(assignment('t', 'b'), nodeFact(), 78), null);
  assert.equal(tasks.get(id('t'))?.record?.instanceId, 'a');
  tasks.end(id('ended'), 'cancelled');
  assert.equal(tasks.assigned(assignment('ended'), nodeFact(), 79), null);
  assert.equal(tasks.assigned(assignment('strange'), nodeFact(), 79), null);
});

test('R1: a request ends once, with where it ran and how it ended', () => {
  const tasks = setUp('t');
  tasks.assigned(assignment('t'), nodeFact(), 0);
  assert.equal(tasks.end(id('t'), 'failed'), 'a');
  assert.equal(tasks.end(id('t'), 'complete'), null);
  assert.deepEqual([...tasks.ended], [['t', 'failed']]);
  assert.equal(tasks.records.size, 0);
});

test('R16, R72: those that wait for a place are counted, also when they have lost one, until they have one or end', () => {
  const tasks = setUp('t', 'other');
  assert.equal(tasks.placeless, 2);
  const placed = tasks.assigned(assignment('t'), nodeFact(), 0);
  assert.equal(tasks.placeless, 1);
  tasks.moving(placed as OpenTask, { ...UNMOVED, count: 1 });
  assert.equal(tasks.placeless, 2);
  tasks.end(id('t'), 'failed');
  tasks.end(id('other'), 'cancelled');
  assert.equal(tasks.placeless, 0);
});

test('the requests that run on a node, and those past their deadline, are found', () => {
  const tasks = setUp('placed', 'waiting');
  tasks.add(open('long', 5_000));
  assert.equal(tasks.nodes.size, 0);
  tasks.assigned(assignment('placed'), nodeFact(), 0);
  assert.deepEqual([...tasks.nodes], [OTHER_NODE]);
  assert.deepEqual(
    tasks.on(OTHER_NODE).map(({ taskId }) => taskId),
    ['placed'],
  );
  assert.deepEqual(tasks.on(NODE), []);
  assert.deepEqual(tasks.expired(999), []);
  assert.deepEqual(
    tasks.expired(1_000).map(({ taskId }) => taskId),
    ['placed', 'waiting'],
  );
});

test('R14: whatever happens in whatever order, an open request is on one instance and an ended one on none', () => {
  const name = fc.constantFrom('x', 'y', 'z');
  const step = fc.record({ name, what: fc.constantFrom('arrives', 'is placed', 'ends'), on: fc.nat(2) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const tasks = new OpenTasks();
      const model = new Map<string, string | null>();
      let arrivals = 0;
      const names = new Map<string, string>();
      for (const { name, what, on } of steps) {
        if (what === 'arrives' && !names.has(name)) {
          arrivals += 1;
          names.set(name, `${name}${arrivals}`);
          tasks.add(open(`${name}${arrivals}`));
          model.set(`${name}${arrivals}`, null);
        }
        const taskName = names.get(name) ?? name;
        if (what === 'is placed') {
          const isNew = model.get(taskName) === null;
          assert.equal(tasks.assigned(assignment(taskName, `i${on}`), nodeFact(), 0) !== null, isNew);
          if (isNew) model.set(taskName, `i${on}`);
        }
        if (what === 'ends') {
          assert.equal(tasks.end(id(taskName), 'complete'), model.get(taskName) ?? null);
          model.delete(taskName);
          names.delete(name);
        }
        const records = [...tasks.records].map(([taskId, record]) => [taskId, record?.instanceId ?? null]);
        assert.deepEqual(records, [...model]);
      }
    }),
  );
});

test('how requests ended is remembered within a bound, the newest first of all', () => {
  const tasks = new OpenTasks();
  for (let i = 0; i <= LIMITS.finishedTasks; i += 1) {
    tasks.add(open(`t${i}`));
    tasks.end(id(`t${i}`), 'complete');
  }
  assert.equal(tasks.ended.size, LIMITS.finishedTasks);
  assert.equal(tasks.ended.has(id('t0')), false);
  assert.equal(tasks.ended.has(id(`t${LIMITS.finishedTasks}`)), true);
});
