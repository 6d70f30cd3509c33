"use strict";
// Shows what comes in while the page is looked at. Rows that were opened stay open.
async function look() {
  if (document.hidden) return;
  const answer = await fetch("/_inbox/count");
  const now = await answer.text();
  if (now !== document.getElementById("list").dataset.state) await renew();
}

async function renew() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const list = document.getElementById("list");
  const open = [...list.querySelectorAll("details[open]")].map((row) => row.dataset.number);
  const fresh = page.getElementById("list");
  for (const number of open) {
    const row = fresh.querySelector(`details[data-number="${CSS.escape(number)}"]`);
    if (row) row.open = true;
  }
  list.replaceWith(fresh);
}

setInterval(() => look().catch(() => {}), 1000);
look().catch(() => {});
