// The background of the map: outlines of countries, and tiles if the operator has configured them.

/* global L */

const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Add the background to `map`. The data attributes of `box` say where to load it from. */
export async function layGround(map, box) {
  const response = await fetch(box.dataset.outlines);
  if (!response.ok) throw new Error(`outlines: ${response.status}`);
  const outlines = await response.json();
  const lines = outlines.lines.map((line) => decode(line, outlines.steps));
  const own = new Set(box.dataset.own.split(" "));
  map.attributionControl.addAttribution(outlines.attribution);
  if (box.dataset.tiles) {
    const attribution = document.createElement("span");
    attribution.textContent = box.dataset.tilesBy;
    L.tileLayer(box.dataset.tiles, { attribution: attribution.innerHTML, maxZoom: 18 }).addTo(map);
  }
  map.createPane("ground").style.zIndex = 250; // over tiles, under everything else
  const renderer = L.canvas({ padding: 0.3, pane: "ground" });
  const layers = [];
  for (const [code, rings] of Object.entries(outlines.countries)) {
    const shape = rings.map((ring) => ring.flatMap((number) => lineOf(lines, number)));
    const land = own.has(code) ? "land-own" : "land";
    const fill = L.polygon(shape.map((ring) => [ring]), { renderer, interactive: false, stroke: false });
    layers.push([fill, () => ({ fillColor: colour(land), fillOpacity: box.dataset.tiles ? 0 : 1 })]);
  }
  for (const [border, numbers] of Object.entries(outlines.borders)) {
    const both = border.split("-").every((code) => own.has(code));
    const line = L.polyline(numbers.map((number) => lines[number]), { renderer, interactive: false });
    layers.push([line, () => ({ color: colour(both ? "border-own" : "border"), weight: both ? 2 : 1 })]);
  }
  const paint = () => layers.forEach(([layer, style]) => layer.setStyle(style()));
  paint();
  layers.forEach(([layer]) => layer.addTo(map));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  nameCountries(map, outlines, lines, JSON.parse(box.dataset.countries));
}

function decode(line, steps) {
  const points = [];
  let lon = 0;
  let lat = 0;
  for (let i = 0; i < line.length; i += 2) {
    lon += line[i];
    lat += line[i + 1];
    points.push([lat / steps, lon / steps]);
  }
  return points;
}

function lineOf(lines, number) {
  return number < 0 ? [...lines[~number]].reverse() : lines[number];
}

/** Put the name of each country into the middle of its largest ring. */
function nameCountries(map, outlines, lines, names) {
  for (const [code, rings] of Object.entries(outlines.countries)) {
    const bounds = rings
      .map((ring) => L.latLngBounds(ring.flatMap((number) => lines[number < 0 ? ~number : number])))
      .reduce((largest, other) => (extent(other) > extent(largest) ? other : largest));
    const html = document.createElement("span");
    html.textContent = names[code];
    const icon = L.divIcon({ className: "country", html, iconSize: [0, 0] });
    L.marker(bounds.getCenter(), { icon, interactive: false, keyboard: false }).addTo(map);
  }
}

function extent(bounds) {
  return (bounds.getEast() - bounds.getWest()) * (bounds.getNorth() - bounds.getSouth());
}
