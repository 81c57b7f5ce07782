"""The first page: how everything stands, what is under way, and each project with its backups; and a project's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from markupsafe import Markup

from operations.activities import activities
from operations.status.levels import WORST_FIRST
from utils import format_count, format_size
from web.api.backups import Words, chosen, summary
from web.api.overview import NEEDS_ATTENTION
from web.api.overview import overview as make_overview
from web.charts.calendar import calendar, merged, year
from web.charts.series import sparkline
from web.pages.addresses import address
from web.pages.kept import kept_page
from web.pages.templating import environment
from web.security.access import Viewer
from web.security.problems import NotFoundProblem
from web.services import Services, ServicesOf
from web.snapshot import BackupState, View

router = APIRouter(include_in_schema=False)

_PROJECTS_ON_A_PAGE = 12
_BACKUPS_OF_A_PROJECT = 12
_BACKUPS_ON_A_PAGE = 50
_WEEKS = 26

Show = Literal["all", "attention"]
PageNumber = Annotated[int, Query(ge=1, le=100_000)]


@router.get("/")
def overview(
    request: Request, who: Viewer, services: ServicesOf, q: Words = "", show: Show = "all", page_number: PageNumber = 1
) -> Response:
    """How everything stands."""
    view = services.snapshot.view
    has_errors = not services.configured.is_valid()
    running = activities(view.configuration.state_directory)

    def context() -> dict[str, object]:
        found = chosen(view, q, NEEDS_ATTENTION if show == "attention" else None)
        projects: dict[str, list[BackupState]] = {}
        for state in found:
            projects.setdefault(state.project_id, []).append(state)
        first = (page_number - 1) * _PROJECTS_ON_A_PAGE
        shown = list(projects.values())[first : first + _PROJECTS_ON_A_PAGE]
        is_last = first + _PROJECTS_ON_A_PAGE >= len(projects)
        newer = page_number - 1
        same = {"q": q, "show": "" if show == "all" else show}
        return {
            "overview": make_overview(view),
            "config_path": view.configuration.path,
            "config_has_errors": has_errors,
            "activities": running,
            "sections": [_section(services, view, states) for states in shown],
            "q": q,
            "show": show,
            "found": len(found),
            "projects": len(projects),
            "newer": address("/", **same, page_number=newer if newer > 1 else None) if newer else None,
            "older": None if is_last else address("/", **same, page_number=page_number + 1),
        }

    return kept_page(request, services, who, "overview.html", (view.version, has_errors, tuple(running)), context)


@router.get("/projects/{project}")
def project_page(
    request: Request, who: Viewer, services: ServicesOf, project: str, page_number: PageNumber = 1
) -> Response:
    """One project with all of its backups."""
    view = services.snapshot.view
    states = view.projects.get(project)
    if not states:
        raise NotFoundProblem(f"There is no project {project}.")
    running = [
        each for each in activities(view.configuration.state_directory) if each.backup_id.startswith(f"{project}/")
    ]
    version = (view.today, max(state.version for state in states), len(states))

    def context() -> dict[str, object]:
        first = (page_number - 1) * _BACKUPS_ON_A_PAGE
        here = f"/projects/{project}"
        days = merged(states[0].days.first, [state.days for state in states])
        return {
            "project": states[0].project,
            "activities": running,
            "calendar": year(days, view.today, f"the runs of {states[0].project}", f"project={project}"),
            "rows": [_row(state) for state in _worst_first(states)[first : first + _BACKUPS_ON_A_PAGE]],
            "count": len(states),
            "newer": address(here, page_number=page_number - 1) if page_number > 1 else None,
            "older": address(here, page_number=page_number + 1) if first + _BACKUPS_ON_A_PAGE < len(states) else None,
        }

    return kept_page(request, services, who, "project.html", (*version, tuple(running)), context)


def _section(services: Services, view: View, states: Sequence[BackupState]) -> Markup:
    """A project with the backups that were asked for."""
    project = states[0].project_id
    of_project = view.projects[project]
    ids = tuple(state.standing.backup_id for state in states)
    version = (view.today, max(state.version for state in of_project), len(of_project))

    def make() -> Markup:
        shown = _worst_first(states)[:_BACKUPS_OF_A_PROJECT]
        days = merged(of_project[0].days.first, [state.days for state in of_project]).last_weeks(_WEEKS)
        text = (
            environment()
            .get_template("project-section.html")
            .render(
                project=of_project[0].project,
                project_id=project,
                rows=[_row(state) for state in shown],
                more=len(states) - len(shown),
                calendar=calendar(days, view.today, f"the runs of {of_project[0].project}", f"project={project}"),
                words=_words(of_project),
            )
        )
        return Markup(text)  # noqa: S704 - from a template

    return services.fragments.get(("project", project, ids), version, make)


def _row(state: BackupState) -> dict[str, object]:
    """What the table of backups shows of one."""
    return {
        "summary": summary(state),
        "sparkline": sparkline(state.sizes, f"Size of the last archives of {state.standing.backup_id}", format_size),
        "size": state.sizes[-1] if state.sizes else None,
    }


def _words(states: Sequence[BackupState]) -> str:
    """``4 backups, 12.3 GB``."""
    size = sum(usage.size for state in states for usage in state.usage)
    count = format_count(len(states), "backup")
    return f"{count}, {format_size(size)}" if size else count


def _worst_first(states: Sequence[BackupState]) -> list[BackupState]:
    return sorted(states, key=lambda state: WORST_FIRST.index(state.level))
