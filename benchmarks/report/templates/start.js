// Fill the controls, draw, and draw again where the width changes.
const chooseDataset = () => {
  current.dataset = report.datasets[Number(byId("dataset").value)];
  const names = current.dataset.metrics.map((m) => m.name);
  options(byId("metric"), names, Math.max(0, names.indexOf(current.dataset.leaders[0])));
  drawAgreement();
  drawGmad();
  drawSpeed();
};
options(byId("dataset"), report.datasets.map((d) => d.label));
byId("dataset").addEventListener("change", chooseDataset);
chooseDataset();
drawLadders();
if (report.robustness) drawRobustness();

const themes = ["auto", "light", "dark"];
byId("theme").addEventListener("click", (event) => {
  const next = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % 3];
  document.documentElement.dataset.theme = next;
  document.documentElement.style.colorScheme = next === "auto" ? "" : next;
  event.currentTarget.textContent = `Theme: ${next}`;
});

let lastWidth = document.documentElement.clientWidth;
addEventListener("resize", () => {
  const width = document.documentElement.clientWidth;
  if (width === lastWidth) return;
  lastWidth = width;
  hideTip();
  for (const redraw of redraws) redraw();
});
addEventListener("scroll", hideTip, { passive: true });
