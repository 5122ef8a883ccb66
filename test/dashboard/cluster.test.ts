/** The page over three real machines: a model is made to run, fails, comes back, is given up and deleted; a machine is lost. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { NodeGroup } from '../support/nodeGroup.js';
import type { NodeProcess } from '../support/nodeProcess.js';
import { armFailpoint } from './armFailpoint.js';
import { Browser, type Page, picture, seriousFindings, type WatchedPage, whyNoBrowser } from './browser.js';

const BOUND_MS = 120_000;
const MODEL = 'shoal-guide';
const NAMES = ['anchor', 'buoy', 'capstan'];
const PHONE = { width: 390, height: 780 };
const WIDE = { width: 1280, height: 860 };
const skip = whyNoBrowser() ?? false;

const modelCard = (page: Page) => page.getByRole('article', { name: `Model ${MODEL}` });

const isReady = (page: Page) =>
  modelCard(page)
    .getByTestId('headline')
    .getByText(/It answers requests/)
    .waitFor();

/** Ends the runner on that machine, and says so when there is none. */
async function killRunnerOn(node: NodeProcess): Promise<void> {
  const runners = Object.values((await node.state()).runners);
  const pid = runners.find(({ node_id: nodeId }) => nodeId === node.nodeId)?.pid;
  assert.ok(pid != null, JSON.stringify(runners));
  process.kill(pid, 'SIGKILL');
}

/** Writes down every headline of the model that the page ever showed. */
const WATCH_HEADLINES = `
  window.headlines = new Set();
  new MutationObserver(() => {
    for (const one of document.querySelectorAll('[data-testid=headline]')) window.headlines.add(one.textContent);
  }).observe(document.body, { subtree: true, childList: true, characterData: true });`;

/** Of what the page wants made. */
const LOSE_ONE_ANSWER = `
  window.whole = window.fetch;
  window.fetch = async (address, more) => {
    const answer = await window.whole(address, more);
    if (more.method !== 'POST') return answer;
    window.fetch = window.whole;
    throw new TypeError('the connection broke');
  };`;

/** From the top, and without the mark of what has the focus. */
async function calmPicture(page: Page, name: string): Promise<void> {
  await page.evaluate('document.activeElement.blur(); scrollTo(0, 0)');
  await picture(page, name);
}

interface WishState {
  readonly status: string;
  readonly consecutive_failures: number;
}

async function onlyWish(node: NodeProcess): Promise<WishState> {
  const [wish, ...more] = (await (await fetch(`${node.url}/meta_instances`)).json()) as WishState[];
  assert.ok(wish !== undefined && more.length === 0, 'there is one wish');
  return wish;
}

