import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadClusterKey } from '../cluster/clusterKey.js';
import { checkApi, checkClock, checkMulticast, checkPeerPort, checkToken } from './doctorCluster.js';

const YEAR_MS = 365 * 24 * 3_600_000;

let home: string;
before(() => {
  home = mkdtempSync(join(tmpdir(), 'shoal-doctor-'));
});
after(() => rmSync(home, { recursive: true }));

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function close(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
  });
}

test('a clock behind what is already written is a problem', () => {
  assert.equal(checkClock(home).ok, true);
  const inAYear = new Date(Date.now() + YEAR_MS);
  writeFileSync(join(home, 'node.json'), '{}');
  utimesSync(join(home, 'node.json'), inAYear, inAYear);
  const behind = checkClock(home);
  assert.equal(behind.ok, false);
  assert.match(behind.found, /set the clock/);
  rmSync(join(home, 'node.json'));
});

test('a home has no token, one, or a damaged one', () => {
  assert.match(checkToken(home).found, /none yet/);
  loadClusterKey(home, null);
  assert.match(checkToken(home).found, /belongs to a cluster/);
  writeFileSync(join(home, 'cluster.json'), 'nonsense');
  const damaged = checkToken(home);
  assert.equal(damaged.ok, false);
  assert.match(damaged.found, /damaged; delete it/);
});

test('an address has a node, or another program, or a port that is free', async () => {
  const urlOf = (port: number) => `http://127.0.0.1:${port}`;
  const free = createServer();
  const port = await listen(free);
  await close(free);
  const { ok, found } = await checkApi(urlOf(port));
  assert.equal(ok, true);
  assert.match(found, /no node yet, and the port is free/);
  assert.equal((await checkPeerPort(port)).ok, true);

  const node = createHttpServer((_, response) => response.end('{"node_id":"n1"}'));
  assert.match((await checkApi(urlOf(await listen(node)))).found, /a node answers/);
  await close(node);

  const other = createHttpServer((_, response) => response.end('hello'));
  const taken = await checkApi(urlOf(await listen(other)));
  assert.equal(taken.ok, false);
  assert.match(taken.found, /it is taken; choose another with --api-port/);
  await close(other);

  for (const elsewhere of ['http://192.0.2.1:9', 'ftp://127.0.0.1', 'nonsense']) {
    assert.equal((await checkApi(elsewhere)).ok, false, elsewhere);
  }
});

test('a taken port for nodes is told, and is no problem', async () => {
  const server = createServer();
  server.listen(0);
  await once(server, 'listening');
  const finding = await checkPeerPort((server.address() as AddressInfo).port);
  await close(server);
  assert.equal(finding.ok, true);
  assert.match(finding.found, /takes any free port/);
});

test('the multicast check ends in time with an answer that names what it tried', async () => {
  const { check, found } = await checkMulticast();
  assert.equal(check, 'nodes find each other by multicast');
  assert.match(found, /^(on \S|not on \S|this machine has no network)/);
});
