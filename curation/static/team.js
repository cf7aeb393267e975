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
    this.who = h('div');
    this.body = h('div', { class: 'team' });
    dialog.setAttribute('aria-labelledby', 'team-title');
    dialog.append(
      h('h2', { id: 'team-title' }, 'Team'),
      this.who,
      this.body,
      h('footer', {}, button('Close', { class: 'primary', onclick: () => dialog.close() })),
    );
  }

  async open() {
    replace(this.who, this.#who());
    replace(this.body, h('p', { class: 'quiet' }, 'Counting …'));
    this.dialog.showModal();
    try {
      this.#show(await api.agreement());
    } catch (error) {
      replace(this.body, h('p', { class: 'banner' }, error.message));
    }
  }

  #show({ reviewers, krippendorff, pairs, self, audit }) {
    const again = self.filter(({ same }) => same.total);
    replace(
      this.body,
      h(
        'p',
        { class: 'quiet' },
        'Where two verdicts on a sample differ, the later one holds; “Reviewers disagree” lists such samples.',
      ),
      table(
        'Reviewers',
        ['Name', 'Decided', 'Pro', 'Keep', 'Reject'],
        reviewers.map(({ name, decided, verdicts }) => [
          name,
          ...[decided, verdicts.pro, verdicts.keep, verdicts.reject].map(count),
        ]),
      ),
      krippendorff.samples
        ? h(
            'p',
            {},
            'Krippendorff’s α: ',
            figure(krippendorff.good_or_bad),
            ' for good or bad, ',
            figure(krippendorff.verdicts),
            ' for the three verdicts',
            h(
              'span',
              { class: 'quiet' },
              `, over ${count(krippendorff.samples)} samples that several people judged. 1 is full agreement, 0 chance.`,
            ),
          )
        : h('p', { class: 'quiet' }, 'No sample was judged by several people yet.'),
      table(
        'Two people, good or bad',
        ['', 'Samples', 'Same', 'Cohen’s κ'],
        pairs.map(({ a, b, samples, same, cohen }) => [`${a} and ${b}`, count(samples), share(same), figure(cohen)]),
      ),
      table(
        'The same person, when a sample came again',
        ['', 'Samples', 'Same', 'Cohen’s κ'],
        again.map(({ reviewer, same, cohen }) => [reviewer, count(same.total), share(same), figure(cohen)]),
      ),
      table(
        'Random audit: kept by people',
        ['', 'Samples', 'Kept'],
        [
          ['What the filters passed', count(audit.passed.total), share(audit.passed)],
          ['What the filters flagged', count(audit.flagged.total), share(audit.flagged)],
        ].filter(([, total]) => total !== '0'),
      ),
      h('h3', {}, 'Decisions as a file'),
      h(
        'p',
        { class: 'row' },
        h('a', { class: 'button', href: exportUrl('parquet'), download: '' }, 'Parquet'),
        h('a', { class: 'button', href: exportUrl('csv'), download: '' }, 'CSV'),
        this.#importer(),
      ),
    );
  }

  #who() {
    const name = h('input', {
      type: 'text',
      class: 'name',
      value: this.session.reviewer,
      maxLength: 64,
      'aria-label': 'Your name',
      required: true,
    });
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
      const { events, new: fresh } = await api.importDecisions(file);
      say(`${count(events)} decisions read, ${count(fresh)} of them new.`);
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
    h(
      'thead',
      {},
      h('tr', {}, ...heads.map((head, place) => h('th', { scope: 'col', class: place ? 'number' : '' }, head))),
    ),
    h(
      'tbody',
      {},
      ...rows.map((row) => h('tr', {}, ...row.map((cell, place) => h('td', { class: place ? 'number' : '' }, cell)))),
    ),
  );
}

function figure(value) {
  return h('b', { class: 'number' }, short(value));
}

function count(value) {
  return (value ?? 0).toLocaleString('en');
}

/** A share of a count with its 95 % interval, as the server computes it. */
function share({ share: value, interval, total }) {
  if (!total) return '–';
  const percent = (part) => Math.round(100 * part);
  return `${percent(value)} %` + (interval ? ` (${percent(interval[0])}–${percent(interval[1])} %)` : '');
}
