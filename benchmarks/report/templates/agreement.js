// Scatter with the fitted logistic, residuals, and the worst estimates of one metric.
const agreement = { metric: null, focus: -1 };

const valuesOf = (image) => {
  const { dataset } = current;
  const { metric } = agreement;
  const pairs = [
    [dataset.label_name, figure(dataset.mos[image])],
    [metric.name, figure(metric.scores[image])],
  ];
  const known = [...metric.over, ...metric.under].find(([number]) => number === image);
  if (known) pairs.push(["residual", figure(known[1], 3)]);
  return pairs;
};

const drawScatter = () => {
  const place = byId("scatter");
  const { dataset } = current;
  const { metric } = agreement;
  const known = metric.scores
    .map((score, i) => i)
    .filter((i) => metric.scores[i] !== null && dataset.mos[i] !== null);
  if (!known.length) {
    place.replaceChildren("No image has both a score and a label.");
    return;
  }
  const xs = span(known.map((i) => metric.scores[i]));
  const ys = span([...known.map((i) => dataset.mos[i]), ...(metric.curve?.y ?? [])]);
  const direction = metric.lower ? " (lower is better)" : "";
  const plot = axes(place, {
    height: 380, xs, ys, xLabel: metric.name + direction, yLabel: dataset.label_name,
    name: `${dataset.label_name} against ${metric.name}, ${known.length} images`,
  });
  const px = known.map((i) => plot.x(metric.scores[i]));
  const py = known.map((i) => plot.y(dataset.mos[i]));
  plot.node.append(dots(px, py, known.length > 2000 ? 4 : 6));
  if (metric.curve) {
    const d = path(metric.curve.x.map(plot.x), metric.curve.y.map(plot.y));
    plot.node.append(svg("path", { class: "line", d }));
  }
  const mark = svg("circle", { class: "chosen", r: 6, visibility: "hidden" });
  plot.node.append(mark);
  plot.node.setAttribute("tabindex", "0");

  const choose = (k) => {
    agreement.focus = k;
    mark.setAttribute("cx", px[k]);
    mark.setAttribute("cy", py[k]);
    mark.setAttribute("visibility", "visible");
    const at = plot.node.getBoundingClientRect();
    showTip(known[k], valuesOf(known[k]), at.left + px[k], at.top + py[k]);
  };
  const leave = () => {
    mark.setAttribute("visibility", "hidden");
    hideTip();
  };
  const nearest = (event) => {
    const at = plot.node.getBoundingClientRect();
    const [x, y] = [event.clientX - at.left, event.clientY - at.top];
    let best = -1;
    let least = 30 ** 2;
    for (let k = 0; k < px.length; k++) {
      const distance = (px[k] - x) ** 2 + (py[k] - y) ** 2;
      if (distance < least) [best, least] = [k, distance];
    }
    return best;
  };
  const point = (event) => {
    const k = nearest(event);
    if (k < 0) leave();
    else choose(k);
  };
  plot.node.addEventListener("pointermove", point);
  plot.node.addEventListener("pointerdown", point);
  plot.node.addEventListener("pointerleave", leave);
  plot.node.addEventListener("blur", leave);
  const along = known.map((_, k) => k).sort((a, b) => px[a] - px[b] || py[a] - py[b]);
  plot.node.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (event.key === "Escape") leave();
    if (!step) return;
    event.preventDefault();
    const from = along.indexOf(agreement.focus);
    choose(along[Math.min(Math.max(0, from + step), along.length - 1)]);
  });
};

const drawResiduals = () => {
  const place = byId("residuals");
  const { metric } = agreement;
  if (!metric.residuals) {
    place.replaceChildren(`No residuals: the fit ${metric.fit}.`);
    return;
  }
  const { edges, counts } = metric.residuals;
  const plot = axes(place, {
    height: 380, xs: [edges[0], edges.at(-1)], ys: [0, Math.max(...counts) * 1.04],
    xLabel: `fitted − ${current.dataset.label_name}`, yLabel: "images",
    name: `Histogram of the residuals of ${metric.name}`,
  });
  counts.forEach((count, i) => {
    const [x, right, y] = [plot.x(edges[i]), plot.x(edges[i + 1]), plot.y(count)];
    const size = { width: Math.max(1, right - x - 1), height: plot.box.bottom - y };
    plot.node.append(svg("rect", { class: "bar", x, y, ...size }));
  });
  const zero = { x1: plot.x(0), x2: plot.x(0), y1: plot.box.top, y2: plot.box.bottom };
  plot.node.append(svg("line", { class: "zero", ...zero }));
};

const drawGallery = (id, rows) => {
  const items = rows.map(([image]) =>
    el("li", {}, framed(image), el("div", { class: "name" }, current.dataset.images[image]),
      nameValueList(valuesOf(image))),
  );
  byId(id).replaceChildren(...(items.length ? items : [el("li", {}, "None.")]));
};

const drawAgreement = () => {
  agreement.metric = current.dataset.metrics[Number(byId("metric").value)];
  agreement.focus = -1;
  hideTip();
  const { metric } = agreement;
  if (!metric) return;
  const fit = metric.fit === "ok" ? `RMSE ${figure(metric.rmse, 3)}` : `logistic fit: ${metric.fit}`;
  byId("agreement-text").textContent =
    `${metric.name} on ${current.dataset.label}: ${metric.n} images, ` +
    `SRCC ${fixed(metric.srcc, 3)}, ${fit}.`;
  drawScatter();
  drawResiduals();
  drawGallery("over", metric.over);
  drawGallery("under", metric.under);
};
byId("metric").addEventListener("change", drawAgreement);
redraws.push(() => {
  if (!agreement.metric) return;
  drawScatter();
  drawResiduals();
});
