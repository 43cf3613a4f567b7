// What is looked at: cursor, range, selection. Parts register draw functions; a change marks parts as stale, and
// one animation frame draws them all.
const model = buildModel(document.getElementById('trace').textContent);
const $ = (id) => document.getElementById(id);

const view = {
    from: 0, to: model.last, cursor: 0,
    selected: null, // an event
    key: null,      // the key inspector's
    pins: [],       // keys with lanes of their own
    playing: false, follow: true,
};

const parts = new Map();
let stale = new Set(), asked = false;

function part(name, draw) { parts.set(name, draw); }

function redraw(...names) {
    for (const name of names.length ? names : parts.keys()) stale.add(name);
    if (asked) return;
    asked = true;
    requestAnimationFrame((now) => {
        asked = false;
        const now_stale = stale;
        stale = new Set();
        for (const [name, draw] of parts) if (now_stale.has(name)) draw(now);
    });
}

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

const SPAN_MIN = 20; // µs
function setRange(from, to) {
    const span = clamp(to - from, SPAN_MIN, model.last * 1.04 + 1);
    const margin = span * 0.02;
    from = clamp(from, -margin, Math.max(-margin, model.last + margin - span));
    view.from = from;
    view.to = from + span;
    redraw('timeline', 'overview', 'transport', 'world');
}

function zoom(factor, at = view.cursor) {
    if (at < view.from || at > view.to) at = (view.from + view.to) / 2;
    const span = clamp((view.to - view.from) * factor, SPAN_MIN, model.last * 1.04 + 1), share = (at - view.from) / (view.to - view.from);
    setRange(at - span * share, at - span * share + span);
}

function pan(share) {
    const by = (view.to - view.from) * share;
    setRange(view.from + by, view.to + by);
}

// `reveal`: the timeline moves so that the cursor is on it.
function setCursor(t, reveal = true) {
    view.cursor = clamp(t, 0, model.last);
    view.follow = true;
    const span = view.to - view.from;
    if (reveal && (view.cursor < view.from + span * 0.04 || view.cursor > view.to - span * 0.12)) {
        setRange(view.cursor - span * 0.3, view.cursor + span * 0.7);
    }
    redraw();
}

function select(event, options = {}) {
    view.selected = event;
    if (event && event.op && options.key !== false && event.op.keys.length && $('tab-key').getAttribute('aria-selected') === 'true') {
        view.key = event.op.keys[0];
    }
    if (event) say(KINDS[event.k].name + ' at ' + timeText(event.t) + ': ' + eventText(event));
    if (event && options.cursor !== false) setCursor(event.t);
    redraw();
}

function setKey(key) {
    view.key = key;
    keys.node = -1;
    redraw();
}

const selectedOp = () => (view.selected ? view.selected.op || (view.selected.app && view.selected.app.op) || null : null);

let sayTimer = 0;
function say(text) { // for screen readers; at a readable pace
    clearTimeout(sayTimer);
    sayTimer = setTimeout(() => { $('say').textContent = text; }, 250);
}

// ---- elements: text only, never markup ----
function el(tag, properties, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) {
        if (value === undefined || value === false || value === null) continue;
        if (name === 'class') node.className = value;
        else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
        else if (name === 'text') node.textContent = value;
        else node.setAttribute(name, value === true ? '' : value);
    }
    node.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
    return node;
}

function fill(node, ...children) {
    node.replaceChildren(...children.filter((c) => c !== null && c !== undefined && c !== false));
}

// ---- colours: from the style sheet, so that themes are in one place ----
const colors = {};
function readColors() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ['bg', 'panel', 'raised', 'line', 'text', 'muted', 'faint', 'accent', 'ok', 'bad', 'warn', 'violet', 'cyan', 'pink', 'cursor']) {
        colors[name] = style.getPropertyValue('--' + name).trim();
    }
    colors.mono = style.getPropertyValue('--mono');
    colors.sans = style.getPropertyValue('--sans');
    const groups = { net: 'violet', clock: 'cyan', disk: 'pink', store: 'pink', process: 'bad', memory: 'warn', client: 'accent' };
    colors.fault = (group) => colors[groups[group] || 'warn'];
}
readColors();

// A canvas in device pixels; returns its context in CSS pixels.
function prepare(canvas, width, height) {
    const ratio = window.devicePixelRatio || 1;
    const w = Math.round(width * ratio), h = Math.round(height * ratio);
    if (canvas.width !== w || canvas.height !== h) {
        canvas.width = w;
        canvas.height = h;
        canvas.style.width = width + 'px';
        canvas.style.height = height + 'px';
    }
    const ctx = canvas.getContext('2d');
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    ctx.textBaseline = 'middle';
    return ctx;
}

// Text cut to a width. Monospaced, so that counting is enough.
const CHAR = 6.05;
function putText(ctx, text, x, y, width) {
    const room = Math.floor(width / CHAR);
    if (room < 2) return;
    if (text.length > room) text = text.slice(0, room - 1) + '\u2026';
    ctx.fillText(text, x, y);
}

function shape(ctx, x, y, w, h, r) {
    ctx.beginPath();
    ctx.roundRect(x, y, w, h, Math.min(r, w / 2, h / 2));
}
