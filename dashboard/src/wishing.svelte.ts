/** The form for a model that shall run, and what the cluster says to it while it is filled in. */
import { type PageFault, toPageFault } from '../model/api.js';
import { isRetryable } from '../model/faultHelp.js';
import type { ModelEntryJson } from '../model/modelChoices.js';
import {
  type PlacementAnswer,
  type PlacementJson,
  type PreviewJson,
  readRefusal,
} from '../model/placementView.js';
import { EMPTY_FORM, toggleNode, type WishForm, wishBody, wishQuery } from '../model/wishForm.js';
import { cluster } from './cluster.svelte.js';
import { newId } from './newId.js';

/** Who types or clicks on is not asked about at each step. */
const LOOK_AFTER_MS = 200;

class Wishing {
  isOpen = $state(false);
  form = $state.raw<WishForm>(EMPTY_FORM);
  /** Null until they are there. */
  models = $state.raw<readonly ModelEntryJson[] | null>(null);
  modelsFault = $state.raw<PageFault | null>(null);
  /** To the form as it is; null while nothing can be said. */
  answer = $state.raw<PlacementAnswer | null>(null);
  ways = $state.raw<readonly PreviewJson[] | null>(null);
  isLooking = $state(false);
  /** Id of what was made last, until it is shown. */
  made = $state<string | null>(null);
  /** The ways are many to look for: only while somebody wants to see them. */
  #wantsWays = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Of the form as it is: sent once more after a connection that broke, it makes no second one. */
  #key = newId();
  /** Counts what was asked: an answer that was overtaken is not shown. */
  #asked = 0;

  open(): void {
    this.isOpen = true;
    void this.#fetchModels();
    this.lookSoon();
  }

  close(): void {
    this.isOpen = false;
    clearTimeout(this.#timer);
  }

  change(form: WishForm): void {
    if (form.modelId !== this.form.modelId) {
      this.answer = null;
      this.ways = null;
    }
    this.form = form;
    this.#key = newId();
    this.lookSoon();
  }

  toggle(nodeId: string): void {
    this.change(toggleNode(this.form, nodeId));
  }

  showWays(isShown: boolean): void {
    this.#wantsWays = isShown;
    if (isShown) this.lookSoon();
  }

  /** The cluster may have changed, or the form. */
  lookSoon(): void {
    clearTimeout(this.#timer);
    if (!this.isOpen) return;
    if (this.modelsFault !== null) void this.#fetchModels();
    if (this.form.modelId === null) return;
    this.isLooking = true;
    this.#timer = setTimeout(() => void this.#look(), LOOK_AFTER_MS);
  }

  /** @throws what the node refuses with something else than the placement, which is shown like any other answer */
  async send(): Promise<void> {
    const { form } = this;
    const path = form.isKept ? '/meta_instance' : '/place_instance';
    try {
      const made = await cluster.api.json<{ meta_instance_id?: string; instance_id?: string }>(
        'POST',
        path,
        wishBody(form),
        this.#key,
      );
      this.#key = newId();
      this.made = made.meta_instance_id ?? made.instance_id ?? null;
      this.form = EMPTY_FORM;
      this.answer = null;
      this.close();
    } catch (error) {
      // What the node may have taken all the same keeps its key; what it refused begins anew.
      if (!isRetryable(toPageFault(error))) this.#key = newId();
      const refusal = readRefusal(error);
      if (refusal.kind === 'failed') throw error;
      this.answer = refusal;
    }
  }

  async #look(): Promise<void> {
    this.#asked += 1;
    const turn = this.#asked;
    const query = wishQuery(this.form);
    const [answer, ways] = await Promise.all([placementFor(query), this.#wantsWays ? waysFor(query) : null]);
    if (turn !== this.#asked) return;
    this.answer = answer;
    this.ways = ways;
    this.isLooking = false;
  }

  async #fetchModels(): Promise<void> {
    try {
      const { data } = await cluster.api.json<{ data: readonly ModelEntryJson[] }>('GET', '/models');
      this.models = data;
      this.modelsFault = null;
    } catch (error) {
      this.modelsFault = toPageFault(error);
    }
  }
}

async function placementFor(query: string): Promise<PlacementAnswer> {
  try {
    const placement = await cluster.api.json<PlacementJson>('GET', `/instance/placement?${query}`);
    return { kind: 'placed', placement };
  } catch (error) {
    return readRefusal(error);
  }
}

/** Null when they cannot be had: the answer beside it says why. */
async function waysFor(query: string): Promise<readonly PreviewJson[] | null> {
  try {
    return (
      await cluster.api.json<{ previews: readonly PreviewJson[] }>('GET', `/instance/previews?${query}`)
    ).previews;
  } catch (error) {
    console.warn('The ways to place the model could not be had.', error);
    return null;
  }
}

export const wishing = new Wishing();
