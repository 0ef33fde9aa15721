"""One outcome, many views: counters and log line are made in one place, so that they cannot disagree."""

from processor.core.desk import Flight, Question
from processor.services.log import Log
from processor.services.meters import Meters
from processor.values.outcome import Outcome
from processor.values.reasons import Reason


def tell(
    meters: Meters,
    log: Log,
    request: Question,
    outcome: Outcome,
    flight: Flight | None,
    code: str,
    arrived_s: float,
    answered_s: float,
) -> None:
    """Tell what became of a question, when its answer has been handed to the link.

    ``flight`` is None for an answer that was not worked out now. However many asked, what was worked out is
    told once; whoever gets the same answer again is counted as a duplicate.
    """
    if flight is None:
        reason = outcome.reply.reason
        if reason is Reason.OVERLOADED or reason is Reason.DUPLICATE:
            log.transaction(request, outcome, code, answered_s - arrived_s)
        if reason is not Reason.OVERLOADED:
            kind = "other_content" if reason is Reason.DUPLICATE else "answered_before"
            meters.duplicate(request.network, kind)
    elif flight.told:
        meters.duplicate(request.network, "in_flight")
    else:
        flight.told = True
        meters.decided(request, outcome)
        if not flight.lapsed:  # or it has not been through all stages
            meters.flight(flight)
        for alert in outcome.alerts:
            meters.alert(request.network, alert)
        log.transaction(request, outcome, code, answered_s - arrived_s)
