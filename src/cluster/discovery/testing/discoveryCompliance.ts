/** What any way of finding nodes must do. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Discovery } from '../contract.js';

export interface Scene {
  /** It will find at least one address, again and again. */
  readonly discovery: Discovery;
  readonly expectedAddress: RegExp;
  end(): Promise<void>;
}

const LIMIT_MS = 20_000;

/** Waits until it is so; the error says that it never was. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error(`never ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export function testDiscoveryCompliance(name: string, createScene: () => Promise<Scene>): void {
  describe(`${name} is a discovery`, () => {
    test('it tells what it finds, again and again, and nothing after its end', {
      timeout: 60_000,
    }, async () => {
      const { discovery, expectedAddress, end } = await createScene();
      const found: string[] = [];
      await discovery.start((address) => void found.push(address));
      await until(
        'told three times',
        () => found.filter((address) => expectedAddress.test(address)).length >= 3,
      );
      await discovery.close();
      const count = found.length;
      await new Promise((resolve) => setTimeout(resolve, 60));
      assert.equal(found.length, count);
      await discovery.close();
      await end();
    });

    test('one that ends before or while it starts tells nothing and leaves nothing', {
      timeout: 60_000,
    }, async () => {
      const before = await createScene();
      const found: string[] = [];
      await before.discovery.close();
      await before.discovery.start((address) => void found.push(address));
      await before.end();
      assert.deepEqual(found, []);
      const during = await createScene();
      const starting = during.discovery.start(() => undefined);
      await Promise.all([during.discovery.close(), starting]);
      await during.end();
    });
  });
}
