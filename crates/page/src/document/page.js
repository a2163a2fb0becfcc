"use strict";
// What is drawn comes as one object (crates/core/src/chart.rs); nothing here decides or sums up what records mean.
let chart = JSON.parse(document.getElementById("data").textContent);
const live = document.getElementById("data").dataset.events;   // where what happens from now on comes from; empty in a file
let view = null;      // [from, to] in ms while a part is shown, null for all
let chosen = null;    // the key of what is read
let current = null;   // the key of the mark that Tab comes to
const $ = (id) => document.getElementById(id);
const NS = "http://www.w3.org/2000/svg";
const STATES = ["booting", "idle", "busy", "draining"];
const PLACES = ["launching", "in_service", "aside", "leaving"];   // what a scaler sees of an instance, which is not whether it is busy

function put(parent, name, attributes, text) {
  const node = document.createElementNS(parent.namespaceURI === NS || name === "svg" ? NS : "http://www.w3.org/1999/xhtml", name);
  for (const [key, value] of Object.entries(attributes || {})) if (value !== undefined && value !== null) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

// ---- words -----------------------------------------------------------------------------------------------------------------

const clock = (ms, fine) => new Date(ms).toISOString().slice(11, fine ? 23 : 19);
const day = (ms) => new Date(ms).toISOString().slice(0, 10);
const days = () => day(chart.from) !== day(chart.to);
const moment = (ms) => (days() ? day(ms) + " " : "") + clock(ms, true);
function length(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 60) return (s < 10 ? s.toFixed(1) : Math.round(s)) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + String(Math.floor(s % 60)).padStart(2, "0") + " s";
  return Math.floor(s / 3600) + " h " + String(Math.floor(s % 3600 / 60)).padStart(2, "0") + " min";
}
const jobs = (list) => list.length === 0 ? "" : (list.length === 1 ? "job " : "jobs ") + list.join(", ");
const words = (word) => word.replaceAll("_", " ");

// ---- scale -----------------------------------------------------------------------------------------------------------------

function shown() {
  const from = chart.from, to = Math.max(chart.to, chart.from + 1000);
  if (!view) return [from, to];
  const width = Math.min(view[1] - view[0], to - from);
  const start = Math.min(Math.max(view[0], from), to - width);
  return [start, start + width];
}
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800, 2592000].map((s) => s * 1000);
function ticks(from, to, most) {
  const step = STEPS.find((s) => (to - from) / s <= most) || STEPS[STEPS.length - 1] * Math.ceil((to - from) / STEPS[STEPS.length - 1] / most);
  const list = [];
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) list.push(t);
  return [list, step];
}
function zoom(how) {
  const [from, to] = shown(), width = to - from;
  // Whoever looks at the present goes on looking at it.
  const middle = live && to >= chart.to ? to - Math.max(width / 4, 500) : (from + to) / 2;
  if (how === "all") view = null;
  if (how === "in") view = [middle - Math.max(width / 4, 500), middle + Math.max(width / 4, 500)];
  if (how === "out") view = width * 2 >= chart.to - chart.from ? null : [middle - width, middle + width];
  if (how === "earlier") view = [from - width / 2, to - width / 2];
  if (how === "later") view = [from + width / 2, to + width / 2];
  draw();
}

// ---- picture ---------------------------------------------------------------------------------------------------------------

const DIAMOND = (x, y, r) => `M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}Z`;
const UP = (x, y, r) => `M${x} ${y - r}L${x + r} ${y + r * 0.8}L${x - r} ${y + r * 0.8}Z`;
const stories = new Map();   // key -> what is read of it

