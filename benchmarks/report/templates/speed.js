// Seconds per image (logarithmic) against SRCC with its interval; labels move apart.
const logTicks = ([low, high]) => {
  const inside = (steps) => {
    const found = [];
    for (let power = Math.floor(low); power <= Math.ceil(high); power++) {
      for (const step of steps) found.push(power + Math.log10(step));
    }
    return found.filter((t) => t >= low && t <= high);
  };
  const [coarse, fine] = [inside([1]), inside([1, 2, 5])];
  return coarse.length >= 3 ? coarse : fine;
};

const speedOf = (p) => `${p.metric}: ${figure(p.seconds, 3)} s, SRCC ${fixed(p.srcc, 3)}`;

const drawSpeed = () => {
  const place = byId("speed-plot");
  const points = current.dataset.points;
  if (!points.length) {
    place.replaceChildren("No times are known.");
    return;
  }
  const log = points.map((p) => Math.log10(p.seconds));
  let xs = span(log, 0.08);
  while (logTicks(xs).length < 2) xs = [xs[0] - 0.1, xs[1] + 0.1];
  const marks = logTicks(xs);
  const ys = span(points.flatMap((p) => [p.srcc, p.srcc_low, p.srcc_high]), 0.08);
  const plot = axes(place, {
    height: 340, xs, ys, xTicks: [], xLabel: "seconds per image", yLabel: "SRCC",
    name: `SRCC against seconds per image on ${current.dataset.label}`,
  });
  const { box, node } = plot;
  for (const t of marks) {
    const at = plot.x(t);
    node.append(svg("line", { class: "grid", x1: at, x2: at, y1: box.top, y2: box.bottom }));
    const options = { class: "tick", "text-anchor": "middle" };
    node.append(text(at, box.bottom + 16, tickText(10 ** t), options));
  }
  // Names beside the dots where there is room for them; else numbers, with a list below.
  const order = points.map((_, i) => i).sort((i, j) => points[j].srcc - points[i].srcc);
  const named = box.right > 640 && points.length <= 8;
  const taken = [];
  order.forEach((i, place) => {
    const p = points[i];
    const [x, y] = [plot.x(log[i]), plot.y(p.srcc)];
    if (p.srcc_low !== null) {
      const ends = { y1: plot.y(p.srcc_low), y2: plot.y(p.srcc_high) };
      node.append(svg("line", { class: "whisker", x1: x, x2: x, ...ends }));
    }
    const dot = svg("circle", { class: "dot", cx: x, cy: y, r: 5 });
    dot.append(svg("title", {}, speedOf(p)));
    const name = named ? p.metric : String(place + 1);
    const right = x + 10 + name.length * 7 <= box.right;
    const left = right ? x + 10 : x - 10 - name.length * 7;
    const end = left + name.length * 7;
    let at = y + 4;
    while (taken.some((t) => Math.abs(t.at - at) < 14 && t.left < end && left < t.end)) at += 14;
    taken.push({ at, left, end });
    node.append(dot, text(left, at, name));
  });
  if (!named) {
    place.append(el("ol", { class: "legend" }, ...order.map((i) => el("li", {}, speedOf(points[i])))));
  }
};
redraws.push(drawSpeed);
