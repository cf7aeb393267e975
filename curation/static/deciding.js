// Verdicts: what is sent, what is believed until the server has answered, and how it is taken back.

import { api } from './api.js';
import { remember, remembered } from './store.js';

export const WHOLE = -1;
const NOTHING = Object.freeze({ verdict: null, reasons: [], rating: null, caption: '' });
const STEPS_KEPT = 500;

/**
 * Sends decisions and takes them back.
 *
 * `before` is always what stood until now, `{verdict, reasons, rating, caption}`; `onChange(id, layer, standing)` is told
 * what stands from now on.
 */
export class Deciding {
  #done = [];
  #undone = [];
  #drafts;

  constructor({ run, outbox, onChange, onBulk }) {
    this.outbox = outbox;
    this.onChange = onChange;
    this.onBulk = onBulk;
    this.draftKey = `layerprism.drafts.${run}`;
    this.#drafts = remembered(this.draftKey, {});
  }

  /** One verdict on each of `samples`, `[{id, before}]`; all of them are one step for undo. */
  decide(samples, { verdict, reasons = [], queue = '', layer = WHOLE }) {
    const events = samples.map(({ id, before }) => {
      const draft = layer === WHOLE ? this.draft(id) : {};
      if (layer === WHOLE) this.setDraft(id, null);
      return { id, layer, queue, change: { verdict, reasons, ...draft }, before: { ...NOTHING, ...before } };
    });
    this.#do({ events });
  }

  /** Changes the caption or the rating of a sample or layer; without a verdict yet, the sample's wait for it. */
  amend({ id, before }, change, { layer = WHOLE, queue = '' } = {}) {
    const verdict = before.verdict ?? (layer === WHOLE ? null : 'keep');
    if (!verdict) {
      this.setDraft(id, { ...this.draft(id), ...change });
      return;
    }
    const known = { ...NOTHING, ...before };
    this.#do({ events: [{ id, layer, queue, change: { verdict, reasons: known.reasons, ...change }, before: known }] });
  }

  /** One verdict on all samples of a query but `except`. */
  async bulk(request) {
    const { count, undo } = await api.bulk(request);
    this.#keep({ bulk: request, undo });
    this.onBulk();
    return count;
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** Takes the last step back and returns the ids it was about, or null when there is none. */
  async undo() {
    const step = this.#done.at(-1);
    if (!step) return null;
    if (step.bulk) await api.undoBulk(step.undo);
    this.#done.pop();
    this.#undone.push(step);
    if (step.bulk) {
      this.onBulk();
      return [];
    }
    for (const event of [...step.events].reverse()) {
      this.#put(event, { verdict: 'undo', reasons: [] });
      this.onChange(event.id, event.layer, event.before);
    }
    return step.events.map((event) => event.id);
  }

  /** Does again what was taken back last. */
  async redo() {
    const step = this.#undone.at(-1);
    if (!step) return null;
    if (step.bulk) step.undo = (await api.bulk(step.bulk)).undo;
    this.#undone.pop();
    this.#done.push(step);
    if (step.bulk) {
      this.onBulk();
      return [];
    }
    this.#send(step);
    return step.events.map((event) => event.id);
  }

  /** What waits for the verdict on a sample: `{rating?, caption?}`. */
  draft(id) {
    return this.#drafts[id] ?? {};
  }

  setDraft(id, draft) {
    if (!draft && !this.#drafts[id]) return;
    if (draft) this.#drafts[id] = draft;
    else delete this.#drafts[id];
    remember(this.draftKey, this.#drafts);
  }

  #do(step) {
    this.#keep(step);
    this.#send(step);
  }

  #keep(step) {
    this.#done.push(step);
    if (this.#done.length > STEPS_KEPT) this.#done.shift();
    this.#undone = [];
  }

  #send(step) {
    for (const event of step.events) {
      this.#put(event, event.change);
      // A skip decides nothing: what stood goes on standing.
      const stands = event.change.verdict === 'skip' && event.before.verdict;
      if (!stands) this.onChange(event.id, event.layer, { ...event.before, ...event.change });
    }
  }

  // A rating or a caption that is not sent stays what it was.
  #put({ id, layer, queue }, change) {
    this.outbox.put({ sample_id: id, layer_index: layer, queue, ...change });
  }
}
