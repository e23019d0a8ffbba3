// Asks the server once a second while the page is seen, shows what it says, and invokes.

import {bytes, count, drawLatency, drawPhases, drawRate, kinds, make, phases, phasesOf, rate, time} from './draw.js';
import {canSign, escape, makeSigner} from './sign.js';

const $ = id => document.getElementById(id);
const kept = 256;       // invocations shown, as many as the server remembers
const span = 120;       // seconds of the rate's plot
const interval = 1000;  // milliseconds; a server that is slow to answer is asked less often

let signer = null, paused = false, timer = 0, asking = false;
let last = 0, samples = [], latest = null, recent = [];

// ---- the server

class Refused extends Error {
  constructor(status, type, message) { super(message); this.status = status; this.type = type; }
}

async function ask(method, path, query = [], headers = {}, body = undefined) {
  const escaped = query.map(([name, value]) => [escape(name), escape(value)]);
  const signature = signer ? await signer(method, path, escaped, headers, body) : {};
  const target = path + (escaped.length ? '?' + escaped.map(pair => pair.join('=')).join('&') : '');
  const reply = await fetch(target, {method, headers: {...headers, ...signature}, body, cache: 'no-store', credentials: 'omit'});
  const text = await reply.text();
  if (reply.ok) return {reply, text};
  let message = text;
  try { const said = JSON.parse(text); message = said.message ?? said.Message ?? text; } catch { /* as it is */ }
  throw new Refused(reply.status, (reply.headers.get('x-amzn-errortype') ?? '').split(':')[0], message);
}

const wantsKey = e => e instanceof Refused && [
  'MissingAuthenticationTokenException', 'MissingAuthenticationToken', 'InvalidSignatureException', 'IncompleteSignatureException',
  'UnrecognizedClientException', 'AccessDeniedException'].includes(e.type);

function condition(text, className = '') {
  if ($('condition').textContent !== text) $('condition').textContent = text;
  $('condition').className = className;
}

async function tick() {
  clearTimeout(timer);
  if (asking || paused || document.hidden) return;
  if (!$('sign-in').hidden && !signer) return;  // there is nothing to ask before
  asking = true;
  const begun = performance.now();
  try {
    const {text} = await ask('GET', '/_hearth/status', [['After', String(last)]]);
    show(JSON.parse(text));
    condition(paused ? 'paused' : 'live', paused ? '' : 'live');
    $('sign-in').hidden = true;
  } catch (e) {
    if (wantsKey(e)) {
      // A key that may not see this may still invoke.
      if (e.type !== 'AccessDeniedException') signer = null;
      askForKey(e.type.startsWith('MissingAuth') ? 'This server answers only requests that are signed with one of its access keys.' : e.message);
      condition(signer ? 'not allowed' : 'not signed in');
    } else {
      condition(e instanceof Refused ? e.message : 'no answer from the server, trying again', 'lost');
      if (!(e instanceof Refused || e instanceof TypeError)) console.error(e);
    }
  }
  asking = false;
  if (!$('sign-in').hidden) return;
  timer = setTimeout(tick, Math.min(Math.max(interval, 10 * (performance.now() - begun)), 30000));
}

// ---- the access key

function askForKey(why) {
  $('sign-in-why').textContent = why;
  $('sign-in-insecure').hidden = canSign();
  $('sign-in-button').disabled = !canSign();
  if ($('sign-in').hidden) { $('sign-in').hidden = false; $('key-id').focus(); }
}

$('sign-in').addEventListener('submit', async event => {
  event.preventDefault();
  signer = await makeSigner($('key-id').value.trim(), $('key-secret').value.trim());
  $('key-secret').value = '';
  tick();
});

// ---- what the server says

