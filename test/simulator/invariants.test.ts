/** Each invariant can fail: a core that is wrong on purpose, or a world without its remedy, is found out by name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterCommand } from '../../src/control/cluster/commands.js';
import { ControlLog } from '../../src/control/cluster/controlLog.js';
import type { PeerMessage } from '../../src/control/cluster/messages.js';
import type { NodeOutput } from '../../src/control/cluster/ports.js';
import { ORIGIN } from '../../src/control/cluster/position.js';
import type { ControlEvent } from '../../src/control/events.js';
import { runningTasks } from '../../src/control/instances.js';
import { chooseInstance } from '../../src/control/routing.js';
import type { InstanceRecord } from '../../src/control/state.js';
import type { InstanceId } from '../../src/shared/ids.js';
import { ALL_INVARIANTS } from './invariants/all.js';
import type { FaultKind } from './plan.js';
import { simulate } from './simulation.js';
import { type Harm, harmed } from './testing.js';

interface Case {
  readonly what: string;
  readonly invariant: string;
  readonly harm: Harm;
  /** @default 3 */
  readonly nodes?: number;
  /** @default none */
  readonly faults?: readonly FaultKind[];
  /** Where to begin to look, for what needs a rare schedule. @default 1 */
  readonly firstSeed?: number;
  /** Do people declare what shall run? @default false */
  readonly declares?: boolean;
}

/** Changes the messages that are sent. */
function sending(change: (message: PeerMessage) => PeerMessage): Harm {
  return {
    outputs: (outputs) =>
      outputs.map((output) =>
        output.kind === 'Send' ? { ...output, message: change(output.message) } : output,
      ),
  };
}

function without(kind: NodeOutput['kind']): Harm {
  return { outputs: (outputs) => outputs.filter((output) => output.kind !== kind) };
}

/** Answers a command with Done, and does nothing. */
function pretending(kind: ClusterCommand['kind']): Harm {
  return {
    input: (input) => (input.kind === 'CommandIssued' && input.command.kind === kind ? null : input),
    outputs: (outputs, _core, input) =>
      input.kind === 'CommandIssued' && input.command.kind === kind
        ? [{ kind: 'CommandEnded', key: input.key, answer: { kind: 'Done' } }]
        : outputs,
  };
}

/** Puts further events into the log after each one of a kind, or in its place. */
function appending(change: (event: ControlEvent) => readonly ControlEvent[]): Harm {
  return {
    outputs: (outputs) =>
      outputs.flatMap((output): NodeOutput[] =>
        output.kind === 'StoreEntry'
          ? change(output.entry.event).map((event) => ({ ...output, entry: { ...output.entry, event } }))
          : [output],
      ),
  };
}

/** Shows the instances that belong to what people declared as something else. */
function showing(change: (instance: InstanceRecord) => readonly InstanceRecord[]): Harm {
  return {
    state: (state) => ({
      ...state,
      instances: new Map(
        [...state.instances.values()]
          .flatMap((instance) => (instance.metaInstanceId === null ? [instance] : change(instance)))
          .map((instance) => [instance.instanceId, instance]),
      ),
    }),
  };
}

const NOT_READY = { code: 'not_ready', message: 'it has no wish to' } as const;

