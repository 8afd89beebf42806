(function () {
  var plot = document.getElementById("plot"), cursor = document.getElementById("cursor"), out = document.getElementById("readout");
  var data = JSON.parse(document.getElementById("data").textContent).series;
  var from = +plot.dataset.from, to = +plot.dataset.to, margin = +plot.dataset.margin;
  function at(points, t) {
    var best = null;
    for (var i = 0; i < points.length && points[i][0] <= t; i++) best = points[i];
    return best ? best[1] : undefined;
  }
  function show(event) {
    var box = plot.getBoundingClientRect(), view = plot.viewBox.baseVal;
    var x = (event.clientX - box.left) / box.width * view.width - margin, width = view.width - 2 * margin;
    if (x < 0 || x > width) return hide();
    var t = from + x / width * (to - from), told = [];
    cursor.setAttribute("x1", x); cursor.setAttribute("x2", x); cursor.style.display = "block";
    Object.keys(data).slice(0, 8).forEach(function (name) {
      var value = at(data[name], t);
      if (value !== undefined) told.push(name + " " + (value === null ? "no value" : +value.toPrecision(3)));
    });
    out.textContent = (t < 0 ? "\u2212" : "+") + Math.abs(t).toFixed(2) + " s   " + told.join("   ");
  }
  function hide() { cursor.style.display = "none"; out.textContent = out.dataset.idle; }
  plot.addEventListener("pointermove", show);
  plot.addEventListener("pointerleave", hide);
})();
