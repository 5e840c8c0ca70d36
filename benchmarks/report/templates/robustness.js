// One small plot per change: the metric's mean change with its interval; the others in grey.
const changeName = (change) => (change.unit === "axis" ? change.name : `${change.name}, ${change.unit}`);

const drawRobustness = () => {
  const { metrics } = report.robustness;
  const chosen = metrics[Number(byId("robust-metric").value)];
  const logarithmic = byId("robust-scale").checked;
  const scale = logarithmic ? (v) => Math.log10(Math.max(v, 0.01)) : (v) => v;
  const of = (i, keys) => metrics.flatMap((m) => keys.flatMap((key) => m.changes[i][key] ?? []));
  const all = chosen.changes.flatMap((_, i) => of(i, ["size", "high"]));
  const common = logarithmic ? [-2.1, Math.max(...all.map(scale)) + 0.1] : null;
  const places = chosen.changes.map((change, i) => {
    const plot = el("div", { class: "plot" });
    return [change, i, plot, el("div", {}, el("h3", {}, changeName(change)), plot)];
  });
  byId("robust").replaceChildren(...places.map(([, , , node]) => node));
  for (const [change, i, place] of places) {
    const ys = common ?? [0, Math.max(1, ...of(i, ["size"]), ...(change.high ?? [])) * 1.05];
    const steps = change.ticks.map((_, k) => k);
    const marks = logarithmic ? [-2, -1, 0, 1, 2, 3].filter((t) => t <= ys[1]) : ticks(ys, 3);
    const told = change.reason ?? change.size.map((v, k) => `${change.ticks[k]}: ${figure(v, 3)} %`).join(", ");
    const plot = axes(place, {
      height: 150, xs: [-0.3, steps.length - 0.7], ys, xTicks: [], yTicks: marks,
      yText: logarithmic ? (t) => tickText(10 ** t) : tickText,
      name: `${chosen.name}, ${changeName(change)}: ${told}`,
    });
    const px = steps.map(plot.x);
    px.forEach((x, k) => {
      plot.node.append(text(x, plot.box.bottom + 16, change.ticks[k], { class: "tick", "text-anchor": "middle" }));
    });
    for (const other of metrics) {
      const { size } = other.changes[i];
      if (other === chosen || !size) continue;
      const line = svg("path", { class: "other", d: path(px, size.map((v) => plot.y(scale(v)))) });
      line.append(svg("title", {}, other.name));
      plot.node.append(line);
    }
    if (change.reason) {
      place.append(el("p", { class: "reason" }, `${chosen.name}: ${change.reason}`));
      continue;
    }
    const at = (values) => values.map((v) => plot.y(scale(v)));
    const around = path([...px, ...px.toReversed()], [...at(change.high), ...at(change.low).reverse()]);
    plot.node.append(svg("path", { class: "band", d: `${around}Z` }));
    plot.node.append(svg("path", { class: "trace", d: path(px, at(change.size)) }));
    at(change.size).forEach((y, k) => {
      const dot = svg("circle", { class: "dot", cx: px[k], cy: y, r: 3 });
      dot.append(svg("title", {}, `${change.ticks[k]}: ${figure(change.size[k], 3)} %`));
      plot.node.append(dot);
    });
  }
};
if (report.robustness) {
  options(byId("robust-metric"), report.robustness.metrics.map((m) => m.name));
  byId("robust-metric").addEventListener("change", drawRobustness);
  byId("robust-scale").addEventListener("change", drawRobustness);
  redraws.push(drawRobustness);
}
