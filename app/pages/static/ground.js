// The background of the map: outlines of countries and main roads, and tiles if the operator has
// configured them.

/* global L */

// Pixels, from a zoom on. Roads are straight between junctions, so no closer look is given to them.
const ROAD_WIDTHS = [[10.5, 0], [8, 2], [0, 1]];

const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Return the content of a data file of the map. */
export async function fetchData(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return response.json();
}

/**
 * Add the background to `map`. The data attributes of `box` say where to load it from.
 *
 * Return `rings`, the outline of each country as lists of latitudes and longitudes, and
 * `addRoads(roads)`, which draws the content of a file of roads.
 */
export async function layGround(map, box) {
  const outlines = await fetchData(box.dataset.outlines);
  const lines = outlines.lines.map((line) => decode(line, outlines.steps));
  const own = new Set(box.dataset.own.split(" "));
  map.attributionControl.addAttribution(outlines.attribution);
  if (box.dataset.tiles) {
    const attribution = document.createElement("span");
    attribution.textContent = box.dataset.tilesBy;
    L.tileLayer(box.dataset.tiles, { attribution: attribution.innerHTML, maxZoom: 18 }).addTo(map);
  }
  map.createPane("ground").style.zIndex = 250; // over tiles, under everything else
  map.createPane("borders").style.zIndex = 260; // over roads, which are loaded later
  const land = { renderer: L.canvas({ padding: 0.3, pane: "ground" }), interactive: false };
  const above = { renderer: L.canvas({ padding: 0.3, pane: "borders" }), interactive: false };
  const rings = Object.fromEntries(Object.entries(outlines.countries).map(([code, shape]) => (
    [code, shape.map((ring) => ring.flatMap((number) => lineOf(lines, number)))]
  )));

  const painted = [];
  const paint = () => painted.forEach(([layer, style]) => layer.setStyle(style()));
  const add = (layer, style) => {
    painted.push([layer.setStyle(style()).addTo(map), style]);
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);

  for (const [code, shape] of Object.entries(rings)) {
    const fill = L.polygon(shape.map((ring) => [ring]), { ...land, stroke: false });
    const name = own.has(code) ? "land-own" : "land";
    add(fill, () => ({ fillColor: colour(name), fillOpacity: box.dataset.tiles ? 0 : 1 }));
  }
  for (const [border, numbers] of Object.entries(outlines.borders)) {
    const both = border.split("-").every((code) => own.has(code));
    const line = L.polyline(numbers.map((number) => lines[number]), above);
    add(line, () => ({ color: colour(both ? "border-own" : "border"), weight: both ? 2 : 1 }));
  }

  function addRoads(roads) {
    const line = L.polyline(roads.lines.map((road) => decode(road, roads.steps)), land);
    const style = () => {
      const [, weight] = ROAD_WIDTHS.find(([zoom]) => map.getZoom() >= zoom);
      return { color: colour("road"), weight, stroke: weight > 0 };
    };
    add(line, style);
    map.on("zoomend", () => line.setStyle(style()));
    map.attributionControl.addAttribution(roads.attribution);
    map.attributionControl.addAttribution(box.dataset.roadsNote);
  }

  return { rings, addRoads };
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
