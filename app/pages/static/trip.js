// The reader's trip: crossings that they pinned and a day, stored in this browser alone.

import { STORED_PROFILE } from "./reader.js";

const { root } = document.documentElement.dataset;
const STORED = "crossings.trip";
const MAX_PINNED = 20;

/** Return the trip: the ids of its crossings, and its day as YYYY-MM-DD if one was chosen. */
function load() {
  const trip = JSON.parse(localStorage.getItem(STORED) ?? "{}");
  return { ids: trip.ids ?? [], on: trip.on ?? null };
}

const store = (trip) => localStorage.setItem(STORED, JSON.stringify(trip));

/** Return the address of the trip, for the vehicle that was last chosen. */
function address() {
  const { ids, on } = load();
  const query = new URLSearchParams(localStorage.getItem(STORED_PROFILE) ?? "");
  for (const id of ids) query.append("crossing", id);
  const today = new Date().toISOString().slice(0, 10);
  if (on && on >= today) query.set("on", on);
  const lang = new URLSearchParams(location.search).get("lang");
  if (lang) query.set("lang", lang);
  return `${root}/trip?${query}`;
}

// On the page of a crossing: add it, or remove it

const pin = document.getElementById("pin");
if (pin) {
  const id = pin.dataset.pin;
  const button = pin.querySelector("button");
  const link = pin.querySelector("a");
  const add = button.textContent;
  const show = () => {
    const isPinned = load().ids.includes(id);
    button.textContent = isPinned ? pin.dataset.pinned : add;
    link.href = address();
    link.hidden = !isPinned;
  };
  button.addEventListener("click", () => {
    const trip = load();
    const others = trip.ids.filter((other) => other !== id);
    const isPinned = others.length < trip.ids.length;
    store({ ...trip, ids: isPinned ? others : [...others, id].slice(-MAX_PINNED) });
    show();
  });
  show();
  pin.hidden = false;
}

// On the page of all crossings: the trip itself

const box = document.getElementById("trip");
if (box && load().ids.length) {
  box.querySelector("a").href = address();
  const answer = await fetch(address(), { headers: { Accept: "text/html", "Offline-Copy": "yes" } }).catch(() => null);
  // An old answer belongs only on a page that says how old it is.
  const { cachedAt } = document.documentElement.dataset;
  if (answer?.ok && (cachedAt || !answer.headers.has("x-fetched-at"))) {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const body = page.getElementById("trip-answer");
    for (const element of body.querySelectorAll("[id]")) element.removeAttribute("id");
    for (const link of body.querySelectorAll(".remove")) link.remove();
    box.querySelector(".trip-body").replaceChildren(...body.childNodes);
    box.hidden = false;
  }
}

// On the page of the trip: remember its day, remove crossings, share it

const form = document.querySelector("form[data-trip]");
if (form) {
  const { search } = location;
  const on = new URLSearchParams(search).get("on");
  if (on) store({ ...load(), on });
  const nothingChosen = !new URLSearchParams(search).has("crossing") && location.pathname === `${root}/trip`;
  if (nothingChosen && load().ids.length && !new URLSearchParams(search).has("border")) {
    const query = new URLSearchParams(search);
    for (const id of load().ids) query.append("crossing", id);
    location.replace(`${location.pathname}?${query}`);
  }
  document.addEventListener("click", (event) => {
    const id = event.target.closest?.("[data-unpin]")?.dataset.unpin;
    if (id) store({ ...load(), ids: load().ids.filter((other) => other !== id) });
  });
  const shared = document.querySelector("[data-share]");
  if (navigator.share && shared) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.added = "";
    button.textContent = shared.dataset.share;
    button.addEventListener("click", async () => {
      const url = shared.querySelector("code").textContent;
      try {
        await navigator.share({ title: document.title, url });
      } catch (error) {
        if (error.name !== "AbortError") throw error; // the reader changed their mind
      }
    });
    shared.append(button);
  }
}
