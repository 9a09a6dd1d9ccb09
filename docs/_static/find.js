// The codebook: a box that leaves the lines which have all the words. `codebook.html?find=words` fills it.
document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("find");
  if (!place) return;
  place.innerHTML = `<label for="find-words">Find sections, measures and rows</label>
    <input type="search" id="find-words" placeholder="torture, пытки, article:146 …"><p role="status"></p>`;
  const box = place.querySelector("input");
  const lines = [...document.querySelectorAll("article tbody tr")].map((row) => [row, row.textContent.toLowerCase()]);
  const find = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const [row, text] of lines) {
      row.hidden = !words.every((word) => text.includes(word));
      found += !row.hidden;
    }
    place.querySelector("p").textContent = words.length ? `${found} of ${lines.length}` : "";
  };
  box.addEventListener("input", find);
  box.value = new URLSearchParams(location.search).get("find") ?? "";
  find();
});
