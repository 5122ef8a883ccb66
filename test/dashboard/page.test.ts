/** The dashboard as people meet it: a real browser, a real node, and its processes killed. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { HERE, NodeProcess } from '../support/nodeProcess.js';
import { Browser, type Page, picture, seriousFindings, type WatchedPage, whyNoBrowser } from './browser.js';

const BOUND_MS = 90_000;
const MODEL = 'shoal-guide';
const skip = whyNoBrowser() ?? false;
async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
}

const answers = (page: Page) => page.getByRole('article', { name: 'Answer' });
const lastAnswer = (page: Page, status: string) =>
  page.locator(`article.assistant[data-status="${status}"]`).last();

describe('the dashboard in a browser', { skip }, () => {
  let node: NodeProcess;
  let browser: Browser;

  before(
    async () => {
      [node, browser] = await Promise.all([
        NodeProcess.start('--serve', MODEL, '--name', 'lighthouse'),
        Browser.launch(),
      ]);
      await node.ready();
    },
    { timeout: BOUND_MS },
  );

  after(
    async () => {
      await browser?.close();
      await node?.stop();
    },
    { timeout: BOUND_MS },
  );

  async function withPage(
    run: (opened: WatchedPage) => Promise<void>,
    path = '/',
    viewport?: { width: number; height: number },
  ) {
    const opened = await browser.open(node.url + path, viewport);
    try {
      await run(opened);
    } finally {
      await opened.close();
    }
  }

  test(
    'R74: a newcomer reads what is there and reaches a first chat from the page alone',
    { timeout: BOUND_MS },
    () =>
      withPage(async ({ page, complaints, requests }) => {
        await page.getByRole('article', { name: 'Node lighthouse' }).waitFor();
        const card = await page.getByRole('article', { name: 'Node lighthouse' }).textContent();
        assert.match(card, /master/);
        assert.match(card, /alive/);
        assert.match(card, /Memory/);
        assert.match(await page.getByRole('article', { name: `Model ${MODEL}` }).textContent(), /ready/);
        await picture(page, 'cluster-light');
        await page.getByRole('main').getByRole('link', { name: 'Chat' }).click();
        await say(page, 'What is Shoal?');
        await lastAnswer(page, 'done').waitFor();
        const answer = lastAnswer(page, 'done');
        assert.ok((await answer.textContent()).length > 20);
        const facts = await answer.getByTestId('facts').textContent();
        assert.match(facts, /token/);
        assert.match(facts, /first token after/);
        assert.match(facts, /served by lighthouse/);
        assert.match(facts, /instance \w+/);
        await picture(page, 'chat-light');
        assert.deepEqual(complaints, []);
        for (const url of requests) assert.ok(url.startsWith(node.url), `nobody else is called: ${url}`);
      }),
  );

  test('a chat is edited, regenerated and stopped, and is there after a reload', { timeout: BOUND_MS }, () =>
    withPage(async ({ page, complaints }) => {
      await page.getByLabel('Message', { exact: true }).fill('How do I add a second machine?');
      await page.getByLabel('Message', { exact: true }).press('Enter');
      await lastAnswer(page, 'done').waitFor();
      await page.getByRole('button', { name: 'Regenerate' }).click();
      await lastAnswer(page, 'done').waitFor();
      assert.equal(await answers(page).count(), 1);
      await page.getByRole('button', { name: 'Edit', exact: true }).click();
      await page.getByLabel('Edit the message').fill('Tell me a long story about a fox.');
      await page.getByRole('article', { name: 'You' }).getByRole('button', { name: 'Send' }).click();
      await page.getByRole('article', { name: 'You' }).getByText('fox').waitFor();
      await page.getByRole('button', { name: 'Stop' }).click();
      await page.waitForFunction(
        `document.querySelector('article.assistant').dataset.status !== 'streaming'`,
      );
      await node.until('without running tasks', ({ tasks }) =>
        Object.values(tasks).every(({ status }) => status !== 'running'),
      );
      await page.reload();
      await page.getByRole('button', { name: /^Tell me a long story/ }).click();
      await page.getByRole('article', { name: 'You' }).getByText('fox').waitFor();
      assert.deepEqual(complaints, []);
    }, '/#chat'),
  );

  test(
    'R74, R6: a killed runner is an error in its answer with code and next step, and seen live',
    { timeout: BOUND_MS },
    () =>
      withPage(async ({ page }) => {
        await page.getByRole('heading', { name: `Talk to ${MODEL}` }).waitFor();
        await page.getByText('Parameters').click();
        await page.getByLabel(/^Most tokens/).fill('2000');
        await page.getByLabel(/^Temperature/).fill('1.9');
        const { pid } = await node.runner();
        assert.ok(pid !== null);
        process.kill(pid, 'SIGSTOP');
        await say(page, 'Tell me a long story about a fox.');
        await lastAnswer(page, 'streaming').waitFor();
        process.kill(pid, 'SIGKILL');
        await lastAnswer(page, 'failed').waitFor();
        const answer = await lastAnswer(page, 'failed').textContent();
        assert.match(answer, /runner_failed/);
        assert.match(answer, /SIGKILL/);
        assert.match(answer, /Send the message again/);
        await picture(page, 'chat-error-light');
        await page.getByRole('link', { name: 'Cluster' }).click();
        const model = page.getByRole('article', { name: `Model ${MODEL}` });
        await model.getByText(/restarted 1 time/).waitFor();
        await model.getByTestId('phase').getByText('ready').waitFor();
        await page.getByRole('link', { name: 'Activity' }).click();
        await page.getByText(`${MODEL} on lighthouse: failed`).first().waitFor();
        await page.getByLabel('only problems').click();
        await page.getByText(`${MODEL} on lighthouse: failed`).first().waitFor();
        assert.equal(await page.getByText(`${MODEL} on lighthouse: ready`).count(), 0);
        await picture(page, 'activity-light');
      }, '/#chat'),
  );

  test('R11: a running request is cancelled from the page', { timeout: BOUND_MS }, () =>
    withPage(async ({ page }) => {
      await node.ready();
      const body = {
        model: MODEL,
        max_tokens: 4_000,
        ignore_eos: true,
        messages: [{ role: 'user', content: 'A story.' }],
      };
      const asked = fetch(`${node.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const row = page.getByRole('row').filter({ hasText: MODEL });
      await row.getByRole('button', { name: /^Cancel/ }).click();
      await row.getByRole('button', { name: /^Cancel/ }).click();
      const answer = (await (await asked).json()) as { error: { code: string } };
      assert.equal(answer.error.code, 'cancelled');
      await row.waitFor({ state: 'detached' });
    }, '/#activity'),
  );

  test('everything is reached by keyboard, and axe-core finds nothing serious, light and dark, wide and narrow', {
    timeout: BOUND_MS,
  }, async () => {
    for (const viewport of [
      { width: 1280, height: 860 },
      { width: 390, height: 780 },
    ]) {
      await withPage(
        async ({ page, complaints }) => {
          await page.getByRole('article', { name: `Model ${MODEL}` }).waitFor();
          for (const colorScheme of ['light', 'dark'] as const) {
            await page.emulateMedia({ colorScheme });
            for (const view of ['Cluster', 'Chat', 'Activity', 'Connect']) {
              const link = page.getByRole('navigation').getByRole('link', { name: view, exact: true });
              await link.focus();
              await page.keyboard.press('Enter');
              await page
                .getByRole('heading', { name: view, exact: true })
                .first()
                .waitFor({ state: 'attached' });
              assert.deepEqual(await seriousFindings(page), [], `${view}, ${colorScheme}, ${viewport.width}`);
              const overflow = await page.evaluate<number>(
                'document.documentElement.scrollWidth - innerWidth',
              );
              assert.ok(overflow <= 0, `${view} is ${overflow} pixels too wide at ${viewport.width}`);
              const shape = viewport.width < 500 ? 'phone' : 'wide';
              const isShown = view === 'Cluster' || view === 'Chat' || shape === 'wide';
              if (isShown && colorScheme === 'dark')
                await picture(page, `${view.toLowerCase()}-${shape}-dark`);
            }
          }
          await page.getByRole('navigation').getByRole('link', { name: 'Cluster' }).click();
          await page.getByRole('button', { name: 'Table' }).click();
          await page.getByRole('region', { name: 'Nodes and links' }).waitFor();
          assert.deepEqual(await seriousFindings(page), [], `table, ${viewport.width}`);
          assert.deepEqual(complaints, []);
        },
        '/',
        viewport,
      );
    }
  });
});

describe('the dashboard of a node that is not there, or asks for a key', { skip }, () => {
  test('R74: the loss of the node is shown and heals by itself', { timeout: BOUND_MS }, async () => {
    const browser = await Browser.launch();
    const first = await NodeProcess.start('--name', 'lighthouse');
    let second: NodeProcess | null = null;
    try {
      const { page, close } = await browser.open(first.url);
      const connection = page.getByTestId('connection');
      await connection.getByText('Live').waitFor();
      await first.end();
      await connection.getByText('Connection lost').waitFor();
      const port = new URL(first.url).port;
      second = await NodeProcess.startAgain(first, HERE, '--api-port', port);
      await connection.getByText('Live').waitFor();
      await page.getByRole('article', { name: /^Node/ }).waitFor();
      await close();
    } finally {
      await browser.close();
      await (second ?? first).stop();
    }
  });

  test('R73: a node with a key has the page ask for it; this tab alone keeps it', {
    timeout: BOUND_MS,
  }, async () => {
    const browser = await Browser.launch();
    const node = await NodeProcess.start('--api-key', 'correct-horse');
    try {
      const { page, close } = await browser.open(node.url);
      await page.getByLabel('API key').fill('wrong');
      await page.getByRole('button', { name: 'Enter' }).click();
      await page.getByText('The key was not accepted.').waitFor();
      await page.getByLabel('API key').fill('correct-horse');
      await page.getByRole('button', { name: 'Enter' }).click();
      await page.getByRole('article', { name: /^Node/ }).waitFor();
      await page.reload();
      await page.getByRole('article', { name: /^Node/ }).waitFor();
      assert.equal(await page.evaluate('JSON.stringify(localStorage).includes("correct-horse")'), false);
      await page.getByRole('link', { name: 'Connect' }).click();
      assert.equal((await page.getByRole('main').textContent()).includes('correct-horse'), false);
      await close();
    } finally {
      await browser.close();
      await node.stop();
    }
  });
});
