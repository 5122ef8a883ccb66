/** The page over two real machines: served by the one, answered by the other, and through the loss of the master. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NodeGroup } from '../support/nodeGroup.js';
import { Browser, picture, seriousFindings, whyNoBrowser } from './browser.js';

const BOUND_MS = 120_000;
const MODEL = 'shoal-guide';
const skip = whyNoBrowser() ?? false;

describe('the dashboard of two machines', { skip }, () => {
  test('R74: the page of one machine shows the other, talks to its model, and outlives it', {
    timeout: BOUND_MS,
  }, async (t) => {
    const group = new NodeGroup();
    let browser: Browser | null = null;
    t.after(async () => {
      await browser?.close();
      await group.stop();
    });
    const one = await group.add(null, '--no-discovery', '--name', 'one', '--serve', MODEL);
    const two = await group.add(null, '--no-discovery', '--name', 'two', '--peer', one.peerAddress);
    await group.agreed();
    await group.ready(1);
    browser = await Browser.launch();
    const { page, complaints, openBeside } = await browser.open(`${two.url}/`);
    for (const name of ['one', 'two']) await page.getByRole('article', { name: `Node ${name}` }).waitFor();
    assert.match(await page.getByRole('article', { name: 'Node two' }).textContent(), /this node/);
    assert.match(await page.getByRole('article', { name: 'Node one' }).textContent(), /master/);
    await page
      .getByText(/^[\d.]+ ms$/)
      .first()
      .waitFor();
    await page
      .getByRole('article', { name: `Model ${MODEL}` })
      .getByTestId('phase')
      .getByText('ready')
      .waitFor();
    assert.deepEqual(await seriousFindings(page), []);
    await picture(page, 'two-nodes-light');

    await page.getByRole('navigation').getByRole('link', { name: 'Chat' }).click();
    await page.getByLabel('Message', { exact: true }).fill('What is Shoal?');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    const answer = page.locator('article.assistant[data-status="done"]');
    await answer.waitFor();
    assert.match(await answer.getByTestId('facts').textContent(), /served by one/);
    const tab = await openBeside(`${two.url}/#chat`);
    await tab.getByRole('button', { name: 'What is Shoal?', exact: true }).click();
    await tab.getByText(/Conversations stay in this browser/).waitFor();
    await tab.getByRole('button', { name: 'Delete the conversation What is Shoal?' }).click();
    await page.getByRole('button', { name: 'What is Shoal?', exact: true }).waitFor({ state: 'detached' });
    await tab.close();

    one.child.kill('SIGKILL');
    await page.getByRole('navigation').getByRole('link', { name: 'Cluster' }).click();
    await page.getByRole('article', { name: 'Node one' }).getByText('dead').waitFor();
    await page.getByRole('article', { name: 'Node two' }).getByText('master').waitFor();
    const phase = page.getByRole('article', { name: `Model ${MODEL}` }).getByTestId('phase');
    await phase.getByText('its node is gone').waitFor();
    await picture(page, 'node-lost-light');
    await page.getByRole('button', { name: 'Table' }).click();
    await page.getByRole('button', { name: 'Forget one' }).click();
    await page
      .getByRole('group', { name: /^Drop its record/ })
      .getByRole('button', { name: 'Forget' })
      .click();
    await page.getByRole('row').filter({ hasText: 'one' }).first().waitFor({ state: 'detached' });
    // The wish for the model on that node outlives it, and says why it is not served.
    await page
      .getByRole('article', { name: `Model ${MODEL}` })
      .getByText(/No node is known/)
      .first()
      .waitFor();
    assert.deepEqual(complaints, []);
  });
});
