// What the pages do by themselves: renew what changes, show what a form would send, copy, choose rows.
// Every page works without it.

function fragment(text) {
  return new DOMParser().parseFromString(text, "text/html").body;
}

// -- what changes ---------------------------------------------------------------------------------

function follow(region) {
  const every = Number(region.dataset.every) || 2000;
  let tag = "";
  const look = async () => {
    if (!document.hidden && !region.matches(":has(.menu[open])") && !selectsText(region)) {
      try {
        const answer = await fetch(region.dataset.live, {
          headers: { "X-Live": "1", ...(tag && { "If-None-Match": tag }) },
        });
        if (answer.status === 401 || answer.status === 404) return location.reload();
        if (answer.ok) {
          renew(region, fragment(await answer.text()));
          tag = answer.headers.get("ETag") ?? "";
        }
      } catch {
        // The API is away for a moment; the next look tells.
      }
    }
    setTimeout(look, every);
  };
  setTimeout(look, every);
}

// What a visitor has opened stays open.
function keepOpen(region, fresh) {
  const known = new Map();
  for (const one of region.querySelectorAll("details[data-keep]")) known.set(one.dataset.keep, one.open);
  for (const one of fresh.querySelectorAll("details[data-keep]")) {
    if (known.has(one.dataset.keep)) one.open = known.get(one.dataset.keep);
  }
}

function renew(region, fresh) {
  keepOpen(region, fresh);
  if (region.innerHTML === fresh.innerHTML) return;
  const focused = document.activeElement;
  const place = region.contains(focused) ? [...region.querySelectorAll("a, button, summary")].indexOf(focused) : -1;
  region.replaceChildren(...fresh.childNodes);
  if (place >= 0) region.querySelectorAll("a, button, summary")[place]?.focus({ preventScroll: true });
  offerCopies(region);
}

function selectsText(region) {
  const chosen = getSelection();
  return chosen !== null && !chosen.isCollapsed && region.contains(chosen.anchorNode);
}

// -- forms ----------------------------------------------------------------------------------------

function previewOf(form) {
  const place = document.getElementById("preview");
  let timer = 0;
  let turn = 0;
  const touched = new Set();
  const look = async () => {
    const mine = ++turn;
    try {
      const answer = await fetch(form.dataset.preview, {
        method: "POST",
        headers: { "X-Live": "1" },
        body: new URLSearchParams(new FormData(form)),
      });
      if (!answer.ok || mine !== turn) return;
      const fresh = fragment(await answer.text());
      const wrong = new Map();
      for (const one of fresh.querySelectorAll("[data-fault]")) wrong.set(one.dataset.fault, one.textContent);
      for (const line of form.querySelectorAll("[data-wrong]")) {
        const name = line.dataset.wrong;
        if (!touched.has(name) && line.hidden) continue;
        line.textContent = wrong.get(name) ?? "";
        line.hidden = !wrong.has(name);
        const field = form.elements.namedItem(name);
        if (field) field.setAttribute("aria-invalid", String(wrong.has(name)));
      }
      keepOpen(place, fresh);
      place.replaceChildren(...fresh.childNodes);
      offerCopies(place);
    } catch {
      // The next key stroke tries again.
    }
  };
  form.addEventListener("input", (event) => {
    touched.add(event.target.name);
    touched.add(event.target.dataset.part);
    clearTimeout(timer);
    timer = setTimeout(look, 250);
  });
  if ([...new FormData(form)].some(([name, value]) => name !== "csrf" && name.includes(".url") && value)) look();
}

// -- small things ---------------------------------------------------------------------------------

function offerCopies(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
}

function chooseRows(form) {
  const boxes = [...form.querySelectorAll("input[type=checkbox][name=id]")];
  const all = form.querySelector("[data-all]");
  const told = form.querySelector("[data-chosen]");
  const count = () => {
    const chosen = boxes.filter((box) => box.checked).length;
    if (told) told.textContent = chosen ? `${chosen} chosen:` : "Choose rows, then";
    if (all) all.checked = chosen > 0 && chosen === boxes.length;
    if (all) all.indeterminate = chosen > 0 && chosen < boxes.length;
  };
  if (all) {
    all.hidden = false;
    all.addEventListener("change", () => {
      for (const box of boxes) box.checked = all.checked;
      count();
    });
  }
  form.addEventListener("change", count);
  count();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1200);
  }
  for (const menu of document.querySelectorAll(".menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// "/" leads into the field that finds things, from anywhere but another field; Escape out of it.
document.addEventListener("keydown", (event) => {
  const find = document.querySelector("[data-find]");
  if (!find || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && event.target === find) {
    find.value = "";
    find.blur();
  }
  if (event.key !== "/" || event.target.closest("input, textarea, select, [contenteditable]")) return;
  event.preventDefault();
  find.focus();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll(".menu[open]")) {
    const within = menu.contains(document.activeElement);
    menu.open = false;
    if (within) menu.querySelector("summary").focus();
  }
});

document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
offerCopies(document);
document.querySelectorAll("[data-live]").forEach(follow);
document.querySelectorAll("form[data-preview]").forEach(previewOf);
document.querySelectorAll("form[data-choices]").forEach(chooseRows);
