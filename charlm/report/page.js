// Shows the nearest point of each run on hovering, touching or the arrow keys. Without this script the plot is static.
"use strict";
(() => {
  const runs = JSON.parse(document.getElementById("points").textContent);
  const order = ["characters", "minutes", "steps"], svgNames = "http://www.w3.org/2000/svg";
  const numbers = (svg, key) => svg.dataset[key].split(" ").map(Number);
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
  const short = (value) => compact.format(value).replace("K", "k").replace("B", "G");

  function scaleOf(svg) {
    const [left, right, top, floor] = numbers(svg, "box"), [low, high, log] = numbers(svg, "across");
    const [least, most] = numbers(svg, "up");
    const position = (x) => (log ? Math.log(x / low) / Math.log(high / low) : (x - low) / (high - low));
    return {
      left, right, top, floor,
      x: (value) => left + position(value) * (right - left),
      y: (bits) => Math.max(top, Math.min(floor, floor - ((bits - least) / (most - least)) * (floor - top))),
      knows: (value) => value !== null && (!log || value > 0),
    };
  }

  function element(name, attributes, text) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function follow(chart) {
    const tip = chart.querySelector(".tip"), { index: own, unit, decimals, sign } = chart.dataset;
    const visible = () => [...chart.querySelectorAll(".plot")].find((svg) => svg.getClientRects().length);
    const pointsOf = (run) => run.charts[Number(own)];

    // The point of each run that is nearest to `at`, in pixels of the plot, with its position.
    function nearest(svg, scale, at) {
      const key = order.indexOf(svg.dataset.axis), found = [];
      runs.forEach((run, index) => {
        let best = null;
        for (const point of pointsOf(run)) {
          if (!scale.knows(point[key])) continue;
          const x = scale.x(point[key]), away = Math.abs(x - at);
          if (best === null || away < best.away) best = { away, x, y: scale.y(point[3]), point, run, index };
        }
        if (best !== null) found.push(best);
      });
      return found.sort((a, b) => (a.point[3] - b.point[3]) * Number(sign));
    }

    function clear() {
      tip.hidden = true;
      chart.querySelectorAll(".hover").forEach((group) => group.remove());
    }

    function show(svg, at) {
      clear();
      const scale = scaleOf(svg), found = nearest(svg, scale, at);
      if (!found.length) return;
      const group = document.createElementNS(svgNames, "g");
      group.setAttribute("class", "hover");
      const draw = (name, attributes) => {
        const made = document.createElementNS(svgNames, name);
        for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
        group.append(made);
      };
      draw("line", { class: "guide", x1: at, x2: at, y1: scale.top, y2: scale.floor });
      const table = element("table", {}), key = order.indexOf(svg.dataset.axis);
      const head = table.insertRow();
      for (const title of ["", "run", unit, svg.dataset.title]) head.append(element("th", { scope: "col" }, title));
      for (const { x, y, point, run, index } of found) {
        draw("circle", { class: `near r${index}`, cx: x, cy: y, r: 4 });
        const row = table.insertRow();
        row.append(element("td", {}), element("td", {}, run.name + (run.trained ? " (training)" : "")));
        row.append(element("td", {}, point[3].toFixed(Number(decimals))), element("td", {}, short(point[key])));
        row.firstChild.append(document.querySelector(`.legend .r${index}`).closest("svg").cloneNode(true));
      }
      svg.append(group);
      tip.replaceChildren(table);
      tip.hidden = false;
      const box = svg.getBoundingClientRect(), above = box.top - chart.getBoundingClientRect().top;
      const factor = box.width / svg.viewBox.baseVal.width, width = chart.clientWidth;
      const right = at * factor + 14, left = at * factor - 14 - tip.offsetWidth;
      const fits = right + tip.offsetWidth <= width;
      tip.style.left = `${Math.max(0, fits ? right : left >= 0 ? left : width - tip.offsetWidth)}px`;
      tip.style.top = `${above + (fits || left >= 0 ? 16 : box.height)}px`; // below the plot where there is no room beside the pointer
    }

    let at = null;
    chart.addEventListener("pointermove", (event) => {
      const svg = event.target.closest(".plot");
      if (!svg) return;
      const scale = scaleOf(svg), box = svg.getBoundingClientRect();
      at = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      if (at < scale.left - 5 || at > scale.right + 5) clear();
      else show(svg, Math.max(scale.left, Math.min(scale.right, at)));
    });
    chart.addEventListener("pointerleave", clear);
    chart.addEventListener("blur", clear);
    chart.addEventListener("keydown", (event) => {
      if (event.key === "Escape") clear();
      const direction = { ArrowRight: 1, ArrowLeft: -1 }[event.key], svg = visible();
      if (!direction || !svg) return;
      event.preventDefault();
      const scale = scaleOf(svg), key = order.indexOf(svg.dataset.axis);
      const positions = runs.flatMap((run) => pointsOf(run).map((point) => point[key])).filter(scale.knows).map(scale.x);
      const sorted = positions.sort((a, b) => a - b), from = at === null ? -Infinity : at;
      const next = direction > 0 ? sorted.find((x) => x > from + 1) : sorted.findLast((x) => x < from - 1);
      if (next !== undefined) show(svg, (at = next));
    });
    document.querySelectorAll("input[name=axis]").forEach((input) => input.addEventListener("change", clear));
  }

  document.querySelectorAll(".chart").forEach(follow);
})();
