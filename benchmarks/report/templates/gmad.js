// Heat maps, rankings and the gallery of pairs. A cell of a heat map chooses the pair of metrics.
const MATRICES = [
  ["aggressiveness", "Aggressiveness",
    "Row attacks column: mean preference for the attacker's best image, 0 to 100."],
  ["resistance", "Resistance",
    "Row is attacked by column: how alike its images of one level stay, 0 to 100."],
  ["attack_gap", "Attack gap",
    "Row attacks column: mean gap on the attacker's own scale, 0 to 100. Nobody voted on it."],
];

const pairsOf = (attacker, defender) =>
  current.dataset.gmad.pairs.filter(([a, d]) => a === attacker && d === defender);

const chooseMetrics = (attacker, defender) => {
  byId("attacker").value = String(attacker);
  byId("defender").value = String(defender);
  drawPairs();
};

const heatMap = ([key, title, note]) => {
  const { gmad } = current.dataset;
  const table = el("table", { class: "heat" });
  const head = table.createTHead().insertRow();
  head.append(el("th"));
  for (const name of gmad.metrics) {
    head.append(el("th", { scope: "col" }, el("span", {}, name)));
  }
  const body = table.createTBody();
  gmad[key].forEach((row, i) => {
    const line = body.insertRow();
    line.append(el("th", { scope: "row" }, gmad.metrics[i]));
    row.forEach((value, j) => {
      if (i === j) {
        line.append(el("td", { class: "self" }));
        return;
      }
      const [attacker, defender] = key === "resistance" ? [j, i] : [i, j];
      const button = el("button", { type: "button", "data-cell": `${attacker} ${defender}` });
      const shown = value === null ? "–" : value.toFixed(0);
      button.append(shown);
      button.title = `${gmad.metrics[attacker]} attacks ${gmad.metrics[defender]}: ${shown}`;
      button.setAttribute("aria-label", button.title);
      button.style.setProperty("--heat", `${((value ?? 0) * 0.55).toFixed(1)}%`);
      button.addEventListener("click", () => chooseMetrics(attacker, defender));
      line.append(el("td", {}, button));
    });
  });
  const scroll = el("div", { class: "scroll" }, table);
  return el("div", {}, el("h3", {}, title), el("p", {}, note), scroll);
};

const drawRanking = (place, ranking, title) => {
  const rows = ranking.rows;
  const width = Math.max(place.clientWidth, 200);
  const left = Math.min(width * 0.42, 8 + 7 * Math.max(...rows.map((r) => r.metric.length)));
  const height = rows.length * 26 + 44;
  const xs = span(rows.flatMap((r) => [r.low, r.high, r.score]));
  const x = linear(xs, [left + 8, width - 10]);
  const node = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img" });
  node.setAttribute("aria-label", `${title}: ${rows.map((r) => r.metric).join(", ")}`);
  const bottom = height - 22;
  for (const t of ticks(xs, Math.max(2, Math.round((width - left) / 80)))) {
    node.append(svg("line", { class: "grid", x1: x(t), x2: x(t), y1: 4, y2: bottom }));
    node.append(text(x(t), height - 6, tickText(t), { class: "tick", "text-anchor": "middle" }));
  }
  rows.forEach((row, i) => {
    const y = 18 + i * 26;
    const fits = Math.floor((left - 4) / 7);
    const name = row.metric.length > fits ? `${row.metric.slice(0, fits - 1)}…` : row.metric;
    const label = text(left, y + 4, name, { "text-anchor": "end" });
    label.append(svg("title", {}, row.metric));
    node.append(label);
    node.append(svg("line", { class: "whisker", x1: x(row.low), x2: x(row.high), y1: y, y2: y }));
    const dot = svg("circle", { class: "dot", cx: x(row.score), cy: y, r: 4.5 });
    dot.append(svg("title", {}, `${row.metric}: ${fixed(row.score, 2)}`));
    node.append(dot);
  });
  place.replaceChildren(node);
};

