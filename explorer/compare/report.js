// Draw the charts: each <div class="chart"> holds its figure, as plotly's own JSON; what is folded away is drawn once it
// is unfolded, since it has no width before.
const draw = (place) => {
  const { data, layout } = JSON.parse(place.querySelector("script").textContent);
  place.querySelector("script").remove();
  const font = { ...layout.font, family: getComputedStyle(place).fontFamily };
  Plotly.newPlot(place, data, { ...layout, font, autosize: true }, {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  });
};
const waiting = (within) => within.querySelectorAll(".chart:has(> script)");

for (const folded of document.querySelectorAll("details")) {
  folded.addEventListener("toggle", () => folded.open && waiting(folded).forEach(draw));
}
document.fonts.load("16px Inter").then(() => { // by which names are measured
  for (const place of waiting(document)) {
    if (!place.closest("details:not([open])")) draw(place);
  }
});
