// One small plot per type of distortion: mean score and its interval along the levels.
const drawLadders = () => {
  if (!report.monotonicity) return;
  const metric = report.monotonicity.metrics[Number(byId("ladder-metric").value)];
  const range = (types) => span(types.flatMap((t) => [...t.low, ...t.high]));
  const common = byId("ladder-scale").checked ? range(metric.types) : null;
  const places = metric.types.map((type) => {
    const plot = el("div", { class: "plot" });
    const share = el("span", {}, `${(100 * type.ordered).toFixed(0)}%`);
    return [type, plot, el("div", {}, el("h3", {}, type.name, share), plot)];
  });
  byId("ladders").replaceChildren(...places.map(([, , node]) => node));
  for (const [type, place] of places) {
    const ys = common ?? range([type]);
    const levels = type.mean.map((_, level) => level);
    const plot = axes(place, {
      height: 112, xs: [-0.15, levels.length - 0.85], ys, xTicks: levels, yTicks: ticks(ys, 3),
      name: `${metric.name} on ${type.name}: ${type.mean.map((v) => figure(v, 3)).join(", ")}`,
    });
    const px = levels.map(plot.x);
    const around = path([...px, ...px.toReversed()],
      [...type.high.map(plot.y), ...type.low.map(plot.y).reverse()]);
    plot.node.append(svg("path", { class: "band", d: `${around}Z` }));
    plot.node.append(svg("path", { class: "trace", d: path(px, type.mean.map(plot.y)) }));
    px.forEach((x, i) => {
      plot.node.append(svg("circle", { class: "dot", cx: x, cy: plot.y(type.mean[i]), r: 2.5 }));
    });
  }
};
if (report.monotonicity) {
  const names = report.monotonicity.metrics.map(
    (m) => m.name + (m.lower_is_better ? " (lower is better)" : ""));
  options(byId("ladder-metric"), names);
  byId("ladder-metric").addEventListener("change", drawLadders);
  byId("ladder-scale").addEventListener("change", drawLadders);
  redraws.push(drawLadders);
}
