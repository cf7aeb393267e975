// Verdicts and flags as people read them: always a sign and a word, never colour alone.

import { h } from './dom.js';

export const VERDICTS = [
  { name: 'pro', title: 'Pro', sign: '★' },
  { name: 'keep', title: 'Keep', sign: '✓' },
  { name: 'reject', title: 'Reject', sign: '✕' },
  { name: 'skip', title: 'Skip', sign: '→' },
];

export function verdictName(verdict) {
  return VERDICTS.find(({ name }) => name === verdict)?.title ?? 'Undecided';
}

/** A small coloured sign, or null for a sample without a verdict. */
export function verdictBadge(verdict) {
  const known = VERDICTS.find(({ name }) => name === verdict);
  return known ? h('span', { class: `badge ${known.name}`, role: 'img', 'aria-label': known.title }, known.sign) : null;
}

/** A score name or a reason as words. */
export function words(name) {
  return name.replaceAll('_', ' ');
}

/** A number short enough for a table. */
export function short(value) {
  if (value === null || value === undefined) return '–';
  const size = Math.abs(value);
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
}
