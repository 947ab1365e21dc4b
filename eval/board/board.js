(() => {
  const table = document.getElementById("board");
  const panel = document.getElementById("panel");
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  let shown = null;

  const valueOf = (row, column) => {
    const text = row.cells[column].dataset.value;
    return column === 0 || text === "" ? text : Number(text);
  };
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    // Scores begin with the best, names with the first; what has no value is last either way.
    const now = head.getAttribute("aria-sort");
    const first = column === 0 || "lower" in head.dataset ? "ascending" : "descending";
    const order = now === "none" ? first : now === "ascending" ? "descending" : "ascending";
    heads.forEach((other) => other.setAttribute("aria-sort", other === head ? order : "none"));
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].sort((one, two) => {
      const [a, b] = [valueOf(one, column), valueOf(two, column)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * (column === 0 ? a.localeCompare(b) : a - b);
    });
    body.append(...rows);
  }));

  const hide = () => {
    if (shown) { shown.classList.remove("open"); shown.removeAttribute("aria-describedby"); }
    panel.hidden = true;
    shown = null;
  };
  const show = (cell) => {
    if (shown === cell) return;
    hide();
    shown = cell;
    cell.classList.add("open");
    cell.setAttribute("aria-describedby", "panel");
    const place = cell.closest("td");
    const title = document.createElement("h3");
    const task = heads[place.cellIndex].textContent.trim();
    title.textContent = `${place.parentElement.cells[0].textContent.trim()} on ${task}`;
    const list = document.createElement("dl");
    for (const fact of cell.querySelector(".facts-of").children) {
      const [name, value] = [document.createElement("dt"), document.createElement("dd")];
      name.textContent = fact.children[0].textContent;
      value.textContent = fact.children[1].textContent;
      list.append(name, value);
    }
    panel.replaceChildren(title, list);
    panel.hidden = false;
    const box = cell.getBoundingClientRect();
    const [width, height] = [panel.offsetWidth, panel.offsetHeight];
    const right = box.right + 8 + width < innerWidth;  // on a phone the style sheet puts it at the bottom
    panel.style.left = `${right ? box.right + 8 : Math.max(8, box.left - width - 8)}px`;
    panel.style.top = `${Math.max(8, Math.min(box.top, innerHeight - height - 8))}px`;
  };
  for (const cell of body.querySelectorAll(".cell")) {
    cell.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") show(cell); });
    cell.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
    cell.addEventListener("focus", () => { if (cell.matches(":focus-visible")) show(cell); });
    cell.addEventListener("blur", hide);
    cell.addEventListener("click", () => { show(cell); });
  }
  document.addEventListener("click", (event) => { if (!event.target.closest(".cell, #panel")) hide(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
})();
