// Crossings on the map. Those that would overlap are shown as one marker until the map is zoomed in.

/* global L */

const APART = 44; // pixels between two markers
const SINGLE = 34; // pixels across
const SEVERAL = 38;

/**
 * The crossings of `/map.json`, shown on `map`.
 *
 * `marks` has the mark of each status, `plates` the shape behind it for each mode, each with the word
 * for it. `open(group, marker)` is called with those that were chosen.
 */
export class Markers {
  constructor(map, { marks, plates, open }) {
    this.map = map;
    this.marks = marks;
    this.plates = plates;
    this.open = open;
    this.items = [];
    this.groups = new Map(); // by zoom
    this.shown = new Map(); // by the first crossing's id
    this.halos = L.canvas({ padding: 0.3 });
    this.onShown = () => {}; // called when other markers are in view
    map.on("moveend", () => this.show());
  }

  /** Set the crossings to be shown, in the order of the list. */
  setRows(rows) {
    const items = rows.filter((row) => row[3] !== null);
    this.items = items.map(([id, name, status, lat, lon, km, mode]) => (
      { id, name, status, place: L.latLng(lat, lon), km, mode }
    ));
    this.groups.clear();
    this.shown.forEach(({ layer }) => layer.remove());
    this.shown.clear();
    this.show();
  }

  get bounds() {
    return L.latLngBounds(this.items.map((item) => item.place));
  }

  /** Show only what is in view: thousands elsewhere cost nothing. */
  show() {
    if (!this.map._loaded) return;
    const view = this.map.getBounds().pad(0.2);
    const groups = this.groupsAt(this.map.getZoom());
    const visible = groups.filter((group) => view.contains(group[0].place));
    const keys = new Set(visible.map(keyOf));
    for (const [key, { layer }] of this.shown) {
      if (!keys.has(key)) {
        layer.remove();
        this.shown.delete(key);
      }
    }
    for (const group of visible) {
      const key = keyOf(group);
      if (this.shown.has(key)) continue;
      const marker = this.marker(group);
      const layer = group.length === 1 ? L.layerGroup([this.halo(group[0]), marker]) : marker;
      this.shown.set(key, { group, marker, layer: layer.addTo(this.map) });
    }
    this.onShown();
  }

  /** Return where each marker is on the map, in pixels, with what a name beside it needs. */
  boxes() {
    return [...this.shown.values()].map(({ group, marker }) => {
      const { x, y } = this.map.latLngToContainerPoint(group[0].place);
      const half = (group.length === 1 ? SINGLE : SEVERAL) / 2;
      return { group, box: [x - half, y - half, x + half, y + half], open: () => this.open(group, marker) };
    });
  }

  /** Return the crossings grouped by proximity at a zoom; a group lies at its first crossing. */
  groupsAt(zoom) {
    if (this.groups.has(zoom)) return this.groups.get(zoom);
    const cells = new Map();
    const groups = [];
    for (const item of this.items) {
      const { x, y } = this.map.project(item.place, zoom);
      const [column, row] = [Math.floor(x / APART), Math.floor(y / APART)];
      const near = this.near(cells, column, row, x, y);
      if (near) {
        near.group.push(item);
      } else {
        const group = [item];
        groups.push(group);
        const cell = `${column} ${row}`;
        cells.set(cell, [...(cells.get(cell) ?? []), { x, y, group }]);
      }
    }
    this.groups.set(zoom, groups);
    return groups;
  }

  near(cells, column, row, x, y) {
    for (let c = column - 1; c <= column + 1; c += 1) {
      for (let r = row - 1; r <= row + 1; r += 1) {
        const neighbour = cells.get(`${c} ${r}`)?.find((cell) => Math.hypot(cell.x - x, cell.y - y) < APART);
        if (neighbour) return neighbour;
      }
    }
    return undefined;
  }

  marker(group) {
    const single = group.length === 1;
    const size = single ? SINGLE : SEVERAL;
    const html = single ? this.pin(group[0]) : this.sum(group);
    const icon = L.divIcon({ className: single ? "pin" : "pin several", html, iconSize: [size, size] });
    const marker = L.marker(group[0].place, { icon, riseOnHover: true });
    const name = single ? this.single(group[0]) : this.several(group);
    marker.on("add", () => {
      const element = marker.getElement();
      element.setAttribute("aria-label", name);
      element.title = name;
      element.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        this.open(group, marker);
      });
    });
    return marker.on("click", () => this.open(group, marker));
  }

  halo({ place, km, status }) {
    return L.circle(place, {
      radius: km * 1000, renderer: this.halos, interactive: false, ...haloOf(status),
    });
  }

  mark(status) {
    return this.marks[status].mark.cloneNode(true);
  }

  pin({ status, mode }) {
    const box = document.createElement("span");
    box.append(this.plates[mode].plate.cloneNode(true), this.mark(status));
    return box;
  }

  sum(group) {
    const box = document.createElement("span");
    const count = document.createElement("b");
    count.textContent = group.length;
    box.append(count);
    const marks = document.createElement("span");
    marks.className = "marks";
    for (const status of Object.keys(this.marks)) {
      if (group.some((item) => item.status === status)) marks.append(this.mark(status));
    }
    box.append(marks);
    return box;
  }

  single({ name, status, mode }) {
    // The names of other modes say so themselves.
    const kind = mode === "road" ? `, ${this.plates.road.word}` : "";
    return `${name}${kind}: ${this.marks[status].word}`;
  }

  several(group) {
    const counts = Object.entries(this.marks)
      .map(([status, { word }]) => [group.filter((item) => item.status === status).length, word])
      .filter(([count]) => count);
    const sum = this.marks.several.replace("{}", group.length);
    return `${sum}: ${counts.map(([count, word]) => `${word} ${count}`).join(", ")}`;
  }
}

function keyOf(group) {
  return `${group[0].id} ${group.length}`;
}

function haloOf(status) {
  const styles = getComputedStyle(document.documentElement);
  const colour = styles.getPropertyValue(`--${status}`).trim();
  return { color: colour, weight: 1, opacity: 0.7, dashArray: "4 4", fillColor: colour, fillOpacity: 0.12 };
}
