"""How a request becomes an answer: logged, held against pauses and planned faults, handled."""

from __future__ import annotations

import math
import traceback

from .emulation import Emulation
from .errors import GraphError, SignInError
from .faults import LABELS, after_handling, before_handling
from .http_messages import Answer, ConnectionLostError, Request, ResetConnection
from .services import Handler, Service


def answer_to(request: Request, service: Service, emulation: Emulation) -> Answer:
    """The answer. Raises ResetConnection and ConnectionLostError where there is none."""
    resolved = service.resolve(request, emulation)
    request.route, more_labels, handle = resolved or ("", frozenset(), lambda: _unknown_route(request, emulation))
    request.labels = frozenset({"*", request.service, *more_labels, *([request.route] if resolved else [])})
    assert request.labels <= LABELS, f"{request.labels - LABELS} cannot be planned"
    request.app_id = service.app_of(request, emulation)
    entry = emulation.journal.begin(request)
    answer = _paused(request, emulation) or _with_faults(request, handle, emulation)
    request.body.drain()
    entry.status = answer.status
    return answer


def _paused(request: Request, emulation: Emulation) -> Answer | None:
    """The answer to a request that comes before Retry-After has passed."""
    left = emulation.journal.left_of_pause(request) if request.service in ("graph", "upload") else 0
    if not left:
        return None
    headers = {"Retry-After": str(math.ceil(left))}
    error = GraphError(429, "activityLimitReached", "Retry-After has not passed.", headers=headers)
    return emulation.error_answer(request, error)


def _with_faults(request: Request, handle: Handler, emulation: Emulation) -> Answer:
    request.faults = emulation.plan.due(request.labels)
    answer = before_handling(request, emulation)
    if answer is not None:
        return answer
    try:
        answer = handle()
    except (GraphError, SignInError) as error:
        answer = emulation.error_answer(request, error)
    except (ConnectionLostError, ResetConnection):
        raise
    except Exception:  # a mistake of the emulator has to be seen by the test, not by the client only
        emulation.journal.violation(request, f"the emulator failed: {traceback.format_exc()}")
        answer = emulation.error_answer(request, GraphError(500, "generalException", "The emulator failed."))
    return after_handling(request, answer, emulation)


def _unknown_route(request: Request, emulation: Emulation) -> Answer:
    emulation.journal.unknown_route(request)
    raise GraphError(404, "itemNotFound", "There is no such route.")
