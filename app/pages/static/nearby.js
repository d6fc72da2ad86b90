// "Near me": shows the reader's place and the crossings nearest to it. The browser is asked for the
// place only when the button is pressed, and nothing of it leaves the page.

/* global L */

const SHOWN = 3; // crossings that come into view
const NEAR = 10; // the closest zoom
const ROOM = { paddingTopLeft: [50, 120], paddingBottomRight: [50, 70] }; // the sentence is at the top

/** Make `button` show the crossings nearest to the reader; `words` are its data attributes. */
export class Nearby {
  constructor(map, markers, button, status) {
    Object.assign(this, { map, markers, button, status, words: button.dataset });
    button.addEventListener("click", () => this.ask());
  }

  ask() {
    this.say("");
    if (!navigator.geolocation) return this.fail({});
    this.button.setAttribute("aria-busy", "true");
    return navigator.geolocation.getCurrentPosition(
      (position) => this.show(position.coords),
      (error) => this.fail(error),
      { timeout: 20_000, maximumAge: 300_000 },
    );
  }

  fail({ code, PERMISSION_DENIED }) {
    this.button.removeAttribute("aria-busy");
    this.say(code && code === PERMISSION_DENIED ? this.words.refused : this.words.unavailable);
  }

  show({ latitude, longitude, accuracy }) {
    this.button.removeAttribute("aria-busy");
    const place = L.latLng(latitude, longitude);
    this.here?.remove();
    this.here = this.layer(place, accuracy).addTo(this.map);
    const nearest = this.markers.items
      .map((item) => ({ item, metres: this.map.distance(place, item.place) }))
      .sort((a, b) => a.metres - b.metres)
      .slice(0, SHOWN);
    const places = [place, ...nearest.map(({ item }) => item.place)];
    this.map.fitBounds(L.latLngBounds(places), { ...ROOM, maxZoom: NEAR });
    this.say(nearest.length ? this.sentence(nearest[0]) : this.words.none);
  }

  layer(place, accuracy) {
    const dot = L.divIcon({ className: "here", iconSize: [16, 16] });
    const marker = L.marker(place, { icon: dot, interactive: false, keyboard: false, alt: "" });
    const around = L.circle(place, { radius: accuracy, className: "around", interactive: false, stroke: false });
    return L.layerGroup([around, marker]);
  }

  sentence({ item, metres }) {
    const lang = document.documentElement.lang;
    const format = new Intl.NumberFormat(lang, {
      style: "unit", unit: "kilometer", maximumSignificantDigits: metres < 10_000 ? 1 : 2,
    });
    return this.words.nearest.replace("{name}", item.name).replace("{distance}", format.format(metres / 1000));
  }

  say(text) {
    this.status.textContent = text;
  }
}
