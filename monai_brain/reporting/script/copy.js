// Buttons that copy a text to paste. The clipboard's own door is shut to pages opened from a file.
(() => {
  const selected = (text) => {
    const range = document.createRange();
    range.selectNodeContents(text);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand("copy");
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copy);
      let done = selected(text);
      if (!done && navigator.clipboard) {
        done = await navigator.clipboard.writeText(text.textContent).then(() => true, () => false);
      }
      button.textContent = done ? "copied" : "selected: press Ctrl+C";
    });
  }
})();
