"""What tests ask for, plan and change. It is no part of Microsoft's services.

======================  ====================================================================================
``GET /items``          every item: drive, path, size, hash, SHA-256 …; ``?sha256=no`` leaves that one out
``GET /content``        the stored bytes of ``?drive=…&path=…``
``PUT /content``        place these bytes at ``?drive=…&path=…``, as another program would
``GET /sessions``       the open upload sessions
``GET /drives``         quota and recycle bin of each drive
``GET /requests``       the log
``GET /violations``     rules that were broken, and ``unknown_routes``
``GET /faults``         the planned faults
``POST /faults``        plan one
``GET /secrets``        what no log may hold: secrets, tokens, upload and download addresses
``POST /clock``         ``{"advance": seconds}``
``POST /settings``      change these fields of the settings
``POST /revoke_tokens`` refuse all tokens given so far
``POST /reset``         begin anew, with these fields different from the settings of the start
======================  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .clock import iso_8601
from .emulation import Emulation
from .errors import GraphError
from .http_messages import Answer, Request, json_answer
from .items import Item


class Admin:
    """The service on the fifth port. ``begin_anew`` makes another emulation, with these settings."""

    def __init__(self, begin_anew: Callable[[dict[str, Any]], None]) -> None:
        self._begin_anew = begin_anew

    def answer(self, request: Request, emulation: Emulation) -> Answer:
        """The answer; 404 for an unknown route, 400 for what cannot be planned or set."""
        handlers: dict[tuple[str, str], Callable[[Request, Emulation], Answer]] = {
            ("GET", "/items"): _items,
            ("GET", "/content"): _get_content,
            ("PUT", "/content"): _put_content,
            ("GET", "/sessions"): _sessions,
            ("GET", "/drives"): _drives,
            ("GET", "/requests"): lambda _, emulation: json_answer(200, emulation.journal.requests()),
            ("GET", "/violations"): _violations,
            ("GET", "/faults"): lambda _, emulation: json_answer(200, emulation.plan.documents()),
            ("POST", "/faults"): _plan,
            ("GET", "/secrets"): _secrets,
            ("POST", "/clock"): _advance,
            ("POST", "/settings"): _change,
            ("POST", "/revoke_tokens"): _revoke_tokens,
            ("POST", "/reset"): self._reset,
        }
        handler = handlers.get((request.method, request.path))
        try:
            answer = handler(request, emulation) if handler else json_answer(404, {"error": "no such route"})
        except (GraphError, KeyError, TypeError, ValueError) as error:
            answer = json_answer(400, {"error": repr(error)})
        request.body.drain()
        return answer

    def _reset(self, request: Request, emulation: Emulation) -> Answer:
        self._begin_anew(request.json() or {})
        return json_answer(200, {})


def _items(request: Request, emulation: Emulation) -> Answer:
    with emulation.lock:
        found = [
            (drive, item)
            for drive in emulation.drives.values()
            for item in drive.root.below()
            if item is not drive.root
        ]
        documents = [{"drive": drive.settings.id, **_document(item)} for drive, item in found]
    if request.query.get("sha256") != "no":
        for (_, item), document in zip(found, documents, strict=True):
            document["sha256"] = item.content.sha256() if item.content is not None else None
    return json_answer(200, documents)


def _document(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "path": item.path,
        "is_folder": item.is_folder,
        "size": item.size,
        "quick_xor_hash": None if item.content is None else item.content.quick_xor_hash,
        "modified": iso_8601(item.modified),
        "version": item.version,
    }


def _get_content(request: Request, emulation: Emulation) -> Answer:
    with emulation.lock:
        item = emulation.drives[request.query["drive"]].find(tuple(request.query["path"].split("/")))
    if item is None or item.content is None:
        return json_answer(404, {"error": "no such file"})
    return Answer(200, {}, item.content.read(0, item.content.size), item.content.size)


def _put_content(request: Request, emulation: Emulation) -> Answer:
    content = emulation.new_content()
    for block in request.body.blocks():
        content.append(block)
    with emulation.lock:
        drive = emulation.drives[request.query["drive"]]
        drive.place_by_another(tuple(request.query["path"].split("/")), content, emulation.clock.now())
    return json_answer(200, {})


def _sessions(request: Request, emulation: Emulation) -> Answer:
    with emulation.lock:
        emulation.sessions.end_expired()
        documents = [
            {
                "drive": session.drive.settings.id,
                "path": session.path,
                "received": session.received,
                "total": session.total,
                "expires": emulation.sessions.expiration(session),
            }
            for session in emulation.sessions.opened()
        ]
    return json_answer(200, documents)


def _drives(request: Request, emulation: Emulation) -> Answer:
    with emulation.lock:
        documents = [
            {
                "id": drive.settings.id,
                "used": drive.used,
                "remaining": drive.remaining,
                "recycle_bin": [{**_document(item), "name": item.name} for item in drive.recycle_bin],
            }
            for drive in emulation.drives.values()
        ]
    return json_answer(200, documents)


def _violations(request: Request, emulation: Emulation) -> Answer:
    journal = emulation.journal
    return json_answer(200, {"violations": journal.violations, "unknown_routes": journal.unknown_routes})


def _plan(request: Request, emulation: Emulation) -> Answer:
    return json_answer(200, {"id": emulation.plan.add(request.json() or {})})


def _secrets(request: Request, emulation: Emulation) -> Answer:
    secrets = [app.secret for app in emulation.settings.apps if app.secret]
    return json_answer(200, [*secrets, *emulation.given_secrets])


def _advance(request: Request, emulation: Emulation) -> Answer:
    emulation.clock.advance(float((request.json() or {})["advance"]))
    return json_answer(200, {})


def _change(request: Request, emulation: Emulation) -> Answer:
    emulation.change(emulation.settings.changed(request.json() or {}))
    return json_answer(200, {})


def _revoke_tokens(request: Request, emulation: Emulation) -> Answer:
    emulation.tokens.revoke_all()
    return json_answer(200, {})
