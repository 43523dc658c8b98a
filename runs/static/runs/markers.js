// markers.js - what stands out in a recording: which of it is marked on the bar, and where. Pure.

// What names a marker that stands for several: the first of these among them.
const KINDS = ["error", "gap", "stage", "result", "tool", "progress"];
const WORDS = { error: "Error", gap: "Remark", stage: "Stage", result: "Result", tool: "Tool", progress: "Progress" };
const MOST = 5000;
const QUARTER = 25;
// Apart as fingers need it, in pixels.
const APART = 24;
const NAMED = 5;
// Positions are whole microseconds.
const MOMENT = 2e-6;

export function makeMarkers() {
  const marks = [];
  const quarters = new Map();
  let lastSeq = 0;

  /** Items of the marks call, in seq order; what came before is left out. */
  function add(items) {
    for (const mark of items) {
      if (mark.seq <= lastSeq) continue;
      lastSeq = mark.seq;
      if (marks.length < MOST && isTelling(mark)) marks.push(mark);
    }
  }

  /** Of a progress only the quarters it passes are marked. */
  function isTelling({ kind, task, label }) {
    const found = kind === "progress" && /([\d.]+)\s*%/.exec(label ?? "");
    if (!found) return true;
    const quarter = Math.floor(Number(found[1]) / QUARTER);
    const was = quarters.get(task) ?? 0;
    quarters.set(task, quarter);
    return quarter > was;
  }

  return {
    add,
    /** The first marker behind a time. */
    after: (t) => marks.find((mark) => mark.t > t + MOMENT),
    /** The last one before it. */
    before: (t) => marks.findLast((mark) => mark.t < t - MOMENT),
    clusters: (seconds, width) => cluster(marks, seconds, width),
    get lastSeq() { return lastSeq; },
    get length() { return marks.length; },
  };
}

/**
 * Markers that would lie on each other become one.
 * @returns {{key: number, share: number, kind: string, marks: object[]}[]}  share of the length, 0 to 1
 */
export function cluster(marks, seconds, width, apart = APART) {
  const clusters = [];
  const share = (t) => (seconds > 0 ? Math.min(1, Math.max(0, t / seconds)) : 0);
  for (const mark of marks) {
    const last = clusters.at(-1);
    if (last && (share(mark.t) - last.share) * width < apart) last.marks.push(mark);
    else clusters.push({ key: mark.seq, share: share(mark.t), marks: [mark] });
  }
  for (const each of clusters) each.kind = KINDS.find((kind) => each.marks.some((mark) => mark.kind === kind)) ?? "result";
  return clusters;
}

/** Of several markers at one place: the one behind the position, else the first. */
export const chosenOf = (marks, position) => marks.find(({ t }) => t > position + MOMENT) ?? marks[0];

/** "Stage load", "12 markers: Stage load, Error ZeroDivisionError and 10 more" */
export function describe(marks) {
  const said = marks.slice(0, NAMED).map(nameOf).join(", ");
  if (marks.length === 1) return said;
  const rest = marks.length - NAMED;
  return `${marks.length} markers: ${said}${rest > 0 ? ` and ${rest} more` : ""}`;
}

const nameOf = ({ kind, label }) => [WORDS[kind] ?? kind, shortened(label)].filter(Boolean).join(" ");
const shortened = (label) => (label?.length > 60 ? `${label.slice(0, 60)}…` : label);