function draw() {
  const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.key : null;
  stories.clear();
  const box = $("chart");
  const wide = Math.max(280, Math.floor(box.clientWidth)), phone = wide < 520;
  const left = phone ? 30 : 168, right = 14, [from, to] = shown();
  const x = (t) => left + (Math.min(Math.max(t, from), to) - from) / (to - from) * (wide - left - right);
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("role", "group");
  svg.setAttribute("aria-label", chart.lanes.length === 0 ? "Queue and capacity of each pool" : "Queue and capacity above, one lane for each instance below");
  const [times, step] = ticks(from, to, Math.max(2, Math.floor((wide - left) / 90)));
  const back = put(svg, "g", { "aria-hidden": "true" });
  let y = 0;
  for (const pool of drawn()) y = drawPool(svg, pool, { x, y, left, right, wide, from, to, phone });
  const more = chart.pools.length - drawn().length;
  if (more > 0) {
    put(svg, "text", { class: "soft", x: 0, y: y + 12 }, more === 1 ? "and 1 more pool, where less happens" : `and ${more} more pools, where less happens`);
    y += 24;
  }
  y = drawLanes(svg, { x, y, left, right, wide, from, to, phone });
  for (const t of times) {
    put(back, "line", { class: "grid", x1: x(t), x2: x(t), y1: 0, y2: y });
    const anchor = x(t) > wide - 40 ? "end" : x(t) < left + 24 ? "start" : "middle";
    put(back, "text", { class: "soft", x: x(t), y: y + 16, "text-anchor": anchor }, step >= 86400000 ? day(t).slice(5) : clock(t).slice(0, step < 60000 ? 8 : 5));
  }
  put(back, "line", { class: "axis", x1: left, x2: wide - right, y1: y, y2: y });
  svg.setAttribute("height", y + 24);
  svg.setAttribute("viewBox", `0 0 ${wide} ${y + 24}`);
  box.replaceChildren(svg);
  $("empty").hidden = chart.lanes.length > 0 || (chart.unseen && chart.pools.length > 0);
  if (chart.unseen) $("empty").textContent = "Nothing has been decided yet. A pool appears with its first tick.";
  const hint = $("detail").querySelector(".hint");
  if (chart.unseen && chart.lanes.length === 0 && hint) hint.textContent = "Choose a mark to read what was decided and why.";
  $("unseen").replaceChildren();
  for (const line of chart.unseen || []) put($("unseen"), "p", {}, line);
  const marks = [...svg.querySelectorAll(".mark")];
  const stop = marks.find((mark) => mark.dataset.key === current) || marks[0];
  if (stop) stop.setAttribute("tabindex", "0");
  if (focused) marks.filter((mark) => mark.dataset.key === focused).forEach((mark) => mark.focus());
  for (const mark of marks) mark.classList.toggle("chosen", mark.dataset.key === chosen);
  drawWords();
}

// The newest of its readings that tells this; null where none does.
const newest = (pool, value) => { for (let i = pool.readings.length; i--;) if (value(pool.readings[i]) != null) return value(pool.readings[i]); return null; };

const drawn = () => chart.pools.filter((pool) => pool.drawn);

function drawPool(svg, pool, at) {
  const { x, left, right, wide, from, to, phone } = at;
  const group = put(svg, "g", { class: "pool", "data-pool": pool.pool });
  const lives = chart.lanes.filter((life) => life.pool === pool.pool);
  const top = at.y + 24, high = 92, foot = top + high;
  put(group, "text", { class: "title", x: 0, y: at.y + 13 }, pool.pool);
  // What was read holds until the next reading; a tick without a plan says nothing.
  const steps = (value) => pool.readings.filter((it) => value(it) !== null && value(it) !== undefined).map((it) => [it.at, value(it)]);
  const queue = steps((it) => it.queued), desired = steps((it) => it.desired), alive = living(lives);
  const most = Math.max(1, ...queue.map((it) => it[1]), ...desired.map((it) => it[1]), ...alive.map((it) => it[1]));
  const v = (value) => foot - value / most * (high - 4);
  const rule = [...new Set(most < 4 ? [0, most] : [0, Math.round(most / 2), most])];
  for (const value of rule) {
    put(group, "line", { class: "grid", x1: left, x2: wide - right, y1: v(value), y2: v(value) });
    put(group, "text", { class: "soft", x: left - 8, y: v(value) + 4, "text-anchor": "end" }, value);
  }
  const line = (points) => {
    const within = points.filter((it) => it[0] <= to);
    if (within.length === 0) return null;
    let d = "", last = 0;
    within.forEach(([t, value], i) => { d += (i === 0 ? "M" + x(t) + " " + v(value) : "H" + x(t) + "V" + v(value)); last = value; });
    return [d + "H" + x(to), x(Math.max(within[0][0], from)), last];
  };
  const area = line(queue), wanted = line(desired), there = line(alive);
  if (area) put(group, "path", { class: "queue", d: area[0] + "V" + foot + "H" + area[1] + "Z" });
  if (there) put(group, "path", { class: "alive", d: there[0] });
  if (wanted) put(group, "path", { class: "desired", d: wanted[0] });
  // Decisions: what is news, in a row of their own.
  const row = put(group, "g", { class: "decisions", "data-row": "decisions " + pool.pool });
  const middle = foot + 16;
  put(row, "text", { class: "soft", x: phone ? 0 : left - 14, y: middle + 4, "text-anchor": phone ? "start" : "end" }, phone ? "" : "decisions");
  put(row, "line", { class: "grid", x1: left, x2: wide - right, y1: middle, y2: middle });
  pool.readings.forEach((it) => {
    if (!it.news || it.at < from || it.at > to) return;
    const tone = it.result === "failed" ? "bad" : it.result === "raised" ? "raised" : it.result === "held" ? "plain" : "notice";
    const raise = ["raised", "would_raise", "queued"].includes(it.result);
    const key = `decision ${pool.pool} ${it.at}`;
    const mark = button(row, key, tone, `${pool.pool}: ${words(it.result)} at ${clock(it.at)}`, {
      title: `${pool.pool}: ${words(it.result)}`, when: it.at, lines: [it.sentence] });
    mark.dataset.at = it.at; mark.dataset.result = it.result; mark.classList.add("decision");
    shape(mark, x(it.at), middle, raise ? UP(x(it.at), middle, 6.5) : DIAMOND(x(it.at), middle, 5.5), it.result === "held");
  });
  return middle + 24;
}

