"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const rows = data.runs.rows;
// When colours are used up, they come again with another dash, symbol and hatching.
const STYLES = [
  { dash: "solid", strokes: "", symbol: "circle", pattern: "" },
  { dash: "dash", strokes: "5 3", symbol: "square", pattern: "/" },
  { dash: "dot", strokes: "1.5 2.5", symbol: "diamond", pattern: "." },
  { dash: "dashdot", strokes: "6 2 1.5 2", symbol: "triangle-up", pattern: "x" },
  { dash: "longdash", strokes: "10 3", symbol: "cross", pattern: "-" },
];
const drawn = data.curves.map((curve) => curve.run);
const curvesOf = new Map(data.curves.map((curve) => [curve.run, curve]));
const chosen = new Set(data.chosen);

const colour = (run) => data.colours[drawn.indexOf(run) % data.colours.length];
const style = (run) => STYLES[Math.floor(drawn.indexOf(run) / data.colours.length) % STYLES.length];
const picked = () => drawn.filter((run) => chosen.has(run));
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;"); // Plotly reads tags in names
const label = (run) => plain(rows[run].label);

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function swatch(run) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("class", "swatch");
  made.innerHTML = `<line x1="0" y1="5" x2="26" y2="5" stroke="${colour(run)}" stroke-width="3" stroke-dasharray="${style(run).strokes}"/>`;
  return made;
}

// ---- tables ----

// Null where all are alike: then none is the best.
function bestOf(table, index) {
  const better = table.columns[index].better;
  const known = new Set(table.rows.filter((row) => row.place !== null).map((row) => row.cells[index].value).filter((v) => v !== null));
  return better && known.size > 1 ? (better < 0 ? Math.min(...known) : Math.max(...known)) : null;
}

// Rows without a value stay at the end, whichever way a column is sorted.
function compare(a, b, direction) {
  const [noA, noB] = [a === null || a === "–", b === null || b === "–"];
  if (noA || noB) return noA - noB;
  if (typeof a === "number" && typeof b === "number") return direction * (a - b);
  return direction * String(a).localeCompare(String(b), "en", { numeric: true });
}

function showTable(id, table, columns) {
  const place = document.getElementById(id);
  const head = place.createTHead().insertRow();
  const body = place.createTBody();
  const lines = table.rows.map((row, index) => ({ row, index, line: element("tr") }));
  columns.forEach((column) => {
    const heading = element("th", column.title, column.number ? "number" : "");
    if (column.tip) heading.title = column.tip;
    if (column.key) {
      heading.tabIndex = 0;
      const sort = () => {
        const rising = heading.getAttribute("aria-sort") !== "ascending";
        const first = heading.hasAttribute("aria-sort") ? rising : column.better !== 1;
        for (const other of head.cells) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", first ? "ascending" : "descending");
        lines.sort((a, b) => compare(column.key(a.row), column.key(b.row), first ? 1 : -1) || a.index - b.index);
        body.append(...lines.map((entry) => entry.line));
      };
      heading.addEventListener("click", sort);
      heading.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
    }
    head.append(heading);
  });
  for (const { row, index, line } of lines) {
    for (const column of columns) line.append(column.cell(row, index));
    body.append(line);
  }
}

function figureColumns(table) {
  return table.columns.map((column, index) => {
    const best = bestOf(table, index);
    const number = !column.setting || table.rows.every((row) => typeof row.cells[index].value === "number");
    return {
      ...column,
      number,
      key: (row) => row.cells[index].value,
      cell: (row) => {
        const cell = row.cells[index];
        const isBest = best !== null && row.place !== null && cell.value === best;
        return element("td", cell.text, `${number ? "number" : ""} ${isBest ? "best" : ""}`.trim());
      },
    };
  });
}

const placeColumn = {
  title: "#", tip: "rank", number: true, key: (row) => row.place,
  cell: (row) => element("td", row.place === null ? "" : String(row.place), "number"),
};

const tickColumn = {
  title: "",
  cell: (row, run) => {
    const cell = element("td");
    if (!drawn.includes(run)) return cell;
    const box = element("input");
    box.type = "checkbox";
    box.checked = chosen.has(run);
    box.setAttribute("aria-label", `draw ${row.label}`);
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(run); else chosen.delete(run);
      draw();
    });
    cell.append(box, swatch(run));
    return cell;
  },
};