function show(status) {
  const before = samples[samples.length - 1];
  if (status.last < last || (before && kinds.some(kind => status.totals[kind] < before[kind]))) {  // another process
    samples = [];
    recent = [];
    $('recent').tBodies[0].replaceChildren();
    $('logs').replaceChildren();
  }
  last = status.last;
  latest = status;
  // Asked again at once after an invocation: too short for a rate.
  if (!samples.length || status.now - samples[samples.length - 1].at > 0.9)
    samples.push({at: status.now, ...Object.fromEntries(kinds.map(kind => [kind, status.totals[kind]]))});
  while (samples.length > 1 && samples[0].at < status.now - span - 5) samples.shift();
  $('version').textContent = status.version;
  showFigures(status);
  showPlots();
  showFunctions(status.functions);
  if (status.recent.length) showRecent(status.recent);
  $('no-recent').hidden = recent.length > 0;
}

function showFigures(s) {
  const e = s.environments, first = samples[Math.max(samples.length - 6, 0)], now = samples[samples.length - 1];
  const done = kinds.reduce((sum, kind) => sum + now[kind] - first[kind], 0);
  const figures = [
    [rate(now.at > first.at ? done / (now.at - first.at) : 0), 'invocations'],
    [count(s.totals.invocations), 'invocations since the start'],
    [count(s.totals.running), `running, of ${count(s.totals.concurrency_limit)} at most`],
    [count(e.idle_attached + e.idle_detached), `idle environments, ${count(e.idle_detached)} without a microVM`],
    [count(s.shells.in_use), `microVMs in use, ${count(s.shells.free)} free`],
    [bytes(s.memory.charged_bytes + s.memory.snapshot_bytes), `memory, ${bytes(s.memory.snapshot_bytes)} of it snapshots, ${s.memory.budget_bytes ? `of ${bytes(s.memory.budget_bytes)}` : 'no limit set'}`],
    [count(s.totals.errors + s.totals.init_failures), `errors, ${count(s.totals.throttles)} throttled`],
    [count(s.totals.events_queued), 'events queued']];
  const place = $('figures');
  while (place.children.length < figures.length) place.append(make('div', '', make('b'), make('span')));
  figures.forEach(([value, what], i) => {
    place.children[i].children[0].textContent = value;
    place.children[i].children[1].textContent = what;
  });
}

function showPlots() {
  drawRate($('rate'), samples, span);
  const what = document.querySelector('input[name=latency]:checked').value;
  if (latest) drawLatency($('latency'), latest.starts, latest.bounds_ms, what);
}

const states = [['running', 'running'], ['idle_attached', 'idle'], ['idle_detached', 'detached'], ['starting', 'starting'],
  ['starting_ahead', 'starting ahead'], ['ending', 'ending']];

function showFunctions(functions) {
  const rows = $('functions').tBodies[0];
  while (rows.children.length > functions.length) rows.lastChild.remove();
  functions.forEach((f, i) => {
    const stateful = f.last_update === 'Successful' ? f.state : `${f.state}, update ${f.last_update}`;
    const cells = [
      f.name, stateful, f.runtime || 'native', f.memory_mb + ' MB',
      states.filter(([key]) => f.environments[key]).map(([key, name]) => `${count(f.environments[key])} ${name}`).join(', ') || 'none',
      ...[f.invocations, f.errors, f.throttles, f.cold, f.restored, f.warm].map(count),
      time(f.p50_ms), time(f.p99_ms), bytes(f.max_memory_bytes)];
    let row = rows.children[i];
    if (!row) {
      row = make('tr', '', ...cells.map((_, n) => make('td', n === 0 ? 'name' : n === 3 || n > 4 ? 'number' : '')));
      rows.append(row);
    }
    cells.forEach((text, n) => { if (row.children[n].textContent !== text) row.children[n].textContent = text; });
    row.children[0].title = f.name;
    row.children[1].title = f.state_reason;
    row.children[1].className = f.state === 'Failed' || f.last_update === 'Failed' ? 'bad' : '';
  });
  $('function-count').textContent = functions.length ? count(functions.length) : '';
  $('no-functions').hidden = functions.length > 0;

  const names = functions.map(f => f.name), offered = [...$('function-names').children].map(o => o.value);
  if (names.join('\n') === offered.join('\n')) return;
  const option = (value, text) => { const o = make('option', '', text); o.value = value; return o; };
  $('function-names').replaceChildren(...names.map(name => option(name, '')));
  const chosen = $('log-function').value;
  $('log-function').replaceChildren(option('', 'all'), ...names.map(name => option(name, name)));
  $('log-function').value = names.includes(chosen) ? chosen : '';
  if (!$('invoke-function').value && names.length) $('invoke-function').value = names[0];
}