// How many instances there were, as steps.
function living(lives) {
  const turns = lives.flatMap((life) => [[life.spans[0].from, 1], ...(life.end ? [[life.end.at, -1]] : [])]).sort((a, b) => a[0] - b[0]);
  let count = 0;
  const steps = [];
  for (const [t, by] of turns) {
    count += by;
    if (steps.length && steps[steps.length - 1][0] === t) steps[steps.length - 1][1] = count; else steps.push([t, count]);
  }
  return steps;
}

const MOST_LANES = 400;
function drawLanes(svg, at) {
  const { x, left, wide, from, to, phone } = at;
  const all = chart.lanes.filter((life) => life.spans[0].from <= to && life.spans[life.spans.length - 1].to >= from);
  const high = phone ? 42 : 28;
  let y = at.y;
  if (all.length > 0) {
    put(svg, "text", { class: "title", x: 0, y: y + 12 }, "instances");
    y += 20;
  }
  for (const life of all.slice(0, MOST_LANES)) {
    const lane = put(svg, "g", { class: "lane", "data-instance": life.instance, "data-pool": life.pool, "data-end": life.end && life.end.at, "data-row": life.instance });
    put(lane, "rect", { class: "band", x: 0, y, width: wide, height: high });
    const top = phone ? y + 18 : y + 5, thick = 18, middle = top + thick / 2;
    const first = life.spans[0].from, last = life.spans[life.spans.length - 1].to;
    const name = button(lane, "instance " + life.instance, "plain", "instance " + life.instance, {
      title: life.instance, when: first, until: life.end ? life.end.at : null,
      lines: life.sentences.length ? life.sentences : ["Nothing more is known of it."] });
    name.classList.add("name");
    const labels = [];
    put(name, "rect", { class: "ring", x: -3, y: phone ? y + 1 : top - 1, width: phone ? 160 : left - 4, height: phone ? 16 : thick + 2, rx: 4 });
    put(name, "text", { x: 0, y: phone ? y + 13 : middle + 4 }, life.instance);
    for (const span of life.spans) {
      if (span.to < from || span.from > to) continue;
      const a = x(span.from), b = x(span.to);
      const rect = put(lane, "rect", { class: "mark span " + span.state, x: a, y: top + 0.5, width: Math.max(1, b - a), height: thick - 1, rx: Math.min(2, (b - a) / 2),
        "data-from": span.from, "data-to": span.to, "data-jobs": span.jobs.join(","), "data-state": span.state });
      const on = !life.end && span === life.spans[life.spans.length - 1], held = span.jobs.length ? jobs(span.jobs) : "";
      const story = { title: `${life.instance}: ${words(span.state)}`, when: span.from, until: on ? null : span.to,
        lines: [on ? (held ? held + " so far" : "Not ended, as far as is known.") : length(span.to - span.from) + (held && " with " + held)] };
      const key = `span ${life.instance} ${span.from} ${span.state}`;
      press(rect, key, `${life.instance} ${words(span.state)} from ${clock(span.from)}, ${length(span.to - span.from)} ${jobs(span.jobs)}`.trim(), story);
      rect.dataset.at = span.from;
      put(rect, "title", {}, `${words(span.state)} ${length(span.to - span.from)} ${jobs(span.jobs)}`.trim());
      // As many of its jobs as there is room for, and no number that could be the name of one; a letter of the small size is about 6.4 wide.
      const fits = (text) => b - a > text.length * 6.6 + 8;
      const label = [span.jobs.join(", "), span.jobs.length > 1 ? `${span.jobs[0]} +${span.jobs.length - 1}` : "", span.jobs.length === 1 ? "1 job" : `${span.jobs.length} jobs`].find((text) => text && fits(text));
      const pale = life.silent && span.to > life.silent ? "" : span.state;
      if (label && span.jobs.length) labels.push([{ class: "job " + pale, x: (a + b) / 2, y: middle + 4, "text-anchor": "middle" }, label]);
    }
    const a = x(life.silent || last), b = x(last);
    // What is drawn from its last word on is what it did then; whether it does so still is not known.
    if (b > a) put(lane, "rect", { class: "unheard", x: a, y: top, width: b - a, height: thick });
    for (const [attributes, label] of labels) put(lane, "text", attributes, label);
    for (const it of life.marks) {
      if (it.at < from || it.at > to) continue;
      const mark = button(lane, `mark ${life.instance} ${it.what} ${it.at}`, it.tone, `${words(it.what)} on ${life.instance} at ${clock(it.at)}`, {
        title: `${life.instance}: ${words(it.what)}`, when: it.at, lines: [it.sentence] });
      mark.classList.add("incident"); mark.dataset.at = it.at; mark.dataset.what = it.what;
      shape(mark, x(it.at), middle, DIAMOND(x(it.at), middle, 6), false);
    }
    if (life.silent && life.silent >= from && life.silent <= to) {
      const quiet = length(chart.to - life.silent), text = "no word for " + quiet;
      const mark = button(lane, `silent ${life.instance}`, "notice", `${life.instance}: no word since ${clock(life.silent)}, and no end`, {
        title: `${life.instance}: no word, and no end`, when: life.silent,
        lines: [chart.unseen ? "Its group was not looked at since: whether it is there still is not known."
          : `Nothing was heard of it for ${quiet}, and nothing tells of its end: it may have a long job, it may have gone without a word, or its records are elsewhere.`, ...life.sentences] });
      mark.classList.add("silent"); mark.dataset.at = life.silent;
      shape(mark, x(life.silent), middle, DIAMOND(x(life.silent), middle, 6), true);
      // Beside the name of a job in its middle.
      if (b - a > text.length * 13.2 + 160) put(lane, "text", { class: "soft", x: a + 14, y: middle + 4 }, text);
    }
    if (life.end && life.end.at >= from && life.end.at <= to) {
      // Of one that is only seen no more nothing tells why.
      const why = (between) => life.end.reason === "gone" ? "" : between + life.end.reason;
      const mark = button(lane, "end " + life.instance, life.end.tone, `${life.instance} gone at ${clock(life.end.at)}${why(": ")}`, {
        title: `${life.instance}: gone${why(", ")}`, when: life.end.at, lines: [life.end.trigger, ...life.sentences.filter((line) => line !== life.end.trigger)] });
      mark.classList.add("end"); mark.dataset.at = life.end.at; mark.dataset.reason = life.end.reason;
      const e = x(life.end.at);
      shape(mark, e, middle, `M${e - 5} ${middle}A5 5 0 1 0 ${e + 5} ${middle}A5 5 0 1 0 ${e - 5} ${middle}Z`, true);
      const room = wide - e - 12, label = life.end.reason;
      if (room > label.length * 6.6 + 6) put(lane, "text", { class: "soft", x: e + 12, y: middle + 4 }, label);
      else if (phone) put(lane, "text", { class: "soft", x: wide - 14, y: y + 13, "text-anchor": "end" }, label);
    }
    y += high;
  }
  if (all.length > MOST_LANES) {
    put(svg, "text", { class: "soft", x: left, y: y + 16 }, `and ${all.length - MOST_LANES} more; zoom in to see them`);
    y += 24;
  }
  return y + 4;
}

