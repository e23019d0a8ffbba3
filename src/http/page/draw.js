// Numbers with their units, and the plots. Everything is made of elements and text: nothing is parsed as HTML.

export const kinds = ['cold', 'restored', 'warm'];
const none = '–';

/** make('td', 'number', '5', ...children) */
export function make(name, className, ...children) {
  const e = document.createElement(name);
  if (className) e.className = className;
  e.append(...children);
  return e;
}
function draw(name, attributes, ...children) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

const whole = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
export const count = n => whole.format(n);
const three = n => n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2);
/** Of milliseconds: three digits and a unit. */
export function time(ms) {
  if (ms == null) return none;
  if (ms === 0) return '0 ms';
  if (ms < 0.9995) return three(ms * 1000) + ' µs';
  return ms < 999.5 ? three(ms) + ' ms' : three(ms / 1000) + ' s';
}
export function bytes(n) {
  if (!n) return none;
  const mb = n / 1048576;
  return mb < 1023.5 ? (mb < 10 ? mb.toFixed(1) : mb.toFixed(0)) + ' MB' : (mb / 1024).toFixed(1) + ' GB';
}
export const rate = n => (n > 0 && n < 10 ? n.toFixed(1) : count(n)) + ' /s';

const shortTime = ms => ms < 1 ? ms * 1000 + ' µs' : ms < 1000 ? ms + ' ms' : ms / 1000 + ' s';

function canvas(place, height, label) {
  const width = Math.max(place.clientWidth, 240);
  const svg = draw('svg', {viewBox: `0 0 ${width} ${height}`, height, role: 'img', 'aria-label': label});
  place.replaceChildren(svg);
  return {svg, width};
}

/** Stacked columns. `samples`: {at (s), cold, restored, warm (counted so far)}, oldest first. */
export function drawRate(place, samples, span) {
  const height = 172, left = 44, right = 6, top = 8, bottom = 20;
  const steps = samples.slice(1).map((s, i) => {
    const before = samples[i], seconds = Math.max(s.at - before.at, 0.001);
    return {from: before.at, to: s.at, rates: kinds.map(kind => Math.max(s[kind] - before[kind], 0) / seconds)};
  });
  const totals = steps.map(s => s.rates.reduce((a, b) => a + b, 0));
  const highest = Math.max(...totals, 1);
  const unit = 10 ** Math.floor(Math.log10(highest));
  const most = [1, 2, 5, 10].map(m => m * unit).find(m => m >= highest);
  const now = totals.length ? totals[totals.length - 1] : 0;
  const {svg, width} = canvas(place, height, `Invocations per second over the last two minutes: ${rate(now)} now`);
  const end = samples.length ? samples[samples.length - 1].at : 0;
  const x = at => left + (width - left - right) * (1 - (end - at) / span);
  const y = value => height - bottom - (height - top - bottom) * value / most;
  for (const part of [0, 0.5, 1]) {
    const at = y(most * part);
    svg.append(draw('line', {class: 'grid', x1: left, x2: width - right, y1: at, y2: at}),
      draw('text', {x: left - 6, y: at + 4, 'text-anchor': 'end'}, String(+(most * part).toPrecision(2))));
  }
  for (const ago of width > 440 ? [120, 90, 60, 30, 0] : [120, 60, 0])
    svg.append(draw('text', {x: x(end - ago), y: height - 5, 'text-anchor': ago === 120 ? 'start' : ago ? 'middle' : 'end'},
      ago ? `${ago} s ago` : 'now'));
  for (const step of steps) {
    if (step.from < end - span) continue;
    let below = 0;
    step.rates.forEach((value, i) => {
      if (!value) return;
      const wide = Math.max(x(step.to) - x(step.from) - 1, 1);
      svg.append(draw('rect', {class: kinds[i], x: x(step.from), width: wide, y: y(below + value), height: y(below) - y(below + value)}));
      below += value;
    });
  }
}

/** A histogram for each start kind on one logarithmic axis. `starts`: of the status, `what`: duration or start. */
export function drawLatency(place, starts, bounds, what) {
  const row = 48, left = 62, right = 6, axis = 20, height = 3 * row + axis + 8;
  const shown = kinds.map(kind => ({kind, ...starts[kind][what]}));
  const label = shown.map(s => `${s.kind}: p50 ${time(s.p50_ms)}, p99 ${time(s.p99_ms)}, ${s.count} invocations`).join('; ');
  const {svg, width} = canvas(place, height, label);
  // Whole decades around what there is.
  const used = bounds.map((_, i) => shown.some(s => s.buckets[i])).map((is, i) => is ? i : -1).filter(i => i >= 0);
  if (shown.some(s => s.buckets[bounds.length])) used.push(bounds.length - 1);
  const first = Math.log10(bounds[0]);
  const low = used.length ? Math.floor(first + (used[0] - 1) / 10 + 1e-6) : -2;
  const high = used.length ? Math.max(Math.ceil(first + used[used.length - 1] / 10 - 1e-6), low + 2) : 2;
  const x = ms => left + (width - left - right) * (Math.log10(ms) - low) / (high - low);
  for (let decade = low; decade <= high; decade++) {
    const at = x(10 ** decade);
    svg.append(draw('line', {class: 'grid', x1: at, x2: at, y1: 8, y2: height - axis}),
      draw('text', {x: at, y: height - 5, 'text-anchor': decade === low ? 'start' : decade === high ? 'end' : 'middle'},
        shortTime(+(10 ** decade).toPrecision(1))));
  }
  shown.forEach((s, i) => {
    const floor = 8 + (i + 1) * row, tall = row - 20;
    svg.append(draw('line', {class: 'grid', x1: left, x2: width - right, y1: floor, y2: floor}),
      draw('text', {class: s.kind, x: 0, y: floor - 16}, s.kind),
      draw('text', {x: 0, y: floor - 3}, count(s.count)));
    if (!s.count) return;
    const most = Math.max(...s.buckets);
    s.buckets.forEach((n, bucket) => {
      if (!n) return;
      const to = Math.min(bucket, bounds.length - 1), from = Math.max(to - 1, 0);
      const begin = to ? x(bounds[from]) : x(bounds[0]) - 4;
      const high_ = Math.max(tall * n / most, 1.5);
      svg.append(draw('rect', {class: s.kind, x: Math.max(begin, left), width: Math.max(x(bounds[to]) - Math.max(begin, left) - 1, 1),
        y: floor - high_, height: high_}));
    });
    const text = `p50 ${time(s.p50_ms)} · p99 ${time(s.p99_ms)}`;
    svg.append(draw('text', {class: 'ink', x: width - right, y: floor - tall - 6, 'text-anchor': 'end'}, text));
  });
}

export const phases = ['vm', 'boot', 'init', 'snapshot', 'run'];
export const phasesOf = i => [i.vm_ms, i.boot_ms, i.init_ms, i.snapshot_ms, i.duration_ms];

/** One invocation as a bar: how its time was spent. */
export function drawPhases(i) {
  const times = phasesOf(i), all = times.reduce((a, b) => a + b, 0) || 1;
  const svg = draw('svg', {viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img',
    'aria-label': phases.map((name, n) => `${name} ${time(times[n])}`).join(', ')});
  let at = 0;
  times.forEach((t, n) => {
    if (!t) return;
    svg.append(draw('rect', {class: 'phase-' + phases[n], x: at, y: 0, width: 100 * t / all, height: 10}));
    at += 100 * t / all;
  });
  return svg;
}
