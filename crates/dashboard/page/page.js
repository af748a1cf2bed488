// The page asks for its data every two seconds while somebody looks at it. Every text comes from the network and is set as
// text, never as markup.
import { meshPicture, picture, rate } from '/dashboard/graph.js';

const EVERY = 2_000, PATIENCE = 5_000, OLD = 10, REMEMBERED = 6;
const at = (id) => document.getElementById(id);
const opened = new Set();
const tables = new Map();
const history = [];
let data, received = 0, paused = false, timer, known;

function make(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (typeof value === 'function') made.addEventListener(key, value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null && child !== ''));
  return made;
}
const code = (text) => make('code', {}, ...breakable(text));
// Long names break behind their slashes.
const breakable = (text) => text.split(/(?<=\/)/).flatMap((part, place) => (place ? [make('wbr'), part] : [part]));
const small = (...of) => make('small', {}, ...of);
const state = (kind, text) => make('span', { class: `state ${kind}` }, text);
const number = (value) => value.toLocaleString('en');
const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  if (s < 5_400) return `${Math.round(s / 60)} min`;
  if (s < 172_800) return `${Math.round(s / 3_600)} h`;
  return `${Math.round(s / 86_400)} days`;
}
const now = () => data.time + (performance.now() - received) / 1_000;
function ago(time) {
  const made = make('time', { datetime: new Date(time * 1_000).toISOString(), 'data-at': time }, '');
  tell(made);
  return made;
}
function tell(made) {
  const seconds = now() - Number(made.dataset.at);
  made.textContent = seconds < 3 ? 'now' : `${span(seconds)} ago`;
}

