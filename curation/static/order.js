// In which order the viewer goes through samples: that of the grid, or that of a queue.

import { api } from './api.js';

const BATCH = 10;

/** What all orders have: `id` of the present sample, `place` for people, `peek`, `move`, `find`. */
class Order {
  queue = '';
  index = -1; // in the grid, if this order is the grid's

  /** The sample has got a verdict. */
  decided(_id) {}

  /** The verdict has been taken back. */
  reopened(_id) {}
}

/** The samples of a query, as the grid shows them. */
export class GridOrder extends Order {
  constructor(rows, index, queue) {
    super();
    this.rows = rows;
    this.index = index;
    this.queue = queue;
  }

  get id() {
    return this.rows.get(this.index)?.id;
  }

  get place() {
    return `${(this.index + 1).toLocaleString('en')} of ${this.rows.total.toLocaleString('en')}`;
  }

  /** Ids of the next samples, as far as they are known. */
  peek(count) {
    this.rows.want(this.index, this.index + count + 1);
    return Array.from({ length: count }, (_, step) => this.rows.get(this.index + step + 1)?.id).filter(Boolean);
  }

  /** Goes `step` samples on; false where there is none. */
  async move(step) {
    const target = this.index + step;
    if (!this.rows.get(target) && !(await this.rows.row(target))) return false;
    this.index = target;
    return true;
  }

  /** Goes to a sample, if it is in this order and known. */
  find(id) {
    const index = this.rows.indexOf(id);
    if (index >= 0) this.index = index;
    return index >= 0;
  }
}

/** What the server hands out of a queue to this reviewer, a few samples at a time. */
export class QueueOrder extends Order {
  #ids = [];
  #open = new Set(); // handed out and not decided: the server will name these again
  #at = -1;
  #fetching = null;
  #drained = false;

  /** @param settled waits until the server knows all decisions made so far. */
  constructor(queue, title, settled) {
    super();
    this.queue = queue;
    this.title = title;
    this.settled = settled;
  }

  get id() {
    return this.#ids[this.#at];
  }

  get place() {
    return `${this.title}: ${(this.#at + 1).toLocaleString('en')}`;
  }

  peek(count) {
    if (this.#ids.length - this.#at <= count + 2) this.#fetch();
    return this.#ids.slice(this.#at + 1, this.#at + 1 + count);
  }

  async move(step) {
    while (this.#at + step >= this.#ids.length && !this.#drained) await this.#fetch();
    if (this.#ids[this.#at + step] === undefined) return false;
    this.#at += step;
    return true;
  }

  find(id) {
    const at = this.#ids.indexOf(id);
    if (at >= 0) this.#at = at;
    return at >= 0;
  }

  decided(id) {
    this.#open.delete(id);
  }

  reopened(id) {
    if (this.#ids.includes(id)) this.#open.add(id);
  }

  #fetch() {
    this.#fetching ??= this.#more().finally(() => (this.#fetching = null));
    return this.#fetching;
  }

  async #more() {
    await this.settled();
    const { samples } = await api.next(this.queue, this.#open.size + BATCH);
    const fresh = samples.filter((id) => !this.#open.has(id));
    this.#ids.push(...fresh);
    for (const id of fresh) this.#open.add(id);
    this.#drained = fresh.length === 0;
  }
}

/** A handful of given samples, such as near-duplicates of one. */
export class ListOrder extends Order {
  constructor(ids, index = 0) {
    super();
    this.ids = ids;
    this.at = index;
  }

  get id() {
    return this.ids[this.at];
  }

  get place() {
    return `${this.at + 1} of ${this.ids.length}`;
  }

  peek(count) {
    return this.ids.slice(this.at + 1, this.at + 1 + count);
  }

  async move(step) {
    if (this.ids[this.at + step] === undefined) return false;
    this.at += step;
    return true;
  }

  find(id) {
    const at = this.ids.indexOf(id);
    if (at >= 0) this.at = at;
    return at >= 0;
  }
}
