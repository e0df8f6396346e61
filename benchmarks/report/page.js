"use strict";

// Sorting: numbers by value, texts as people sort them; a cell without an order comes last either way.
function order(row, column) {
  return row.cells[column].dataset.order;
}

function compare(one, other, numeric, sign) {
  if (one === undefined || other === undefined) return (one === undefined) - (other === undefined);
  return sign * (numeric ? Number(one) - Number(other) : one.localeCompare(other, undefined, { numeric: true }));
}

function sortBy(header) {
  const column = header.cellIndex;
  const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of header.parentElement.cells) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  const body = header.closest("table").tBodies[0];
  const numeric = header.matches(".number, .tagged");
  const rows = [...body.rows].sort((a, b) => compare(order(a, column), order(b, column), numeric, sign));
  body.append(...rows);
}

for (const header of document.querySelectorAll("table.sortable thead th")) {
  header.querySelector("button").addEventListener("click", () => sortBy(header));
}

// Filtering: rows of the summary are hidden, what charts and details show of them steps back.
const filters = document.getElementById("filters");
if (filters) {
  const [text, preset, backend] = ["filter", "preset", "backend"].map((id) => document.getElementById(id));
  const rows = [...document.querySelectorAll("#summary-table tbody tr")];
  const apply = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hidden = new Set();
    for (const row of rows) {
      const content = row.textContent.toLowerCase();
      row.hidden =
        !words.every((word) => content.includes(word)) ||
        Boolean(preset.value && preset.value !== row.dataset.preset) ||
        Boolean(backend.value && backend.value !== row.dataset.backend);
      if (row.hidden) hidden.add(row.dataset.tag);
    }
    for (const part of document.querySelectorAll(".charts [data-tag]")) {
      part.classList.toggle("dimmed", hidden.has(part.dataset.tag));
    }
    for (const part of document.querySelectorAll("details[data-tag]")) part.hidden = hidden.has(part.dataset.tag);
    document.getElementById("shown").textContent = `${rows.length - hidden.size} of ${rows.length} rows`;
  };
  filters.addEventListener("input", apply);
  filters.addEventListener("change", apply); // all that the lists of some browsers tell
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.reset(); // browsers remember what was typed before a reload
  apply();
}

// A row's number leads to its details, which then are open.
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") target.open = true;
}
addEventListener("hashchange", openTarget);
openTarget();

const theme = document.getElementById("theme");
const systemDark = matchMedia("(prefers-color-scheme: dark)");
function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : systemDark.matches;
}
function labelTheme() {
  theme.textContent = isDark() ? "light" : "dark";
  theme.setAttribute("aria-label", `switch to ${theme.textContent} colours`);
}
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  labelTheme();
});
systemDark.addEventListener("change", labelTheme);
labelTheme();
