// Crossings on the map. Those that would overlap are shown as one marker until the map is zoomed in.

/* global L */

const APART = 44; // pixels between two markers

/** The crossings of `/map.json`, shown on `map`; `open(group, marker)` is called with those that were chosen. */
export class Markers {
  constructor(map, marks, open) {
    this.map = map;
    this.marks = marks;
    this.open = open;
    this.items = [];
    this.groups = new Map(); // by zoom
    this.shown = new Map(); // by the first crossing's id
    this.halos = L.canvas({ padding: 0.3 });
    map.on("moveend", () => this.show());
  }

  /** Set the crossings to be shown, in the order of the list. */
  setRows(rows) {
    const items = rows.filter((row) => row[3] !== null);
    this.items = items.map(([id, name, status, lat, lon, km]) => (
      { id, name, status, place: L.latLng(lat, lon), km }
    ));
    this.groups.clear();
    this.shown.forEach((layer) => layer.remove());
    this.shown.clear();
    this.show();
  }

  get bounds() {
    return L.latLngBounds(this.items.map((item) => item.place));
  }

  /** Show only what is in view: thousands elsewhere cost nothing. */
  show() {
    if (!this.map._loaded || !this.items.length) return;
    const view = this.map.getBounds().pad(0.2);
    const groups = this.groupsAt(this.map.getZoom());
    const visible = groups.filter((group) => view.contains(group[0].place));
    const keys = new Set(visible.map(keyOf));
    for (const [key, layer] of this.shown) {
      if (!keys.has(key)) {
        layer.remove();
        this.shown.delete(key);
      }
    }
    for (const group of visible) {
      const key = keyOf(group);
      if (!this.shown.has(key)) this.shown.set(key, this.layer(group).addTo(this.map));
    }
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

  layer(group) {
    const single = group.length === 1;
    const size = single ? 28 : 38;
    const html = single ? this.mark(group[0].status) : this.sum(group);
    const icon = L.divIcon({ className: single ? "pin" : "pin several", html, iconSize: [size, size] });
    const marker = L.marker(group[0].place, { icon, riseOnHover: true });
    const name = single
      ? `${group[0].name}: ${this.marks[group[0].status].word}`
      : this.several(group);
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
    marker.on("click", () => this.open(group, marker));
    if (!single) return marker;
    const { place, km, status } = group[0];
    const halo = L.circle(place, {
      radius: km * 1000, renderer: this.halos, interactive: false, ...haloOf(status),
    });
    return L.layerGroup([halo, marker]);
  }

  mark(status) {
    return this.marks[status].mark.cloneNode(true);
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