// ---- the last invocations

const waited = i => i.vm_ms + i.boot_ms + i.init_ms + i.snapshot_ms;
const clock = seconds => new Date(seconds * 1000).toLocaleTimeString('en-GB');

function why(i) {
  if (i.start === 'cold')
    return (i.why || 'No environment was idle and there was no snapshot to clone.') + ' A microVM was taken (vm), the program was loaded (boot) ' +
      'and its init ran' + (i.snapshot_ms ? '; then the snapshot was taken that later starts are cloned from.' : '.');
  if (i.start === 'restored')
    return (i.why || 'The environment had just been made or brought back to its snapshot.') +
      ' A microVM was taken (vm) and the snapshot that was made after init was cloned into it (restore)' +
      (i.init_ms ? '; then the restore hooks ran (init).' : '.');
  if (i.reattached)
    return 'An idle environment was there but had given its microVM back: it got another (vm), and what it had written was put there (restore).';
  return 'An idle environment was there and was used as it was.';
}

const facts = pairs => make('dl', '', ...pairs.map(([name, value]) => make('div', '', make('dt', '', name), make('dd', '', value))));

function detail(i) {
  const names = ['microVM (vm)', i.start === 'cold' ? 'load the program (boot)' : 'restore', i.start === 'restored' ? 'hooks (init)' : 'init',
    'snapshot', 'run'];
  const cell = make('td', '', make('div', 'held', make('p', '', why(i)),
    facts([...phasesOf(i).map((t, n) => [names[n], t]).filter(([name, t]) => t || name === 'run').map(([name, t]) => [name, time(t)]),
      ['billed', i.billed_ms + ' ms'], ['system calls to the host', count(i.system_calls)], ['version', i.version], ['request', i.request_id]]),
    make('h3', '', 'Log tail'), make('pre', '', i.log)));
  cell.colSpan = 8;
  return make('tr', 'detail', cell);
}

function recentRow(i) {
  const button = make('button', 'link', i.function);
  button.type = 'button';
  button.setAttribute('aria-expanded', 'false');
  const plain = i.start === 'warm' && !i.reattached;
  const name = make('td', 'name', button), phaseCell = make('td', 'phases', drawPhases(i));
  const row = make('tr', plain ? 'kept' : '', make('td', '', clock(i.ended)), name,
    make('td', '', make('span', 'kind ' + i.start, i.reattached ? 'warm, reattached' : i.start)),
    make('td', 'number', plain ? '–' : time(waited(i))), make('td', 'number', time(i.duration_ms)), phaseCell,
    make('td', 'number', bytes(i.max_memory_bytes)), make('td', i.error ? 'bad' : '', i.error || 'ok'));
  row.dataset.request = i.request_id;
  button.addEventListener('click', () => {
    const open = button.getAttribute('aria-expanded') === 'true';
    button.setAttribute('aria-expanded', String(!open));
    if (open) row.nextSibling.remove();
    else row.after(detail(i));
  });
  return row;
}

function showRecent(added) {
  recent = [...recent, ...added].slice(-kept);
  const rows = $('recent').tBodies[0];
  rows.prepend(...added.slice(-kept).reverse().map(recentRow));
  const all = rows.querySelectorAll('tr[data-request]');
  for (let n = recent.length; n < all.length; n++) {
    if (all[n].nextSibling?.className === 'detail') all[n].nextSibling.remove();
    all[n].remove();
  }
  showLogs();
}

