// The page of all crossings: the map, and a form that works in place. The address has the whole state.

/* global L */

import { fetchData, layGround } from "./ground.js";
import { Labels } from "./labels.js";
import { Markers } from "./markers.js";
import { morph } from "./morph.js";
import { PROFILE } from "./reader.js";
import { Nearby } from "./nearby.js";

const LISTED_ON_CARD = 8;
const KEPT = ["lang", ...PROFILE, "at", "known_at"];
const TYPING = 300; // milliseconds after the last key until the search starts

const { root } = document.documentElement.dataset;
const box = document.getElementById("map");
const form = document.getElementById("filters");
const card = document.getElementById("card");
const days = document.getElementById("days");
const ROOM = { paddingTopLeft: [30, 30], paddingBottomRight: [30, 70] }; // the legend is at the bottom
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
const legend = document.getElementById("legend");
const plates = {};
for (const item of legend.children) {
  plates[item.dataset.mode] = { plate: item.querySelector("svg"), word: item.dataset.word, item };
}
const markers = new Markers(map, { marks, plates, open: openCard });
const labels = new Labels(map, markers, {
  countries: JSON.parse(box.dataset.countries),
  own: new Set(box.dataset.own.split(" ")),
  lang: document.documentElement.lang,
});
const nearby = document.getElementById("nearby");
addControl(nearby, "topright");
addControl(legend, "bottomleft");
new Nearby(map, markers, nearby.querySelector("button"), nearby.querySelector("p"));

function addControl(element, position) {
  const control = L.control({ position });
  control.onAdd = () => element;
  control.addTo(map);
  element.hidden = false;
  L.DomEvent.disableClickPropagation(element);
}

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
  fillLine(line, item.id);
  const section = document.createElement("div");
  section.append(link, status, line);
  return section;
}

/** Show the text of the list about a crossing; fetch it if the list shows another part. */
async function fillLine(line, id) {
  const listed = document.querySelector(`#${CSS.escape(id)} .place-line`);
  const answer = listed ? null : await fetch(`${root}/map/${id}${location.search}`);
  // Both come from our templates, which escape.
  if (listed) line.innerHTML = listed.innerHTML;
  else if (answer.ok) line.innerHTML = await answer.text();
}

function addressOf(id) {
  const query = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (KEPT.includes(name) && value) query.append(name, instantOf(name, value));
  }
  return `${root}/crossings/${id}${query.size ? `?${query}` : ""}`;
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

// The view of the map, in the address

function viewInAddress() {
  const [, zoom, lat, lon] = /^#([\d.]+)\/(-?[\d.]+)\/(-?[\d.]+)$/.exec(location.hash) ?? [];
  return lon && Math.abs(lat) <= 85 ? { zoom: Number(zoom), place: [Number(lat), Number(lon)] } : null;
}

function lookAt({ zoom, place } = {}) {
  if (place) map.setView(place, zoom, { animate: false });
  else if (markers.items.length) map.fitBounds(markers.bounds, { ...ROOM, maxZoom: 10, animate: false });
  else if (!map._loaded) map.setView([54, 25], 6);
}

function storeView() {
  const { lat, lng } = map.getCenter();
  const hash = `#${map.getZoom()}/${lat.toFixed(4)}/${lng.toFixed(4)}`;
  history.replaceState(null, "", location.pathname + location.search + hash);
}

// Markers and list

/** Show the crossings, and in the legend the modes among them if there are several. */
function showMarkers(rows) {
  markers.setRows(rows);
  const modes = new Set(markers.items.map((item) => item.mode));
  for (const [mode, { item }] of Object.entries(plates)) item.hidden = !modes.has(mode);
  legend.hidden = modes.size < 2;
}

async function loadMarkers(options) {
  const answer = await fetch(document.getElementById("list").dataset.markers, options);
  if (!answer.ok) throw new Error(`markers: ${answer.status}`);
  showMarkers(await answer.json());
}

let refreshing = null;
let shownQuery = location.search;

/** Show the content for the present address in place; reload the page if that fails. */
async function refresh() {
  refreshing?.abort();
  refreshing = new AbortController();
  shownQuery = location.search;
  const { signal } = refreshing;
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
    await loadMarkers({ signal });
  } catch (error) {
    if (error.name !== "AbortError") location.reload();
  }
}

// live.js has updated the list after a change; update the map as well.
document.addEventListener("renewed", () => {
  const change = document.getElementById("main").dataset.change;
  loadMarkers({ cache: "no-cache", headers: { "At-Least-Change": change } });
});

function formQuery() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) query.append(name, value);
  return query.size ? `?${query}` : "";
}

function search() {
  if (formQuery() === location.search) return;
  history.pushState(null, "", location.pathname + formQuery() + location.hash);
  refresh();
}

let typing = 0;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
form.addEventListener("input", (event) => {
  clearTimeout(typing);
  if (event.target === days) slide();
  typing = setTimeout(search, event.target.tagName === "SELECT" ? 0 : TYPING);
});
form.elements.at.addEventListener("input", placeSlider);
window.addEventListener("popstate", () => {
  // Links within the page cause this event, too.
  if (location.search !== shownQuery) location.reload();
  else if (viewInAddress()) lookAt(viewInAddress());
});

// The slider, in days; its last day means now

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

/** Add what a reader can do without: should it not come, the map is still right. */
async function addDetails(addRoads) {
  const [roads, towns] = await Promise.all([box.dataset.roads, box.dataset.towns].map(fetchData));
  addRoads(roads);
  map.attributionControl.addAttribution(towns.attribution);
  labels.setTowns(towns.towns);
}

try {
  const ground = layGround(map, box);
  await loadMarkers();
  lookAt(viewInAddress() ?? {});
  markers.show();
  map.on("moveend", storeView); // from now on the reader moves the map
  const { rings, addRoads } = await ground;
  labels.setRings(rings);
  if (!box.dataset.tiles) addDetails(addRoads).catch((error) => console.warn(error));
} catch (error) {
  const message = document.createElement("p");
  message.className = "map-failed";
  message.textContent = box.dataset.failed;
  box.replaceChildren(message);
  throw error;
}
