// Who decided how much, how far people agree, and the way in and out for decisions.

import { api, exportUrl } from './api.js';
import { button, h, replace } from './dom.js';
import { say } from './store.js';
import { short } from './verdicts.js';

export class Team {
  constructor(dialog, session, outbox, onImport) {
    this.dialog = dialog;
    this.session = session;
    this.outbox = outbox;
    this.onImport = onImport;
    this.body = h('div', { class: 'team' });
    dialog.setAttribute('aria-labelledby', 'team-title');
    dialog.append(h('h2', { id: 'team-title' }, 'Team'), this.body, h('footer', {}, button('Close', { class: 'primary', onclick: () => dialog.close() })));
  }

  async open() {
    replace(this.body, h('p', { class: 'quiet' }, 'Counting …'));
    this.dialog.showModal();
    try {
      this.#show(await api.agreement());
    } catch (error) {
      replace(this.body, h('p', { class: 'banner' }, error.message));
    }
  }

  #show({ reviewers = [], krippendorff, pairs = [], self = [], audit, rule }) {
    replace(
      this.body,
      this.#who(),
      rule ? h('p', {}, rule) : null,
      table('Reviewers', ['Name', 'Decisions', 'Last'], reviewers.map(({ name, decisions, last }) => [name, decisions.toLocaleString('en'), last ? new Date(last).toLocaleString() : '–'])),
      krippendorff ? h('p', {}, 'Krippendorff’s α over all: ', figure(krippendorff.value), interval(krippendorff), h('span', { class: 'quiet' }, ` · ${krippendorff.samples} samples that several people judged`)) : null,
      table('Pairs', ['Two people', 'Samples', 'Same verdict', 'Cohen’s κ'], pairs.map(({ a, b, samples, agreement, cohen }) => [`${a} and ${b}`, samples, percent(agreement), figure(cohen)])),
      table('With oneself, when a sample came again', ['Name', 'Samples', 'Same verdict', 'Cohen’s κ'], self.map(({ reviewer, samples, agreement, cohen }) => [reviewer, samples, percent(agreement), figure(cohen)])),
      audit ? h('p', {}, `Random audit of ${audit.samples}: people kept ${audit.passed_kept} of ${audit.passed} that the filters passed, and ${audit.flagged_kept} of ${audit.flagged} that they flagged.`) : null,
      h('h3', {}, 'Decisions as a file'),
      h('p', { class: 'row' }, h('a', { class: 'button', href: exportUrl('parquet'), download: '' }, 'Parquet'), h('a', { class: 'button', href: exportUrl('csv'), download: '' }, 'CSV'), this.#importer()),
    );
  }

  #who() {
    const name = h('input', { type: 'text', class: 'name', value: this.session.reviewer, maxLength: 64, 'aria-label': 'Your name', required: true });
    name.setAttribute('list', 'reviewer-names');
    return h(
      'form',
      { class: 'row', onsubmit: (event) => this.#become(event, name.value.trim()) },
      'You are',
      name,
      h('datalist', { id: 'reviewer-names' }, ...this.session.reviewers.map((value) => h('option', { value }))),
      h('button', { type: 'submit' }, 'Work under this name'),
    );
  }

  // Decisions on their way belong to the former name.
  async #become(event, reviewer) {
    event.preventDefault();
    if (!reviewer || reviewer === this.session.reviewer) return;
    await this.outbox.settled();
    try {
      await api.setSession({ reviewer });
      location.reload();
    } catch (error) {
      say(error.message, 'error');
    }
  }

  #importer() {
    const file = h('input', { type: 'file', accept: '.parquet,.csv', onchange: () => this.#import(file.files[0]) });
    return h('label', { class: 'button' }, 'Import …', file);
  }

  async #import(file) {
    try {
      const { imported } = await api.importDecisions(file);
      say(`${imported} decisions came in.`);
      this.onImport();
      this.#show(await api.agreement());
    } catch (error) {
      say(error.message, 'error');
    }
  }
}

function table(title, heads, rows) {
  if (!rows.length) return null;
  return h(
    'table',
    { class: 'figures' },
    h('caption', {}, title),
    h('thead', {}, h('tr', {}, ...heads.map((head, place) => h('th', { scope: 'col', class: place ? 'number' : '' }, head)))),
    h('tbody', {}, ...rows.map((row) => h('tr', {}, ...row.map((cell, place) => h('td', { class: place ? 'number' : '' }, cell))))),
  );
}

function figure(value) {
  return h('b', { class: 'number' }, short(value));
}

function interval({ low, high }) {
  return low === undefined || low === null ? '' : h('span', { class: 'quiet' }, ` (95 %: ${short(low)} to ${short(high)})`);
}

function percent(share) {
  return share === null || share === undefined ? '–' : `${Math.round(100 * share)} %`;
}
