"use strict";
(() => {
  const table = document.getElementById("cases");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const wrong = document.getElementById("wrong");
  const split = document.getElementById("split");
  const find = document.getElementById("find");
  const count = document.getElementById("count");

  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value ?? cell.textContent;
  };

  const order = (column, kind, down) => (one, other) => {
    const a = value(one, column);
    const b = value(other, column);
    if ((a === "") !== (b === "")) return a === "" ? 1 : -1; // empty cells stay last
    const sign = kind === "number" ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true });
    return down ? -sign : sign;
  };

  const sort = (head, column) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows.slice().sort(order(column, head.dataset.kind, down)));
  };

  const filter = () => {
    const words = find.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const hidden =
        (wrong.checked && row.dataset.verdict !== "wrong") ||
        (split !== null && split.value !== "" && row.dataset.split !== split.value) ||
        (words !== "" && !row.textContent.toLowerCase().includes(words));
      row.hidden = hidden;
      shown += hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${rows.length}`;
  };

  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (button !== null) button.addEventListener("click", () => sort(head, column));
  });
  for (const control of [wrong, split, find]) {
    if (control !== null) control.addEventListener("input", filter);
  }
  document.querySelector(".controls").hidden = false;
  filter();
})();
