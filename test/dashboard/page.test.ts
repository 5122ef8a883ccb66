/** The dashboard as people meet it: a real browser, a real node, and its processes killed. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { readClusterToken } from '../../src/cluster/clusterKey.js';
import { packageRoot } from '../../src/shared/packageRoot.js';
import { HERE, NodeProcess } from '../support/nodeProcess.js';
import { armFailpoint } from './armFailpoint.js';
import {
  Browser,
  COLOUR_RULES,
  type Page,
  picture,
  seriousFindings,
  type WatchedPage,
  whyNoBrowser,
} from './browser.js';

const BOUND_MS = 90_000;
const MODEL = 'shoal-guide';
const skip = whyNoBrowser() ?? false;
async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
}

const answers = (page: Page) => page.getByRole('article', { name: 'Answer' });
/** With it and a temperature of 1.9 the model tells a story of more than 800 tokens. */
const LONG_ANSWER_SEED = 4;

/** A busy machine shall not come too late for what is done in the middle of an answer. Until its runner is started anew. */
const slowDown = (node: NodeProcess, msPerToken: number): Promise<void> =>
  armFailpoint(node, `runner.slow_token=${msPerToken}`);

const lastAnswer = (page: Page, status: string) =>
  page.locator(`article.assistant[data-status="${status}"]`).last();

describe('the dashboard in a browser', { skip }, () => {
  let node: NodeProcess;
  let browser: Browser;

  before(
    async () => {
      [node, browser] = await Promise.all([
        NodeProcess.start('--serve', MODEL, '--name', 'lighthouse', '--failpoints'),
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
        await page.getByRole('button', { name: 'What is Shoal?' }).click();
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
      await slowDown(node, 500);
      await page.getByRole('button', { name: 'Edit', exact: true }).click();
      await page.getByLabel('Edit the message').fill('Tell me a long story about a fox.');
      await page.getByRole('article', { name: 'You' }).getByRole('button', { name: 'Send' }).click();
      await page.getByRole('article', { name: 'You' }).getByText('fox').waitFor();
      await page.getByRole('button', { name: 'Stop' }).click();
      await page.locator('article.assistant:not([data-status="streaming"])').waitFor();
      await node.until('without running tasks', ({ tasks }) =>
        Object.values(tasks).every(({ status }) => status !== 'running'),
      );
      await slowDown(node, 0);
      await page.reload();
      await page.getByRole('button', { name: /^Tell me a long story/ }).click();
      await page.getByRole('article', { name: 'You' }).getByText('fox').waitFor();
      assert.deepEqual(complaints, []);
    }, '/#chat'),
  );

  test(
    'R4, R5: what cannot be answered is said in the conversation, with code and next step',
    {
      timeout: BOUND_MS,
    },
    () =>
      withPage(async ({ page }) => {
        await page.getByRole('heading', { name: `Talk to ${MODEL}` }).waitFor();
        await say(page, 'Tell me a very long story about a fox. '.repeat(500));
        await lastAnswer(page, 'failed').waitFor();
        const answer = await lastAnswer(page, 'failed').textContent();
        assert.match(answer, /context_length_exceeded/);
        assert.match(answer, /Begin a new conversation/);
        await picture(page, 'chat-error-light');
        await page.getByRole('button', { name: 'New conversation' }).click();
        await page.getByRole('heading', { name: `Talk to ${MODEL}` }).waitFor();
      }, '/#chat'),
  );

  test(
    'R74, R6, R60: a runner that freezes is seen live; its answer goes on after a pause, and says so',
    {
      timeout: BOUND_MS,
    },
    () =>
      withPage(async ({ page }) => {
        await page.getByRole('heading', { name: `Talk to ${MODEL}` }).waitFor();
        await page.getByText('Parameters').click();
        await page.getByLabel(/^Most tokens/).fill('500');
        await page.getByLabel(/^Temperature/).fill('1.9');
        await page.getByLabel(/^Seed/).fill(String(LONG_ANSWER_SEED));
        await slowDown(node, 50);
        await say(page, 'Tell me a long story about a fox.');
        await page.locator('article.assistant .markdown p').first().waitFor();
        const { pid } = await node.runner();
        assert.ok(pid !== null);
        process.kill(pid, 'SIGSTOP');
        await page.getByText(/^It pauses, for [\d.]+ s now/).waitFor();
        await page.locator('article.assistant:not([data-status="streaming"])').waitFor();
        const answer = await answers(page).last().textContent();
        assert.match(answer, /It was started again, and the answer went on after/);
        assert.match(answer, /runner_failed/);
        assert.equal(await lastAnswer(page, 'done').count(), 1);
        await page.getByText('Parameters').click();
        await picture(page, 'chat-moved-light');
        await page.getByRole('link', { name: 'Cluster' }).click();
        const model = page.getByRole('article', { name: `Model ${MODEL}` });
        await model.getByText(/restarted 1 time/).waitFor();
        await model.getByTestId('phase').getByText('ready').waitFor();
        await page.getByRole('link', { name: 'Activity' }).click();
        await page.getByText(`${MODEL} on lighthouse: failed`).first().waitFor();
        await page.getByLabel('only problems').click();
        await page.getByText(`${MODEL} on lighthouse: failed`).first().waitFor();
        assert.equal(await page.getByText(`${MODEL} on lighthouse: ready`).count(), 0);
        await page
          .getByRole('img', { name: /^Failures a minute: .* 1 runner failed in the last hour/ })
          .waitFor();
        await picture(page, 'activity-light');
      }, '/#chat'),
  );

  test(
    'R74: a page that has just been opened shows the past; settings to copy work as they stand',
    {
      timeout: BOUND_MS,
    },
    () =>
      withPage(async ({ page, complaints }) => {
        await page.getByRole('img', { name: /^Tokens a second: [1-9]\d* tokens in the last hour/ }).waitFor();
        await page.getByRole('img', { name: /^Requests a minute: [1-9]\d* requests? ended/ }).waitFor();
        await page.getByRole('img', { name: /^Memory: [1-9].* of .* are used now/ }).waitFor();
        await page.getByRole('navigation').getByRole('link', { name: 'Connect' }).click();
        const settings = async (program: string) => {
          await page.getByRole('button', { name: program, exact: true }).click();
          return page.getByRole('region', { name: `Settings for ${program}` }).textContent();
        };
        assert.equal(
          await page.getByRole('button', { name: /Anthropic|Claude/ }).count(),
          0,
          'not spoken yet',
        );
        const answered = JSON.parse(await runProgram('bash', '-c', await settings('curl')));
        assert.ok(answered.choices[0].message.content.length > 0);
        const script = await settings('OpenAI SDK (JavaScript)');
        assert.ok(
          (await runProgram(process.execPath, '--input-type=module', '-e', script)).trim().length > 0,
        );
        await picture(page, 'connect-light');
        assert.deepEqual(complaints, []);
      }, '/#activity'),
  );

  test('R11: a running request is cancelled from the page', { timeout: BOUND_MS }, () =>
    withPage(async ({ page }) => {
      await node.ready();
      await slowDown(node, 20);
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
      await slowDown(node, 0);
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
        async ({ page, complaints, requests }) => {
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
              if (view === 'Chat' && colorScheme === 'light') {
                await page.getByRole('button', { name: 'What is Shoal?' }).click();
                await lastAnswer(page, 'done').waitFor();
              }
              if (view === 'Activity') await page.getByRole('img', { name: /^Memory/ }).waitFor();
              const rules = colorScheme === 'light' ? null : COLOUR_RULES;
              const findings = await seriousFindings(page, rules);
              assert.deepEqual(findings, [], `${view}, ${colorScheme}, ${viewport.width}`);
              const overflow = await page.evaluate<number>(
                'document.documentElement.scrollWidth - innerWidth',
              );
              assert.ok(overflow <= 0, `${view} is ${overflow} pixels too wide at ${viewport.width}`);
              const shape = viewport.width < 500 ? 'phone' : 'wide';
              if (colorScheme === 'dark') await picture(page, `${view.toLowerCase()}-${shape}-dark`);
            }
          }
          await page.getByRole('navigation').getByRole('link', { name: 'Cluster' }).click();
          await page.getByRole('button', { name: 'Table' }).click();
          await page.getByRole('region', { name: 'Nodes and links' }).waitFor();
          assert.deepEqual(await seriousFindings(page), [], `table, ${viewport.width}`);
          assert.deepEqual(complaints, []);
          for (const url of requests) assert.ok(url.startsWith(node.url), `nobody else is called: ${url}`);
        },
        '/',
        viewport,
      );
    }
  });
});

