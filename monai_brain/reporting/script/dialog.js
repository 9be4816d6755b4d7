// One case in full: its image, what was said of it, and the cases before and after it in the table.
const dialog = (() => {
  const box = document.getElementById("case");
  const name = document.getElementById("case-name");
  const place = document.getElementById("case-picture");
  const facts = document.getElementById("case-facts");
  const before = document.getElementById("before");
  const after = document.getElementById("after");
  let state = null;

  const element = (kind, text, className) => {
    const made = document.createElement(kind);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  const probabilities = (data, row) => {
    const list = element("div", undefined, "probs");
    data.classes.forEach((label, index) => {
      const share = data.probs[row][index];
      const bar = element("i", undefined, index === data.label[row] ? "true" : "");
      bar.style.width = `${100 * share}%`;
      list.append(element("span", label), bar, element("b", share.toFixed(3)));
    });
    return list;
  };

  const told = (read, data, row) => {
    const list = document.createElement("dl");
    const add = (words, value) => {
      if (value !== "" && value !== undefined) list.append(element("dt", words), element("dd", String(value)));
    };
    add("true class", read("label", row) || "not known");
    add("named", read("predicted", row));
    add("verdict", read("verdict", row));
    for (const [words, key] of [["patient", "patient_id"], ["split", "split"], ["fold", "fold"], ["repeat", "repeat"],
      ["source", "source"], ["plane", "plane"], ["model", "arm"]]) add(words, read(key, row));
    return list;
  };

  const switched = (data, row) => {
    const label = element("label");
    const tick = element("input");
    tick.type = "checkbox";
    tick.setAttribute("role", "switch");
    tick.checked = state.overlay;
    tick.addEventListener("change", () => { state.overlay = tick.checked; picture(data, row); });
    label.append(tick, " Grad-CAM");
    return label;
  };

  const picture = (data, row) => {
    const shown = place.querySelector(".picture");
    const made = pictures.draw(data, row, state.overlay);
    if (shown) { shown.replaceWith(made); return; }
    place.append(made);
    if (data.maps[row] === undefined) return;
    const scale = element("div", undefined, "scale");
    scale.append(element("span", "less"), element("i"), element("span", "more evidence for the named class"));
    place.append(switched(data, row), scale);
  };

  const show = () => {
    const { data, read, rows, at } = state;
    const row = rows[at];
    name.textContent = data.case[row];
    place.replaceChildren();
    if (data.picture[row] >= 0) picture(data, row);
    facts.replaceChildren(probabilities(data, row), told(read, data, row));
    before.disabled = at === 0;
    after.disabled = at === rows.length - 1;
  };

  const move = (by) => {
    const at = state.at + by;
    if (at < 0 || at >= state.rows.length) return;
    state.at = at;
    show();
  };

  before.addEventListener("click", () => move(-1));
  after.addEventListener("click", () => move(1));
  document.getElementById("close").addEventListener("click", () => box.close());
  box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") move(-1);
    else if (event.key === "ArrowRight") move(1);
  });

  const open = (data, read, rows, at, overlay) => {
    state = { data, read, rows, at, overlay };
    show();
    box.showModal();
  };
  return { open };
})();