function button(parent, key, tone, label, story) {
  const mark = put(parent, "g", { class: "mark " + tone });
  press(mark, key, label, story);
  return mark;
}
// Has this be chosen, by a click or by keys.
function press(mark, key, label, story) {
  stories.set(key, story);
  for (const [name, value] of Object.entries({ role: "button", tabindex: "-1", "aria-label": label, "data-key": key })) mark.setAttribute(name, value);
  mark.addEventListener("click", () => { current = key; open(key, story); });
}
function shape(mark, x, y, d, hollow) {
  put(mark, "circle", { class: "hit", cx: x, cy: y, r: 12 });
  put(mark, "circle", { class: "ring", cx: x, cy: y, r: 10 });
  put(mark, "path", { class: hollow ? "hollow" : "glyph", d });
}

// ---- words beside it -------------------------------------------------------------------------------------------------------

function open(key, story) {
  chosen = key;
  for (const mark of document.querySelectorAll(".mark")) mark.classList.toggle("chosen", mark.dataset.key === key);
  drawStory(story);
  // Beside the picture it is in sight already; below it, on a phone, it is not.
  const box = $("detail").getBoundingClientRect();
  if (box.top > innerHeight || box.bottom < 0) $("detail").scrollIntoView({ block: "nearest" });
}
let told = "";
function drawStory(story) {
  const text = JSON.stringify(story);
  if (text === told) return;
  told = text;
  const box = $("detail");
  box.replaceChildren();
  put(box, "h2", {}, story.title);
  const until = story.until ? ` to ${moment(story.until)} UTC, ${length(story.until - story.when)}` : " UTC";
  put(box, "p", { class: "when" }, moment(story.when) + until);
  for (const line of story.lines) put(box, "p", { class: "sentence" }, line);
}