const CASES: readonly Case[] = [
  {
    what: 'a node that forgets its terms and its log acts twice in one epoch',
    invariant: 'one-actor-an-epoch',
    nodes: 1,
    faults: ['crash'],
    harm: { options: (options) => ({ ...options, term: 0, log: new ControlLog() }) },
  },
  {
    what: 'a follower alters an entry',
    invariant: 'equal-logs',
    harm: {
      outputs: (outputs, core) =>
        outputs.map((output) => {
          if (output.kind !== 'StoreEntry' || core.role !== 'follower') return output;
          if (output.entry.event.kind !== 'NodeStatusChanged' && output.entry.event.kind !== 'NodeJoined')
            return output;
          return {
            ...output,
            entry: { ...output.entry, event: { kind: 'MasterElected', nodeId: 'x' as never, term: 0 } },
          };
        }),
    },
  },
  {
    what: 'a node counts terms in its own way',
    invariant: 'equal-states',
    harm: { state: (state, { nodeId }) => (nodeId === 'n2' ? { ...state, term: state.term + 1 } : state) },
  },
  {
    what: 'the end of a request is told twice',
    invariant: 'one-end-a-request',
    harm: {
      outputs: (outputs) => outputs.concat(outputs.filter(({ kind }) => kind === 'TaskEnded')),
    },
  },
  {
    what: 'a cancel has no effect',
    invariant: 'one-end-a-request',
    harm: { input: (input) => (input.kind === 'TaskCancelled' ? null : input) },
  },
  {
    what: 'the places of a request are not told apart, and a frozen one that goes on is heard again',
    invariant: 'whole-answers',
    faults: ['partition'],
    harm: {
      outputs: (outputs) =>
        outputs.flatMap((output): NodeOutput[] => {
          // The place that is lost is not left, and its stream bears the name of the next.
          if (output.kind === 'TaskMoving') return [];
          if (output.kind !== 'TaskPlaced') return [output];
          return [{ ...output, assignment: { ...output.assignment, taskId: output.taskId } }];
        }),
    },
  },
  {
    what: 'a request ends with its runner',
    invariant: 'answers-survive',
    faults: ['runnerDeath'],
    harm: {
      outputs: (outputs) =>
        outputs.map((output) => (output.kind === 'TaskMoving' ? { ...output, kind: 'TaskEnded' } : output)),
    },
  },
  {
    what: 'a request is refused while its wish is started anew',
    invariant: 'requests-wait',
    declares: true,
    faults: ['runnerDeath'],
    harm: {
      outputs: (outputs, core, input) => {
        if (input.kind !== 'TaskArrived') return outputs;
        const choice = chooseInstance(core.state, { modelId: input.modelId, unreachable: new Set() }, 0);
        const { taskId } = input;
        return 'instance' in choice
          ? outputs
          : [...outputs, { kind: 'TaskEnded', taskId, fault: choice.fault }];
      },
    },
  },
  {
    what: 'a request goes to an instance whose runners have failed',
    invariant: 'healthy-routing',
    harm: {
      state: (state) => ({
        ...state,
        runners: new Map([...state.runners].map(([id, runner]) => [id, { ...runner, status: 'failed' }])),
      }),
    },
  },
  {
    what: 'a request goes to the instance with the most tasks',
    invariant: 'balanced-routing',
    harm: {
      outputs: (outputs, { state }) =>
        outputs.map((output) => {
          if (output.kind !== 'StoreEntry' || output.entry.event.kind !== 'TaskAssigned') return output;
          const { task } = output.entry.event;
          const modelId = state.instances.get(task.instanceId)?.modelId;
          const same = [...state.instances.values()].filter((instance) => instance.modelId === modelId);
          const tasks = (id: typeof task.instanceId) => runningTasks(state, id);
          const [busiest] = same.sort((a, b) => tasks(b.instanceId) - tasks(a.instanceId));
          const instanceId = busiest?.instanceId ?? task.instanceId;
          return {
            ...output,
            entry: { ...output.entry, event: { kind: 'TaskAssigned', task: { ...task, instanceId } } },
          };
        }),
    },
  },
  {
    what: 'a creation is answered and not done',
    invariant: 'no-wish-lost',
    harm: pretending('CreateInstance'),
  },
  {
    what: 'a node that joins keeps to itself what it knows of instances',
    invariant: 'no-wish-lost',
    faults: ['partition'],
    firstSeed: 16,
    harm: sending((message) =>
      message.kind === 'Join' ? { ...message, facts: { ...message.facts, instances: [] } } : message,
    ),
  },
  {
    what: 'a node that joins keeps to itself what was deleted',
    invariant: 'no-deletion-undone',
    faults: ['partition'],
    firstSeed: 37,
    harm: sending((message) =>
      message.kind === 'Join' ? { ...message, facts: { ...message.facts, deletedInstances: [] } } : message,
    ),
  },
  {
    what: 'a node suspects another for no reason',
    invariant: 'quiet-when-healthy',
    harm: {
      outputs: (outputs, _core, input) =>
        input.kind === 'Tick'
          ? [...outputs, { kind: 'PeerJudged', nodeId: 'n1' as never, status: 'suspect' }]
          : outputs,
    },
  },
  {
    what: 'each word is answered with two',
    invariant: 'bounded-talk',
    harm: {
      outputs: (outputs, _core, input) =>
        input.kind === 'Received' && input.message.kind === 'Pulse'
          ? [
              ...outputs,
              ...[1, 2].map(() => ({ kind: 'Send', to: input.from, message: input.message }) as const),
            ]
          : outputs,
    },
  },
  {
    what: 'a node takes no request',
    invariant: 'served-when-healthy',
    harm: {
      input: (input) => (input.kind === 'TaskArrived' ? null : input),
      outputs: (outputs, _core, input) =>
        input.kind === 'TaskArrived'
          ? [{ kind: 'TaskEnded', taskId: input.taskId, fault: NOT_READY }]
          : outputs,
    },
  },
  {
    what: 'a request is forgotten',
    invariant: 'ends-in-time',
    harm: { input: (input) => (input.kind === 'TaskArrived' ? null : input) },
  },
  {
    what: 'a command is never answered',
    invariant: 'ends-in-time',
    harm: without('CommandEnded'),
  },
  {
    what: 'a node hears nobody',
    invariant: 'one-master',
    harm: {
      input: (input, _core, { nodeId }) => (nodeId === 'n2' && input.kind === 'Received' ? null : input),
    },
  },
  {
    what: 'a node says that it is further than it is',
    invariant: 'same-log',
    harm: { position: (position, { nodeId }) => (nodeId === 'n2' ? ORIGIN : position) },
  },
  {
    what: 'a node does not know another',
    invariant: 'nodes-known',
    harm: {
      state: (state) => ({
        ...state,
        nodes: new Map([...state.nodes].filter(([nodeId]) => nodeId !== 'n1')),
      }),
    },
  },
  {
    what: 'a worker is not told what is wanted',
    invariant: 'wanted-is-actual',
    harm: without('Applied'),
  },
  {
    what: 'a node keeps to itself how its runners are',
    invariant: 'facts-known',
    harm: { input: (input) => (input.kind === 'RunnerChanged' ? null : input) },
  },
  {
    what: 'a node does not say that a request has ended',
    invariant: 'no-task-leaks',
    harm: { input: (input) => (input.kind === 'TaskStreamEnded' ? null : input) },
  },
  {
    what: 'nobody takes the rule of a dead master',
    invariant: 'master-replaced',
    harm: {
      input: (input, core) =>
        core.role === 'electing' && input.kind === 'Tick' && core.position.index > 0 ? null : input,
    },
  },
  {
    what: 'the death of any node ends all requests',
    invariant: 'streams-undisturbed',
    harm: {
      outputs: (outputs, core) => {
        if (!outputs.some((output) => output.kind === 'PeerJudged' && output.status === 'dead'))
          return outputs;
        const tasks = [...core.state.tasks.values()].flatMap((running) => [...running.keys()]);
        const fault = { code: 'node_lost', message: 'some node is gone' } as const;
        return outputs.concat(tasks.map((taskId) => ({ kind: 'TaskEnded', taskId, fault })));
      },
    },
  },
  {
    what: 'a node that comes back claims a greater cluster than there is',
    invariant: 'master-stays',
    harm: {
      input: (input, core, node) =>
        node.incarnation > 1 && core.role !== 'master' && input.kind === 'Received' ? null : input,
      outputs: (outputs) =>
        outputs.map((output) => {
          if (output.kind !== 'Send' || output.message.kind !== 'Pulse' || output.message.incarnation === 1)
            return output;
          const claims = output.message.claims.map((claim) => ({ ...claim, members: 1_000 }));
          return { ...output, message: { ...output.message, claims } };
        }),
    },
  },
  {
    what: 'a declaration is answered and not done',
    invariant: 'no-meta-instance-lost',
    declares: true,
    harm: pretending('CreateMetaInstance'),
  },
  {
    what: 'a node that joins keeps to itself what is declared',
    invariant: 'no-meta-instance-lost',
    declares: true,
    faults: ['partition'],
    firstSeed: 15,
    harm: sending((message) =>
      message.kind === 'Join' ? { ...message, facts: { ...message.facts, metaInstances: [] } } : message,
    ),
  },
  {
    what: 'a node that joins keeps to itself what was taken back',
    invariant: 'no-meta-instance-back',
    declares: true,
    faults: ['partition'],
    harm: sending((message) =>
      message.kind === 'Join'
        ? { ...message, facts: { ...message.facts, deletedMetaInstances: [] } }
        : message,
    ),
  },
  {
    what: 'what is taken back leaves its instances',
    invariant: 'nothing-left-of-deleted',
    declares: true,
    harm: { state: (state) => ({ ...state, metaInstances: new Map() }) },
  },
  {
    what: 'a node offers less than was given away',
    invariant: 'memory-given-once',
    declares: true,
    harm: {
      state: (state) => ({
        ...state,
        nodes: new Map([...state.nodes].map(([id, node]) => [id, { ...node, memoryBytes: 2e9 }])),
      }),
    },
  },
  {
    what: 'a failure is counted twice',
    invariant: 'failure-counted-once',
    declares: true,
    faults: ['runnerDeath'],
    harm: appending((event) => (event.kind === 'InstanceFailed' ? [event, event] : [event])),
  },
  {
    what: 'attempts follow each other without a failure between them',
    invariant: 'failure-counted-once',
    declares: true,
    faults: ['runnerDeath'],
    harm: appending((event) =>
      event.kind === 'InstanceRetrying'
        ? Array.from({ length: 12 }, (_, more) => ({ ...event, attempt: event.attempt + 100 * more }))
        : [event],
    ),
  },
  {
    what: 'an instance is retried as well as deleted',
    invariant: 'failure-counted-once',
    declares: true,
    harm: appending((event) =>
      event.kind === 'InstanceDeleted'
        ? [event, { kind: 'InstanceRetrying', instanceId: event.instanceId, attempt: 9 }]
        : [event],
    ),
  },
  {
    what: 'the next attempt comes at once',
    invariant: 'attempts-back-off',
    declares: true,
    faults: ['runnerDeath'],
    harm: appending((event) =>
      event.kind === 'InstanceFailed'
        ? [event, { kind: 'InstanceRetrying', instanceId: event.instanceId, attempt: event.attempt + 1 }]
        : [event],
    ),
  },
  {
    what: 'two instances are kept for one wish',
    invariant: 'one-instance-a-wish',
    declares: true,
    harm: showing((one) => [one, { ...one, instanceId: `${one.instanceId}-twin` as InstanceId }]),
  },
  {
    what: 'nothing is said of what has no instance',
    invariant: 'served-or-known-why',
    declares: true,
    harm: showing(() => []),
  },
  {
    what: 'what fits is not placed',
    invariant: 'placed-where-it-fits',
    declares: true,
    harm: showing(() => []),
  },
];

for (const { what, invariant, harm, nodes = 3, faults = [], firstSeed = 1, declares = false } of CASES) {
  test(`R82: ${invariant} fails when ${what}`, () => {
    const invariants = ALL_INVARIANTS.filter(({ name }) => name === invariant);
    assert.equal(invariants.length, 1);
    const found = new Set<string>();
    for (let seed = firstSeed; seed < firstSeed + 12 && !found.has(invariant); seed += 1) {
      const options = { seed, minutes: 1, nodes, faults, declares };
      const { violation } = simulate(options, { invariants, makeCore: harmed(harm) });
      if (violation !== null) found.add(violation.invariant);
    }
    assert.ok(found.has(invariant), `it was not found; instead ${[...found].join(', ') || 'nothing'}`);
  });
}

test('R82: each invariant is in the table above', () => {
  const shown = new Set(CASES.map(({ invariant }) => invariant));
  assert.deepEqual(
    ALL_INVARIANTS.map(({ name }) => name).filter((name) => !shown.has(name)),
    [],
  );
});
