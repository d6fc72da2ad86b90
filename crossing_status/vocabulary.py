"""The words of the API that this version knows. A newer service may use others, too."""

from enum import StrEnum


class Status(StrEnum):
    """The status of a lane or a crossing."""

    OPEN = "open"
    RESTRICTED = "restricted"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class DeclaredStatus(StrEnum):
    """What can be declared: unknown is only ever an answer."""

    OPEN = "open"
    RESTRICTED = "restricted"
    CLOSED = "closed"


class Traffic(StrEnum):
    """A category of what crosses."""

    PEDESTRIAN = "pedestrian"
    BICYCLE = "bicycle"
    MOTORCYCLE = "motorcycle"
    CAR = "car"
    BUS = "bus"
    TRUCK = "truck"
    TRAIN = "train"


class Mode(StrEnum):
    """What leads across the border."""

    ROAD = "road"
    RAIL = "rail"
    WATER = "water"
    AIR = "air"


class Certainty(StrEnum):
    """How reliable a declaration is. An unconfirmed one decides nothing."""

    CONFIRMED = "confirmed"
    REPORTED = "reported"
    UNCONFIRMED = "unconfirmed"


class EventKind(StrEnum):
    """What a status event does."""

    DECLARATION = "declaration"
    RETRACTION = "retraction"
    CONFIRMATION = "confirmation"


class ReasonCode(StrEnum):
    """Why a status was declared, or an event withdrawn."""

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


class ExceptionCode(StrEnum):
    """Who may still cross although restricted or closed."""

    DIPLOMATS = "diplomats"
    OWN_CITIZENS = "own_citizens"
    EU_CITIZENS = "eu_citizens"
    RESIDENTS = "residents"
    PERMIT_HOLDERS = "permit_holders"
    HUMANITARIAN = "humanitarian"
    EMPTY_VEHICLES = "empty_vehicles"
    OTHER = "other"


class LaneReason(StrEnum):
    """Why a lane has its status, where the deciding event alone does not say so."""

    HOURS = "hours"
    EXCEPTION = "exception"
    MAX_WEIGHT = "max_weight"
    MAX_HEIGHT = "max_height"


class Precision(StrEnum):
    """How exactly an instant is known."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    UNKNOWN = "unknown"


class Basis(StrEnum):
    """How a source supports a fact."""

    STATED = "stated"
    INFERRED = "inferred"
    BACKGROUND = "background"


class SourceKind(StrEnum):
    """What a source is."""

    ARTICLE = "article"
    OFFICIAL = "official"
    DECREE = "decree"
    OBSERVATION = "observation"
    DATASET = "dataset"


class WaitState(StrEnum):
    """Whether a wait is known; a closed lane has none."""

    KNOWN = "known"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class ObservationMethod(StrEnum):
    """How the figures of an observation came about."""

    OFFICIAL = "official"
    SENSOR = "sensor"
    QUEUE_SYSTEM = "queue_system"
    CAMERA = "camera"
    REPORTED = "reported"
    DERIVED = "derived"


class ChangeKind(StrEnum):
    """What a change of the log records."""

    DECISION = "decision"
    RETRACTION = "retraction"
    CONFIRMATION = "confirmation"
    CROSSING = "crossing"
    SOURCE = "source"
    NOTICE = "notice"
    INCIDENT = "incident"
    HOURS = "hours"
    EFFECTIVE = "effective"


class GapCode(StrEnum):
    """What is not covered of a border."""

    SIDE_SILENT = "side_silent"
    NOTHING_HOLDS = "nothing_holds"
    EVIDENCE_OLD = "evidence_old"
    LOCATION_UNKNOWN = "location_unknown"
    OPENING_HOURS = "opening_hours"
    WAITING_TIMES = "waiting_times"
    OTHER_CROSSINGS = "other_crossings"


class NoticeKind(StrEnum):
    """What a notice is about. None of them is a status."""

    ANNOUNCEMENT = "announcement"
    TRAVEL_ADVICE = "travel_advice"
    SECURITY_MEASURE = "security_measure"
    THREAT_ASSESSMENT = "threat_assessment"
    REACTION = "reaction"
    NEGOTIATION = "negotiation"
    EXPECTED_IMPACT = "expected_impact"
    CONTEXT = "context"


class Qualifier(StrEnum):
    """How a figure's value bounds what it counts."""

    EXACTLY = "exactly"
    UP_TO = "up_to"
    AT_LEAST = "at_least"
    ABOUT = "about"
