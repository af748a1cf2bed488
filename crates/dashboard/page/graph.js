// Who calls whom as a picture: callers on the left, the workload in the middle, what it calls on the right. Lines that are
// refused are dashed, those that fail are dotted, and every box says so in words; the table below has the same and more.

const SVG = 'http://www.w3.org/2000/svg';
const HIGH = 40, GAP = 10, MOST = 40;

function draw(name, attributes = {}, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// A name's last part says who it is; the rest is in the tooltip and in the table.
const shortName = (name) => name.split('/').pop() || name;
const fitting = (text, width) => {
  const most = Math.max(4, Math.floor((width - 18) / 7));
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
};

export function rate(perSecond) {
  if (!perSecond) return '0/s';
  return perSecond < 10 ? `${perSecond.toFixed(1)}/s` : `${Math.round(perSecond).toLocaleString('en')}/s`;
}

function node(x, y, width, name, lines, own) {
  const group = draw('g', { class: own ? 'node self' : 'node' });
  group.append(draw('title', {}, name));
  group.append(draw('rect', { x, y, width, height: HIGH, rx: 7 }));
  group.append(draw('text', { x: x + 9, y: y + 17 }, fitting(own ? name : shortName(name), width)));
  let at = x + 9;
  for (const [text, kind] of lines) {
    const shown = fitting(text, x + width - at + 9);
    group.append(draw('text', { x: at, y: y + 32, class: `what ${kind}` }, shown));
    at += shown.length * 6 + 8;
  }
  return group;
}

function said(edge) {
  const lines = [[rate(edge.allowedRate), '']];
  if (edge.denied) lines.push([`${edge.denied} denied`, 'deny']);
  if (edge.failed) lines.push([`${edge.failed} failed`, 'warn']);
  return lines;
}

function lines(edge, from, to) {
  const middle = (from[0] + to[0]) / 2;
  const path = (shift) =>
    `M${from[0]} ${from[1] + shift}C${middle} ${from[1] + shift} ${middle} ${to[1] + shift} ${to[0]} ${to[1] + shift}`;
  const busy = edge.allowedRate > 0;
  const width = busy ? Math.min(6, 1.5 + Math.log10(1 + edge.allowedRate) * 1.8).toFixed(1) : 1.5;
  const made = [];
  if (edge.allowed) made.push(draw('path', { class: busy ? 'edge' : 'edge idle', d: path(0), 'stroke-width': width }));
  if (edge.denied) made.push(draw('path', { class: 'edge deny', d: path(5), 'stroke-width': 1.75 }));
  if (edge.failed) made.push(draw('path', { class: 'edge warn', d: path(-5), 'stroke-width': 2.5 }));
  return made;
}

// The mesh: whoever calls on the left, whoever is called on the right, the busiest first.
export function meshPicture(edges, width) {
  const names = ['source', 'destination'].map((end) => [...new Set(edges.map((edge) => edge[end]))].slice(0, MOST));
  const rows = Math.max(names[0].length, names[1].length);
  if (!rows) return undefined;
  const height = rows * (HIGH + GAP) - GAP + 4;
  const box = Math.round(Math.min(260, width * 0.3));
  const svg = draw('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-labelledby': 'picture-title' });
  svg.append(draw('title', { id: 'picture-title' }, `${names[0].length} callers and ${names[1].length} called; the table has the same in words`));
  const top = (side, row) => (height - names[side].length * (HIGH + GAP) + GAP) / 2 + row * (HIGH + GAP);
  for (const edge of edges) {
    const [from, to] = [names[0].indexOf(edge.source), names[1].indexOf(edge.destination)];
    if (from >= 0 && to >= 0) svg.append(...lines(edge, [1 + box, top(0, from) + HIGH / 2], [width - box - 1, top(1, to) + HIGH / 2]));
  }
  names.forEach((side, number) => side.forEach((name, row) => {
    const own = edges.filter((edge) => edge[number ? 'destination' : 'source'] === name);
    const sum = (field) => own.reduce((total, edge) => total + edge[field], 0);
    const all = { allowedRate: sum('allowedRate'), denied: sum('denied'), failed: sum('failed') };
    svg.append(node(number ? width - box - 1 : 1, top(number, row), box, name === 'none' ? 'nobody proven' : name, said(all), false));
  }));
  return svg;
}

// The picture of these edges for so many pixels, or nothing where there are none.
export function picture(edges, own, width) {
  const sides = ['inbound', 'outbound'].map((side) => edges.filter((edge) => edge.direction === side).slice(0, MOST));
  const rows = Math.max(sides[0].length, sides[1].length);
  if (!rows) return undefined;
  const height = rows * (HIGH + GAP) - GAP + 4;
  const box = Math.round(Math.min(260, width * 0.3));
  const centre = Math.round(Math.min(220, width * 0.26));
  const svg = draw('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-labelledby': 'picture-title' });
  svg.append(draw('title', { id: 'picture-title' }, `${sides[0].length} callers and ${sides[1].length} called; the table has the same in words`));
  // Where one side is empty, its room is the middle's.
  const across = !sides[1].length ? width - centre - 1 : !sides[0].length ? 1 : (width - centre) / 2;
  const middle = [across, (height - HIGH) / 2];
  const drawn = [[], []];
  sides.forEach((side, number) => {
    const first = (height - side.length * (HIGH + GAP) + GAP) / 2;
    side.forEach((edge, row) => {
      const y = first + row * (HIGH + GAP);
      const [x, name] = number ? [width - box - 1, edge.destination] : [1, edge.source === 'none' ? 'nobody proven' : edge.source];
      const outer = [number ? x : x + box, y + HIGH / 2];
      const inner = [number ? middle[0] + centre : middle[0], middle[1] + HIGH / 2];
      drawn[0].push(...(number ? lines(edge, inner, outer) : lines(edge, outer, inner)));
      drawn[1].push(node(x, y, box, name, said(edge), false));
    });
  });
  svg.append(...drawn[0], ...drawn[1], node(...middle, centre, own, [['this workload', '']], true));
  return svg;
}
