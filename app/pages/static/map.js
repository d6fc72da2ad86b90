// The page of all crossings: its map, and a form that works in place. The address holds it all.

/* global L */

import { layGround } from "./ground.js";
import { Markers } from "./markers.js";
import { morph } from "./morph.js";

const LISTED_ON_CARD = 8;
const TYPING = 300; // milliseconds without a key until a name is looked for

const { root } = document.documentElement.dataset;
const box = document.getElementById("map");
const form = document.getElementById("filters");
const card = document.getElementById("card");
const days = document.getElementById("days");
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

const map = L.map(box, {
  minZoom: 4, maxZoom: 14, zoomControl: false, zoomSnap: 0.5, worldCopyJump: true,
  fadeAnimation: !still, zoomAnimation: !still, markerZoomAnimation: !still, inertia: !still,
});
map.attributionControl.setPrefix(false);
L.control.zoom({ zoomInTitle: box.dataset.zoomIn, zoomOutTitle: box.dataset.zoomOut }).addTo(map);
L.control.scale({ imperial: false }).addTo(map);

const marks = {};
for (const template of document.querySelectorAll("template[data-mark]")) {
  const mark = template.content.firstElementChild;
  marks[template.dataset.mark] = { mark, word: template.dataset.word };
}
Object.defineProperty(marks, "several", { value: box.dataset.several });
const markers = new Markers(map, marks, openCard);

// The card

let opener = null;

function openCard(group, marker) {
  if (group.length > LISTED_ON_CARD) {
    map.fitBounds(L.latLngBounds(group.map((item) => item.place)), { padding: [40, 40], animate: !still });
    return;
  }
  opener = marker;
  const body = card.querySelector(".card-body");
  body.replaceChildren(...group.map((item, place) => entry(item, place)));
  card.hidden = false;
  card.focus({ preventScroll: true });
}

function entry(item, place) {
  const link = document.createElement("a");
  link.href = addressOf(item.id);
  link.textContent = item.name;
  if (!place) link.id = "card-name";
  const status = document.createElement("p");
  status.className = `status status-${item.status}`;
  status.append(markers.mark(item.status), marks[item.status].word);
  const line = document.createElement("p");
  line.className = "place-line";
  tellLine(line, item.id);
  const whole = document.createElement("div");
  whole.append(link, status, line);
  return whole;
}

/** Say what the list says of a crossing; ask for it where the list has another part. */
async function tellLine(line, id) {
  const listed = document.querySelector(`#${CSS.escape(id)} .place-line`);
  const answer = listed ? null : await fetch(`${root}/map/${id}${location.search}`);
  // Both were written by our templates, which escape.
  if (listed) line.innerHTML = listed.innerHTML;
  else if (answer.ok) line.innerHTML = await answer.text();
}

function addressOf(id) {
  const kept = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (["lang", "traffic", "to", "at", "known_at"].includes(name) && value) kept.set(name, instantOf(name, value));
  }
  return `${root}/crossings/${id}${kept.size ? `?${kept}` : ""}`;
}

function instantOf(name, value) {
  if (!["at", "known_at"].includes(name) || value.length > 19) return value;
  return `${value.length > 10 ? value : `${value}T00:00`}${value.length > 16 ? "" : ":00"}Z`;
}

function closeCard() {
  if (card.hidden) return;
  card.hidden = true;
  opener?.getElement()?.focus({ preventScroll: true });
  opener = null;
}

card.querySelector(".close").addEventListener("click", closeCard);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeCard();
});

// Where one looks, in the address

function placeInAddress() {
  const [, zoom, lat, lon] = /^#([\d.]+)\/(-?[\d.]+)\/(-?[\d.]+)$/.exec(location.hash) ?? [];
  return lon && Math.abs(lat) <= 85 ? { zoom: Number(zoom), place: [Number(lat), Number(lon)] } : null;
}

function lookAt({ zoom, place } = {}) {
  if (place) map.setView(place, zoom, { animate: false });
  else if (markers.items.length) map.fitBounds(markers.bounds, { padding: [30, 30], maxZoom: 11, animate: false });
  else if (!map._loaded) map.setView([54, 25], 6);
}

function tellPlace() {
  const { lat, lng } = map.getCenter();
  const hash = `#${map.getZoom()}/${lat.toFixed(4)}/${lng.toFixed(4)}`;
  history.replaceState(null, "", location.pathname + location.search + hash);
}

// What is shown

async function take(options) {
  const answer = await fetch(document.getElementById("list").dataset.markers, options);
  if (!answer.ok) throw new Error(`markers: ${answer.status}`);
  markers.take(await answer.json());
}

let asking = null;
let shown = location.search;

/** Show what the address asks for now, in place; as a whole page if that does not work. */
async function refresh() {
  asking?.abort();
  asking = new AbortController();
  shown = location.search;
  const { signal } = asking;
  try {
    const answer = await fetch(location.pathname + location.search, {
      signal, headers: { Accept: "text/html" },
    });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.ok || !fresh.getElementById("list")) throw new Error(`page: ${answer.status}`);
    const main = fresh.getElementById("main");
    // Only a page that began with the present can follow it.
    if ("live" in main.dataset && !document.getElementById("live")) throw new Error("live");
    morph(document.getElementById("main"), main);
    document.dispatchEvent(new Event("moved"));
    closeCard();
    await take({ signal });
  } catch (error) {
    if (error.name !== "AbortError") location.reload();
  }
}

// Something was committed: the list is current again, and the map is to be.
document.addEventListener("renewed", () => {
  const change = document.getElementById("main").dataset.change;
  take({ cache: "no-cache", headers: { "At-Least-Change": change } });
});

function asked() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) query.set(name, value);
  return query.size ? `?${query}` : "";
}

function ask() {
  if (asked() === location.search) return;
  history.pushState(null, "", location.pathname + asked() + location.hash);
  refresh();
}

let typing = 0;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
form.addEventListener("input", (event) => {
  clearTimeout(typing);
  if (event.target === days) slide();
  typing = setTimeout(ask, event.target.tagName === "SELECT" ? 0 : TYPING);
});
form.elements.at.addEventListener("input", placeSlider);
window.addEventListener("popstate", () => {
  // A link within the page comes here, too.
  if (location.search !== shown) location.reload();
  else if (placeInAddress()) lookAt(placeInAddress());
});

// The slider goes by days: today's is now

days.closest("label").hidden = false;

function slide() {
  const day = new Date(Date.parse(`${days.dataset.first}T00:00:00Z`) + Number(days.value) * 86_400_000);
  form.elements.at.value = days.value === days.max ? "" : day.toISOString().slice(0, 16);
}

function placeSlider() {
  const { value } = form.elements.at;
  const since = Date.parse(`${value}Z`) - Date.parse(`${days.dataset.first}T00:00:00Z`);
  days.value = value ? Math.floor(since / 86_400_000) : days.max;
}

// Begin

try {
  const ground = layGround(map, box);
  await take();
  lookAt(placeInAddress() ?? {});
  markers.show();
  map.on("moveend", tellPlace); // only from now on: by the reader
  await ground;
} catch (error) {
  const failed = document.createElement("p");
  failed.className = "map-failed";
  failed.textContent = box.dataset.failed;
  box.replaceChildren(failed);
  throw error;
}
