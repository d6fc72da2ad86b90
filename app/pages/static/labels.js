// Names on the map: of countries, of crossings and of towns, placed where they cover neither a marker
// nor each other. What has no room has no name.

/* global L */

const CELL = 8; // pixels: how finely the visible part of a country is looked at
const NAMED_FROM = 8; // the zoom from which crossings are named
const TOWNS_FROM = [4, 6, 7.5]; // the zoom from which towns are shown, by rank
const PARTLY = 0.25; // the part of a country's name that lies within it, where all of it does not fit
const TOWN_GAP = 10; // pixels between a town and any other name
const VISIBLE = 0.02; // the part of the map from which a country that hardly fits is named

/** The names around the markers; `setTowns` and `setRings` add what is loaded later. */
export class Labels {
  constructor(map, markers, { countries, own, lang }) {
    this.map = map;
    this.markers = markers;
    this.countries = countries; // names by code
    this.own = own; // the codes of countries that have crossings
    this.lang = lang;
    this.towns = [];
    this.shapes = []; // of countries
    this.sizes = new Map(); // of names
    this.shown = new Map();
    this.pane = map.createPane("labels");
    this.pane.style.zIndex = 590; // under the markers
    this.pane.setAttribute("aria-hidden", "true"); // markers and list say all of it
    this.grid = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    markers.onShown = () => this.place();
  }

  setTowns(towns) {
    this.towns = towns.map(([lon, lat, rank, names]) => (
      { place: L.latLng(lat, lon), rank, name: names[this.lang] ?? names.en }
    ));
    this.place();
  }

  setRings(rings) {
    this.shapes = Object.entries(rings).map(([code, shape]) => shapeOf(code, shape));
    // Those with crossings first: their names choose first.
    this.shapes.sort((a, b) => this.own.has(b.code) - this.own.has(a.code));
    this.place();
  }

  /** Choose anew which names are shown, and where. */
  place() {
    if (!this.map._loaded) return;
    const { x, y } = this.map.getSize();
    this.view = [0, 0, x, y];
    const pins = this.markers.boxes();
    const covered = [...pins.map(({ box }) => box), ...this.controls()];
    const crossings = () => this.placeCrossings(pins.filter(({ group }) => group.length === 1));
    const countries = () => this.placeCountries();
    // Crossings have few places for their names, but they may not leave a country without one.
    if (!this.plan(covered, [crossings, countries])) this.plan(covered, [countries, crossings]);
    this.placeTowns();
    this.draw();
  }

  /** Plan the names of these kinds, in this order; return whether none is missing that must not. */
  plan(covered, kinds) {
    this.taken = [...covered];
    this.planned = [];
    return kinds.map((kind) => kind()).every((complete) => complete);
  }

  controls() {
    const frame = this.map.getContainer().getBoundingClientRect();
    return [...this.map.getContainer().querySelectorAll(".leaflet-control")].map((control) => {
      const box = control.getBoundingClientRect();
      return [box.left - frame.left, box.top - frame.top, box.right - frame.left, box.bottom - frame.top];
    });
  }

  isFree(box) {
    return isWithin(box, this.view) && !this.taken.some((other) => overlap(box, other));
  }

  // Towns and crossings: beside their place

  placeTowns() {
    const zoom = this.map.getZoom();
    for (const { place, rank, name } of this.towns) {
      if (zoom < TOWNS_FROM[rank]) continue;
      const { x, y } = this.map.latLngToContainerPoint(place);
      const [width, height] = this.sizeOf("town", name);
      const sides = [
        ["town", x - 4, y - height / 2],
        ["town town-left", x + 4 - width, y - height / 2],
      ];
      const side = sides.find(([, left, top]) => (
        this.isFree(padded([left, top, left + width, top + height], TOWN_GAP))
      ));
      if (side) this.add(`town ${place}`, name, ...side);
    }
  }

  placeCrossings(pins) {
    if (this.map.getZoom() < NAMED_FROM) return true;
    for (const { group: [item], box, open } of pins) {
      const [left, top, right, bottom] = box;
      const [width, height] = this.sizeOf("name", item.name);
      const [middle, centre] = [(left + right) / 2, (top + bottom) / 2];
      const sides = [
        ["name", right + 2, centre - height / 2],
        ["name name-left", left - 2 - width, centre - height / 2],
        ["name name-centre", middle - width / 2, bottom + 1],
        ["name name-centre", middle - width / 2, top - 1 - height],
      ];
      const side = sides.find(([, x, y]) => this.isFree([x, y, x + width, y + height]));
      if (side) this.add(`crossing ${item.id}`, item.name, ...side, open);
    }
    return true;
  }

  // Countries: in the part of them that is visible

  placeCountries() {
    const size = [Math.ceil(this.view[2] / CELL), Math.ceil(this.view[3] / CELL)];
    [this.grid.canvas.width, this.grid.canvas.height] = size;
    const bounds = this.map.getBounds();
    let complete = true;
    for (const { code, path, extent } of this.shapes) {
      if (!extent.intersects(bounds) || !this.countries[code]) continue;
      const must = this.own.has(code);
      const style = must ? "country country-own" : "country";
      const [width, height] = this.sizeOf(style, this.countries[code]);
      const { area, place } = this.roomIn(path, size, width, height, must);
      if (place) this.add(`country ${code}`, this.countries[code], style, ...place);
      else if (must && area > VISIBLE) complete = false;
    }
    return complete;
  }