describe('the dashboard of a node that asks for a key, goes and comes back', { skip }, () => {
  test('R73, R74: the page asks for the key, this tab alone keeps it; a lost node is shown and heals by itself', {
    timeout: BOUND_MS,
  }, async () => {
    const browser = await Browser.launch();
    const key = ['--api-key', 'correct-horse', '--name', 'lighthouse'];
    let node = await NodeProcess.start(...key);
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

      const connection = page.getByTestId('connection');
      const { port } = new URL(node.url);
      await node.end();
      await connection.getByText('Connection lost').waitFor();
      node = await NodeProcess.startAgain(node, HERE, ...key, '--api-port', port);
      await connection.getByText('Live').waitFor();
      await page.getByRole('article', { name: /^Node/ }).waitFor();

      await page.getByRole('link', { name: 'Connect' }).click();
      const text = () => page.getByRole('main').textContent();
      const token = readClusterToken(node.home) ?? assert.fail('no token');
      assert.ok(!(await text()).includes('correct-horse'));
      assert.ok(!(await text()).includes(token), 'hidden until it is asked for');
      await page.getByRole('button', { name: 'Show the join token' }).click();
      await page.getByRole('region', { name: 'Command that joins' }).getByText(`join ${token}`).waitFor();
      await page.getByRole('button', { name: 'Hide' }).click();
      await page.getByRole('region', { name: 'Command that joins' }).waitFor({ state: 'detached' });
      assert.ok(!(await page.evaluate<string>('document.documentElement.outerHTML')).includes(token));
      assert.ok(!node.log().includes(token));
      await close();
    } finally {
      await browser.close();
      await node.stop();
    }
  });
});

/** What a program writes; rejects with what it complains about. */
async function runProgram(program: string, ...parameters: readonly string[]): Promise<string> {
  const options = { cwd: packageRoot(), timeout: BOUND_MS };
  const { stdout } = await promisify(execFile)(program, parameters, options);
  return stdout;
}