function showLogs() {
  const place = $('logs'), only = $('log-function').value;
  const follows = place.scrollTop + place.clientHeight >= place.scrollHeight - 20;
  const parts = recent.filter(i => !only || i.function === only).slice(-100);
  place.replaceChildren(...parts.flatMap(i =>
    [make('b', '', `${clock(i.ended)} ${i.function}`), '\n' + i.log + (i.log.endsWith('\n') ? '' : '\n')]));
  if (follows) place.scrollTop = place.scrollHeight;
}

// ---- invoking

async function invoke() {
  const name = $('invoke-function').value.trim(), type = $('invoke-type').value;
  const headers = {'x-amz-invocation-type': type};
  if (type === 'RequestResponse') headers['x-amz-log-type'] = 'Tail';
  $('invoke-button').disabled = true;
  const begun = performance.now();
  let status, body = '', log = '', failed = false;
  try {
    const {reply, text} = await ask('POST', `/2015-03-31/functions/${escape(name)}/invocations`, [], headers, $('invoke-event').value);
    const fault = reply.headers.get('x-amz-function-error'), version = reply.headers.get('x-amz-executed-version');
    failed = Boolean(fault);
    status = fault ? `The function failed (${fault})` : {202: 'Accepted as an event', 204: 'It could be invoked'}[reply.status] ??
      `${reply.status} OK, version ${version}`;
    body = text;
    log = reply.headers.get('x-amz-log-result') ?? '';
  } catch (e) {
    failed = true;
    status = e instanceof Refused ? `${e.status} ${e.type}` : 'No answer';
    body = e.message;
  }
  const took = performance.now() - begun;
  $('invoke-button').disabled = false;
  $('outcome-status').textContent = status;
  $('outcome-status').className = failed ? 'badge bad' : 'badge';
  $('outcome-time').textContent = `${time(took)} as seen from this page`;
  $('outcome-body').textContent = body;
  $('outcome-body-part').hidden = !body;
  const text = log ? new TextDecoder().decode(Uint8Array.from(atob(log), c => c.charCodeAt(0))) : '';
  $('outcome-log-part').hidden = !text;
  $('outcome-log').textContent = text;
  const report = text.split('\n').findLast(line => line.startsWith('REPORT ')) ?? '';
  $('outcome-report').replaceChildren(...facts(report.slice(7).split('\t').filter(Boolean).map(part => {
    const colon = part.indexOf(': ');
    return [part.slice(0, colon), part.slice(colon + 2)];
  })).children);
  $('outcome').hidden = false;
  tick();
}

$('invoke').addEventListener('submit', event => { event.preventDefault(); invoke(); });
$('invoke-event').addEventListener('keydown', event => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); $('invoke').requestSubmit(); }
});

// ---- the rest

const legend = (place, names, prefix) => place.append(...names.map(name => make('span', `key ${prefix}${name}`, make('span', '', name))));
legend($('rate-legend'), kinds, '');
legend($('phase-legend'), phases, 'phase-');
$('phase-legend').querySelector('.phase-boot span').textContent = 'boot or restore';
$('starts-only').addEventListener('change', () => $('recent').classList.toggle('starts-only', $('starts-only').checked));
$('log-function').addEventListener('change', showLogs);
for (const radio of document.querySelectorAll('input[name=latency]')) radio.addEventListener('change', showPlots);
$('pause').addEventListener('click', () => {
  paused = !paused;
  $('pause').textContent = paused ? 'Go on' : 'Pause';
  $('pause').setAttribute('aria-pressed', String(paused));
  if (paused) condition('paused');
  tick();
});
document.addEventListener('visibilitychange', tick);
addEventListener('resize', showPlots);
tick();
