/** The page before models and machines that wish it ill, and before a cluster that is large. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startTestApi, type TestApi } from '../../src/api/testing/testApi.js';
import type { NodeId } from '../../src/shared/ids.js';
import { Browser, seriousFindings, whyNoBrowser } from './browser.js';
import { instance, largeState, node, runner, wish } from './madeUpState.js';

const BOUND_MS = 90_000;
const skip = whyNoBrowser() ?? false;
const ATTACK = `<img src=x onerror="window.owned=1"><script>window.owned=2</script>`;
const SPEECH = [
  `${ATTACK}\n\n[click](javascript:window.owned=3) [data](data:text/html,<script>1</script>)\n\n`,
  `<svg onload="window.owned=4"><a xlink:href="javascript:window.owned=5">x</a></svg>\n\n`,
  `<form action="https://example.com"><input name="body"><button formaction="javascript:1">b</button></form>\n\n`,
  `<style>*{display:none}</style><iframe srcdoc="<script>parent.owned=6</script>"></iframe>\n\n`,
  `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.owned=7&gt;">\n\n`,
  `<p class="unseen" id="main" style="position:fixed">layout</p> ![spy](https://example.com/spy.png)\n\n`,
  '```js\nconst fine = "<b>code</b>";\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n**the end**',
];

describe('the page', { skip }, () => {
  let browser: Browser;
  let api: TestApi;

  before(
    async () => {
      browser = await Browser.launch();
      api = await startTestApi({ models: { [ATTACK]: { kind: 'speaks', tokenTexts: SPEECH } } });
    },
    { timeout: BOUND_MS },
  );

  after(
    async () => {
      await browser?.close();
      await api?.close();
    },
    { timeout: BOUND_MS },
  );

  test('R74: nothing that a model or a machine says becomes part of the page', {
    timeout: BOUND_MS,
  }, async () => {
    const verdict = { node_id: ATTACK, name: ATTACK, reason: ATTACK };
    const failed = { status: 'failed', error: { code: ATTACK, message: ATTACK, stderr_tail: [ATTACK] } };
    api.state = {
      index: 7,
      node_id: 'n1',
      master_node_id: 'n1',
      nodes: {
        n1: node('n1', ATTACK, {
          backends: [ATTACK],
          addresses: [ATTACK],
          models: [ATTACK],
          memory_bytes: 1,
        }),
      },
      links: [],
      instances: { i: instance('i', ATTACK, ['n1']) },
      runners: { 'i-r0': runner('i-r0', 'n1', failed) },
      meta_instances: {
        m: wish('m', `${ATTACK} wished`, {
          status: 'pending',
          errors: [{ at: ATTACK, node_id: ATTACK, message: ATTACK }],
          placement_error: { at: ATTACK, message: ATTACK, nodes: [verdict] },
        }),
      },
      tasks: {},
    };
    api.commands.placing = {
      kind: 'refused',
      code: 'too_large',
      message: ATTACK,
      canFitLater: true,
      nodes: [
        {
          nodeId: 'n1' as NodeId,
          name: ATTACK,
          code: 'no_memory',
          reason: ATTACK,
          memoryOfferedBytes: 2,
          memoryFreeBytes: 1,
        },
      ],
    };
    const { page, complaints, requests, close } = await browser.open(`${api.url}/`);
    try {
      await page.getByRole('article', { name: /^Node <img/ }).waitFor();
      await page
        .getByRole('article', { name: /^Model <img/ })
        .first()
        .waitFor();
      await page
        .getByRole('region', { name: 'Problems' })
        .getByText(/is not served/)
        .click();
      await page.getByRole('button', { name: 'Run a model' }).click();
      await page.getByRole('radio', { name: /^<img/ }).click();
      await page.getByTestId('placement').getByText('It does not fit now.').waitFor();
      assert.match(await page.getByTestId('placement').textContent(), /<script>window.owned=2/);
      await page.getByText('Every way to place it').click();
      await page.getByText(/^✕/).first().waitFor();
      await page.getByRole('navigation').getByRole('link', { name: 'Connect' }).click();
      await page.getByRole('heading', { name: 'Connect' }).waitFor();
      await page.getByRole('navigation').getByRole('link', { name: 'Chat' }).click();
      await page.getByLabel('Message', { exact: true }).fill(ATTACK);
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      const answer = page.locator('article.assistant[data-status="done"]');
      await answer.waitFor();
      await answer.getByText('the end').first().waitFor();
      const html = await answer.locator('.markdown').innerHTML();
      assert.doesNotMatch(html, /<(script|style|iframe|form|input|svg|math|img|button)/i);
      const attributes = await page.evaluate<string[]>(
        `[...document.querySelectorAll('.markdown *')].flatMap((element) => element.getAttributeNames())`,
      );
      const harmless = ['aria-label', 'class', 'href', 'rel', 'role', 'tabindex', 'target'];
      assert.deepEqual(
        [...new Set(attributes)].filter((name) => !harmless.includes(name) && !/^svelte-/.test(name)),
        [],
      );
      const links = await page.evaluate<string[]>(
        `[...document.querySelectorAll('.markdown a')].map((a) => a.href)`,
      );
      assert.deepEqual(
        links.filter((address) => !/^(https?:|mailto:|$)/.test(address)),
        [],
      );
      assert.match(html, /hljs-keyword/, 'code has its colours');
      assert.match(html, /<table/);
      assert.match(await answer.textContent(), /<b>code<\/b>/);
      await page.reload();
      await page.getByRole('button', { name: /^<img/ }).first().click();
      await answer.waitFor();
      assert.equal(await page.evaluate('window.owned'), undefined);
      assert.deepEqual(complaints, []);
      for (const url of requests) assert.ok(url.startsWith(api.url), url);
      const attempts = await page.evaluate<string[]>(`[
        () => { document.createElement('p').innerHTML = '<b>x</b>'; },
        () => { document.createElement('script').text = 'window.owned = 8'; },
      ].map((attempt) => { try { attempt(); return 'done'; } catch { return 'refused'; } })`);
      assert.deepEqual(attempts, ['refused', 'refused'], 'the policy of the page is in force');
    } finally {
      await close();
    }
  });

  test('R28, R29: a wish shows its failures, the reason why it is not placed, and when it is tried again', {
    timeout: BOUND_MS,
  }, async () => {
    const error = { at: new Date().toISOString(), node_id: 'n1', message: 'Terminated (signal=6 SIGABRT)' };
    const soon = new Date(Date.now() + 60_000).toISOString();
    api.state = {
      index: 7,
      node_id: 'n1',
      master_node_id: 'n1',
      nodes: { n1: node('n1', 'lighthouse'), n2: node('n2', 'harbour') },
      links: [
        { from: 'n1', to: 'n2', rtt_us: 240, interface_kind: null, bandwidth_bytes_per_s: null, rdma: false },
      ],
      instances: { i: { ...instance('i', 'sharded', ['n1', 'n2'], 'm1'), failure: error } },
      runners: {
        'i-r0': runner('i-r0', 'n1', { status: 'loading', progress: 0.5 }),
        'i-r1': runner('i-r1', 'n2', { status: 'warming_up' }),
      },
      meta_instances: {
        m1: wish('m1', 'sharded', {
          status: 'retrying',
          consecutive_failures: 1,
          next_attempt_at: soon,
          errors: [error],
        }),
        m2: wish('m2', 'too-large', {
          status: 'failed',
          consecutive_failures: 3,
          placement_error: { at: soon, message: 'lighthouse has 20 GiB, 40 GiB are needed', nodes: [] },
        }),
      },
      tasks: {},
    };
    const { page, complaints, close } = await browser.open(`${api.url}/`);
    try {
      const retrying = page.getByRole('article', { name: 'Model sharded' });
      await retrying.getByTestId('retries').getByText('retry 1 of 3').waitFor();
      assert.match(await retrying.textContent(), /Retry 1 of 3 follows in 5\d s/);
      assert.match(await retrying.textContent(), /loading 50 %/);
      assert.match(await retrying.textContent(), /warming up/);
      assert.match(await retrying.textContent(), /lighthouse: Terminated \(signal=6 SIGABRT\)/);
      const failed = page.getByRole('article', { name: 'Model too-large' });
      const problem = page.getByRole('region', { name: 'Problems' });
      await problem.getByText('too-large is not served: there is no place for it').click();
      await problem.getByText('lighthouse has 20 GiB, 40 GiB are needed').waitFor();
      await problem.getByRole('button', { name: 'Go to too-large' }).click();
      assert.equal(await page.evaluate('document.activeElement.id'), 'entry-m2');
      assert.equal(await failed.getByRole('button', { name: /^Retry now/ }).count(), 1);
      assert.deepEqual(await seriousFindings(page), []);
      assert.deepEqual(complaints, []);
    } finally {
      await close();
    }
  });

  test('R74: a whole hour is drawn, and says under the pointer what was so then', {
    timeout: BOUND_MS,
  }, async () => {
    const quiet = {
      running: 0,
      queued: 0,
      cancelled: 0,
      runnerFailures: 0,
      memoryUsedBytes: 2 ** 30,
      memoryTotalBytes: 2 ** 33,
    };
    const isEarly = (step: number) => step < 180;
    api.lastHour = Array.from({ length: 361 }, (_, step) => ({
      ...quiet,
      atMs: Date.now() - (360 - step) * 10_000,
      completed: isEarly(step) ? 2 : 0,
      failed: isEarly(step) ? 0 : 1,
      generatedTokens: isEarly(step) ? 500 : 0,
    }));
    api.state = largeState(2, 2);
    const { page, complaints, close } = await browser.open(`${api.url}/#activity`);
    try {
      const requests = page.getByRole('img', {
        name: 'Requests a minute: 541 requests ended in the last hour',
      });
      await requests.hover({ position: { x: 20, y: 50 } });
      await page.getByText(/completed 12 · cancelled 0 · failed 0/).waitFor();
      await page
        .getByRole('img', { name: /^Tokens a second: 90000 tokens .* at most 50 a second/ })
        .hover({ position: { x: 20, y: 50 } });
      await page.getByText(/generated 50/).waitFor();
      await page.getByText(/completed 0 · cancelled 0 · failed \d/).waitFor();
      assert.deepEqual(complaints, []);
    } finally {
      await close();
    }
  });

  test('50 nodes and 200 instances are shown, and follow what happens', { timeout: BOUND_MS }, async () => {
    api.state = largeState(50, 200);
    const names = Object.keys(api.state.nodes as object);
    const { page, complaints, close } = await browser.open(`${api.url}/`);
    try {
      await page.getByRole('article', { name: 'Model model-199' }).waitFor();
      assert.equal(await page.getByRole('article', { name: /^Node n/ }).count(), 50);
      let index = 8;
      for (const name of names.slice(1)) {
        index += 1;
        const event = { kind: 'NodeStatusChanged', node_id: name, status: 'suspect' };
        for (const follower of api.followers) follower({ index, event });
      }
      await page.getByText('1 of 50 nodes alive').waitFor();
      assert.deepEqual(complaints, []);
    } finally {
      await close();
    }
  });
});
