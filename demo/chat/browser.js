// What runs in the browser besides Gradio: conversations kept in its storage, and the row of attached files.
// PAGE is put in front by demo/chat/appearance.py: conversations of other models stay apart.
(() => {
  const prefix = `omni:${PAGE}:`;
  const sent = {};

  function send(id, value) {
    // a hidden button takes the value along to the server, by `taken`
    sent[id] = value;
    document.querySelector(`#${id}-button`)?.click();
  }

  function taken(id) {
    return sent[id] || "";
  }

  function read(key) {
    try { return JSON.parse(localStorage.getItem(key)); } catch (error) { return null; }
  }

  function kept() {
    const found = [];
    for (let index = 0; index < localStorage.length; index++) {
      const key = localStorage.key(index);
      if (!key.startsWith(prefix) || key === `${prefix}last`) continue;
      const one = read(key);
      if (one && Array.isArray(one.turns)) found.push(one);
    }
    return found.sort((a, b) => (b.when || 0) - (a.when || 0));
  }

  function title(one) {
    const first = one.turns.find((turn) => turn.role === "user");
    const words = (first ? first.parts : []).map((part) => (typeof part === "string" ? part : `[${part.upload.split("/").pop()}]`));
    return words.join(" ").replace(/\s+/g, " ").trim().slice(0, 80) || "Conversation";
  }

  function save(text) {
    if (!text) { localStorage.removeItem(`${prefix}last`); draw(); return; }
    const one = JSON.parse(text);
    if (!one.turns.length) { localStorage.removeItem(`${prefix}last`); draw(); return; }
    one.when = Date.now();
    for (let attempt = 0; attempt < 20; attempt++) {
      try {
        localStorage.setItem(prefix + one.id, JSON.stringify(one));
        localStorage.setItem(`${prefix}last`, one.id);
        break;
      } catch (error) { // the storage is full: the oldest conversation goes
        const oldest = kept().filter((other) => other.id !== one.id).pop();
        if (!oldest) break;
        localStorage.removeItem(prefix + oldest.id);
      }
    }
    draw();
  }

  function plain(one) {
    return one ? JSON.stringify({ id: one.id, turns: one.turns }) : "";
  }

  function draw() {
    const list = document.querySelector("#shelf .list");
    if (!list) return;
    const current = localStorage.getItem(`${prefix}last`);
    list.replaceChildren(...kept().map((one) => {
      const row = document.createElement("div");
      row.className = one.id === current ? "row current" : "row";
      const open = document.createElement("button");
      open.textContent = title(one);
      open.onclick = () => send("opened", plain(one));
      const remove = document.createElement("button");
      remove.className = "remove";
      remove.textContent = "×";
      remove.setAttribute("aria-label", `Delete the conversation ${title(one)}`);
      remove.onclick = () => {
        if (!confirm("Delete this conversation?")) return;
        localStorage.removeItem(prefix + one.id);
        if (one.id === localStorage.getItem(`${prefix}last`)) send("opened", "");
        draw();
      };
      row.append(open, remove);
      return row;
    }));
    const empty = document.querySelector("#shelf .empty");
    if (empty) empty.hidden = kept().length > 0;
  }

  function last() {
    const id = localStorage.getItem(`${prefix}last`);
    setTimeout(draw, 300);
    return plain(id ? read(prefix + id) : null);
  }

  // A file with one conversation, in the form that `train` and `eval` read.
  function exported(text) {
    const one = text ? JSON.parse(text) : null;
    if (!one || !one.turns.length) return;
    const content = (part) => typeof part === "string" ? { type: "text", text: part } : { type: part.modality, path: part.upload.split("/").pop() };
    const messages = one.turns.map((turn) => ({ role: turn.role, content: turn.parts.map(content) }));
    const blob = new Blob([JSON.stringify({ id: one.id, messages }) + "\n"], { type: "application/json" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `conversation-${one.id.slice(0, 8)}.jsonl`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function attached(box) {
    return JSON.stringify(((box || {}).files || []).map((file) => file.path || file));
  }

  function choices(tray) {
    const found = {};
    document.querySelectorAll(`#${tray} input:checked`).forEach((radio) => { found[radio.dataset.upload] = radio.value; });
    return JSON.stringify(found);
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-mark], [data-example], [data-side]");
    if (!target) return;
    if ("side" in target.dataset) { document.querySelector("#side .toggle-button")?.click(); return; }
    if (target.dataset.example) { send("example", target.dataset.example); return; }
    document.querySelector(`#${target.closest("[id$='-tray']").id.replace(/-tray$/, "")} textarea`).focus();
    document.execCommand("insertText", false, target.dataset.mark); // as if it was typed, so that it can be undone
  });

  // Browsers do not draw every kind of picture; the row of attachments does.
  document.addEventListener("error", (event) => {
    const image = event.target;
    if (image.tagName === "IMG" && image.closest(".asker")) image.style.visibility = "hidden";
  }, true);

  window.omni = { save, last, send, taken, exported, attached, choices };
})();
