"""The words that the whole service speaks, one meaning a word; readers may meet new ones."""

from enum import StrEnum


class Word(StrEnum):
    """A word among its alternatives."""

    # An enumeration's own hash is a call of Python, and words are the keys of much that is asked.
    __hash__ = str.__hash__


class Status(Word):
    """The status of a lane or a crossing. ``unknown`` is only ever resolved, never declared."""

    OPEN = "open"
    RESTRICTED = "restricted"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class DeclaredStatus(Word):
    """What a status event may declare."""

    OPEN = "open"
    RESTRICTED = "restricted"
    CLOSED = "closed"


class Certainty(Word):
    """How reliable a declaration is."""

    CONFIRMED = "confirmed"
    """Official, seen, or told by several independent reports."""
    REPORTED = "reported"
    """Credible, second hand."""
    UNCONFIRMED = "unconfirmed"
    """Shown beside the status, never decides it."""


class Traffic(Word):
    """A category of what crosses, in the order in which lanes are listed."""

    PEDESTRIAN = "pedestrian"
    BICYCLE = "bicycle"
    MOTORCYCLE = "motorcycle"
    CAR = "car"
    BUS = "bus"
    TRUCK = "truck"
    TRAIN = "train"


class Mode(Word):
    """Whether it is a road, a railway or a waterway."""

    ROAD = "road"
    RAIL = "rail"
    WATER = "water"
    AIR = "air"


class EventKind(Word):
    """What a status event does."""

    DECLARATION = "declaration"
    RETRACTION = "retraction"
    CONFIRMATION = "confirmation"


class ReasonCode(Word):
    """Why a status was declared or an event withdrawn."""

    SECURITY = "security"
    MIGRATION = "migration"
    SMUGGLING = "smuggling"
    PUBLIC_ORDER = "public_order"
    HEALTH = "health"
    WEATHER = "weather"
    ACCIDENT = "accident"
    CONSTRUCTION = "construction"
    TECHNICAL = "technical"
    STAFFING = "staffing"
    STRIKE = "strike"
    HOLIDAY = "holiday"
    CONGESTION = "congestion"
    DIPLOMATIC = "diplomatic"
    HOURS = "hours"
    UNDISCLOSED = "undisclosed"
    OTHER = "other"


class ExceptionCode(Word):
    """Who may still cross although restricted or closed."""

    DIPLOMATS = "diplomats"
    OWN_CITIZENS = "own_citizens"
    EU_CITIZENS = "eu_citizens"
    RESIDENTS = "residents"
    PERMIT_HOLDERS = "permit_holders"
    HUMANITARIAN = "humanitarian"
    EMPTY_VEHICLES = "empty_vehicles"
    OTHER = "other"


class LaneReason(Word):
    """Why a lane has its status, where the deciding event alone does not say so."""

    HOURS = "hours"
    """Nothing but its regular hours closes it."""
    EXCEPTION = "exception"
    """It is closed, except for the traveller who asks."""
    MAX_WEIGHT = "max_weight"
    """The traveller's vehicle is too heavy for it."""
    MAX_HEIGHT = "max_height"
    """The traveller's vehicle is too high for it."""


class Precision(Word):
    """How exactly an instant is known."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    UNKNOWN = "unknown"


class Basis(Word):
    """How a source supports a fact."""

    STATED = "stated"
    """The source says it."""
    INFERRED = "inferred"
    """It follows from what the source says."""
    BACKGROUND = "background"
    """From the public record, beside the source that tells the story."""


class SourceKind(Word):
    """What a source is."""

    ARTICLE = "article"
    OFFICIAL = "official"
    DECREE = "decree"
    OBSERVATION = "observation"
    DATASET = "dataset"


class NoticeKind(Word):
    """What a notice is about. None of them is a status."""

    ANNOUNCEMENT = "announcement"
    """An authority makes a decision or an intention known."""
    TRAVEL_ADVICE = "travel_advice"
    SECURITY_MEASURE = "security_measure"
    THREAT_ASSESSMENT = "threat_assessment"
    REACTION = "reaction"
    NEGOTIATION = "negotiation"
    """What is only under discussion, and the talks about it."""
    EXPECTED_IMPACT = "expected_impact"
    CONTEXT = "context"
    """What one has to know to understand the rest."""


class Qualifier(Word):
    """How a figure's value bounds what it counts."""

    EXACTLY = "exactly"
    UP_TO = "up_to"
    AT_LEAST = "at_least"
    ABOUT = "about"


class ObservationMethod(Word):
    """How the figures of an observation came about."""

    OFFICIAL = "official"
    """Measured or counted by an authority, and entered by its staff."""
    SENSOR = "sensor"
    """Measured by devices: loops, Bluetooth, RFID, number plate readers."""
    QUEUE_SYSTEM = "queue_system"
    """Told by a booking or queueing system of what is registered in it."""
    CAMERA = "camera"
    """Read from a picture, by a person or a program."""
    REPORTED = "reported"
    """Told by travellers or the press."""
    DERIVED = "derived"
    """Worked out from other figures."""


class CrossingOrder(Word):
    """In which order crossings are listed."""

    EVIDENCE = "evidence"
    """The one that nobody has confirmed for longest comes first."""


class GapCode(Word):
    """What is not covered of a border."""

    SIDE_SILENT = "side_silent"
    """Nothing in force is known from a side."""
    NOTHING_HOLDS = "nothing_holds"
    """Nothing that was recorded says of some lane what holds at this instant."""
    EVIDENCE_OLD = "evidence_old"
    """What was last said is too old to be relied on."""
    LOCATION_UNKNOWN = "location_unknown"
    OPENING_HOURS = "opening_hours"
    WAITING_TIMES = "waiting_times"
    OTHER_CROSSINGS = "other_crossings"


class ChangeKind(Word):
    """What a change records."""

    DECISION = "decision"
    RETRACTION = "retraction"
    CONFIRMATION = "confirmation"
    CROSSING = "crossing"
    SOURCE = "source"
    NOTICE = "notice"
    INCIDENT = "incident"
    HOURS = "hours"
    EFFECTIVE = "effective"


class SubscriptionStatus(Word):
    """Whether a subscription is delivered to; if not, what concerns it is kept for later."""

    PENDING = "pending"
    """The receiver has not yet agreed to be called."""
    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"
    """The service gave up: the receiver is gone, or has failed for days."""


class DeliveryState(Word):
    """What became of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Every attempt failed, over three days."""


class KeyScope(Word):
    """What an API key may write."""

    EVENTS = "events:write"
    NOTICES = "notices:write"
    OBSERVATIONS = "observations:write"
    SUBSCRIPTIONS = "subscriptions:write"
    ADMIN = "admin"


class AlertChannel(Word):
    """How somebody is told of changes."""

    PUSH = "push"
    """Web Push, to a browser."""
    EMAIL = "email"
