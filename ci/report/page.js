"use strict";

/* Sorting: every heading with data-sort becomes a button. Numbers sort as numbers; what is no number comes last. */
const collator = new Intl.Collator("en", { numeric: true });

function keyOf(row, index, kind) {
  const cell = row.cells[index];
  if (kind === "text") return cell.textContent.trim();
  const text = cell.dataset.value ?? "";
  const value = text === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}

function sortTable(table, heading, index) {
  const kind = heading.dataset.sort;
  const up = heading.getAttribute("aria-sort") !== "ascending";
  const body = table.tBodies[0];
  const keyed = Array.from(body.rows, (row) => ({ row, key: keyOf(row, index, kind) }));
  const isEmpty = (key) => key === null || key === "";
  keyed.sort((one, other) => {
    if (isEmpty(one.key) || isEmpty(other.key)) return isEmpty(one.key) - isEmpty(other.key);
    const order = kind === "text" ? collator.compare(one.key, other.key) : one.key - other.key;
    return up ? order : -order;
  });
  body.append(...keyed.map((entry) => entry.row));
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", up ? "ascending" : "descending");
}

for (const table of document.querySelectorAll("table.sortable")) {
  Array.from(table.tHead.rows[0].cells).forEach((heading, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sortTable(table, heading, index));
    heading.append(button);
  });
}

/* The filter: a case is shown when its row in the table holds every word, and its result is the one asked for. */
const filter = document.getElementById("filter");
const words = document.getElementById("words");
const kind = document.getElementById("kind");
const shown = document.getElementById("shown");
const caseTable = document.getElementById("case-table");
const rows = caseTable ? Array.from(caseTable.tBodies[0].rows) : [];

function applyFilter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = new Set();
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    const good = wanted.every((word) => text.includes(word)) && (!kind.value || row.classList.contains(kind.value));
    if (good) kept.add(row.dataset.case);
  }
  for (const element of document.querySelectorAll("tr[data-case], article.case")) {
    element.hidden = !kept.has(element.dataset.case ?? element.id);
  }
  for (const part of document.querySelectorAll("#failures, #passed")) {
    part.hidden = !part.querySelector("article.case:not([hidden])");
  }
  shown.textContent = `${kept.size} of ${rows.length} cases`;
}

if (rows.length) {
  filter.hidden = false;
  words.addEventListener("input", applyFilter);
  kind.addEventListener("change", applyFilter);
  applyFilter();
}

/* A link to a case that the filter hides shows all cases again. */
window.addEventListener("hashchange", () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target || !target.closest("[hidden]")) return;
  words.value = kind.value = "";
  applyFilter();
  target.scrollIntoView();
});