const stateColumn = {
  title: "status", key: (row) => row.state,
  cell: (row) => {
    const cell = element("td", row.state, row.lost ? "lost" : "");
    cell.title = row.state;
    return cell;
  },
};

const nameColumn = {
  title: "run", key: (row) => row.name,
  cell: (row) => {
    const cell = element("td", row.name);
    cell.title = row.name;
    return cell;
  },
};

// ---- charts ----

const FONT = { family: "system-ui, sans-serif", size: 12, color: "#1f2430" };

function axis(title, more) {
  return { title: { text: title, standoff: 8 }, gridcolor: "#eceff3", zeroline: false, automargin: true, ...more };
}

// Logarithmic where values span more than a factor of 3, with 4 ticks or more at round numbers.
function wideAxis(title, values) {
  const [low, high] = [Math.min(...values) / 1.1, Math.max(...values) * 1.1];
  if (high / low < 1.2101) return axis(title, { range: [0.5 * low, 1.5 * high] }); // all alike
  if (!(low > 0 && high / low > 3.6)) return axis(title);
  const powers = [...Array(40).keys()].map((i) => 10 ** (i - 20));
  const ticks = [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 7]]
    .map((steps) => powers.flatMap((power) => steps.map((step) => step * power)).filter((tick) => tick >= low && tick <= high));
  const tickvals = ticks.find((some) => some.length >= 4) || ticks.at(-1);
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
  return axis(title, { type: "log", range: [Math.log10(low), Math.log10(high)], tickvals, ticktext: tickvals.map((tick) => short.format(tick)) });
}

function plot(id, traces, x, y, more) {
  const layout = {
    font: FONT, xaxis: x, yaxis: y, margin: { l: 56, r: 12, t: 8, b: 44 }, paper_bgcolor: "#fff", plot_bgcolor: "#fff",
    showlegend: false, hovermode: "closest", hoverlabel: { namelength: -1 }, ...more,
  };
  Plotly.react(id, traces, layout, { responsive: true, displayModeBar: false });
}

function line(run, points, more) {
  return {
    type: "scatter", mode: points.x.length > 1 ? "lines" : "markers", x: points.x, y: points.y, name: label(run),
    line: { color: colour(run), dash: style(run).dash, width: 2 }, marker: { color: colour(run), symbol: style(run).symbol, size: 8 }, ...more,
  };
}

function drawErrors() {
  const traces = picked().filter((run) => curvesOf.get(run).ced).map((run) => {
    const ced = curvesOf.get(run).ced;
    return line(run, ced, {
      line: { color: colour(run), dash: style(run).dash, width: 2, shape: "hv" },
      hovertemplate: "%{y:.1f} % of faces up to %{x:.2f} %<extra>%{fullData.name}</extra>",
    });
  });
  plot("ced", traces, axis("NME (inter-ocular, %)", { range: [0, data.limit] }), axis("faces (%)", { range: [0, 100.5] }));
}

function drawTraining() {
  const curves = (name) => picked().filter((run) => curvesOf.get(run).training[name]).map((run) => [run, curvesOf.get(run).training[name]]);
  const last = Math.max(0, ...picked().flatMap((run) => Object.values(curvesOf.get(run).training).map((points) => points.x.at(-1))));
  const epochs = axis("epoch", last <= 12 ? { dtick: 1 } : {});
  const nme = curves("val/nme").map(([run, points]) => line(run, points));
  plot("nme", nme, epochs, wideAxis("val NME (inter-ocular, %)", nme.flatMap((trace) => trace.y)));
  const validated = curves("val/loss").map(([run, points]) => line(run, points));
  const trained = curves("train/loss").map(([run, points]) => line(run, points, {
    name: `${label(run)}, training`, line: { color: colour(run), dash: style(run).dash, width: 1 }, opacity: 0.6,
  }));
  const losses = [...trained, ...validated];
  plot("loss", losses, epochs, wideAxis("loss", losses.flatMap((trace) => trace.y)));
}

