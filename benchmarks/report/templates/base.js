// Shared by all sections: data, elements, numbers, axes. Text enters the page as text alone.
const report = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const current = { dataset: report.datasets[0] };
const redraws = []; // Functions that draw plots to the width they have.

const build = (namespace) => (tag, attributes = {}, ...children) => {
  const node = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const el = build("http://www.w3.org/1999/xhtml");
const svg = build("http://www.w3.org/2000/svg");

const figure = (value, digits = 4) => {
  if (value === null || value === undefined) return "–";
  const text = Number(value.toPrecision(digits)).toString();
  return text.replace("-", "−");
};
const fixed = (value, digits) =>
  value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "−");

const linear = (from, to) => {
  const scale = (v) => to[0] + ((v - from[0]) / (from[1] - from[0] || 1)) * (to[1] - to[0]);
  scale.invert = (p) => from[0] + ((p - to[0]) / (to[1] - to[0])) * (from[1] - from[0]);
  return scale;
};

const span = (values, room = 0.04) => {
  let low = Infinity;
  let high = -Infinity;
  for (const v of values) {
    if (v === null) continue;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  if (low > high) return [0, 1];
  const edge = (high - low || Math.abs(high) || 1) * room;
  return [low - edge, high + edge];
};

// Round numbers inside [low, high], about `count` of them.
const ticks = ([low, high], count = 5) => {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
};
const tickText = (value) => figure(Math.abs(value) < 1e-12 ? 0 : value, 6);

const text = (x, y, content, attributes = {}) => svg("text", { x, y, ...attributes }, content);

// An empty plot with axes: {node, x, y, box}. The left margin fits the widest tick label.
const axes = (place, { height, xs, ys, xLabel, yLabel, xTicks, yTicks, yText = tickText, name }) => {
  const width = Math.max(place.clientWidth, 120);
  const yMarks = yTicks ?? ticks(ys, Math.max(2, Math.round(height / 55)));
  const longest = Math.max(...yMarks.map((t) => yText(t).length));
  const box = { left: 14 + longest * 7, right: width - 10, top: yLabel ? 24 : 8 };
  box.bottom = height - (xLabel ? 38 : 20);
  const x = linear(xs, [box.left, box.right]);
  const y = linear(ys, [box.bottom, box.top]);
  const node = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img" });
  node.setAttribute("aria-label", name);
  for (const t of yMarks) {
    const at = y(t);
    node.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at }));
    node.append(text(box.left - 6, at + 4, yText(t), { class: "tick", "text-anchor": "end" }));
  }
  for (const t of xTicks ?? ticks(xs, Math.max(2, Math.round(width / 90)))) {
    const options = { class: "tick", "text-anchor": "middle" };
    node.append(text(x(t), box.bottom + 16, tickText(t), options));
  }
  const foot = { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom };
  node.append(svg("line", { class: "zero", ...foot }));
  if (yLabel) node.append(text(0, 12, yLabel));
  if (xLabel) node.append(text(box.right, height - 4, xLabel, { "text-anchor": "end" }));
  place.replaceChildren(node);
  return { node, x, y, box };
};

const path = (xs, ys) => xs.map((x, i) => `${i ? "L" : "M"}${x.toFixed(1)} ${ys[i].toFixed(1)}`).join("");

// Many dots as one path of zero-length strokes with round caps.
const dots = (xs, ys, size) =>
  svg("path", {
    class: "dots",
    "stroke-width": size,
    opacity: xs.length > 2000 ? 0.4 : 0.65,
    d: xs.map((x, i) => `M${x.toFixed(1)} ${ys[i].toFixed(1)}h0`).join(""),
  });

const framed = (image) => {
  const { dataset } = current;
  const number = dataset.picture[image];
  const frame = el("div", { class: "frame" });
  if (number < 0) frame.append("no picture");
  else frame.append(el("img", { src: report.pictures[number], alt: dataset.images[image] }));
  return frame;
};

// Names and values; `pairs` is a list of [name, text].
const nameValueList = (pairs) => {
  const list = el("dl", { class: "name-values" });
  for (const [name, value] of pairs) list.append(el("dt", {}, name), el("dd", {}, value));
  return list;
};

const tip = byId("tip");
const showTip = (image, pairs, x, y) => {
  tip.replaceChildren(framed(image), el("div", { class: "name" }, current.dataset.images[image]));
  tip.append(nameValueList(pairs));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 18 + width > innerWidth ? x - 18 - width : x + 18;
  tip.style.left = `${Math.min(Math.max(4, left), innerWidth - width - 4)}px`;
  tip.style.top = `${Math.min(Math.max(4, y - height / 2), innerHeight - height - 4)}px`;
};
const hideTip = () => {
  tip.hidden = true;
};

const options = (select, names, chosen = 0) => {
  select.replaceChildren(...names.map((name, i) => el("option", { value: i }, name)));
  select.value = String(Math.min(chosen, names.length - 1));
};
