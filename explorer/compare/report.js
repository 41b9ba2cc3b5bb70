// Draw the charts: each <div class="chart"> holds its figure, as plotly's own JSON.
for (const place of document.querySelectorAll(".chart")) {
  const { data, layout } = JSON.parse(place.querySelector("script").textContent);
  place.querySelector("script").remove();
  Plotly.newPlot(place, data, { ...layout, autosize: true }, {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  });
}
