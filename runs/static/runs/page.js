// page.js - the run's page: connects what is recorded and what arrives with what shows it.

import { bindActions } from "./actions.js";
import { makeBar } from "./bar.js";
import { drawBlock } from "./blocks.js";
import { makeFind } from "./find.js";
import { isFinal } from "./format.js";
import { gathered } from "./gathered.js";
import { makeHead } from "./head.js";
import { bindKeys } from "./keys.js";
import { mountLanes } from "./laneview.js";
import { bindLinks, showInAddress } from "./links.js";
import { liveSource } from "./live.js";
import { makeLogs } from "./logs.js";
import { makeMarks } from "./marks.js";
import { bindModes } from "./modes.js";
import { endOf } from "./model.js";
import { makePanels } from "./panels.js";
import { makePlayer } from "./player.js";
import { makeReach } from "./reaching.js";
import { recordedSource } from "./recorded.js";
import { drawSpans } from "./spans.js";
import { bindStdin } from "./stdin.js";
import { makeTab } from "./tab.js";
import { makeScreen } from "./terminal.js";
import { bindToolbar } from "./toolbar.js";
import { makeView } from "./view.js";

const ASK_AGAIN_MS = 2000;

const page = document.querySelector("[data-run]");
const part = (name) => page.querySelector(`[data-${name}]`);
const json = (id) => JSON.parse(document.querySelector(id)?.textContent ?? "null");
const initial = json("#run-json"), sent = json("#chunks-json");
const { urls } = initial;
// Where the log ends by what has arrived, whatever is shown.
let end = { seq: initial.last_seq, lines: initial.lines };

const calls = urls.chunks.replace(/chunks$/, "");
const self = calls.slice(0, -1); // of the run, or of the link it is shared by
let connection = ["ended"];
const reach = makeReach(self, () => bar.setConnection(...connection));
const source = recordedSource((query, call, options) => reach(`${calls}${call}?${query}`, options));
const head = makeHead(page);
const tab = makeTab(page, failed);

// --- what is shown -------------------------------------------------------------------

const blocks = {
  frameUrl: (seq, mime) => `${urls.page}results/${seq}/${mime ? `?mime=${encodeURIComponent(mime)}` : ""}`,
  resultUrl: (seq, mime) => `${urls.page}results/${seq}/download?mime=${encodeURIComponent(mime)}`,
};

const log = makeLogs((frame, filter) => makeView(frame, source, {
  draws: { drawText: (row) => drawSpans(row.spans), drawBlock: (row) => drawBlock(row, blocks) },
  newScreen: (raw) => makeScreen({ raw }),
  startedAt: initial.started_at,
  line: showInAddress,
  filter,
  failed,
}), part("frame"));
const modes = bindModes(page);
const marks = makeMarks(part("frame"), (line) => toLine(line));

const player = makePlayer(source, {
  show: (chunks, shownEnd) => log.reset(shownEnd, chunks),
  append: (chunks) => log.append(chunks),
  live() {
    log.setEnd(end);
    log.toEnd();
  },
  state(state) {
    bar.showState(state);
    panels.show();
  },
  position(seconds) {
    bar.showPosition(seconds);
    if (player.state !== "live") panels.show();
  },
  failed,
}, {
  now: () => performance.now(),
  setTimeout: (...args) => setTimeout(...args),
  clearTimeout: (id) => clearTimeout(id),
});

const bar = makeBar(part("player"), { player, source, failed });

const panels = makePanels(page, source, {
  line: (number) => toLine(number),
  time: () => (player.state === "live" ? { until: Infinity, now: head.seconds() } : { until: player.position, now: player.position }),
});

const lanes = part("lanes") && mountLanes(part("lanes"), initial.tasks, { open: log.open, source });

function toLine(number, options) {
  modes.choose("log");
  log.toLine(number, options);
}

function failed(error) {
  bar.showFailure(error);
}

// --- what arrives --------------------------------------------------------------------

const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const live = liveSource({
  socket: (after) => new WebSocket(`${scheme}//${location.host}${urls.websocket}?after=${after}`),
  events: (after) => new EventSource(`${urls.events}?after=${after}`),
}, end.seq, {
  chunks(chunks) {
    end = endOf(chunks);
    if (player.state === "live") log.append(chunks);
    tellOthers(chunks);
  },
  run: setRun,
  end: askRun,
  error: (sentence) => failed(new Error(sentence)),
  state(...given) {
    connection = given;
    bar.setConnection(...given);
  },
});

// What stands around the log is drawn ten times a second: it changes with every chunk.
const tellOthers = gathered(100, (chunks) => {
  head.heard(chunks.at(-1));
  bar.arrived(chunks);
  panels.take(chunks);
  lanes?.heard(chunks);
  finder.arrived(chunks.at(-1).seq);
  marks.take(chunks);
  marks.setTotal(end.lines);
});

/** How it ended; a server that stops ends its runs and is gone for a while. */
async function askRun() {
  try {
    const response = await reach(self);
    if (response.ok) setRun(await response.json());
  } catch (error) {
    failed(error);
    setTimeout(askRun, ASK_AGAIN_MS);
  }
}

function setRun(run) {
  head.setRun(run);
  lanes?.setTasks(run.tasks);
  log.setStart(run.started_at);
  tick();
}

function tick() {
  head.tick();
  tab.show(head.run, head.seconds());
  bar.setLength(head.seconds(), !isFinal(head.run.status));
  if (player.state === "live") panels.show();
}

// --- controls ------------------------------------------------------------------------

const finder = makeFind(part("find"), {
  source,
  view: { toLine, setHits: log.setHits, anchor: log.anchor, screen: log.main.screen },
  marks,
}, { filter: () => toolbar.filter() });
const toolbar = bindToolbar(page, log, () => finder.refilter());
bindActions(page, urls, failed);
bindStdin(part("stdin"), live.send);
bindKeys(document.querySelector("[data-keys]"), player, log, { bar, isFinding: () => finder.isOpen });

// --- begin ---------------------------------------------------------------------------

if (part("tasks")) page.classList.add("several-tasks");
setRun(initial);
log.reset(end, sent, { where: page.dataset.opens });
bar.begin(location.search);
bar.load();
marks.setTotal(end.lines);
marks.load(source).catch(failed);
bindLinks(toLine);
finder.begin();
panels.load(end.seq).catch(failed);
lanes?.count(end.seq).catch(failed);
if (!isFinal(initial.status)) {
  head.silentSince(sent?.at(-1)?.t ?? 0);
  live.start();
  setInterval(tick, 1000);
}
page.dataset.ready = "";
