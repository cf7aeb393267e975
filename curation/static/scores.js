// The scores of a sample beside their thresholds: what is flagged first, then what came near it.

import { h, replace } from './dom.js';
import { WHOLE } from './deciding.js';
import { BASE } from './stage.js';
import { short, words } from './verdicts.js';

const FIRST = 6;

export class Scores {
  element = h('section', { 'aria-label': 'Scores' });
  #ranges;
  #all = false; // whether people want to see more than the first few, of this sample and the next

  /** @param known the session's scores: `{name, low, high}` of the whole run. */
  constructor(known) {
    this.#ranges = new Map(known.map(({ name, low, high }) => [name, [Math.min(0, low), Math.max(1, high)]]));
  }

  /** @param selected the index of the layer whose scores are wanted beside those of the whole image. */
  show(detail, selected) {
    if (detail.scores_hidden) {
      const text = 'Hidden in this queue until you have decided.';
      replace(this.element, h('h2', {}, 'Scores'), h('p', { class: 'quiet' }, text));
      return;
    }
    const tables = [['Whole image', WHOLE]];
    if (selected !== BASE) tables.push([`Layer ${selected}`, selected]);
    replace(
      this.element,
      h('h2', {}, 'Scores'),
      detail.flags.length
        ? h('ul', { class: 'flags' }, ...detail.flags.map((flag) => h('li', {}, '⚑ ', flagText(flag))))
        : h('p', { class: 'quiet' }, 'Passed all filters.'),
      ...tables.map(([title, layer]) =>
        this.#table(
          title,
          detail.scores.filter((score) => score.layer === layer),
        ),
      ),
    );
  }

  #table(title, scores) {
    if (!scores.length) return null;
    const sorted = [...scores].sort((a, b) => this.#room(a) - this.#room(b) || a.name.localeCompare(b.name));
    const rest = sorted.slice(FIRST);
    const more = rest.length
      ? h(
          'details',
          { open: this.#all, ontoggle: (event) => (this.#all = event.target.open) },
          h('summary', {}, `${rest.length} more`),
          this.#rows(`More of ${title}`, rest),
        )
      : null;
    return h('div', { class: 'score-group' }, h('h3', {}, title), this.#rows(title, sorted.slice(0, FIRST)), more);
  }

  // How far a score lies above its threshold, in shares of its range; those without one come last.
  #room({ name, score, threshold }) {
    if (!isLimited({ threshold })) return Infinity;
    const [low, high] = this.#range(name);
    return score < threshold ? -1 : (score - threshold) / (high - low);
  }

  #range(name) {
    return this.#ranges.get(name) ?? [0, 1];
  }

  #rows(title, scores) {
    return h(
      'table',
      { class: 'scores', 'aria-label': title },
      h('tbody', {}, ...scores.map((score) => this.#row(score))),
    );
  }

  #row(score) {
    const flagged = isLimited(score) && score.score < score.threshold;
    return h(
      'tr',
      { class: flagged ? 'flagged' : '' },
      h('th', { scope: 'row' }, flagged ? '⚑ ' : '', words(score.name)),
      h('td', {}, this.#meter(score)),
      h('td', { class: 'number' }, short(score.score)),
      h('td', { class: 'number quiet' }, isLimited(score) ? `≥ ${short(score.threshold)}` : ''),
    );
  }

  #meter({ name, score, threshold }) {
    const [least, high] = this.#range(name);
    const low = Math.min(least, threshold ?? least);
    const share = (value) => `${100 * Math.max(0, Math.min(1, (value - low) / (high - low)))}%`;
    const fill = h('i', { class: 'meter-fill' });
    fill.style.width = share(score);
    const tick = isLimited({ threshold }) ? h('i', { class: 'meter-tick' }) : null;
    if (tick) tick.style.left = share(threshold);
    return h('span', { class: 'meter', 'aria-hidden': 'true' }, fill, tick);
  }
}

function isLimited({ threshold }) {
  return threshold !== null && threshold !== undefined;
}

function flagText({ name, layer, score, threshold }) {
  const of = layer === WHOLE ? '' : ` of layer ${layer}`;
  return `${words(name)}${of} ${short(score)} < ${short(threshold)}`;
}
