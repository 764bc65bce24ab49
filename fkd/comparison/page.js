"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const rows = data.runs.rows;
const COLOURS = ["#2f5bea", "#e8590c", "#0f9d6b", "#c2255c", "#7048e8", "#b08800", "#1098ad", "#845c40", "#5c7080", "#74b816"];
const DASHES = ["solid", "dash", "dot"];
const drawn = data.curves.map((curve) => curve.run);
const curvesOf = new Map(data.curves.map((curve) => [curve.run, curve]));
const chosen = new Set(data.chosen);
const scoreTitle = data.by === "test" ? "test NME (inter-ocular, %)" : "val NME (inter-ocular, %)";

const colour = (run) => COLOURS[drawn.indexOf(run) % COLOURS.length];
const dash = (run) => DASHES[Math.floor(drawn.indexOf(run) / COLOURS.length) % DASHES.length];
const picked = () => drawn.filter((run) => chosen.has(run));
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;"); // Plotly reads tags in names
const label = (run) => plain(rows[run].label);

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// ---- tables ----

function valueOf(cell) {
  return cell !== null && typeof cell === "object" ? cell.value : cell;
}

function textOf(cell, column) {
  if (cell !== null && typeof cell === "object") return cell.text;
  if (cell === null) return "–";
  return cell.toLocaleString("en", { minimumFractionDigits: column.digits, maximumFractionDigits: column.digits });
}

function bestOf(table, index) {
  const better = table.columns[index].better;
  const known = table.rows.filter((row) => row.place !== null).map((row) => valueOf(row.cells[index])).filter((v) => v !== null);
  return better && known.length ? (better < 0 ? Math.min(...known) : Math.max(...known)) : null;
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
    const number = !column.setting || table.rows.every((row) => typeof valueOf(row.cells[index]) === "number");
    return {
      ...column,
      number,
      key: (row) => valueOf(row.cells[index]),
      cell: (row) => {
        const cell = row.cells[index];
        const isBest = best !== null && row.place !== null && valueOf(cell) === best;
        return element("td", textOf(cell, column), `${number ? "number" : ""} ${isBest ? "best" : ""}`.trim());
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
    const swatch = element("span", "", "swatch");
    swatch.style.background = colour(run);
    cell.append(box, swatch);
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
    line: { color: colour(run), dash: dash(run), width: 2 }, marker: { color: colour(run) }, ...more,
  };
}

function drawErrors() {
  const traces = picked().filter((run) => curvesOf.get(run).ced).map((run) => {
    const ced = curvesOf.get(run).ced;
    return line(run, ced, {
      line: { color: colour(run), dash: dash(run), width: 2, shape: "hv" },
      hovertemplate: "%{y:.1f} % of faces up to %{x:.2f} %<extra>%{fullData.name}</extra>",
    });
  });
  plot("ced", traces, axis("NME (inter-ocular, %)", { range: [0, 10] }), axis("faces (%)", { range: [0, 100.5] }));
}

function drawTraining() {
  const curves = (name) => picked().filter((run) => curvesOf.get(run).training[name]).map((run) => [run, curvesOf.get(run).training[name]]);
  const last = Math.max(0, ...picked().flatMap((run) => Object.values(curvesOf.get(run).training).map((points) => points.x.at(-1))));
  const epochs = axis("epoch", last <= 12 ? { dtick: 1 } : {});
  const nme = curves("val/nme").map(([run, points]) => line(run, points));
  plot("nme", nme, epochs, axis("val NME (inter-ocular, %)", { type: "log" }));
  const validated = curves("val/loss").map(([run, points]) => line(run, points));
  const trained = curves("train/loss").map(([run, points]) => line(run, points, {
    name: `${label(run)}, training`, line: { color: colour(run), dash: "dot", width: 1.2 },
  }));
  plot("loss", [...trained, ...validated], epochs, axis("loss", { type: "log", exponentformat: "none" }));
}

function drawParts() {
  const tested = picked().every((run) => curvesOf.get(run).test_parts);
  const parts = (run) => (tested ? curvesOf.get(run).test_parts : curvesOf.get(run).val_parts) || {};
  document.getElementById("parts-of").textContent = tested ? "on the test faces" : "on the validation faces, best epoch";
  const traces = picked().map((run) => ({
    type: "bar", name: label(run), marker: { color: colour(run) },
    x: Object.keys(parts(run)).map((part) => part.replace("_", " ")), y: Object.values(parts(run)),
    hovertemplate: "%{x}: %{y:.2f} %<extra>%{fullData.name}</extra>",
  }));
  plot("parts", traces, axis(""), axis("NME (inter-ocular, %)"), { barmode: "group", bargap: 0.25 });
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
    traces.push(points([cost], { name: label(cost.run), marker: { color: colour(cost.run), size: 11, line: { width: 1, color: "#fff" } } }));
  }
  plot(key, traces, axis(title, { type: "log", exponentformat: "SI" }), axis(scoreTitle));
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
    tr.append(element("td", face.name));
    for (const { run, column } of shown) {
      const cell = element("td");
      const picture = element("img");
      picture.src = face.cells[column].picture;
      picture.alt = `${face.name}, ${rows[run].label}`;
      cell.append(picture, element("span", face.cells[column].caption));
      tr.append(cell);
    }
  }
}

function drawLegend() {
  document.getElementById("legend").replaceChildren(...picked().map((run) => {
    const entry = element("span");
    const swatch = element("span", "", "swatch");
    swatch.style.background = colour(run);
    const ced = curvesOf.get(run).ced;
    entry.append(swatch, element("span", ced ? `${rows[run].label} (AUC ${ced.auc.toFixed(3)})` : rows[run].label));
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
document.getElementById("notes").append(...data.notes.map((note) => element("li", note)));
if (data.groups) {
  document.getElementById("groups-section").hidden = false;
  showTable("groups", data.groups, [placeColumn, ...figureColumns(data.groups)]);
}
showTable("runs", data.runs, [tickColumn, placeColumn, ...figureColumns(data.runs), stateColumn, nameColumn]);
draw();