function drawWords() {
  $("span").textContent = chart.lanes.length + chart.pools.length === 0 ? "" :
    `${day(chart.from)} ${clock(chart.from)} to ${days() ? day(chart.to) + " " : ""}${clock(chart.to)} UTC`;
  const there = chart.lanes.filter((life) => !life.end).length;
  const last = (life) => life.spans[life.spans.length - 1];
  const busy = chart.lanes.filter((life) => !life.end && last(life).state === "busy").length;
  const sum = (value) => chart.pools.reduce((all, pool) => all + (newest(pool, value) || 0), 0);
  const running = chart.pools.some((pool) => newest(pool, (it) => it.running) !== null) ? sum((it) => it.running) : "not known";
  const spent = chart.cost.reduce((all, it) => all + STATES.reduce((s, state) => s + it.spent[state + "_ms"], 0), 0);
  const seen = [["Jobs waiting", sum((it) => it.queued)], ["Desired", sum((it) => it.desired)]];
  const listed = chart.lanes.filter((life) => !life.end && !life.silent);
  const figures = chart.unseen ? [["Pools", chart.pools.length], ...(chart.lanes.length ? [["Instances seen", listed.length], ["In service", listed.filter((life) => last(life).state === "in_service").length]] : []), ["Jobs running", running], ...seen] : [[live ? "There now" : "Not known to be gone", there], ["Of these busy", busy], ["Gone", chart.lanes.length - there], ...seen, ["Instance time", length(spent)]];
  const list = $("figures");
  list.replaceChildren();
  for (const [name, value] of figures) { const box = put(list, "div"); put(box, "dt", {}, name); put(box, "dd", {}, value); }
  drawTables();
  drawLegend();
  if (chosen && stories.has(chosen)) drawStory(stories.get(chosen));
}

