// The rows of a query, fetched in pages around what is looked at.

import { api } from './api.js';

const PAGE = 200;
const KEPT_PAGES = 60;

export class Rows {
  #pages = new Map(); // page number → rows, the least recently wanted first
  #loading = new Map(); // page number → AbortController
  #places = new Map(); // sample id → index, of fetched rows
  #awaited = new Set(); // pages that a caller of `row` waits for

  /**
   * @param onLoad called whenever rows have arrived or changed; @param onError with an ApiError.
   * @param renew asks the query again and gives its new name: the server keeps only the last few.
   */
  constructor(query, total, { onLoad, onError, renew }) {
    this.query = query;
    this.total = total;
    this.renew = renew;
    this.onLoad = onLoad;
    this.onError = onError;
  }

  /** The row at `index`, or undefined while it is on its way. */
  get(index) {
    return this.#pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** Where a fetched sample stands, or -1. */
  indexOf(id) {
    return this.#places.get(id) ?? -1;
  }

  /** Fetches what is missing of `start` … `end` (exclusive), and gives up on requests for anywhere else. */
  want(start, end) {
    const first = Math.floor(Math.max(0, start) / PAGE);
    const last = Math.floor((Math.min(end, this.total) - 1) / PAGE);
    for (const [page, request] of this.#loading) {
      if ((page < first || page > last) && !this.#awaited.has(page)) request.abort();
    }
    for (let page = first; page <= last; page++) {
      const rows = this.#pages.get(page);
      if (rows) {
        this.#pages.delete(page);
        this.#pages.set(page, rows);
      } else if (!this.#loading.has(page)) this.#fetch(page);
    }
  }

  /** The row at `index`, fetched if need be; undefined past the end. */
  async row(index) {
    if (index < 0 || index >= this.total) return undefined;
    if (!this.get(index)) {
      const page = Math.floor(index / PAGE);
      this.#awaited.add(page);
      await this.#fetch(page);
      this.#awaited.delete(page);
    }
    return this.get(index);
  }

  /** The rows of `start` … `end` (exclusive), fetched if need be. */
  async range(start, end) {
    const rows = [];
    for (let index = start; index < end; index++) rows.push(this.get(index) ?? (await this.row(index)));
    return rows.filter(Boolean);
  }

  /** Changes fields of one sample's row where it is known. */
  patch(id, change) {
    const row = this.get(this.indexOf(id));
    if (row) Object.assign(row, change);
  }

  close() {
    for (const request of this.#loading.values()) request.abort();
    this.onLoad = this.onError = () => {};
  }

  async #fetch(page) {
    const request = new AbortController();
    this.#loading.set(page, request);
    try {
      const rows = await this.#ask(page, request.signal);
      this.#pages.set(page, rows);
      rows.forEach((row, offset) => this.#places.set(row.id, page * PAGE + offset));
      this.#dropOldest();
      this.onLoad();
    } catch (error) {
      if (error.name !== 'AbortError') this.onError(error);
    } finally {
      if (this.#loading.get(page) === request) this.#loading.delete(page);
    }
  }

  async #ask(page, signal) {
    const { query } = this;
    try {
      return (await api.rows(query, page * PAGE, PAGE, signal)).rows;
    } catch (error) {
      if (error.status !== 404) throw error;
      if (query === this.query) this.query = await this.renew();
      return (await api.rows(this.query, page * PAGE, PAGE, signal)).rows;
    }
  }

  #dropOldest() {
    for (const [page, rows] of this.#pages) {
      if (this.#pages.size <= KEPT_PAGES) return;
      this.#pages.delete(page);
      for (const row of rows) this.#places.delete(row.id);
    }
  }
}
