// The table of cases: all rows stand in the data, one page of them in the document.
(() => {
  const data = JSON.parse(document.getElementById("case-data").textContent);
  const table = document.getElementById("case-table");
  const heads = Array.from(table.tHead.rows[0].cells);
  const control = (name) => document.getElementById(name);
  const count = control("count");
  const state = { rows: data.order, page: 0 };

  const cell = (key, row) => (Array.isArray(data[key]) ? data[key][row] : data[key]);
  const readers = {
    label: (row) => (data.label[row] < 0 ? "" : data.classes[data.label[row]]),
    predicted: (row) => data.classes[data.predicted[row]],
    confidence: (row) => data.probs[row][data.predicted[row]],
    verdict: (row) => {
      if (data.abstain[row]) return "abstained";
      if (data.label[row] < 0) return "";
      return data.label[row] === data.predicted[row] ? "right" : "wrong";
    },
  };
  const read = (key, row) => {
    if (readers[key]) return readers[key](row);
    const value = cell(key, row);
    return (key === "fold" || key === "repeat") && value < 0 ? "" : value;
  };

  const collator = new Intl.Collator("en", { numeric: true });
  const sorted = (rows) => {
    const head = heads.find((one) => one.hasAttribute("aria-sort"));
    if (head === undefined) return rows;
    const { key, kind } = head.dataset;
    const sign = head.getAttribute("aria-sort") === "descending" ? -1 : 1;
    return rows.slice().sort((one, other) => {
      const [a, b] = [read(key, one), read(key, other)];
      if ((a === "") !== (b === "")) return a === "" ? 1 : -1; // empty cells stay last
      return sign * (kind === "number" ? a - b : collator.compare(a, b));
    });
  };

  const chosen = (row) => {
    const is = (key) => {
      const select = control(`by-${key}`);
      if (select === null || select.value === "") return true;
      const value = key === "label" || key === "predicted" ? data[key][row] : read(key, row);
      return String(value) === select.value;
    };
    if (control("wrong").checked && read("verdict", row) !== "wrong") return false;
    if (!["label", "predicted", "split", "arm"].every(is)) return false;
    const sure = read("confidence", row);
    if (sure < Number(control("from").value || 0) || sure > Number(control("to").value || 1)) return false;
    const words = control("find").value.trim().toLowerCase();
    return words === "" || `${read("case", row)} ${read("patient_id", row)}`.toLowerCase().includes(words);
  };

  const filled = (head, row, at) => {
    const { key, kind } = head.dataset;
    const made = document.createElement(key === "case" ? "th" : "td");
    made.className = head.className;
    const value = key === "picture" ? "" : read(key, row);
    if (key === "case") {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = value;
      button.addEventListener("click", () => dialog.open(data, read, state.rows, at, overlay()));
      made.scope = "row";
      made.append(button);
    } else if (key === "picture") {
      made.append(pictures.draw(data, row, overlay()));
    } else {
      made.textContent = key === "confidence" ? value.toFixed(3) : value;
    }
    if (key === "verdict") made.classList.add("verdict", value || "unknown");
    if (kind === "number" && key === "confidence") {
      made.title = data.classes.map((name, index) => `${name} ${data.probs[row][index]}`).join(", ");
    }
    return made;
  };
  const overlay = () => control("overlay") !== null && control("overlay").checked;

  const show = () => {
    const first = state.page * data.page;
    const rows = state.rows.slice(first, first + data.page).map((row, index) => {
      const made = document.createElement("tr");
      made.append(...heads.map((head) => filled(head, row, first + index)));
      return made;
    });
    table.tBodies[0].replaceChildren(...rows);
    const last = Math.min(first + data.page, state.rows.length);
    const total = state.rows.length.toLocaleString("en");
    control("place").textContent = state.rows.length ? `${first + 1} to ${last} of ${total}` : "no case";
    control("previous").disabled = first === 0;
    control("next").disabled = last >= state.rows.length;
  };

  const choose = () => {
    state.rows = sorted(data.order.filter(chosen));
    state.page = 0;
    count.textContent = `${state.rows.length.toLocaleString("en")} of ${data.rows.toLocaleString("en")}`;
    show();
  };

  const sort = (head) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    choose();
  };

  const turn = (by) => {
    state.page += by;
    show();
    table.scrollIntoView({ block: "start" });
  };

  heads.forEach((head) => {
    const button = head.querySelector("button");
    if (button !== null) button.addEventListener("click", () => sort(head));
  });
  const form = document.querySelector(".controls");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => (event.target.id === "overlay" ? show() : choose()));
  control("clear").addEventListener("click", () => {
    form.reset();
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    choose();
  });
  control("previous").addEventListener("click", () => turn(-1));
  control("next").addEventListener("click", () => turn(1));
  form.hidden = false;
  document.querySelector(".pager").hidden = false;
  choose();
})();
