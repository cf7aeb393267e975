// The page around the grid: queries, the toolbar, what is selected, and the way into the viewer.

import { api } from './api.js';
import { button, h, keepingFocus, replace } from './dom.js';
import { Filters, NO_FILTER, isBlind, request } from './filters.js';
import { Grid } from './grid.js';
import { GridOrder, QueueOrder } from './order.js';
import { Rows } from './rows.js';
import { Signal, say, setting } from './store.js';
import { VERDICTS, words } from './verdicts.js';

const QUEUES_EVERY_MS = 2000;

const part = (id) => document.getElementById(id);

export class Browse {
  #rows = null;
  #query = null; // AbortController of the query under way
  #news = 0;
  #queuesAsked = 0;
  #size = setting('cellSize', 180);
  filter = new Signal(NO_FILTER);

  constructor({ session, keymap, deciding, outbox, reasons, viewer }) {
    Object.assign(this, { session, keymap, deciding, outbox, reasons, viewer });
    part('run-name').textContent = session.run.name;
    this.grid = new Grid(part('grid'), {
      onOpen: (index) => this.#open(index),
      onSelect: () => this.#drawSelection(),
      onActive: () => {},
    });
    this.#size.watch((size) => this.grid.resize(size));
    this.filters = new Filters(part('filters'), session, this.filter);
    if (session.queue) this.filter.value = { ...NO_FILTER, queue: session.queue };
    this.filter.watch(() => this.reload());
    this.#keys();
    keymap.changes.watch(() => this.#drawToolbar(this.filter.value));
    part('grid').focus();
  }

  /** Asks the query again: the filter has changed, or what it looks at. */
  async reload() {
    this.#query?.abort();
    const asked = (this.#query = new AbortController());
    const filter = this.filter.value;
    part('grid').setAttribute('aria-busy', 'true'); // it shows the query before this one
    keepingFocus(part('toolbar'), () => this.#drawToolbar(filter));
    try {
      const { query, total } = await api.query(request(filter), asked.signal);
      this.#rows?.close();
      this.#rows = new Rows(query, total, {
        onLoad: () => this.grid.draw(),
        onError: (error) => say(error.message, 'error'),
        renew: async () => (await api.query(request(filter))).query,
      });
      this.#news = 0;
      this.grid.show(this.#rows);
      this.#drawProgress();
      this.#drawSelection();
      part('empty').hidden = total > 0;
      part('grid').hidden = total === 0;
      part('empty').textContent = this.session.run.samples
        ? 'Nothing is left by these filters.'
        : 'No sample is finished yet. This page shows them as they come.';
    } catch (error) {
      if (error.name !== 'AbortError') say(error.message, 'error');
    } finally {
      if (asked === this.#query) part('grid').setAttribute('aria-busy', 'false');
    }
  }

  /** Shows what stands for a sample; returns whether that is something else than before, as far as it is known. */
  patch(id, { verdict, reasons, reviewers }) {
    if (isBlind(this.session, this.filter.value) && reviewers && !(this.session.reviewer in reviewers)) return false;
    const before = this.#rows?.get(this.#rows.indexOf(id));
    const different = before?.verdict !== verdict;
    this.#rows?.patch(id, { verdict, reasons });
    this.grid.refresh();
    return different;
  }

  /** Others have decided: the query is asked again when the person wants it. */
  newsOf(count) {
    this.#news += count;
    this.#drawProgress();
  }

  runGrew({ samples, complete }) {
    const first = this.session.run.samples === 0;
    this.#news += samples - this.session.run.samples;
    Object.assign(this.session.run, { samples, complete });
    if (first && samples) this.reload();
    else this.#drawProgress();
  }

  /** The server has compared all samples that there are. */
  duplicatesFound() {
    if (this.filter.value.group) this.reload();
  }

  /** What is left of the queues, asked at most every two seconds. */
  refreshQueues() {
    if (this.#queuesAsked) return;
    this.#queuesAsked = setTimeout(async () => {
      this.#queuesAsked = 0;
      try {
        const { queues, problem } = await api.session();
        this.filters.updateQueues(queues);
        this.session.problem = problem;
        this.#drawProgress();
      } catch {
        // The outbox says that the server does not answer; old numbers stay until it does.
      }
    }, QUEUES_EVERY_MS);
  }

  /** The viewer has been closed at the grid's `index`, or -1. */
  comeBack(index) {
    this.keymap.view = 'grid';
    part('browse').inert = false;
    part('grid').focus({ preventScroll: true });
    if (index >= 0) this.grid.activate(index);
  }

  #open(index) {
    if (!this.#rows?.get(index)) return;
    part('browse').inert = true;
    this.viewer.open(new GridOrder(this.#rows, index, this.filter.value.queue));
  }

  #startQueue() {
    const queue = this.session.queues.find(({ name }) => name === this.filter.value.queue) ?? this.session.queues[0];
    if (!queue) {
      say('This run has no queues.');
      return;
    }
    part('browse').inert = true;
    this.viewer.open(new QueueOrder(queue.name, queue.title, () => this.outbox.settled()));
  }

  #drawToolbar(filter) {
    const [sort] = filter.sort;
    const fields = [
      ['plan', 'Plan order'],
      ['layers', 'Layers'],
      ['style', 'Style'],
      ['rating', 'Rating'],
      ['decided', 'Time of decision'],
      ...(isBlind(this.session, filter) ? [] : this.session.scores.map(({ name }) => [name, words(name)])),
    ];
    const by = h(
      'select',
      { 'aria-label': 'Sort by', onchange: () => this.#sort(by.value, false) },
      ...fields.map(([name, title]) => h('option', { value: name, selected: name === (sort?.by ?? 'plan') }, title)),
    );
    replace(
      part('toolbar'),
      button('Review', {
        key: this.keymap.label('start'),
        title: 'Review the queue sample by sample',
        class: 'primary',
        onclick: () => this.#startQueue(),
      }),
      h(
        'span',
        { class: 'joined' },
        by,
        h(
          'button',
          {
            type: 'button',
            'aria-label': sort?.descending ? 'Greatest first' : 'Least first',
            title: sort?.descending ? 'Greatest first' : 'Least first',
            onclick: () => this.#sort(by.value, !sort?.descending),
          },
          sort?.descending ? '↓' : '↑',
        ),
      ),
      h(
        'label',
        { class: 'size' },
        h('span', { class: 'quiet' }, 'Size'),
        h('input', {
          type: 'range',
          min: 90,
          max: 360,
          step: 10,
          value: this.#size.value,
          'aria-label': 'Size of thumbnails',
          oninput: (event) => (this.#size.value = Number(event.target.value)),
        }),
      ),
      button('Team', { key: this.keymap.label('team'), onclick: () => this.keymap.run('team') }),
      h(
        'button',
        {
          type: 'button',
          'aria-label': 'All keys',
          title: `All keys (${this.keymap.label('help')})`,
          onclick: () => this.keymap.run('help'),
        },
        '?',
      ),
    );
  }

  #sort(by, descending) {
    this.filter.value = { ...this.filter.value, sort: by === 'plan' && !descending ? [] : [{ by, descending }] };
  }

  #drawProgress() {
    const { run } = this.session;
    const shown = this.#rows?.total ?? 0;
    replace(
      part('progress'),
      `${shown.toLocaleString('en')} of ${run.samples.toLocaleString('en')} samples`,
      run.complete ? '' : ' · still being written',
      this.session.problem ? h('span', { class: 'flag' }, `⚠ ${this.session.problem}`) : null,
      this.#news > 0
        ? button(`${this.#news.toLocaleString('en')} changes: show`, { class: 'chip', onclick: () => this.reload() })
        : null,
    );
  }

  #drawSelection() {
    const count = this.grid.selectedCount;
    const bar = part('selection');
    bar.hidden = count === 0;
    if (!count) return;
    replace(
      bar,
      h('b', {}, `${count.toLocaleString('en')} selected`),
      ...VERDICTS.map(({ name, title, sign }) =>
        button(`${sign} ${title}`, {
          key: this.keymap.label(name),
          title,
          class: `verdict ${name}`,
          onclick: () => this.#decide(name),
        }),
      ),
      button('Reasons …', { key: this.keymap.label('reasons'), onclick: () => this.#askReasons() }),
      button('None', {
        key: this.keymap.label('clear'),
        title: 'Clear the selection',
        onclick: () => this.grid.selectAll(false),
      }),
    );
  }

  // On what is selected, or on the active sample where nothing is.
  #decide(verdict, reasons = []) {
    if (this.grid.allSelected) {
      this.#confirmBulk(verdict, reasons);
      return;
    }
    const ids = this.grid.selected.size
      ? [...this.grid.selected]
      : [this.#rows?.get(this.grid.active)?.id].filter(Boolean);
    const samples = ids.map((id) => ({ id, before: standingOf(this.#rows.get(this.#rows.indexOf(id))) }));
    this.deciding.decide(samples, { verdict, reasons, queue: this.filter.value.queue });
    if (this.grid.selected.size) {
      say(`${ids.length} samples: ${verdict}.`);
      this.grid.selectAll(false);
    } else this.grid.activate(this.grid.active + 1);
  }

  #askReasons() {
    const count = this.grid.selectedCount;
    const what = count ? `${count.toLocaleString('en')} samples` : (this.#rows?.get(this.grid.active)?.id ?? 'this');
    this.reasons.ask(`Why: ${what}`, 'whole', [], (names) => this.#decide('reject', names));
  }

  // Everything that the filters leave may be a hundred thousand samples: said once more before it is done.
  #confirmBulk(verdict, reasons) {
    const dialog = part('confirm');
    const count = this.grid.selectedCount;
    const { title } = VERDICTS.find(({ name }) => name === verdict);
    const run = async () => {
      dialog.close();
      try {
        const done = await this.deciding.bulk({
          query: this.#rows.query,
          verdict,
          reasons,
          except: [...this.grid.selected],
        });
        say(`${done.toLocaleString('en')} samples: ${verdict}. Undo takes all of it back.`);
      } catch (error) {
        say(error.message, 'error');
      }
    };
    dialog.setAttribute('aria-labelledby', 'confirm-title');
    replace(
      dialog,
      h('h2', { id: 'confirm-title' }, `${title}: ${count.toLocaleString('en')} samples?`),
      h('p', {}, 'All that the filters leave, also those that are not on the screen. Undo takes it back as one.'),
      h(
        'footer',
        {},
        button('Cancel', { onclick: () => dialog.close() }),
        button(title, { class: 'primary', onclick: run }),
      ),
    );
    dialog.showModal();
  }

  #keys() {
    this.keymap.on('grid', {
      ...Object.fromEntries(VERDICTS.map(({ name }) => [name, () => this.#decide(name)])),
      reasons: () => this.#askReasons(),
      open: () => this.#open(this.grid.active),
      select: () => this.grid.toggle(this.grid.active),
      selectAll: () => this.grid.selectAll(true),
      clear: () => this.grid.selectAll(false),
      search: () => part('search').focus(),
      start: () => this.#startQueue(),
    });
    part('search').addEventListener(
      'keydown',
      (event) => ['Escape', 'Enter'].includes(event.key) && part('grid').focus(),
    );
  }
}

function standingOf(row) {
  return { verdict: row?.verdict ?? null, reasons: row?.reasons ?? [] };
}