// A table whose rows stay the same elements while they say the same, so that focus and selection stay where they are.
// Each row: its key, what it says (to compare), its cells, and perhaps a row below it.
function table(into, caption, columns, rows, { empty, leftOut = 0, scroll, flash } = {}) {
  const place = at(into);
  if (!rows.length) {
    tables.delete(into);
    place.replaceChildren(make('p', { class: 'empty' }, empty ?? 'None.'));
    return;
  }
  let shown = tables.get(into);
  if (!shown) {
    const heads = columns.map((column) => make('th', { scope: 'col', role: 'columnheader', class: column.number && 'number' }, column.name));
    const body = make('tbody', { role: 'rowgroup' });
    const drawn = make('table', { role: 'table' }, make('caption', {}, caption),
      make('thead', { role: 'rowgroup' }, make('tr', { role: 'row' }, ...heads)), body);
    const more = make('p', { class: 'more' });
    const holder = scroll ? make('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption }, drawn) : drawn;
    place.replaceChildren(holder, more);
    shown = { body, more, rows: new Map(), first: true };
    tables.set(into, shown);
  }
  const before = shown.rows;
  shown.rows = new Map();
  const wanted = [];
  for (const row of rows) {
    const said = JSON.stringify(row.says);
    let known = before.get(row.key);
    if (!known || known.said !== said) known = renewed(known, row, said, columns, flash && !shown.first);
    shown.rows.set(row.key, known);
    wanted.push(known.element);
    if (known.below) wanted.push(known.below);
  }
  wanted.forEach((element, place) => {
    if (shown.body.children[place] !== element) shown.body.insertBefore(element, shown.body.children[place] ?? null);
  });
  while (shown.body.children.length > wanted.length) shown.body.lastChild.remove();
  shown.more.textContent = `${plural(leftOut, 'more is', 'more are')} not shown.`;
  shown.more.hidden = !leftOut;
  shown.first = false;
}

function renewed(before, row, said, columns, flash) {
  const focus = before?.element.contains(document.activeElement) && document.activeElement.dataset.part;
  const cells = row.cells().map((cell, place) => {
    const { name, number, head, wide, bare } = columns[place];
    const parts = Array.isArray(cell) ? cell : [cell];
    if (head) return make('th', { scope: 'row', role: 'rowheader' }, ...parts);
    return make('td', { role: 'cell', 'data-name': bare ? undefined : name, class: [number && 'number', wide && 'wide'].filter(Boolean).join(' ') || undefined }, ...parts);
  });
  const element = before?.element ?? make('tr', { role: 'row' });
  element.replaceChildren(...cells);
  if (flash && (!before || JSON.stringify(row.says[0]) !== JSON.stringify(before.says[0]))) {
    element.classList.remove('new');
    void element.offsetWidth;
    element.classList.add('new');
  }
  const below = row.below && make('tr', { role: 'row', class: 'more-of', id: row.below.id }, make('td', { role: 'cell', colspan: columns.length }, row.below.content()));
  if (before?.below && before.below !== below) below ? before.below.replaceWith(below) : before.below.remove();
  if (focus) element.querySelector(`[data-part="${focus}"]`)?.focus();
  return { element, below, said, says: row.says };
}

// An identity: the service account first, because that is what people look for.
function identity(id, instead) {
  if (!id || id === 'none') return [make('span', { class: 'strong' }, instead)];
  const found = /^(?:spiffe:\/\/)?(.+)\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(id);
  if (!found) return [make('span', { class: 'code strong' }, id)];
  return [make('span', { class: 'strong' }, found[3]), make('span', { class: 'quiet' }, ` in ${found[2]}`), small(code(id))];
}

function request(example) {
  if (example.message) return [make('span', { class: 'code' }, ...breakable(example.message)), small('an operation at the broker')];
  if (!example.method) return [make('span', { class: 'strong' }, 'a connection'), small('bytes, no request')];
  return [make('span', { class: 'code' }, make('span', { class: 'strong' }, example.method), ' ', ...breakable(example.path)), small(example.host)];
}

const rule = (policy, rule) => (rule === null || rule === undefined || rule === '' ? policy : `${policy}, rule ${rule}`);

// What there is to say where no rule came near.
const instead = {
  policy_denied: 'A DENY rule matched; it wins over every ALLOW.',
  peer_not_authenticated: 'It came without mutual TLS, which this port demands.',
  default_deny: 'No policy speaks of this; what none allows is refused.',
  protocol_undecided: 'The port is not declared, and the bytes were not HTTP; declare it tcp.',
};

function nearest(example, reason) {
  if (!example.nearest) return [make('span', { class: 'quiet' }, instead[reason] ?? '–')];
  return [make('span', { class: 'miss' }, make('b', {}, rule(example.nearest.policy, example.nearest.rule)), ' would have matched but for ', ...breakable(example.nearest.but_for))];
}

const keyOf = (group) => [group.decision, group.reason, group.policy, group.rule, group.source_principal ?? group.source_ip, group.destination, group.pod].join('\n');
const said = (text) => { at('said').textContent = text; };

async function copy(line, key) {
  let told = 'Copied.';
  try {
    await navigator.clipboard.writeText(line);
  } catch {
    told = 'Select and copy it.';
  }
  const place = tables.get('denials-body')?.rows.get(key)?.below?.querySelector('[data-copied]');
  if (place) place.textContent = told;
  said(told === 'Copied.' ? 'The line for explain is copied.' : 'The line for explain is shown below.');
}

function explanation(group) {
  const parts = group.examples.shown.map((example, place) => {
    const line = example.explain ? make('pre', { tabindex: 0, 'aria-label': 'line for explain' }, example.explain) : make('p', {}, 'Too long to be shown; /decisions has it.');
    const what = example.message ? code(example.message) : example.method ? code(`${example.method} ${example.path}`) : 'a connection';
    return make('div', {}, make('p', { class: 'request' }, what, make('span', { class: 'quiet' }, `${plural(example.count, 'time')}, last `, ago(example.last)), place ? undefined : make('span', { class: 'state good', 'data-copied': true })),
      place && example.nearest ? make('p', {}, ...nearest(example)) : undefined, line);
  });
  if (group.examples.left_out) parts.push(make('p', {}, `${plural(group.examples.left_out, 'other request')} not shown.`));
  parts.push(make('p', {}, 'Pipe a line into ', code('postern-proxy explain --config FILE'), ' for the same verdict. Header fields and tokens are not kept, and count there as absent.'));
  return make('div', { class: 'explain' }, ...parts);
}

function denials() {
  const words = at('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
  const all = data.denials.shown;
  const wanted = all.filter((group) => {
    const text = JSON.stringify(group).toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const rows = wanted.map((group, place) => {
    const key = keyOf(group);
    const [latest] = group.examples.shown;
    const open = opened.has(key);
    const would = group.decision !== 'deny';
    const id = `explain-${place}`;
    const others = group.examples.shown.length + group.examples.left_out - 1;
    return {
      key,
      says: [group, open, open && id],
      cells: () => [
        [make('span', { class: 'strong' }, ago(group.last)), small(plural(group.count, 'time'))],
        [...identity(group.source_principal, 'nobody proven'), small(`from ${group.source_ip}`)],
        [...request(latest), group.pod ? small(`of ${group.pod}`) : '', others ? small(`and ${plural(others, 'other request')}`) : ''],
        [make('span', { class: 'strong' }, group.policy ? rule(group.policy, group.rule) : 'no rule allowed it'), small(make('span', { class: would ? 'reason would' : 'reason' }, group.reason), would ? ' not enforced: it was let in' : '')],
        nearest(latest, group.reason),
        [make('button', { type: 'button', 'data-part': 'explain', 'aria-expanded': String(open), 'aria-controls': open ? id : undefined, 'aria-label': `${open ? 'Close' : 'Explain'}: ${group.source_principal ?? group.source_ip} ${latest.message ?? latest.method ?? ''} ${latest.path ?? ''}`,
          click: () => toggle(key, latest) }, open ? 'Close' : 'Explain')],
      ],
      below: open ? { id, content: () => explanation(group) } : undefined,
    };
  });
  table('denials-body', 'Denials, the latest first', [
    { name: 'Last' }, { name: 'Who', head: true }, { name: 'Asked for', wide: true }, { name: 'Refused by', wide: true }, { name: 'Nearest miss', wide: true }, { name: 'Explain', bare: true },
  ], rows, { flash: true, empty: all.length ? 'None of them matches the filter.' : 'Nobody was refused.', leftOut: data.denials.left_out });
  announce(all);
}

function toggle(key, latest) {
  const opens = !opened.delete(key);
  if (opens) opened.add(key);
  denials();
  if (opens && latest.explain) copy(latest.explain, key);
}

// What is new since the last time, for those who do not see it.
function announce(groups) {
  const counts = new Map(groups.map((group) => [keyOf(group), group]));
  if (known) {
    const fresh = groups.filter((group) => {
      const before = known.get(keyOf(group));
      return !before || before.last < group.last || before.count < group.count;
    });
    if (fresh.length) {
      const [{ source_principal, source_ip, policy, reason }] = fresh;
      said(`New denial: ${source_principal ?? source_ip}, by ${policy ?? reason}.${fresh.length > 1 ? ` ${fresh.length - 1} more.` : ''}`);
    }
  }
  known = counts;
}

// The controller's page is about all of them. Of a call between two, the called's word counts.
const ofMesh = () => data.program.kind === 'controller';
const counted = (edges) => (ofMesh() ? edges.filter((edge) => edge.direction === 'inbound') : edges);

const edgeKey = (edge) => [edge.direction, edge.source, edge.destination].join('\n');

// Rates over the last few answers: counts never fall, but when the program has started anew.
function withRates(edges) {
  const oldest = history[0];
  const seconds = oldest ? (received - oldest.received) / 1_000 : 0;
  return edges.map((edge) => {
    const before = oldest?.edges.get(edgeKey(edge)) ?? { allowed: 0, denied: 0, failed: 0 };
    const of = (field) => (seconds > 0 ? Math.max(0, edge[field] - before[field]) / seconds : 0);
    return { ...edge, allowedRate: of('allowed'), deniedRate: of('denied'), failedRate: of('failed') };
  });
}

function graph(edges) {
  const place = at('graph-picture');
  const width = Math.max(300, place.clientWidth - 32);
  const drawn = ofMesh() ? meshPicture(counted(edges), width) : picture(edges, data.program.workload.split('/').pop(), width);
  place.replaceChildren(...(drawn ? [drawn] : []));
  place.hidden = !drawn;
  const rows = edges.map((edge) => ({
    key: edgeKey(edge),
    says: [edge.allowed, edge.denied, edge.failed, rate(edge.allowedRate)],
    cells: () => [
      identity(edge.source, 'nobody proven'),
      ofMesh() ? [...identity(edge.destination), small(edge.direction === 'inbound' ? 'the called says so' : 'the caller says so')] : [edge.direction === 'inbound' ? make('span', {}, edge.destination) : make('span', { class: 'strong' }, edge.destination), small(edge.direction === 'inbound' ? 'calls us' : 'we call it')],
      rate(edge.allowedRate), number(edge.allowed),
      edge.denied ? make('span', { class: 'state bad' }, number(edge.denied)) : '0',
      edge.failed ? make('span', { class: 'state late' }, number(edge.failed)) : '0',
    ],
  }));
  table('graph-body', 'Who calls whom', [
    { name: 'Caller', head: true }, { name: 'Called', wide: true }, { name: 'Now', number: true }, { name: 'Allowed', number: true }, { name: 'Denied', number: true }, { name: 'Failed', number: true },
  ], rows, { empty: 'No request yet.', leftOut: data.edges.left_out, scroll: rows.length > 12 });
}

function tiles(edges) {
  const sum = (field) => counted(edges).reduce((total, edge) => total + edge[field], 0);
  const own = data.certificates.shown.find((one) => one.kind === 'workload');
  const shown = [
    ['Allowed', rate(sum('allowedRate')), ''],
    ['Denied', rate(sum('deniedRate')), sum('deniedRate') ? 'deny' : ''],
    ['Failed', rate(sum('failedRate')), sum('failedRate') ? 'warn' : ''],
    ['Denied in all', number(sum('denied')), ''],
    ['Connections', number(data.program.connections), ''],
    ['Certificate', own ? `${span(own.not_after - now())} left` : 'none', own?.valid ? '' : 'deny'],
  ];
  at('tiles').replaceChildren(...shown.map(([name, value, kind]) => make('div', {}, make('dt', {}, name), make('dd', { class: kind }, value))));
}

function age(certificate) {
  const whole = Math.max(1, certificate.not_after - certificate.not_before);
  const gone = Math.min(100, Math.max(0, (100 * (now() - certificate.not_before)) / whole));
  const kind = !certificate.valid ? 'deny' : gone > 80 ? 'warn' : '';
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  for (const [key, value] of [['class', 'age'], ['viewBox', '0 0 100 8'], ['preserveAspectRatio', 'none'], ['aria-hidden', 'true']]) svg.setAttribute(key, value);
  for (const [name, width] of [['track', 100], [`fill ${kind}`, gone]]) {
    const bar = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
    for (const [key, value] of [['class', name], ['width', width], ['height', 8], ['rx', 2]]) bar.setAttribute(key, value);
    svg.append(bar);
  }
  const left = certificate.not_after - now();
  return [svg, small(left > 0 ? `${span(left)} left of ${span(whole)}` : `ended ${span(-left)} ago`)];
}

function certificates() {
  const rows = data.certificates.shown.map((one) => ({
    key: `${one.kind} ${one.name}`,
    says: [one, Math.round(now() / 10)],
    cells: () => [[code(one.name), small(one.kind !== 'workload' ? 'shown to clients' : ofMesh() ? 'of a pod' : 'our own')], state(!one.valid ? 'bad' : one.state === 'fresh' ? 'good' : 'late', one.valid ? one.state : one.state === 'expired' ? 'expired' : 'not valid'), age(one)],
  }));
  table('certificates-body', 'Certificates', [{ name: 'Name', head: true }, { name: 'State' }, { name: 'Age', wide: true }], rows, { empty: 'No certificate yet.', leftOut: data.certificates.left_out });
}

const healthy = { healthy: 'good', warming: 'wait', resting: 'late', ejected: 'bad', probing: 'late', unused: '' };

// The tables that say what they are given.
function plain() {
  table('policies-body', 'Policies that refused, the most often first', [{ name: 'Policy', head: true }, { name: 'Effect' }, { name: 'Times', number: true }],
    data.policies.shown.map((one) => ({ key: `${one.decision}\n${one.policy}\n${one.rule}`, says: one, cells: () => [code(rule(one.policy, one.rule)), one.decision === 'deny' ? 'refused' : 'would refuse', number(one.count)] })),
    { empty: 'No policy has refused anything.', leftOut: data.policies.left_out });
  table('reasons-body', 'Why requests were refused or failed, the most often first', [{ name: 'Reason', head: true }, { name: 'Direction' }, { name: 'Times', number: true }],
    data.refusals.shown.map((one) => ({ key: `${one.direction} ${one.reason}`, says: one, cells: () => [code(one.reason), one.direction, number(one.count)] })),
    { empty: 'Every request was answered.', leftOut: data.refusals.left_out });
  table('limits-body', 'Limits of callers', [{ name: 'Limit', head: true }, { name: 'Allows', wide: true }, { name: 'Let through', number: true }, { name: 'Refused', number: true }, { name: 'Callers', number: true }],
    data.limits.shown.map((one) => ({ key: one.limit, says: one, cells: () => [code(one.limit), one.allows, number(one.allowed), one.refused ? make('span', { class: 'state bad' }, number(one.refused)) : '0', one.callers === undefined ? 'in the store' : number(one.callers)] })),
    { empty: 'No limit is in force.', leftOut: data.limits.left_out });
  table('listeners-body', 'Listeners of the gateway', [{ name: 'Listener', head: true }, { name: 'Port', number: true }, { name: 'Protocol' }, { name: 'Hosts', wide: true }, { name: 'Certificates', number: true }],
    data.listeners.shown.map((one) => ({ key: `${one.name} ${one.port}`, says: one, cells: () => [code(one.name), String(one.port), one.protocol, one.hosts.join(', ') || 'all', String(one.certificates)] })),
    { empty: 'No listener is in force.', leftOut: data.listeners.left_out });
  table('routes-body', 'Rules of routes that took requests', [{ name: 'Route', head: true }, { name: 'Requests', number: true }],
    data.routes.shown.map((one) => ({ key: one.route, says: one, cells: () => [code(one.route), number(one.count)] })),
    { empty: 'No route has taken a request.', leftOut: data.routes.left_out });
  table('services-body', 'Services and the state of their endpoints', [{ name: 'Service', head: true }, { name: 'Ports' }, { name: 'Endpoints', wide: true }, { name: 'May prove', wide: true }],
    data.services.shown.map((one, place) => ({
      key: `${one.host} ${place}`, says: one,
      cells: () => [[make('span', { class: 'strong' }, one.host), one.external ? small('outside the mesh') : ''], one.ports.join(', '),
        make('div', { class: 'endpoints' }, ...one.endpoints.shown.map((each) => make('span', {}, code(each.address), ' ', state(healthy[each.state] ?? '', each.state))), one.endpoints.left_out ? make('span', { class: 'quiet' }, `and ${number(one.endpoints.left_out)} more`) : ''),
        one.identities.length ? one.identities.flatMap((id) => [code(id.replace('spiffe://', '')), make('br')]) : make('span', { class: 'quiet' }, '–')],
    })), { empty: 'No service is known.', leftOut: data.services.left_out, scroll: data.services.shown.length > 12 });
}

function threats() {
  const found = data.detections?.shown ?? [];
  table('threats-body', 'What threat rules found, the latest first', [{ name: 'When' }, { name: 'Who', head: true }, { name: 'Asked for', wide: true }, { name: 'Policy' }, { name: 'Rules and what they matched', wide: true }, { name: 'Score', number: true }],
    found.map((one, place) => ({
      key: `${one.time} ${one.source_ip} ${one.path} ${found.slice(0, place).filter((other) => other.time === one.time).length}`, says: one,
      cells: () => [ago(one.time), [...identity(one.source_principal, one.source_ip), one.source_principal ? small(`from ${one.source_ip}`) : ''], request(one),
        [one.policy, small(state(one.action === 'blocked' ? 'bad' : 'late', one.action))],
        [...one.rules.shown.map((rule) => make('div', {}, code(`${rule.rule} ${rule.variable}`), ' ', make('span', { class: 'quiet' }, rule.group))), one.rules.left_out ? small(`and ${number(one.rules.left_out)} more`) : ''],
        [String(one.score), small(`of ${one.threshold}`)]],
    })),
    { empty: 'Nothing was found.', leftOut: data.detections?.left_out });
  table('blocks-body', 'Callers that are blocked', [{ name: 'Who', head: true }, { name: 'Policy' }, { name: 'Why', wide: true }, { name: 'Since' }, { name: 'Ends' }],
    (data.blocks?.shown ?? []).map((one) => ({ key: `${one.policy} ${one.key} ${one.caller}`, says: [one, Math.round(now() / 10)], cells: () => [[...identity(one.caller, 'nobody proven'), small(one.key)], [one.policy, small(state(one.mode === 'block' ? 'bad' : 'late', one.mode === 'block' ? 'refused' : 'only watched'))], one.why, ago(one.since), `in ${span(one.until - now())}`] })),
    { empty: 'Nobody is blocked.', leftOut: data.blocks?.left_out });
}

function show() {
  const { program } = data;
  const edges = withRates(data.edges.shown);
  at('workload').textContent = program.workload;
  document.title = `${program.workload} · Postern`;
  at('about').textContent = [program.kind, program.unready ? `not ready: ${program.unready}` : 'ready', program.version, `up ${span(program.up_seconds)}`,
    program.stale ? 'the last change of policy was refused; the last good one is in force' : ''].filter(Boolean).join(' · ');
  at('blocks').hidden = !data.blocks;
  at('threats').hidden = !data.detections;
  at('listeners').hidden = program.kind !== 'gateway';
  for (const id of ['policies', 'reasons', 'limits', 'routes']) at(id).hidden = ofMesh();
  tiles(edges);
  denials();
  threats();
  graph(edges);
  certificates();
  plain();
  sections();
  document.querySelectorAll('time[data-at]').forEach(tell);
}

function sections() {
  const counts = { denials: data.denials, blocks: data.blocks, threats: data.detections, graph: data.edges, certificates: data.certificates, limits: data.limits, listeners: data.listeners, routes: data.routes, services: data.services };
  const names = { denials: 'Denials', blocks: 'Blocked', threats: 'Threats', graph: 'Calls', certificates: 'Certificates', limits: 'Limits', listeners: 'Listeners', routes: 'Routes', services: 'Services' };
  for (const [id, list] of Object.entries(counts)) {
    let link = at(`to-${id}`);
    if (!link) {
      link = make('a', { href: `#${id}`, id: `to-${id}` }, `${names[id]} `, make('b', {}, ''));
      at('sections').append(make('li', {}, link));
    }
    link.parentElement.hidden = at(id).hidden;
    link.lastChild.textContent = list ? number(list.shown.length + list.left_out) : '';
  }
}

function freshness(error) {
  const old = data && (performance.now() - received) / 1_000;
  const stale = error || (old > OLD && !paused);
  const live = at('live');
  live.className = `state ${paused ? '' : stale ? 'late' : data ? 'good' : 'wait'}`;
  live.textContent = paused ? 'paused' : stale ? 'no answer' : data ? 'live' : 'waiting for data';
  const text = stale ? `${data ? `What you see is ${span(old)} old` : 'There is no data'}: ${error ?? 'no answer for a while'}.` : '';
  if (at('stale').hidden !== !stale) at('stale').hidden = !stale;
  if (stale && at('stale').textContent !== text) at('stale').textContent = text;
}

async function ask() {
  clearTimeout(timer);
  if (paused || document.hidden) return;
  try {
    const answer = await fetch('/dashboard/data.json', { signal: AbortSignal.timeout(PATIENCE), cache: 'no-store' });
    if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
    const next = await answer.json();
    if (data && next.program.up_seconds < data.program.up_seconds) history.length = 0;
    data = next;
    received = performance.now();
    show();
    history.push({ received, edges: new Map(data.edges.shown.map((edge) => [edgeKey(edge), edge])) });
    if (history.length > REMEMBERED) history.shift();
    freshness();
  } catch (error) {
    freshness(error.name === 'TimeoutError' ? 'no answer in time' : error.name === 'TypeError' ? 'the program cannot be reached' : error.message);
  }
  clearTimeout(timer);
  timer = setTimeout(ask, EVERY);
}

at('pause').addEventListener('click', (event) => {
  paused = !paused;
  event.currentTarget.setAttribute('aria-pressed', String(paused));
  event.currentTarget.textContent = paused ? 'Go on' : 'Pause';
  freshness();
  ask();
});
at('filter').addEventListener('input', () => data && denials());
document.addEventListener('visibilitychange', ask);
addEventListener('resize', () => data && graph(withRates(data.edges.shown)));
ask();
