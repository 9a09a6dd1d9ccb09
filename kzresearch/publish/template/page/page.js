"use strict";
// What a page does where scripts are run: it draws charts anew, and hands out pictures, data and texts.
// Nothing is fetched: all is on the page.
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  document.documentElement.classList.add("scripted");

  const save = (content, type, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const record = JSON.parse(document.querySelector('script#kzresearch[type="application/json"]').textContent);
  const named = (what, ending) => `${record.notebook}-${record.run_id}-${what}.${ending}`;

  const quoted = (value) => {
    let text = value === null || value === undefined ? "" : String(value);
    // A spreadsheet would take a text that begins so for a formula.
    if (typeof value === "string" && /^[=+@\t\r]|^-(?![\d.])/.test(text)) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const csv = (lines) => "\ufeff" + lines.map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n";
  const words = (cell) => cell.textContent.replace(/\s+/g, " ").trim();

  // A table as lines; what stands above a group of rows becomes their first column.
  const tableLines = (table) => {
    const grouped = table.querySelector('th[scope="rowgroup"]') !== null;
    const lines = all("thead tr", table).map((row) => [...(grouped ? [""] : []), ...[...row.cells].map(words)]);
    for (const body of table.tBodies) {
      let group = "";
      for (const row of body.rows) {
        const head = row.querySelector('th[scope="rowgroup"]');
        if (head) group = words(head);
        else lines.push([...(grouped ? [group] : []), ...[...row.cells].map(words)]);
      }
    }
    return lines;
  };

  // The figures of a `kz.record`, whole: their values, and every cell.
  const resultLines = (table) => {
    const names = all("tbody tr", table).map((row) => row.id);
    const head = ["name", "value", "text", "unit", "formula", "note", "sources", "cells"];
    return [head, ...names.map((name) => {
      const one = record.results[name];
      const cells = one.cells.map((cell) => `${cell.workbook}!${cell.cell}`).join("; ");
      return [name, one.value, one.text, one.unit, one.formula, one.note, one.sources.join("; "), cells];
    })];
  };

  // The data of a chart: what it says it shows, or else the longest of the tables it is drawn from.
  const chartLines = (spec) => {
    if (spec.usermeta && spec.usermeta.columns) return [spec.usermeta.columns, ...spec.usermeta.rows];
    const tables = (spec.data || []).map((one) => one.values).filter(Array.isArray);
    const longest = tables.sort((one, other) => other.length - one.length)[0] || [];
    const columns = [...new Set(longest.flatMap((row) => Object.keys(row)))];
    return [columns, ...longest.map((row) => columns.map((column) => row[column]))];
  };

  const svg = (image) => {
    const bytes = atob(image.src.split(",")[1]);
    return new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
  };
  const png = (image, name) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth * 2, image.naturalHeight * 2];
    const pen = canvas.getContext("2d");
    pen.fillStyle = "white";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => save(blob, "image/png", name));
  };

  const get = (button) => {
    const kind = button.dataset.get;
    if (kind === "record") {
      return save(JSON.stringify(record, null, 1) + "\n", "application/json", `${record.notebook}-${record.run_id}.json`);
    }
    const figure = button.closest("figure"), name = named(figure.id, kind);
    const image = figure.querySelector("img.still");
    if (kind === "svg") return save(svg(image), "image/svg+xml", name);
    if (kind === "png") return png(image, name);
    const table = figure.querySelector("table");
    const lines = image ? chartLines(JSON.parse(figure.querySelector("script.chart").textContent))
      : table.classList.contains("results") ? resultLines(table) : tableLines(table);
    return save(csv(lines), "text/csv;charset=utf-8", name);
  };

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    let done = true;
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      getSelection().selectAllChildren(source);
      done = document.execCommand("copy");
      if (done) getSelection().removeAllRanges();
    }
    button.dataset.words ??= button.textContent;
    button.textContent = done ? button.dataset.copied : button.dataset.failed;
    setTimeout(() => { button.textContent = button.dataset.words; }, 2000);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-get], button[data-copy]");
    if (button) (button.dataset.get ? get : copy)(button);
  });

  // What an address names is seen, also where it lies within something folded.
  const open = () => {
    const name = location.hash.slice(1);
    let part = document.getElementById(name);
    try {
      part ??= document.getElementById(decodeURIComponent(name));
    } catch { /* no address at all */ }
    for (; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  };
  addEventListener("hashchange", open);
  open();
  if (matchMedia("(max-width: 40rem)").matches) document.getElementById("contents").open = false;

  // Charts are drawn anew when they come into view; the picture stays for print and for readers' voices.
  const draw = async (figure) => {
    const spec = JSON.parse(figure.querySelector("script.chart").textContent);
    const live = document.createElement("div");
    live.className = "live";
    const chosen = (spec.signals || []).some((signal) => signal.bind && signal.bind.input);
    if (!chosen) live.setAttribute("aria-hidden", "true"); // menus are for everyone
    try {
      await vegaEmbed(live, spec, { actions: false, ast: true, logLevel: 1, mode: "vega", renderer: "svg" });
      figure.querySelector(".drawing").append(live);
      figure.classList.add("drawn");
    } catch (error) {
      console.warn(`${figure.id} stays a picture: ${error.message}`);
    }
  };
  if (typeof vegaEmbed === "function") {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        seen.unobserve(entry.target);
        draw(entry.target);
      }
    }, { rootMargin: "600px" });
    all("figure.chart:has(script.chart)").forEach((figure) => seen.observe(figure));
  }
})();
