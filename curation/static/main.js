// The page's beginning: what is asked of the server once, and how its parts are joined.

import { alphaFilters } from './alpha.js';
import { api } from './api.js';
import { Browse } from './browse.js';
import { Deciding, WHOLE } from './deciding.js';
import { h, replace } from './dom.js';
import { Help } from './help.js';
import { Keymap } from './keys.js';
import { listen } from './live.js';
import { Outbox } from './outbox.js';
import { ReasonPalette } from './reasons.js';
import { notice, say } from './store.js';
import { Team } from './team.js';
import { Viewer } from './viewer.js';

const NOTICE_MS = 4000;

const part = (id) => document.getElementById(id);

async function start() {
  showNotices();
  document.body.append(alphaFilters());
  const session = await api.session();
  const keymap = new Keymap(session.keys, (keys) =>
    api.setSession({ keys }).catch((error) => say(error.message, 'error')),
  );
  const help = new Help(part('help'), keymap);
  if (session.compare) {
    const { Compare } = await import('./compare.js');
    document.title = 'Blind comparison · LayerPrism';
    keymap.on('compare', { help: () => help.open() });
    part('browse').hidden = true;
    keymap.listen();
    await new Compare(part('compare'), session, keymap).open();
    return;
  }
  join(session, keymap, help);
  keymap.listen();
}

function join(session, keymap, help) {
  document.title = `${session.run.name} · review`;
  const changed = (id, layer, standing) => {
    if (layer === WHOLE) browse.patch(id, standing);
    viewer.update(id, layer, standing);
  };
  // What the server says of samples; returns how many of them look different now.
  const take = (samples) => {
    const settled = Object.entries(samples).filter(([id]) => !outbox.waitsFor(id)); // others have changed here since
    return settled.filter(([id, standing]) => {
      viewer.acknowledged(id);
      return browse.patch(id, standing);
    }).length;
  };
  const outbox = new Outbox(session.run.path, {
    onAccepted: (samples) => {
      take(samples);
      browse.refreshQueues();
    },
    onRefused: (message, event) => say(`The decision on ${event.sample_id} was refused: ${message}`, 'error'),
  });
  outbox.state.watch((state) => showOutbox(state, session.reviewer));
  const deciding = new Deciding({ run: session.run.path, outbox, onChange: changed, onBulk: () => browse.reload() });
  const reasons = new ReasonPalette(part('reasons'), session.reasons);
  const viewer = new Viewer(part('viewer'), {
    session,
    keymap,
    deciding,
    reasons,
    onClose: (index) => browse.comeBack(index),
  });
  const browse = new Browse({ session, keymap, deciding, outbox, reasons, viewer });
  const team = new Team(part('team'), session, outbox, () => browse.reload());
  const again = async (step, nothing, done) => {
    try {
      const ids = await step;
      if (ids?.length === 1 && viewer.isOpen) await viewer.goBackTo(ids[0]);
      say(ids === null ? nothing : ids.length === 1 ? `${done} ${ids[0]}` : done);
    } catch (error) {
      say(error.message, 'error');
    }
  };
  for (const view of ['grid', 'viewer']) {
    keymap.on(view, {
      help: () => help.open(),
      team: () => team.open(),
      undo: () => again(deciding.undo(), 'Nothing to undo.', 'Taken back.'),
      redo: () => again(deciding.redo(), 'Nothing to do again.', 'Done again.'),
    });
  }
  listen({
    decisions: ({ samples, count }) => {
      const different = take(samples);
      // Of a large bulk only the first samples are named.
      if (different) browse.newsOf(different + count - Object.keys(samples).length);
    },
    run: (run) => browse.runGrew(run),
    duplicates: () => browse.duplicatesFound(),
    resync: () => browse.reload(),
    problem: ({ message }) => say(message, 'error'),
  });
}

function showNotices() {
  let timer = 0;
  notice.watch((message) => {
    clearTimeout(timer);
    const host = part('notice');
    replace(host, message ? h('p', { class: message.kind }, message.text) : null);
    timer = setTimeout(() => replace(host), message?.kind === 'error' ? 2 * NOTICE_MS : NOTICE_MS);
  });
}

function showOutbox({ waiting, failing }, reviewer) {
  const host = part('outbox');
  host.className = failing ? 'outbox failing' : 'outbox';
  const decisions = waiting === 1 ? 'decision is' : 'decisions are';
  if (failing)
    host.textContent = `The server does not answer: ${waiting} ${decisions} kept here, and sent when it does.`;
  else host.textContent = waiting ? `Saving ${waiting} …` : `${reviewer} · all saved`;
}

start().catch((error) => {
  replace(part('notice'), h('p', { class: 'error' }, error.message));
});
