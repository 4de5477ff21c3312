"use strict";
// Draws the plots once they are near the window, in the colours of the page; on paper, in those of paper.
(function () {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage", "resetScale2d"]],
    toImageButtonOptions: { format: "svg", filename: "eas-bench" },
  };
  const paper = { ink: "#111111", soft: "#444444", grid: "#e3e3e3", card: "#ffffff", rule: "#cccccc" };

  function screen() {
    const style = getComputedStyle(document.documentElement);
    const value = (name) => style.getPropertyValue("--" + name).trim();
    return { ink: value("ink"), soft: value("soft"), grid: value("grid"), card: value("card"), rule: value("rule") };
  }

  function coloured(layout, look) {
    const changed = {
      "font.color": look.soft,
      "modebar.bgcolor": "rgba(0,0,0,0)",
      "modebar.color": look.soft,
      "modebar.activecolor": look.ink,
      "hoverlabel.bgcolor": look.card,
      "hoverlabel.bordercolor": look.rule,
      "hoverlabel.font.color": look.ink,
    };
    for (const axis of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) {
      changed[axis + ".gridcolor"] = look.grid;
      changed[axis + ".linecolor"] = look.rule;
      changed[axis + ".tickcolor"] = look.rule;
    }
    return changed;
  }

  const drawn = () => Array.from(document.querySelectorAll(".plot.js-plotly-plot"));

  function draw(place) {
    if (place.classList.contains("js-plotly-plot")) return Promise.resolve();
    const figure = figures[place.id];
    return Plotly.newPlot(place, figure.data, figure.layout, config).then(function () {
      return Plotly.relayout(place, coloured(place.layout, screen()));
    });
  }

  function repaint(look, size) {
    drawn().forEach((place) => Plotly.relayout(place, Object.assign(coloured(place.layout, look), size || {})));
  }

  dark.addEventListener("change", () => repaint(screen()));
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details.run").forEach((run) => { run.open = true; });
    document.querySelectorAll(".plot").forEach(draw);
    repaint(paper, { width: 660, autosize: false });
  });
  window.addEventListener("afterprint", () => repaint(screen(), { width: null, autosize: true }));
  // Those in a closed part have no size yet.
  document.querySelectorAll("details.run").forEach(function (run) {
    run.addEventListener("toggle", () => run.open && run.querySelectorAll(".plot").forEach(draw));
  });
  const waiting = Array.from(document.querySelectorAll(".plot")).filter((place) => !place.closest("details.run:not([open])"));
  Promise.all(waiting.map(draw)).then(
    () => document.documentElement.setAttribute("data-drawn", String(drawn().length)),
    (error) => document.documentElement.setAttribute("data-error", String(error)),
  );
})();
