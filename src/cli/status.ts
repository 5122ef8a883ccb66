/** `shoal status`: the state in one look, with what is wrong and since when. */

import { formatBytes } from '../shared/bytes.js';
import { type ApiTarget, callJson } from './client.js';
import { formatTable } from './output.js';

interface StateView {
  readonly node_id: string;
  readonly master_node_id: string | null;
  readonly nodes: Record<string, NodeView>;
  readonly instances: Record<string, InstanceView>;
  readonly runners: Record<string, RunnerView>;
  readonly tasks: Record<string, { readonly status: string; readonly instance_id: string }>;
}

interface NodeView {
  readonly node_id: string;
  readonly name: string;
  readonly status: string;
  readonly memory?: { readonly total_bytes: number; readonly available_bytes: number };
}

interface InstanceView {
  readonly instance_id: string;
  readonly model_id: string;
  readonly status: string;
}

interface RunnerView {
  readonly runner_id: string;
  readonly instance_id: string;
  readonly pid: number | null;
  readonly status: string;
  readonly progress?: number | null;
  readonly restarts: number;
  readonly restart_at: string | null;
  readonly load?: { readonly running_sequences: number; readonly resident_bytes: number } | null;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly stderr_tail?: readonly string[];
  };
}

export async function status(options: ApiTarget & { readonly json: boolean }): Promise<void> {
  const state = await callJson<StateView>(options, '/state');
  process.stdout.write(options.json ? `${JSON.stringify(state, null, 2)}\n` : `${describe(state)}\n`);
}

function describe(state: StateView): string {
  const nodes = Object.values(state.nodes).map((node) => [
    node.name,
    node.status + (node.node_id === state.master_node_id ? ', master' : ''),
    node.memory === undefined
      ? ''
      : `${formatBytes(node.memory.available_bytes)} of ${formatBytes(node.memory.total_bytes)} free`,
    node.node_id,
  ]);
  const sections = [formatTable(['NODE', 'STATUS', 'MEMORY', 'ID'], nodes)];
  const instances = Object.values(state.instances);
  if (instances.length === 0) {
    sections.push('No model is being served. Start one with: shoal up --serve MODEL');
  } else {
    sections.push(
      formatTable(
        ['MODEL', 'STATUS', 'RUNNER', 'REQUESTS', 'MEMORY', 'RESTARTS'],
        instances.flatMap((instance) => runnerRows(state, instance)),
      ),
    );
  }
  return [...sections, ...problems(state)].join('\n\n');
}

function runnerRows(state: StateView, instance: InstanceView): string[][] {
  const running = Object.values(state.tasks).filter(
    (task) => task.instance_id === instance.instance_id && task.status === 'running',
  ).length;
  return runnersOf(state, instance).map((runner) => [
    instance.model_id,
    instance.status,
    `${runner.status}${progressText(runner)}${runner.pid === null ? '' : ` (pid ${runner.pid})`}`,
    String(running),
    runner.load == null ? '' : formatBytes(runner.load.resident_bytes),
    String(runner.restarts),
  ]);
}

function progressText(runner: RunnerView): string {
  return runner.progress == null || runner.progress >= 1 ? '' : ` ${Math.round(runner.progress * 100)} %`;
}

function problems(state: StateView): string[] {
  return Object.values(state.instances).flatMap((instance) =>
    runnersOf(state, instance)
      .filter((runner) => runner.error !== undefined)
      .map((runner) => {
        const next =
          runner.status !== 'failed'
            ? `Since then it is ${runner.status} again.`
            : runner.restart_at === null
              ? 'It is not started again: the limit of restarts is reached. Restart the node when the cause is gone.'
              : `It is started again at ${runner.restart_at}.`;
        const tail = (runner.error?.stderr_tail ?? []).slice(-5).map((line) => `    ${line}`);
        return [`${instance.model_id}: ${runner.error?.message}`, `  ${next}`, ...tail].join('\n');
      }),
  );
}

function runnersOf(state: StateView, instance: InstanceView): RunnerView[] {
  return Object.values(state.runners).filter((runner) => runner.instance_id === instance.instance_id);
}
