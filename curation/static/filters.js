// The side panel: queues, and everything by which samples are chosen.

import { api } from './api.js';
import { button, debounced, h, keepingFocus, replace, showValue } from './dom.js';
import { Histogram } from './histogram.js';
import { say } from './store.js';
import { VERDICTS, words } from './verdicts.js';

export const NO_FILTER = Object.freeze({
  queue: '',
  text: '',
  styles: [],
  layers: null,
  decisions: [],
  passed: null,
  reasons: [],
  scores: {},
  group: null,
  sort: [],
});

/** What the server is asked for: the filter without what it leaves open. */
export function request(filter) {
  const open = (value) => value === null || value === '' || (typeof value === 'object' && !Object.keys(value).length);
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => !open(value)));
}

/** Whether the queue keeps scores, and what others said, to itself until one has decided. */
export function isBlind(session, filter) {
  return session.queues.some(({ name, hides_scores }) => hides_scores && name === filter.queue);
}

/** The side panel. `filter` is the signal that it changes, and follows when others do. */
export class Filters {
  #score = '';
  #histogram = null;

  constructor(panel, session, filter) {
    this.session = session;
    this.filter = filter;
    this.queues = h('div', { class: 'queues', role: 'group', 'aria-label': 'Queues' });
    this.search = h('input', {
      type: 'search',
      id: 'search',
      placeholder: 'Words of the caption',
      'aria-label': 'Search captions',
    });
    this.search.addEventListener(
      'input',
      debounced(() => this.#change({ text: this.search.value.trim() }), 180),
    );
    this.least = layerBound('Fewest layers', () => this.#layersTyped());
    this.most = layerBound('Most layers', () => this.#layersTyped());
    this.choices = h('div', { class: 'choices' });
    this.score = h('select', {
      'aria-label': 'Score to filter by',
      onchange: () => this.#chooseScore(this.score.value),
    });
    this.score.append(
      h('option', { value: '' }, 'Choose a score …'),
      ...session.scores.map(({ name, of }) => h('option', { value: name }, `${words(name)} · ${of}`)),
    );
    this.plot = h('div');
    this.ranges = h('div', { class: 'chips' });
    this.clear = button('Clear filters', {
      class: 'link',
      onclick: () => (filter.value = { ...NO_FILTER, queue: filter.value.queue, sort: filter.value.sort }),
    });
    this.scores = section('Scores', this.score, this.plot, this.ranges);
    panel.append(
      section('Queues', this.queues),
      section('Find', this.search),
      this.choices,
      section('Layers', h('div', { class: 'range' }, this.least, h('span', { class: 'quiet' }, 'to'), this.most)),
      this.scores,
      this.clear,
    );
    filter.watch(() => keepingFocus(panel, () => this.#draw()));
  }

  /** Other numbers for the queues. */
  updateQueues(queues) {
    this.session.queues = queues;
    keepingFocus(this.queues, () => this.#drawQueues());
  }

  #change(change) {
    this.filter.value = { ...this.filter.value, ...change };
  }

  #draw() {
    const filter = this.filter.value;
    const blind = isBlind(this.session, filter);
    const most = filter.layers?.[1];
    showValue(this.search, filter.text);
    showValue(this.least, filter.layers?.[0] ?? '');
    showValue(this.most, most < MANY ? most : '');
    this.#drawQueues();
    const decisions = [...VERDICTS.map(({ name, title }) => [name, title]), ['undecided', 'Undecided']];
    replace(
      this.choices,
      section('Decision', this.#chips('decisions', decisions)),
      blind ? null : section('Filters say', this.#passed()),
      section(
        'Style',
        this.#chips(
          'styles',
          this.session.styles.map((style) => [style, words(style)]),
        ),
      ),
      this.#reasons(),
      h(
        'label',
        { class: 'line' },
        h('input', {
          type: 'checkbox',
          checked: filter.group === 'duplicates',
          onchange: (event) => this.#change({ group: event.target.checked ? 'duplicates' : null }),
        }),
        ' Near-duplicates side by side',
      ),
    );
    replace(
      this.ranges,
      ...Object.entries(filter.scores).map(([name, [low, high]]) =>
        button(`${words(name)} ${low.toFixed(2)}–${high.toFixed(2)} ✕`, {
          class: 'chip',
          'aria-label': `Remove the range of ${words(name)}`,
          onclick: () => this.#range(name, null),
        }),
      ),
    );
    this.clear.hidden = !Object.keys(request({ ...filter, queue: '', sort: [] })).length;
    this.scores.hidden = blind;
    if (this.#score && !blind) this.#drawHistogram();
  }

  #drawQueues() {
    const all = { name: '', title: 'All samples', total: this.session.run.samples, left: null };
    replace(
      this.queues,
      ...[all, ...this.session.queues].map((queue) =>
        h(
          'button',
          {
            type: 'button',
            class: 'queue',
            'aria-pressed': String(this.filter.value.queue === queue.name),
            onclick: () => this.#enter(queue),
          },
          h('span', {}, queue.title),
          h(
            'span',
            { class: 'count' },
            queue.left === null ? queue.total.toLocaleString('en') : `${queue.left.toLocaleString('en')} left`,
          ),
        ),
      ),
    );
  }

  #chips(field, choices) {
    const chosen = this.filter.value[field];
    const flip = (name) =>
      this.#change({ [field]: chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name] });
    return h(
      'div',
      { class: 'chips' },
      ...choices.map(([name, title]) =>
        button(title, { class: 'chip', pressed: chosen.includes(name), onclick: () => flip(name) }),
      ),
    );
  }

  // In a queue that hides scores nothing may be chosen, or put in order, by them.
  #enter({ name, hides_scores }) {
    this.#change({ queue: name, ...(hides_scores ? { passed: null, scores: {}, sort: [] } : {}) });
  }

  #passed() {
    const chip = (title, value) =>
      button(title, {
        class: 'chip',
        pressed: this.filter.value.passed === value,
        onclick: () => this.#change({ passed: value }),
      });
    return h('div', { class: 'chips' }, chip('All', null), chip('Passed', true), chip('Flagged', false));
  }

  #reasons() {
    const chosen = this.filter.value.reasons;
    const chips = this.#chips(
      'reasons',
      this.session.reasons.map(({ name }) => [name, words(name)]),
    );
    return h(
      'details',
      { open: chosen.length > 0 || this.choices.querySelector('details')?.open },
      h('summary', {}, chosen.length ? `Reasons (${chosen.length})` : 'Reasons'),
      chips,
    );
  }

