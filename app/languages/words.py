"""Texts in a reader's language: the vocabulary, names, numbers, and instants in local time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import assert_never
from zoneinfo import ZoneInfo

from babel.dates import (
    format_date,
    format_skeleton,
    format_time,
    format_timedelta,
    get_day_names,
)
from babel.dates import get_timezone_location as location_of
from babel.lists import format_list
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit
from markupsafe import Markup

from app.http.bodies import sides_of
from app.languages.languages import ENGLISH, Language
from app.observations.schemas import Queue, WeightClass
from app.places.schemas import Name
from app.places.zones import day_zone, is_midnight
from app.status.rule.travellers import Traveller
from app.vocabulary import (
    Basis,
    Certainty,
    DeclaredStatus,
    ExceptionCode,
    GapCode,
    Mode,
    NoticeKind,
    ObservationMethod,
    Precision,
    Qualifier,
    ReasonCode,
    SourceKind,
    Status,
    Traffic,
)


def N_(message: str) -> str:  # noqa: N802  # gettext's own name for the mark
    """Mark a message for the catalogues. `Words.translate` translates it later."""
    return message


MESSAGES: Mapping[type[StrEnum], Mapping[str, str]] = {
    Status: {
        Status.OPEN: N_("open"),
        Status.RESTRICTED: N_("restricted"),
        Status.CLOSED: N_("closed"),
        Status.UNKNOWN: N_("unknown"),
    },
    DeclaredStatus: {
        DeclaredStatus.OPEN: N_("open"),
        DeclaredStatus.RESTRICTED: N_("restricted"),
        DeclaredStatus.CLOSED: N_("closed"),
    },
    Traffic: {
        Traffic.PEDESTRIAN: N_("pedestrians"),
        Traffic.BICYCLE: N_("bicycles"),
        Traffic.MOTORCYCLE: N_("motorcycles"),
        Traffic.CAR: N_("cars"),
        Traffic.BUS: N_("buses"),
        Traffic.TRUCK: N_("trucks"),
        Traffic.TRAIN: N_("trains"),
    },
    Mode: {
        Mode.ROAD: N_("road crossing"),
        Mode.RAIL: N_("rail crossing"),
        Mode.WATER: N_("water crossing"),
        Mode.AIR: N_("air crossing"),
    },
    ReasonCode: {
        ReasonCode.SECURITY: N_("security"),
        ReasonCode.MIGRATION: N_("migration"),
        ReasonCode.SMUGGLING: N_("smuggling"),
        ReasonCode.PUBLIC_ORDER: N_("public order"),
        ReasonCode.HEALTH: N_("public health"),
        ReasonCode.WEATHER: N_("weather"),
        ReasonCode.ACCIDENT: N_("accident"),
        ReasonCode.CONSTRUCTION: N_("construction works"),
        ReasonCode.TECHNICAL: N_("technical fault"),
        ReasonCode.STAFFING: N_("staff shortage"),
        ReasonCode.STRIKE: N_("strike"),
        ReasonCode.HOLIDAY: N_("holiday"),
        ReasonCode.CONGESTION: N_("congestion"),
        ReasonCode.DIPLOMATIC: N_("diplomatic reasons"),
        ReasonCode.HOURS: N_("opening hours"),
        ReasonCode.UNDISCLOSED: N_("undisclosed"),
        ReasonCode.OTHER: N_("other reason"),
    },
    ExceptionCode: {
        ExceptionCode.DIPLOMATS: N_("diplomats"),
        ExceptionCode.OWN_CITIZENS: N_("citizens of the country that decides"),
        ExceptionCode.EU_CITIZENS: N_("citizens of the European Union"),
        ExceptionCode.RESIDENTS: N_("residents"),
        ExceptionCode.PERMIT_HOLDERS: N_("permit holders"),
        ExceptionCode.HUMANITARIAN: N_("humanitarian cases"),
        ExceptionCode.EMPTY_VEHICLES: N_("empty vehicles"),
        ExceptionCode.OTHER: N_("other exceptions"),
    },
    Certainty: {
        Certainty.CONFIRMED: N_("confirmed"),
        Certainty.REPORTED: N_("reported"),
        Certainty.UNCONFIRMED: N_("unconfirmed"),
    },
    Precision: {
        Precision.MINUTE: N_("to the minute"),
        Precision.HOUR: N_("to the hour"),
        Precision.DAY: N_("to the day"),
        Precision.MONTH: N_("to the month"),
        Precision.UNKNOWN: N_("not known"),
    },
    Basis: {
        Basis.STATED: N_("stated by the source"),
        Basis.INFERRED: N_("our inference"),
        Basis.BACKGROUND: N_("other public sources"),
    },
    SourceKind: {
        SourceKind.ARTICLE: N_("article"),
        SourceKind.OFFICIAL: N_("official page"),
        SourceKind.DECREE: N_("decree"),
        SourceKind.OBSERVATION: N_("observation"),
        SourceKind.DATASET: N_("data set"),
    },
    NoticeKind: {
        NoticeKind.ANNOUNCEMENT: N_("announcement"),
        NoticeKind.TRAVEL_ADVICE: N_("travel advice"),
        NoticeKind.SECURITY_MEASURE: N_("security measure"),
        NoticeKind.THREAT_ASSESSMENT: N_("threat assessment"),
        NoticeKind.REACTION: N_("reaction"),
        NoticeKind.NEGOTIATION: N_("negotiation"),
        NoticeKind.EXPECTED_IMPACT: N_("expected impact"),
        NoticeKind.CONTEXT: N_("context"),
    },
    ObservationMethod: {
        ObservationMethod.OFFICIAL: N_("official figure"),
        ObservationMethod.SENSOR: N_("measured by sensors"),
        ObservationMethod.QUEUE_SYSTEM: N_("from the queue system"),
        ObservationMethod.CAMERA: N_("seen by camera"),
        ObservationMethod.REPORTED: N_("reported by travellers"),
        ObservationMethod.DERIVED: N_("derived from other figures"),
    },
    Qualifier: {
        Qualifier.EXACTLY: N_("exactly"),
        Qualifier.UP_TO: N_("up to"),
        Qualifier.AT_LEAST: N_("at least"),
        Qualifier.ABOUT: N_("about"),
    },
    GapCode: {
        GapCode.NOTHING_HOLDS: N_("There is no information about some lanes."),
        GapCode.EVIDENCE_OLD: N_("Some lanes have not been confirmed lately."),
        GapCode.LOCATION_UNKNOWN: N_("Location unknown"),
        GapCode.OPENING_HOURS: N_("The opening hours of at least one side are unknown."),
        GapCode.WAITING_TIMES: N_("No recent waiting times are known."),
        GapCode.OTHER_CROSSINGS: N_("There may be more crossings on this border."),
    },
}
"""The message for each member of the vocabulary, by its type, because types share values."""

DIRECTIONS: Mapping[str, str] = {
    "BY": N_("to Belarus"),
    "CA": N_("to Canada"),
    "EE": N_("to Estonia"),
    "FI": N_("to Finland"),
    "LT": N_("to Lithuania"),
    "LV": N_("to Latvia"),
    "MD": N_("to Moldova"),
    "MX": N_("to Mexico"),
    "NO": N_("to Norway"),
    "PL": N_("to Poland"),
    "RO": N_("to Romania"),
    "RU": N_("to Russia"),
    "SK": N_("to Slovakia"),
    "HU": N_("to Hungary"),
    "UA": N_("to Ukraine"),
    "US": N_("to the United States"),
}
"""Whole phrases, because CLDR lacks the grammatical cases of country names. Others get an arrow."""


IN_LANGUAGES: Mapping[str, str] = {
    "be": N_("in Belarusian"),
    "de": N_("in German"),
    "en": N_("in English"),
    "lt": N_("in Lithuanian"),
    "lv": N_("in Latvian"),
    "pl": N_("in Polish"),
    "ru": N_("in Russian"),
    "uk": N_("in Ukrainian"),
}
"""Whole phrases, as in `DIRECTIONS`. Of others the name of the language is given."""

_SHORT_MODES: Mapping[Mode, str] = {
    Mode.RAIL: N_("rail"),
    Mode.WATER: N_("water"),
    Mode.AIR: N_("air"),
}

_FOR_WHOM: Mapping[Traffic, str] = {
    Traffic.PEDESTRIAN: N_("for pedestrians"),
    Traffic.BICYCLE: N_("for bicycles"),
    Traffic.MOTORCYCLE: N_("for motorcycles"),
    Traffic.CAR: N_("for cars"),
    Traffic.BUS: N_("for buses"),
    Traffic.TRUCK: N_("for trucks"),
    Traffic.TRAIN: N_("for trains"),
}
"""Whole phrases, because the names need another grammatical case here."""

_EVENING = 18
"""The local hour from which the rest of a day is called tonight."""

_DATE_FORMS: Mapping[str, str] = {"lv": "dd.MM.y"}
"""In numbers, because CLDR has the months of short dates in no other case than the nominative."""

_FALLBACKS: Mapping[str, tuple[str, ...]] = {"be": ("ru",), "ru": ("be",), "uk": ("be", "ru")}
"""The languages that readers of a language prefer to English."""


@dataclass(frozen=True, eq=False)
class Words:
    """Writes things in a language."""

    language: Language

    def translate(self, message: str, **values: object) -> str:
        """Translate a message and fill in its ``%(name)s``."""
        return self.language.translations.gettext(message) % values

    def word(self, member: StrEnum) -> str:
        """Return the word for a member of the vocabulary."""
        return self.translate(MESSAGES[type(member)][member])

    def title_word(self, member: StrEnum) -> str:
        """Return the word for a member of the vocabulary, capitalised."""
        word = self.word(member)
        return word[:1].upper() + word[1:]

    def words(self, members: Iterable[StrEnum]) -> str:
        """Return the words for several members, as a list."""
        return self.listed(self.word(member) for member in members)

    def _measure(self, number: float, unit: str) -> str:
        """Return a number with its unit, which the standard of the locales (CLDR) names."""
        return format_unit(number, unit, "short", locale=self.language.locale)

    def listed(self, names: Iterable[str]) -> str:
        """Join names in the style of the language."""
        return format_list(list(names), locale=self.language.locale)

    def says(self, sides: Sequence[str]) -> str:
        """Say that these countries say so, as a clause."""
        clause = self.language.translations.ngettext(
            "says %(countries)s", "say %(countries)s", len(sides)
        )
        return clause % {"countries": self.listed(self.country(side) for side in sides)}

    def country(self, code: str) -> str:
        return str(self.language.locale.territories.get(code, code))

    def place(self, zone: ZoneInfo) -> str:
        """Return the name of the city of a time zone."""
        return str(location_of(zone, locale=self.language.locale, return_city=True))

    def border(self, border_id: str) -> str:
        """Return the name of a border, which is that of its two countries."""
        return " – ".join(self.country(code) for code in sides_of(border_id))

    def crossing(self, names: Iterable[Name]) -> str:
        """Return the names of a crossing's two checkpoints, in the language where possible."""
        sides: dict[str, dict[str, str]] = {}
        for name in names:
            sides.setdefault(name.side, {}).setdefault(name.lang, name.name)
        return " – ".join(dict.fromkeys(self.text(by_language) for by_language in sides.values()))

    def crossing_of(self, names: Iterable[Name], mode: Mode) -> str:
        """Return the name of a crossing, with its mode unless it is a road."""
        name = self.crossing(names)
        return f"{name} ({self.translate(_SHORT_MODES[mode])})" if mode in _SHORT_MODES else name

    def for_whom(self, traffic: Sequence[Traffic], to: Sequence[str]) -> str:
        """Say for which traffic something applies, and into which country if it is only one."""
        phrases = [self.translate(_FOR_WHOM[category]) for category in traffic]
        first = phrases[0].partition(" ")[0] if phrases else ""
        # "for cars, buses and trucks": the preposition is kept only once.
        if first and all(phrase.startswith(f"{first} ") for phrase in phrases):
            phrases[1:] = [phrase.removeprefix(f"{first} ") for phrase in phrases[1:]]
        directions = [self.direction(code) for code in to] if len(to) == 1 else []
        return " ".join(filter(None, [self.listed(phrases), *directions]))

    def traveller(self, traveller: Traveller) -> str:
        """Say what a traveller has said of themselves; empty for anyone."""
        parts = []
        if traveller.citizen_of:
            countries = self.listed(self.country(code) for code in sorted(traveller.citizen_of))
            parts.append(self.translate(N_("citizenship: %(countries)s"), countries=countries))
        parts += [self.word(group) for group in sorted(traveller.groups)]
        if traveller.is_empty:
            parts.append(self.translate(N_("empty vehicle")))
        if traveller.weight_kg is not None:
            parts.append(self._measure(traveller.weight_kg, "mass-kilogram"))
        if traveller.height_m is not None:
            parts.append(self._measure(traveller.height_m, "length-meter"))
        return ", ".join(parts)

    def text(self, by_language: Mapping[str, str]) -> str:
        """Return the text in the language, or else in the next best for its readers."""
        return by_language[self.lang(by_language)]

    def lang(self, by_language: Mapping[str, str]) -> str:
        """Return the language that `text` chooses."""
        code = self.language.code
        for candidate in (code, *_FALLBACKS.get(code, ()), ENGLISH):
            if candidate in by_language:
                return candidate
        return next(iter(by_language))

    def is_foreign(self, lang: str) -> bool:
        """Tell whether a BCP 47 language tag is of another language."""
        return _primary(lang) != self.language.code

    def in_language(self, lang: str) -> str:
        """Say in which language something is, by its BCP 47 tag."""
        phrase = IN_LANGUAGES.get(_primary(lang))
        return self.translate(phrase) if phrase else self.language_name(lang)

    def language_name(self, lang: str) -> str:
        """Return the name of a language by its BCP 47 tag; the tag if it has no name."""
        return str(self.language.locale.languages.get(_primary(lang), lang))

    def marked(self, text: str, lang: str = ENGLISH) -> str:
        """Return a stored text, with its language in brackets unless the reader reads it."""
        return f"{text} ({self.in_language(lang)})" if self.is_foreign(lang) else text

    def gap(self, code: GapCode, side: str | None) -> str:
        """Describe a gap in the coverage of a border."""
        if code is GapCode.SIDE_SILENT:
            country = self.country(side or "")
            return self.translate(N_("We have no information from %(country)s."), country=country)
        return self.word(code)

    def direction(self, to: str) -> str:
        """Return a direction: the country that is entered."""
        phrase = DIRECTIONS.get(to)
        return self.translate(phrase) if phrase else f"→ {self.country(to)}"

    def day(self, at: datetime, zones: Sequence[ZoneInfo]) -> str:
        """Return the short local date in the zone in which a day begins then, else in the first."""
        local = at.astimezone(day_zone(at, zones))
        return self._day_of(local)

    def travel_day(self, day: date, today: date) -> str:
        """Return a day with its weekday; today and tomorrow are called so as well."""
        text = format_skeleton("yMMMEd", day, locale=self.language.locale)
        near = {0: N_("today"), 1: N_("tomorrow")}.get((day - today).days)
        return text if near is None else f"{self.translate(near)}, {text}"

    def times(self, start: datetime, end: datetime, zone: ZoneInfo) -> str:
        """Return the local times of a part of a day; midnight at its end is 24:00."""
        begins, ends = start.astimezone(zone), end.astimezone(zone)
        last = "24:00" if ends.time() == time() else f"{ends:%H:%M}"
        return f"{begins:%H:%M}–{last}"

    def year(self, at: datetime) -> str:
        return format_skeleton("y", at, locale=self.language.locale)

    def month(self, at: date) -> str:
        """Return a short month with its year."""
        return format_skeleton("yMMM", at, locale=self.language.locale)

    def number(self, value: float) -> str:
        """Return a number with the separators of the language."""
        return format_decimal(value, locale=self.language.locale)

    def percent(self, share: float) -> str:
        """Return a share of 1 in percent, to a tenth of one."""
        return format_percent(
            round(share, 3), locale=self.language.locale, decimal_quantization=False
        )

    def length(self, length: timedelta) -> str:
        """Return a duration; one of two days or more in whole days."""
        if length < timedelta(days=2):
            return self.duration(round(length / timedelta(minutes=1)))
        days = round(length / timedelta(days=1))
        return format_unit(days, "duration-day", length="short", locale=self.language.locale)

    def weekday(self, number: int) -> str:
        """Return the short name of a weekday; 1 is Monday."""
        names = get_day_names("abbreviated", context="stand-alone", locale=self.language.locale)
        return str(names[number - 1])

    def hour(self, number: int) -> str:
        """Return the time of day at which an hour begins."""
        return format_time(time(number), "short", locale=self.language.locale)

    def instant(
        self,
        at: datetime,
        zones: Iterable[ZoneInfo],
        precision: Precision = Precision.MINUTE,
        now: datetime | None = None,
    ) -> Markup:
        """Return an instant in the local times of ``zones``, with UTC as its title.

        With precision `day` or `month` it is a day or month in the zone where one begins then, else
        in the first zone. Today and tomorrow, as of ``now``, are called by these words.
        """
        zones = list(zones)
        match precision:
            case Precision.MINUTE | Precision.HOUR:
                utc = at.astimezone(UTC)
                return Markup('<time datetime="{}" title="{}">{}</time>').format(
                    utc.isoformat().replace("+00:00", "Z"),
                    f"{utc:%Y-%m-%d %H:%M} UTC",
                    self._in_zones(at, zones, now),
                )
            case Precision.DAY | Precision.MONTH:
                return self._date(at.astimezone(day_zone(at, zones)), precision, now)
            case Precision.UNKNOWN:
                return Markup("<span>{}</span>").format(self.translate(N_("date unknown")))
            case _:
                assert_never(precision)

    def end(
        self,
        at: datetime,
        zones: Iterable[ZoneInfo],
        precision: Precision | None = Precision.MINUTE,
        now: datetime | None = None,
    ) -> Markup:
        """Return an end, with the precision of the start.

        With precision `day` or `month`, an end at midnight is shown as the last day or month before
        it. Today and tomorrow, as of ``now``, are called by these words.
        """
        zones = list(zones)
        zone = day_zone(at, zones)
        if precision in {Precision.MINUTE, Precision.HOUR, None} or not is_midnight(at, zone):
            return self.instant(at, zones, now=now)
        last = (at - timedelta(minutes=1)).astimezone(zone)
        months = precision is Precision.MONTH and at.astimezone(zone).day == 1
        return self._date(last, Precision.MONTH if months else Precision.DAY, now)

    def _date(self, local: datetime, precision: Precision, now: datetime | None) -> Markup:
        """Return a local day or month."""
        locale = self.language.locale
        if precision is Precision.MONTH:
            text, machine = format_skeleton("yMMMM", local, locale=locale), f"{local:%Y-%m}"
        else:
            text = self._near_day(local, now) or self._day_of(local)
            machine = f"{local:%Y-%m-%d}"
        return Markup('<time datetime="{}">{}</time>').format(machine, text)

    def _day_of(self, local: date) -> str:
        """Return a local day as a short date."""
        form = _DATE_FORMS.get(self.language.code, "medium")
        return format_date(local, form, locale=self.language.locale)

    def _near_day(self, local: datetime, now: datetime | None, clock: str = "") -> str | None:
        """Return today or tomorrow with the time, if a local day is one of them, else None."""
        days = None if now is None else (local.date() - now.astimezone(local.tzinfo).date()).days
        if days == 0 and clock and local.hour >= _EVENING:
            return self.translate(N_("tonight %(time)s"), time=clock)
        if days == 0:
            return self.translate(N_("today %(time)s"), time=clock).strip()
        if days == 1:
            return self.translate(N_("tomorrow %(time)s"), time=clock).strip()
        return None

    def _in_zones(self, at: datetime, zones: list[ZoneInfo], now: datetime | None) -> Markup:
        locale = self.language.locale
        clocks: dict[tuple[datetime, str], list[str]] = {}
        for zone in zones:
            local = at.astimezone(zone)
            city = self.place(zone)
            time = local.replace(tzinfo=None, fold=0)
            cities = clocks.setdefault((time, _offset(local)), [])
            if city not in cities:
                cities.append(city)
        days = {local.date() for local, _ in clocks}
        texts: list[Markup] = []
        for number, ((local, offset), cities) in enumerate(clocks.items()):
            clock = f"{format_time(local, 'short', locale=locale)}{offset}"
            near_day = (
                self._near_day(at.astimezone(zones[0]), now, clock) if len(days) == 1 else None
            )
            if number == 0 and near_day:
                clock = near_day
            elif number == 0 or len(days) > 1:
                clock = f"{self._day_of(local)}, {clock}"
            texts.append(
                Markup('{} <span class="zone">({})</span>').format(clock, ", ".join(cities))
            )
        return Markup(" · ").join(texts)

    def duration(self, minutes: int) -> str:
        """Return a duration in days, hours and minutes."""
        hours, minutes_left = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        parts = [(days, "day"), (hours, "hour"), (minutes_left, "minute")]
        return " ".join(
            format_unit(number, f"duration-{unit}", length="short", locale=self.language.locale)
            for number, unit in parts
            if number or (unit == "minute" and not minutes)
        )

    def age(self, at: datetime, now: datetime) -> str:
        """Say how long before ``now`` an instant was, at least in minutes."""
        return format_timedelta(
            min(at - now, -timedelta(seconds=1)),
            granularity="minute",
            threshold=2,
            add_direction=True,
            locale=self.language.locale,
        )

    def queue(self, queue: Queue) -> str:
        """Describe a queue, without the traffic of its lane."""
        kinds = [
            (queue.empty, N_("empty")),
            (queue.priority, N_("with priority")),
            (queue.pre_booked, N_("with a booking")),
        ]
        weight = [] if queue.weight_kg is None else [self._weight(queue.weight_kg)]
        goods = [] if queue.goods is None else [queue.goods]
        return ", ".join(
            [*weight, *(self.translate(word) for is_set, word in kinds if is_set), *goods]
        )

    def _weight(self, weight: WeightClass) -> str:
        lowest, highest = (
            None if kilograms is None else self.number(kilograms / 1000)
            for kilograms in (weight.from_, weight.to)
        )
        if highest is None:
            return self.translate(N_("over %(tonnes)s t"), tonnes=lowest)
        if lowest is None:
            return self.translate(N_("up to %(tonnes)s t"), tonnes=highest)
        return self.translate(N_("%(lowest)s to %(highest)s t"), lowest=lowest, highest=highest)

    def ago(self, at: datetime, now: datetime) -> str:
        """Say how long before ``now`` an instant was, at least in hours."""
        if now - at < timedelta(hours=1):
            return self.translate(N_("less than an hour ago"))
        return format_timedelta(
            at - now,
            granularity="hour",
            threshold=2,
            add_direction=True,
            locale=self.language.locale,
        )


def _primary(lang: str) -> str:
    """Return the language of a tag, without script and region."""
    return lang.partition("-")[0].lower()


def _offset(local: datetime) -> str:
    """Return the UTC offset of a local time that occurs twice that day, else an empty string."""
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return ""
    return f" UTC{local.isoformat()[-6:]}"