const drawRankings = () => {
  const { gmad } = current.dataset;
  const places = [];
  for (const [key, title] of MATRICES) {
    const ranking = gmad[`${key}_ranking`];
    if (!ranking?.rows.length) continue;
    const plot = el("div", { class: "plot" });
    const caption = el("figcaption", {},
      `Global ranking by ${title.toLowerCase()}: ${ranking.method}; 95% bootstrap intervals.`);
    places.push([plot, ranking, title, el("figure", {}, plot, caption)]);
  }
  byId("rankings").replaceChildren(...places.map((place) => place[3]));
  for (const [plot, ranking, title] of places) drawRanking(plot, ranking, title);
};

const side = (image, role) => {
  const { dataset } = current;
  const score = (select) => {
    const name = dataset.gmad.metrics[Number(byId(select).value)];
    return [name, figure(dataset.metrics.find((m) => m.name === name).scores[image])];
  };
  const values = [score("attacker"), score("defender")];
  values.push([dataset.label_name, figure(dataset.mos[image])]);
  const name = el("div", { class: "name" }, dataset.images[image]);
  return el("div", {}, framed(image), el("p", { class: "role" }, role), name, nameValueList(values));
};

const drawPairs = () => {
  const { gmad } = current.dataset;
  const [a, d] = [Number(byId("attacker").value), Number(byId("defender").value)];
  for (const button of document.querySelectorAll(".heat button")) {
    button.setAttribute("aria-pressed", String(button.dataset.cell === `${a} ${d}`));
  }
  if (a === d) {
    byId("pairs-text").textContent = "A metric does not attack itself: choose two.";
    byId("pairs").replaceChildren();
    return;
  }
  byId("pairs-text").textContent =
    `${gmad.metrics[a]} attacks ${gmad.metrics[d]}: images that the defender holds equal, and of ` +
    "these the attacker's best and worst. If they look equally good, the defender has resisted.";
  const items = pairsOf(a, d).map(([, , level, centre, population, best, worst, gap]) => {
    const head = el("h4", {}, `Level ${level} `);
    const images = population === 1 ? "1 image" : `${population} images`;
    const about = `· centre ${fixed(centre, 1)}, ${images}`;
    head.append(el("span", {}, gap === null ? about : `${about}, gap ${fixed(gap, 1)}`));
    if (best < 0) return el("li", {}, head, el("p", { class: "none" }, "No pair in this bin."));
    const two = el("div", { class: "two" });
    two.append(side(best, "attacker's best"), side(worst, "attacker's worst"));
    return el("li", {}, head, two);
  });
  byId("pairs").replaceChildren(...items);
};

const drawGmad = () => {
  const { gmad } = current.dataset;
  byId("gmad-body").hidden = Boolean(gmad.reason);
  if (gmad.reason) {
    byId("gmad-text").textContent = `No pairs: ${gmad.reason}.`;
    return;
  }
  const { bins } = gmad;
  byId("gmad-text").textContent =
    `Each metric attacks every other on ${gmad.images} images, on the ${gmad.scale} scale: ` +
    `${gmad.levels} levels, bins of ±${gmad.width}. ${bins.paired} of ${bins.asked} bins gave a ` +
    `pair; ${bins.empty} were empty, ${bins.single_image} held one image.` +
    (gmad.left_out ? ` ${gmad.left_out} images without all scores were left out.` : "") +
    (gmad.aggressiveness ? " The pair's MOS difference stands in for a vote." : "");
  const present = MATRICES.filter(([key]) => gmad[key]);
  byId("matrices").replaceChildren(...present.map(heatMap));
  drawRankings();
  // The pair that opens: the two metrics that agree best with the labels.
  const [first = 0, second = 1] = current.dataset.leaders
    .map((name) => gmad.metrics.indexOf(name))
    .filter((i) => i >= 0);
  options(byId("attacker"), gmad.metrics, first);
  options(byId("defender"), gmad.metrics, second === first ? Number(first === 0) : second);
  drawPairs();
};
byId("attacker").addEventListener("change", drawPairs);
byId("defender").addEventListener("change", drawPairs);
byId("swap").addEventListener("click", () =>
  chooseMetrics(Number(byId("defender").value), Number(byId("attacker").value)));
redraws.push(() => {
  if (!current.dataset.gmad.reason) drawRankings();
});