  #layersTyped() {
    const least = this.least.value === '' ? 0 : Number(this.least.value);
    const most = this.most.value === '' ? MANY : Number(this.most.value);
    this.#change({ layers: this.least.value === '' && this.most.value === '' ? null : [least, Math.max(least, most)] });
  }

  #chooseScore(name) {
    this.#score = name;
    this.#histogram = name ? new Histogram(words(name), (range) => this.#range(name, range)) : null;
    replace(this.plot, this.#histogram?.element);
    if (name) this.#drawHistogram();
  }

  #range(name, range) {
    const { [name]: _, ...others } = this.filter.value.scores;
    this.#change({ scores: range ? { ...others, [name]: range } : others });
  }

  // Of what the other filters leave: the brush must not eat its own bars.
  async #drawHistogram() {
    const [name, histogram] = [this.#score, this.#histogram];
    const { [name]: range, ...others } = this.filter.value.scores;
    try {
      const { query } = await api.query(request({ ...this.filter.value, scores: others, sort: [] }));
      const counts = await api.histogram(query, name);
      if (histogram === this.#histogram) histogram.show(counts, range ?? null);
    } catch (error) {
      say(error.message, 'error');
    }
  }
}

const MANY = 1000;

function section(title, ...children) {
  return h('section', {}, h('h2', {}, title), ...children);
}

function layerBound(label, onChange) {
  return h('input', { type: 'number', min: 0, max: MANY, 'aria-label': label, placeholder: '–', onchange: onChange });
}