function drawTables() {
  const cost = $("cost"), waits = $("waits");
  cost.replaceChildren(cost.firstElementChild);
  waits.replaceChildren(waits.firstElementChild);
  for (const it of chart.cost) {
    const all = STATES.reduce((sum, state) => sum + it.spent[state + "_ms"], 0);
    const table = put(cost, "table", { "data-pool": it.name });
    put(table, "caption", {}, it.name);
    const share = document.createElement("div");
    share.className = "share";
    share.setAttribute("aria-hidden", "true");
    table.before(share);
    share.before(table.caption.cloneNode(true));
    table.deleteCaption();
    const heading = share.previousSibling, name = document.createElement("div");
    name.textContent = heading.textContent;
    heading.replaceWith(name);
    for (const state of STATES) {
      const ms = it.spent[state + "_ms"];
      if (ms > 0) put(share, "i", { class: state }).style.flexGrow = ms;
      row(table, state, `${length(ms)} · ${all ? Math.round(100 * ms / all) : 0} %`, ms, state);
    }
    row(table, it.instances === 1 ? "1 instance" : `${it.instances} instances`, length(all), all, "all");
    if (it.open > 0) row(table, live ? "Not gone, counted until now" : "Without a told end, counted to the end", it.open, it.open, "open");
    const silent = chart.lanes.filter((life) => life.pool === it.name && life.silent).length;
    if (silent > 0) row(table, "Of these, no word for over an hour", silent, silent, "silent").classList.add("warning");
    if (it.price !== null) row(table, "Cost", it.price.toFixed(it.price < 1 ? 4 : 2), it.price, "price");
    if (it.price !== null && it.unpriced_ms > 0) row(table, "Not in it, without a price", length(it.unpriced_ms), it.unpriced_ms, "unpriced").classList.add("warning");
  }
  if (chart.cost.length === 0) put(cost, "p", { class: "hint" }, chart.unseen ? "Not seen from here." : "No instance has cost anything.");
  for (const pool of drawn()) {
    const table = put(waits, "table", { "data-pool": pool.pool });
    if (chart.pools.length > 1) put(table, "caption", {}, pool.pool);
    row(table, "Most at once", pool.waits.most, pool.waits.most, "most");
    row(table, "Longest with some waiting", length(pool.waits.longest_ms), pool.waits.longest_ms, "longest");
    row(table, "All waiting together", length(pool.waits.jobs_ms), pool.waits.jobs_ms, "jobs");
  }
  if (chart.pools.length === 0) put(waits, "p", { class: "hint" }, "No decision of a scaler is among the records.");
}
function row(table, name, text, value, what) {
  const line = put(table, "tr");
  put(line, "th", { scope: "row" }, name);
  put(line, "td", { "data-value": value, "data-what": what }, text);
  return line;
}

function drawLegend() {
  $("legend").replaceChildren();
  const item = (name, paint) => {
    const li = put($("legend"), "li");
    paint(put(li, "svg", { width: 18, height: 14, "aria-hidden": "true" }));
    li.append(name);
  };
  const states = chart.unseen ? PLACES.filter((it) => chart.lanes.some((life) => life.spans.some((span) => span.state === it))) : STATES;
  for (const state of states) item(state === "in_service" ? "in service, busy or idle" : words(state), (svg) => put(svg, "rect", { class: "span " + state, x: 0.5, y: 1.5, width: 17, height: 11, rx: 2 }));
  if (!chart.unseen || chart.lanes.some((life) => life.end)) item("gone", (svg) => put(put(svg, "g", { class: "mark plain" }), "circle", { class: "hollow", cx: 9, cy: 7, r: 5 }));
  item("notice", (svg) => put(put(svg, "g", { class: "mark notice" }), "path", { class: "glyph", d: DIAMOND(9, 7, 6) }));
  item("trouble", (svg) => put(put(svg, "g", { class: "mark bad" }), "path", { class: "glyph", d: DIAMOND(9, 7, 6) }));
  if (chart.lanes.some((life) => life.silent)) item("no word since", (svg) => put(put(svg, "g", { class: "mark notice" }), "path", { class: "hollow", d: DIAMOND(9, 7, 6) }));
  item("raise", (svg) => put(put(svg, "g", { class: "mark raised" }), "path", { class: "glyph", d: UP(9, 7, 6) }));
  item("jobs waiting", (svg) => put(svg, "rect", { class: "queue", x: 1, y: 2, width: 16, height: 10 }));
  item("desired", (svg) => put(svg, "path", { class: "desired", d: "M0 7H18" }));
  if (!chart.unseen || chart.lanes.length > 0) item("instances", (svg) => put(svg, "path", { class: "alive", d: "M0 7H18" }));
}

// ---- keys -----------------------------------------------------------------------------------------------------------------

