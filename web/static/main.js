// What every page loads.
import { showTimes } from "./times.js";
import { startTheme } from "./theme-button.js";
import { startCalendars } from "./calendar.js";
import { rememberParts, startLive } from "./live.js";
import { startFilter } from "./filter.js";
import { startLog } from "./log.js";
import { startActions } from "./actions.js";

rememberParts();
startTheme();
startCalendars();
showTimes(document);
setInterval(() => showTimes(document), 20_000);
startFilter();
startLog();
startActions();
startLive();
