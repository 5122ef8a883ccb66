/**
 * A real Chromium for the tests of the dashboard, driven by playwright-core out of the dashboard's own packages. What
 * the tests use of it is described here, so that the node's build needs nothing of it.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { packageRoot } from '../../src/shared/packageRoot.js';

export const CHROMIUM = '/usr/bin/chromium';
export const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--disable-dev-shm-usage',
];
/** A busy machine takes its time. */
const STEP_MS = 45_000;

export interface Locator {
  click(): Promise<void>;
  fill(text: string): Promise<void>;
  press(key: string): Promise<void>;
  focus(): Promise<void>;
  hover(options?: { position: { x: number; y: number } }): Promise<void>;
  waitFor(options?: { state?: 'visible' | 'hidden' | 'attached' | 'detached' }): Promise<void>;
  count(): Promise<number>;
  textContent(): Promise<string>;
  innerHTML(): Promise<string>;
  inputValue(): Promise<string>;
  isDisabled(): Promise<boolean>;
  getAttribute(name: string): Promise<string | null>;
  first(): Locator;
  last(): Locator;
  getByRole(role: string, options?: { name?: string | RegExp; exact?: boolean }): Locator;
  getByText(text: string | RegExp): Locator;
  getByTestId(id: string): Locator;
  locator(selector: string): Locator;
  filter(options: { hasText: string | RegExp }): Locator;
}

export interface Page extends Omit<Locator, 'first' | 'last' | 'filter'> {
  goto(url: string): Promise<unknown>;
  reload(): Promise<unknown>;
  close(): Promise<void>;
  getByLabel(text: string | RegExp, options?: { exact?: boolean }): Locator;
  evaluate<Result>(script: string): Promise<Result>;
  screenshot(options: { path: string }): Promise<unknown>;
  setViewportSize(size: { width: number; height: number }): Promise<void>;
  emulateMedia(options: { colorScheme: 'light' | 'dark' }): Promise<void>;
  keyboard: { press(key: string): Promise<void> };
  on(
    event: 'console',
    listener: (message: { type(): string; text(): string; location(): { url: string } }) => void,
  ): void;
  on(event: 'pageerror', listener: (error: Error) => void): void;
  on(event: 'request', listener: (request: { url(): string }) => void): void;
  setDefaultTimeout(milliseconds: number): void;
}

interface Context {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}

interface Chromium {
  newContext(options: { viewport: { width: number; height: number } }): Promise<Context>;
  close(): Promise<void>;
}

/** A page, and everything that it complained about or asked for. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors of its scripts and breaches of its policy. */
  readonly complaints: string[];
  readonly requests: string[];
  /** Another tab of the same browser window: it shares what the browser keeps. */
  openBeside(url: string): Promise<Page>;
  close(): Promise<void>;
}

/** Why there is no browser here, or null; said aloud. */
export function whyNoBrowser(): string | null {
  const missing = [CHROMIUM, join(packageRoot(), 'dashboard', 'node_modules', 'playwright-core')].find(
    (path) => !existsSync(path),
  );
  if (missing === undefined) return null;
  const reason = `there is no ${missing}; \`npm test\` installs it where it may`;
  process.stderr.write(`SKIPPED: tests of the dashboard in a browser: ${reason}\n`);
  return reason;
}

export class Browser {
  readonly #chromium: Chromium;

  private constructor(chromium: Chromium) {
    this.#chromium = chromium;
  }

  static async launch(): Promise<Browser> {
    const { chromium } = dashboardPackages()('playwright-core') as {
      chromium: { launch(options: object): Promise<Chromium> };
    };
    return new Browser(
      await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS, timeout: STEP_MS }),
    );
  }

  /** A page with a storage of its own. */
  async open(url: string, viewport = { width: 1280, height: 860 }): Promise<WatchedPage> {
    const context = await this.#chromium.newContext({ viewport });
    const page = await context.newPage();
    page.setDefaultTimeout(STEP_MS);
    const complaints: string[] = [];
    const requests: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      // That placement refuses is an answer to a question; a browser calls every such answer an error.
      const isAnswer = message.location().url.includes('/instance/placement?');
      if (message.type() === 'error' && !isAnswer) complaints.push(message.text());
    });
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(url);
    const openBeside = async (address: string) => {
      const tab = await context.newPage();
      tab.setDefaultTimeout(STEP_MS);
      await tab.goto(address);
      return tab;
    };
    return { page, complaints, requests, openBeside, close: () => context.close() };
  }

  close(): Promise<void> {
    return this.#chromium.close();
  }
}

/** Pictures for the documentation are taken when asked for: each differs a little from the one before. */
const IMAGES =
  process.env.SHOAL_DASHBOARD_IMAGES === undefined ? null : join(packageRoot(), 'docs', 'images');

export async function picture(page: Page, name: string): Promise<void> {
  if (IMAGES === null) return;
  mkdirSync(IMAGES, { recursive: true });
  await page.screenshot({ path: join(IMAGES, `dashboard-${name}.png`) });
}

export const COLOUR_RULES = ['color-contrast', 'link-in-text-block'];

interface Violation {
  readonly id: string;
  readonly impact: string | null;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

/**
 * What axe-core finds wrong and calls serious or critical.
 * @param rules @default all; where nothing but colours is new, `COLOUR_RULES` find what all would
 */
export async function seriousFindings(page: Page, rules: readonly string[] | null = null): Promise<string[]> {
  if (!(await page.evaluate<boolean>(`'axe' in window`))) {
    const { source } = dashboardPackages()('axe-core') as { source: string };
    await page.evaluate(source);
  }
  const options = JSON.stringify(rules === null ? {} : { runOnly: rules });
  const { violations } = await page.evaluate<{ violations: readonly Violation[] }>(`axe.run(${options})`);
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(' | ')}`,
    );
}

function dashboardPackages(): NodeJS.Require {
  return createRequire(join(packageRoot(), 'dashboard', 'package.json'));
}