  /**
   * Return what part of the map a country takes, and left and top of the place for a name of this size
   * that is nearest to its middle.
   */
  roomIn(path, [columns, rows], width, height, must) {
    const inside = this.inside(path, columns, rows);
    const [area, ...middle] = centreOf(inside, columns);
    const covered = sums(inside, columns, rows);
    const blocked = sums(this.blocked(columns, rows), columns, rows);
    const [wide, high] = [Math.ceil(width / CELL), Math.ceil(height / CELL)];
    let best = { score: Infinity };
    for (let row = 1; row + high < rows; row += 1) {
      for (let column = 1; column + wide < columns; column += 1) {
        if (sumOf(blocked, columns, column, row, wide, high)) continue;
        const share = sumOf(covered, columns, column, row, wide, high) / (wide * high);
        if (share < (must ? PARTLY : 1)) continue;
        const off = Math.hypot(column + wide / 2 - middle[0], row + high / 2 - middle[1]);
        // Wholly inside counts before near the middle.
        const score = (1 - share) * 1e5 + off;
        if (score < best.score) best = { score, share, place: [column * CELL, row * CELL] };
      }
    }
    const part = area / (columns * rows);
    return { area: part, place: best.share === 1 || part > VISIBLE ? best.place : undefined };
  }

  /** Return which cells of the map are taken already. */
  blocked(columns, rows) {
    const cells = new Uint8Array(columns * rows);
    for (const [left, top, right, bottom] of this.taken) {
      const [first, last] = [Math.max(0, Math.floor(left / CELL)), Math.min(columns, Math.ceil(right / CELL))];
      for (let row = Math.max(0, Math.floor(top / CELL)); row < Math.min(rows, bottom / CELL); row += 1) {
        if (first < last) cells.fill(1, row * columns + first, row * columns + last);
      }
    }
    return cells;
  }

  /** Return which cells of the map lie in a country. */
  inside(path, columns, rows) {
    const { x, y } = this.map.getPixelBounds().min;
    const scale = this.map.options.crs.scale(this.map.getZoom()) / 256 / CELL;
    this.grid.setTransform(1, 0, 0, 1, 0, 0);
    this.grid.clearRect(0, 0, columns, rows);
    this.grid.setTransform(scale, 0, 0, scale, -x / CELL, -y / CELL);
    this.grid.fill(path);
    const { data } = this.grid.getImageData(0, 0, columns, rows);
    return Uint8Array.from({ length: columns * rows }, (_, cell) => data[4 * cell + 3] > 200);
  }

  // Elements

  sizeOf(style, text) {
    const key = `${style} ${text}`;
    if (!this.sizes.has(key)) {
      const element = elementOf(style, text);
      element.style.visibility = "hidden";
      this.pane.append(element);
      const { width, height } = element.getBoundingClientRect();
      this.sizes.set(key, [Math.ceil(width), Math.ceil(height)]);
      element.remove();
    }
    return this.sizes.get(key);
  }

  add(key, text, style, left, top, open) {
    const [width, height] = this.sizeOf(style, text);
    this.taken.push([left, top, left + width, top + height]);
    this.planned.push({ key, text, style, place: this.map.containerPointToLatLng([left, top]), open });
  }

  /** Show what is planned, and nothing else. */
  draw() {
    const before = this.shown;
    this.shown = new Map();
    for (const { key, text, style, place, open } of this.planned) {
      const shown = before.get(key);
      const isSame = shown?.style === style;
      this.shown.set(key, isSame ? shown : { style, marker: this.marker(text, style, place, open) });
      if (!isSame) continue;
      shown.marker.setLatLng(place);
      before.delete(key);
    }
    for (const { marker } of before.values()) marker.remove();
  }

  marker(text, style, place, open) {
    const icon = L.divIcon({ className: "", html: elementOf(style, text), iconSize: null, iconAnchor: [0, 0] });
    const marker = L.marker(place, { icon, pane: "labels", interactive: Boolean(open), keyboard: false });
    if (open) marker.on("click", open);
    return marker.addTo(this.map);
  }
}

function elementOf(style, text) {
  const element = document.createElement("span");
  element.className = `map-label ${style}`;
  element.textContent = text;
  return element;
}

/** Return a country's outline as a path in the pixels of zoom 0, and its extent. */
function shapeOf(code, rings) {
  const path = new Path2D();
  for (const ring of rings) {
    ring.forEach((place, number) => {
      const { x, y } = L.CRS.EPSG3857.latLngToPoint(L.latLng(place), 0);
      if (number) path.lineTo(x, y);
      else path.moveTo(x, y);
    });
    path.closePath();
  }
  return { code, path, extent: L.latLngBounds(rings.flat()) };
}

/** Return the table from which `sumOf` reads how many cells of a rectangle are set. */
function sums(cells, columns, rows) {
  const table = new Uint32Array((columns + 1) * (rows + 1));
  for (let row = 0; row < rows; row += 1) {
    let sum = 0;
    for (let column = 0; column < columns; column += 1) {
      sum += cells[row * columns + column];
      table[(row + 1) * (columns + 1) + column + 1] = table[row * (columns + 1) + column + 1] + sum;
    }
  }
  return table;
}

function sumOf(table, columns, column, row, wide, high) {
  const at = (x, y) => table[y * (columns + 1) + x];
  return at(column + wide, row + high) - at(column, row + high) - at(column + wide, row) + at(column, row);
}

/** Return how many cells are set, and the column and row in their middle. */
function centreOf(cells, columns) {
  let [area, x, y] = [0, 0, 0];
  cells.forEach((set, cell) => {
    if (!set) return;
    area += 1;
    x += cell % columns;
    y += Math.floor(cell / columns);
  });
  return [area, x / area, y / area];
}

function overlap(a, b) {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

function isWithin(a, b) {
  return a[0] >= b[0] && a[1] >= b[1] && a[2] <= b[2] && a[3] <= b[3];
}

function padded([left, top, right, bottom], by) {
  return [left - by, top - by, right + by, bottom + by];
}