function go(mark) {
  if (!mark) return;
  for (const other of document.querySelectorAll(".mark[tabindex='0']")) other.setAttribute("tabindex", "-1");
  mark.setAttribute("tabindex", "0");
  current = mark.dataset.key;
  mark.focus();
}
function onMark(event, mark) {
  const rows = [...document.querySelectorAll("[data-row]")].map((row) => [...row.querySelectorAll(".mark")].sort(byPlace)).filter((row) => row.length);
  const row = rows.findIndex((it) => it.includes(mark)), column = rows[row].indexOf(mark);
  const near = (list) => list && list.reduce((best, it) => Math.abs(place(it) - place(mark)) < Math.abs(place(best) - place(mark)) ? it : best);
  const to = { ArrowRight: () => rows[row][column + 1], ArrowLeft: () => rows[row][column - 1], ArrowDown: () => near(rows[row + 1]), ArrowUp: () => near(rows[row - 1]),
    Home: () => rows[row][0], End: () => rows[row][rows[row].length - 1] }[event.key];
  if (to) { go(to()); event.preventDefault(); }
  if (event.key === "Enter" || event.key === " ") { open(mark.dataset.key, stories.get(mark.dataset.key)); event.preventDefault(); }
}
const place = (mark) => mark.classList.contains("name") ? 0 : Number(mark.dataset.at);
const byPlace = (a, b) => place(a) - place(b);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const how = { "+": "in", "=": "in", "-": "out", "[": "earlier", "]": "later", "0": "all" }[event.key];
  if (how) { zoom(how); event.preventDefault(); return; }
  const mark = event.target.closest && event.target.closest(".mark");
  if (mark) onMark(event, mark);
});
$("zoom").addEventListener("click", (event) => { if (event.target.dataset.zoom) zoom(event.target.dataset.zoom); });
let width = 0;
new ResizeObserver(() => { if ($("chart").clientWidth !== width) { width = $("chart").clientWidth; draw(); } }).observe($("chart"));

// ---- what happens meanwhile --------------------------------------------------------------------------------------------------

// A new picture takes the place of the old one under the finger that presses it, so not while one does; nor where nobody sees it.
let pressed = false, stale = false;
function redraw() {
  stale = pressed || document.hidden;
  if (!stale) draw();
}
addEventListener("pointerdown", () => { pressed = true; });
// A click follows on this.
for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, () => setTimeout(() => { pressed = false; if (stale) redraw(); }));
document.addEventListener("visibilitychange", () => { if (stale) redraw(); });

// Makes the present chart of the one before, as crates/core/src/chart/update.rs says.
function takeIn(update) {
  const news = new Set(update.lanes.map((life) => life.instance));
  for (const life of chart.lanes) if (!life.end) life.spans[life.spans.length - 1].to = update.to;
  const start = (life) => life.spans[0].from;
  const lanes = chart.lanes.filter((life) => !news.has(life.instance)).concat(update.lanes);
  lanes.sort((a, b) => start(a) - start(b) || (a.instance < b.instance ? -1 : 1));
  const pools = update.pools.map((it) => {
    const was = chart.pools.find((pool) => pool.pool === it.pool);
    return { pool: it.pool, readings: (was ? was.readings.slice(0, it.kept) : []).concat(it.readings), waits: it.waits, drawn: it.drawn };
  });
  if (view && view[1] >= chart.to) view = view.map((t) => t + update.to - chart.to);
  chart = { ...chart, from: update.from, to: update.to, lanes, pools, cost: update.cost, unseen: update.unseen };
}

// "live", "lost" with why, or "ended"; as long as nothing changes it says the same, so that it is read out once.
function say(state, text) {
  const box = $("live");
  if (box.dataset.state === state) return;
  box.hidden = false;
  box.dataset.state = state;
  box.textContent = text;
}

const SILENCE = 60000;   // the server speaks twice as often at least
let pause = 500, ended = false;
function follow() {
  const events = new EventSource(live);
  let alarm;
  const again = (why) => {
    clearTimeout(alarm);
    events.close();
    if (!ended) say("lost", `${why} at ${clock(Date.now())} UTC; trying again`);
    setTimeout(follow, pause);
    pause = Math.min(pause * 2, 10000);
  };
  const heard = () => { clearTimeout(alarm); alarm = setTimeout(() => again("Nothing was heard any more"), SILENCE); };
  const on = (name, what) => events.addEventListener(name, (event) => { heard(); what(JSON.parse(event.data)); });
  on("chart", (whole) => { chart = whole; pause = 500; ended = false; say("live", "live"); redraw(); });
  on("update", (update) => { takeIn(update); say("live", "live"); redraw(); });
  on("lost", (it) => say("lost", `There is no newer picture since ${clock(it.since)} UTC: ${it.why}`));
  on("end", (it) => { ended = true; say("ended", it.why); });
  events.onerror = () => again("The connection was lost");
  heard();
}

draw();
if (live) follow();