function drawParts() {
  const known = (which) => picked().filter((run) => Object.keys(curvesOf.get(run)[which]).length).length;
  const tested = known("test_parts") >= known("val_parts");
  const parts = (run) => curvesOf.get(run)[tested ? "test_parts" : "val_parts"];
  document.getElementById("parts-of").textContent = tested ? "on the test faces" : "on the validation faces, best epoch";
  const traces = picked().map((run) => ({
    type: "bar", name: label(run), marker: { color: colour(run), pattern: { shape: style(run).pattern } },
    x: Object.keys(parts(run)).map((part) => plain(part).replace("_", "<br>")), y: Object.values(parts(run)),
    hovertemplate: "%{x}: %{y:.2f} %<extra>%{fullData.name}</extra>",
  }));
  plot("parts", traces, axis("", { tickangle: 0 }), axis("NME (inter-ocular, %)"), { barmode: "group", bargap: 0.25 });
}

function drawCost(key, title) {
  const known = data.costs.map((cost, run) => ({ ...cost, run })).filter((cost) => cost[key] > 0 && cost.nme !== null);
  const points = (some, more) => ({
    type: "scatter", mode: "markers", x: some.map((cost) => cost[key]), y: some.map((cost) => cost.nme), text: some.map((cost) => label(cost.run)),
    hovertemplate: "%{text}<br>%{x:,} " + title + ", %{y:.2f} %<extra></extra>", ...more,
  });
  const others = known.filter((cost) => !chosen.has(cost.run));
  const traces = [points(others, { name: "others", marker: { color: "#c3c9d2", size: 8 } })];
  for (const cost of known.filter((c) => chosen.has(c.run))) {
    traces.push(points([cost], { name: label(cost.run), marker: { color: colour(cost.run), symbol: style(cost.run).symbol, size: 11, line: { width: 1, color: "#fff" } } }));
  }
  plot(key, traces, wideAxis(title, known.map((cost) => cost[key])), axis(data.score));
}

// ---- overlays ----

function drawOverlays() {
  const table = document.getElementById("overlays");
  table.replaceChildren();
  if (typeof data.overlays === "string") {
    document.getElementById("no-overlays").textContent = data.overlays;
    return;
  }
  const shown = data.overlaid.map((run, column) => ({ run, column })).filter(({ run }) => chosen.has(run));
  document.getElementById("no-overlays").textContent = shown.length ? "" : "tick one of the best runs to see its faces";
  if (!shown.length) return;
  const head = table.createTHead().insertRow();
  head.append(element("th"));
  for (const { run } of shown) {
    const heading = element("th", rows[run].label);
    heading.style.borderBottom = `3px solid ${colour(run)}`;
    head.append(heading);
  }
  const body = table.createTBody();
  for (const face of data.overlays) {
    const tr = body.insertRow();
    const name = tr.insertCell();
    name.append(...face.name.split(/(?<=[/_])/).flatMap((part) => [part, element("wbr")])); // lines end there
    for (const { run, column } of shown) {
      const cell = element("td");
      const image = element("img");
      image.src = face.cells[column].image;
      image.alt = `${face.name}, ${rows[run].label}`;
      cell.append(image, element("span", face.cells[column].caption));
      tr.append(cell);
    }
  }
}

function drawLegend() {
  document.getElementById("legend").replaceChildren(...picked().map((run) => {
    const entry = element("span");
    const ced = curvesOf.get(run).ced;
    entry.append(swatch(run), element("span", ced ? `${rows[run].label} (AUC ${ced.auc.toFixed(3)})` : rows[run].label));
    return entry;
  }));
}

function draw() {
  drawLegend();
  drawErrors();
  drawTraining();
  drawParts();
  drawCost("parameters", "parameters");
  drawCost("images_per_s", "images/s in training");
  drawOverlays();
}

document.getElementById("counts").textContent = Object.entries(data.counts).map(([status, count]) => `${count.toLocaleString("en")} ${status}`).join(", ");
document.getElementById("judgement").textContent = data.judgement;
document.getElementById("judgement").hidden = data.judgement === null;
document.getElementById("notes").append(...data.notes.map((note) => element("li", note)));
if (data.groups) {
  document.getElementById("groups-section").hidden = false;
  showTable("groups", data.groups, [placeColumn, ...figureColumns(data.groups)]);
}
showTable("runs", data.runs, [tickColumn, placeColumn, ...figureColumns(data.runs), stateColumn, nameColumn]);
draw();
