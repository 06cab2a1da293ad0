// Draws the charts in the page's colours; sorts and filters the table; shows and hides curves.
"use strict";

const table = document.getElementById("table");
const rows = [...table.tBodies[0].rows];
const heads = [...table.tHead.rows[0].cells];
const boxes = [...table.querySelectorAll("input[type=checkbox]")];
const first = rows.filter((row) => !row.hidden).length; // of a long table; the others when asked for
let whole = first === rows.length;
const views = {};
const MANY = 1500; // points of a chart, beyond which each as an element of the page takes too long

const keyOf = (row, column) => {
  const key = row.cells[column].dataset.key;
  return key === "" || key === undefined ? null : Number.isNaN(Number(key)) ? key : Number(key);
};

const compare = (a, b) => {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
};

function sortBy(column) {
  const head = heads[column];
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const each of heads) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const missing = (row) => keyOf(row, column) === null;
  const sorted = [...rows].sort((a, b) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b); // last, whichever way
    const order = compare(keyOf(a, column), keyOf(b, column));
    return down ? -order : order;
  });
  table.tBodies[0].append(...sorted);
  filter();
}

// every word must stand in the row; NAME=VALUE in the column of that name
function filter() {
  const names = heads.map((head) => head.textContent.trim());
  const words = document.getElementById("filter").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const meets = (row, word) => {
    const [name, value] = word.split("=");
    const column = value === undefined ? -1 : names.findIndex((n) => n.toLowerCase() === name);
    if (column >= 0) return row.cells[column].textContent.trim().toLowerCase() === value;
    return row.textContent.toLowerCase().includes(word);
  };
  let met = 0;
  for (const row of [...table.tBodies[0].rows]) {
    const meetsAll = words.every((word) => meets(row, word));
    met += meetsAll;
    row.hidden = !meetsAll || (!whole && met > first);
  }
  const all = rows.length === 1 ? "1 configuration" : `${rows.length} configurations`;
  const some = !whole && met > first;
  document.getElementById("count").textContent =
    (words.length ? `${met} of ${all}` : all) + (some ? `, the first ${first} of them shown` : "");
  document.getElementById("rest").hidden = !some;
}

function showWhole() {
  whole = true;
  filter();
}

function showCurves() {
  const shown = boxes.filter((box) => box.checked).map((box) => Number(box.value));
  for (const name of ["curves", "loss"]) views[name]?.signal("shown", shown).run();
}

function check(wanted) {
  for (const box of boxes) box.checked = wanted(Number(box.value));
  showCurves();
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const [ink, quiet, line] = ["--ink", "--quiet", "--line"].map((n) => style.getPropertyValue(n).trim());
  const axis = { labelColor: quiet, titleColor: ink, gridColor: line, domainColor: line, tickColor: line };
  return {
    background: "transparent", font: "system-ui, sans-serif",
    axis: { ...axis, labelFontSize: 12, titleFontSize: 12, gridOpacity: 0.6 },
    legend: { labelColor: quiet, titleColor: ink, labelFontSize: 12, titleFontSize: 12 },
    text: { color: ink }, view: { stroke: null },
  };
}

// a large program, begun once what is there already can be used
function loadLibrary() {
  const script = document.createElement("script");
  script.textContent = document.getElementById("library").textContent;
  document.head.append(script);
}

const pause = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go)));

// how far a chart is from what is seen
function distance(name) {
  const { top, bottom } = document.getElementById(name).getBoundingClientRect();
  return Math.max(0, top - innerHeight, -bottom);
}

const points = (spec) => Object.values(spec.datasets ?? {}).reduce((sum, rows) => sum + rows.length, 0);

async function draw() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches && !matchMedia("print").matches;
  const tooltip = { theme: dark ? "dark" : "light" };
  const logLevel = 1; // errors: that a chart without curves has no extent is no news
  const options = { actions: false, config: colours(), tooltip, logLevel };
  await pause();
  if (!window.vegaEmbed) loadLibrary();
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const left = Object.keys(specs);
  while (left.length) {
    await pause(); // what is there already is shown, and can be used
    left.sort((a, b) => distance(a) - distance(b));
    const name = left.shift();
    const renderer = points(specs[name]) > MANY ? "canvas" : "svg";
    views[name]?.finalize();
    views[name] = (await vegaEmbed(`#${name}`, specs[name], { ...options, renderer })).view;
  }
  showCurves();
}

heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => sortBy(column)));
document.getElementById("filter").addEventListener("input", filter);
document.getElementById("rest").addEventListener("click", showWhole);
addEventListener("beforeprint", showWhole);
filter();
boxes.forEach((box) => box.addEventListener("change", showCurves));
document.getElementById("all")?.addEventListener("click", () => check(() => true));
document.getElementById("five")?.addEventListener("click", () => check((curve) => curve < 5));
document.getElementById("none")?.addEventListener("click", () => check(() => false));
if (document.getElementById("specs")) {
  draw().then(() => document.documentElement.setAttribute("data-drawn", ""));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  matchMedia("print").addEventListener("change", draw);
}