/** Has each attempt at the only wish fail, until none is left. */
async function failUntilGivenUp(node: NodeProcess): Promise<void> {
  const deadline = Date.now() + BOUND_MS;
  for (;;) {
    await armFailpoint(node, 'runner.fail_loading');
    const { consecutive_failures: failures } = await onlyWish(node);
    for (;;) {
      const wish = await onlyWish(node);
      if (wish.status === 'failed') return;
      if (wish.consecutive_failures > failures) break;
      assert.ok(Date.now() < deadline, `it has not failed again: ${JSON.stringify(wish)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

describe('the dashboard of three machines', { skip }, () => {
  const group = new NodeGroup();
  let browser: Browser;
  let anchor: NodeProcess;
  let buoy: NodeProcess;
  let opened: WatchedPage;
  let page: Page;
  /** Another tab of the same browser, served by another machine. */
  let tab: Page;

  before(
    async () => {
      const add = (name: string, ...more: readonly string[]) =>
        group.add(null, '--no-discovery', '--failpoints', '--name', name, ...more);
      anchor = await add('anchor');
      buoy = await add('buoy', '--peer', anchor.peerAddress);
      await add('capstan', '--peer', anchor.peerAddress);
      await group.agreed();
      browser = await Browser.launch();
      opened = await browser.open(`${anchor.url}/`);
      page = opened.page;
      tab = await opened.openBeside(`${buoy.url}/`);
    },
    { timeout: BOUND_MS },
  );

  after(
    async () => {
      await browser?.close();
      await group.stop();
    },
    { timeout: BOUND_MS },
  );

  test('R74, R41: a model is made to run on chosen machines, by keyboard, with what it would take shown before', {
    timeout: BOUND_MS,
  }, async () => {
    for (const name of NAMES) await page.getByRole('article', { name: `Node ${name}` }).waitFor();
    await page
      .getByText(/^[\d.]+ ms/)
      .first()
      .waitFor();
    await page.getByText('No model runs here yet.').waitFor();
    await page.evaluate(WATCH_HEADLINES);
    await page.getByRole('button', { name: 'Run a model' }).press('Enter');
    await page.getByRole('radio', { name: new RegExp(MODEL) }).press('Space');
    const placement = page.getByTestId('placement');
    const toggleAll = async () => {
      for (const name of NAMES)
        await page.getByRole('checkbox', { name: `Run it here, on ${name}` }).press('Space');
    };
    await placement.getByText('It fits.').waitFor();
    await toggleAll();
    await placement.getByText(/goes to 3 nodes, as asked for by name/).waitFor();
    const row = page.locator(`[data-node-row="${buoy.nodeId}"]`);
    assert.match(await row.textContent(), /takes layers? .* of 8/);
    assert.match(await page.getByRole('article', { name: 'Node buoy' }).textContent(), /✓ layers? \d/);
    assert.deepEqual(await seriousFindings(page), []);
    await page.setViewportSize({ ...WIDE, height: 1_080 });
    await picture(page, 'create-light');
    await page.setViewportSize(PHONE);
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.deepEqual(await seriousFindings(page), []);
    const overflow = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
    assert.ok(overflow <= 0, `the form is ${overflow} pixels too wide for a phone`);
    await page.evaluate(`document.querySelector('form').scrollIntoView()`);
    await picture(page, 'create-phone-dark');
    await page.setViewportSize(WIDE);
    await page.emulateMedia({ colorScheme: 'light' });
    // What cannot be says so, machine by machine.
    await toggleAll();
    await page.getByText(/^How it runs/).click();
    await page.getByLabel('At least so many machines').fill('40');
    await page.getByLabel('At least so many machines').press('Tab');
    await placement.getByText('It cannot run like this.').waitFor();
    await placement.getByText(/40 nodes are asked for/).waitFor();
    assert.equal(await page.getByRole('button', { name: `Run ${MODEL}` }).isDisabled(), true);
    await page.getByLabel('At least so many machines').fill('');
    await page.getByLabel('At least so many machines').press('Tab');
    await toggleAll();
    await placement.getByText(/goes to 3 nodes, as asked for by name/).waitFor();
    // The first time it is taken, and the answer is lost on its way; whoever sends it again has one and not two.
    await page.evaluate(LOSE_ONE_ANSWER);
    const run = page.getByRole('button', { name: `Run ${MODEL}` });
    await run.press('Enter');
    await page.getByRole('alert').getByText('unreachable').waitFor();
    await run.press('Enter');
    await isReady(page);
    assert.equal((await onlyWish(anchor)).status, 'ready');
    const focused = await page.evaluate<string>('document.activeElement.ariaLabel');
    assert.equal(focused, `Model ${MODEL}`, 'what was made has the focus');
    const headlines = await page.evaluate<string[]>('[...window.headlines]');
    // A phase may be over between two looks of the page, but not all of them.
    for (const phase of [/(connecting|loading|warming up) on buoy/, /It answers requests/])
      assert.ok(
        headlines.some((line) => phase.test(line)),
        `${phase}: ${headlines.join(' | ')}`,
      );
    await isReady(tab);
    await calmPicture(page, 'three-machines-light');
  });

  test('R74, R26: a killed runner is seen to be retried, and back, in both tabs', {
    timeout: BOUND_MS,
  }, async () => {
    await killRunnerOn(buoy);
    await modelCard(page).getByTestId('retries').getByText('retry 1 of 3').waitFor();
    await modelCard(tab).getByTestId('retries').getByText('retry 1 of 3').waitFor();
    assert.match(await modelCard(page).textContent(), /buoy: the runner failed .*SIGKILL/);
    assert.match(await modelCard(page).textContent(), /Retry 1 of 3 follows/);
    assert.deepEqual(await seriousFindings(page), []);
    await calmPicture(page, 'retrying-light');
    await isReady(page);
    await modelCard(tab).getByText('1 of 3 retries used').waitFor();
  });

  test('R74, R28: what fails too often is given up with its reasons, retried by hand, and deleted by keyboard', {
    timeout: 2 * BOUND_MS,
  }, async () => {
    await armFailpoint(buoy, 'runner.fail_loading');
    await killRunnerOn(buoy);
    await failUntilGivenUp(buoy);
    const card = modelCard(page);
    await card.getByTestId('model-status').getByText('given up').waitFor();
    const told = await card.textContent();
    assert.match(told, /failed \d times in a row and is not tried any more/);
    assert.match(told, /buoy: /);
    assert.match(told, /press Retry/);
    await page
      .getByRole('region', { name: 'Problems' })
      .getByText(`${MODEL} is not served: it was given up`)
      .click();
    assert.deepEqual(await seriousFindings(page), []);
    await calmPicture(page, 'failed-light');
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.deepEqual(await seriousFindings(page), []);
    await calmPicture(page, 'failed-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await card.getByRole('button', { name: /^Retry now/ }).click();
    await isReady(page);

    const remove = card.getByRole('button', { name: `Delete ${MODEL}` });
    await remove.press('Enter');
    const question = card.getByRole('group', { name: /^Stop it for good/ });
    await question.waitFor();
    await page.keyboard.press('Escape');
    await question.waitFor({ state: 'detached' });
    await page.keyboard.press('Enter');
    await question.getByRole('button', { name: 'Delete' }).press('Enter');
    await card.waitFor({ state: 'detached' });
    await modelCard(tab).waitFor({ state: 'detached' });
    await tab.close();
    assert.deepEqual(opened.complaints, []);
  });

  test('R74: the page of one machine talks to the model of another, and outlives it', {
    timeout: BOUND_MS,
  }, async () => {
    await fetch(`${buoy.url}/meta_instance`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model_id: MODEL, node_ids: [buoy.nodeId] }),
    });
    await isReady(page);
    await page.getByRole('navigation').getByRole('link', { name: 'Chat' }).click();
    await page.getByLabel('Message', { exact: true }).fill('What is Shoal?');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    const answer = page.locator('article.assistant[data-status="done"]');
    await answer.waitFor();
    assert.match(await answer.getByTestId('facts').textContent(), /served by buoy/);
    const chatTab = await opened.openBeside(`${anchor.url}/#chat`);
    const kept = (one: Page) => one.getByRole('complementary', { name: 'Conversations' });
    await kept(chatTab).getByRole('button', { name: 'What is Shoal?', exact: true }).click();
    await chatTab.getByText(/Conversations stay in this browser/).waitFor();
    await chatTab.getByRole('button', { name: 'Delete the conversation What is Shoal?' }).click();
    await kept(page)
      .getByRole('button', { name: 'What is Shoal?', exact: true })
      .waitFor({ state: 'detached' });
    await chatTab.close();

    buoy.child.kill('SIGKILL');
    await page.getByRole('navigation').getByRole('link', { name: 'Cluster' }).click();
    await page.getByRole('article', { name: 'Node buoy' }).getByText('dead').waitFor();
    await modelCard(page).getByTestId('phase').getByText('its node is gone').waitFor();
    await modelCard(page).getByText('buoy is gone').waitFor();
    await calmPicture(page, 'node-lost-light');
    await page.getByRole('button', { name: 'Table' }).click();
    await page.getByRole('button', { name: 'Forget buoy' }).click();
    await page
      .getByRole('group', { name: /^Drop its record/ })
      .getByRole('button', { name: 'Forget' })
      .click();
    await page.getByRole('row').filter({ hasText: 'buoy' }).first().waitFor({ state: 'detached' });
    // The wish for the model on that node outlives it, and says why it is not served.
    await modelCard(page)
      .getByText(/No node is known/)
      .first()
      .waitFor();
    await page
      .getByRole('region', { name: 'Problems' })
      .getByText(/there is no place for it/)
      .waitFor();
    assert.deepEqual(opened.complaints, []);
  });
});
