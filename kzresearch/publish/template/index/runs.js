"use strict";
// Filters and sorts the tables of runs and says how to cite a run. The page is whole without it.
const [words, status] = document.querySelectorAll("#filter input, #filter select");
const count = document.querySelector("#count");
const dialog = document.querySelector("dialog");
const [said, copy] = dialog.querySelectorAll("p, button");
// Browsers know neither the alphabet nor the numbers of every language: the page says what they lack.
const { lang: language, dataset: { alphabet, thousands } } = document.documentElement;
const collator = new Intl.Collator(language, { numeric: true });
const placed = (text) => [...text.toLocaleLowerCase(language)].map((letter) => {
  const place = alphabet.indexOf(letter);
  return place < 0 ? letter : String.fromCharCode(0xe000 + place);
}).join("");
const compare = (one, other) => collator.compare(...(alphabet ? [placed(one), placed(other)] : [one, other]));
const inWords = (count) => String(count).replace(/\B(?=(\d{3})+$)/g, thousands);
const valueOf = (row, i) => row.cells[i].dataset.v ?? row.cells[i].textContent;

const tables = [...document.querySelectorAll("table[data-all]")].map((table) => {
  const heads = [...table.tHead.rows[0].cells];
  const searched = heads.flatMap((head, i) => ("words" in head.dataset ? [i] : []));
  const runs = [...table.tBodies[0].rows].map((row) => {
    const parts = searched.flatMap((i) => [
      heads[i].textContent, row.cells[i].textContent, row.cells[i].dataset.v ?? "",
    ]);
    return { row, text: [table.dataset.all, ...parts].join(" ").toLocaleLowerCase(language) };
  });
  return { section: table.closest("section"), body: table.tBodies[0], heads, runs };
});

function filter() {
  const wanted = words.value.toLocaleLowerCase(language).split(/\s+/);
  let shown = 0;
  for (const { section, runs } of tables) {
    let here = 0;
    for (const { row, text } of runs) {
      const fits = wanted.every((word) => text.includes(word))
        && (!status.value || (status.value === "failed") === (row.className === "bad"));
      if (row.hidden === fits) row.hidden = !fits;
      here += fits;
    }
    section.hidden = here === 0;
    shown += here;
  }
  count.textContent = count.dataset.shown.replace("{shown}", inWords(shown));
}

function sort({ body, heads, runs }, i) {
  const down = heads[i].ariaSort === "ascending";
  const order = heads[i].className === "number" ? (a, b) => a - b : compare;
  const keys = new Map(runs.map(({ row }) => [row, valueOf(row, i)]));
  runs.sort(({ row: one }, { row: other }) => {
    const a = keys.get(one), b = keys.get(other);
    if (a === "" || b === "") return (a === "") - (b === ""); // what has no value is last, always
    return down ? order(b, a) : order(a, b);
  });
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[i].ariaSort = down ? "descending" : "ascending";
  const sorted = document.createDocumentFragment();
  for (const { row } of runs) sorted.append(row);
  body.append(sorted);
}

function cite(row) {
  const text = row.closest("section").querySelector(".cite span").cloneNode(true);
  for (const part of text.querySelectorAll("var")) part.replaceWith(valueOf(row, part.dataset.i));
  said.replaceChildren(text);
  copy.textContent = copy.dataset.words;
  dialog.showModal();
}

for (const table of tables) {
  table.heads.slice(0, -1).forEach((head, i) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, i));
    head.append(button);
  });
  for (const { row } of table.runs) {
    const button = document.createElement("button");
    button.textContent = dialog.dataset.cite;
    row.lastElementChild.append(" ", button);
  }
  table.body.addEventListener("click", ({ target }) => {
    if (target.tagName === "BUTTON") cite(target.closest("tr"));
  });
}
copy.dataset.words = copy.textContent;
copy.addEventListener("click", async () => {
  getSelection().selectAllChildren(said);
  await navigator.clipboard.writeText(said.textContent);
  copy.textContent = copy.dataset.copied;
});
document.documentElement.classList.add("scripted");
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    getSelection().selectAllChildren(source);
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = button.dataset.copied;
  });
}
let waiting;
words.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(filter, 100);
});
status.addEventListener("input", filter);
if (tables.length) {
  document.querySelector("#filter").hidden = false;
  filter();
}
