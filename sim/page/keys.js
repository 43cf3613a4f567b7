// The key inspector: which keys there are; one key's value at the cursor and over time; who touched it when, as
// bars from request to reply (how checkers of linearizability are read).
const keys = { query: '', half: 5, node: -1 }; // node -1: that of the selected operation; -2: all

function drawKeyPane() {
    const pane = $('pane-key');
    if (pane.hidden) return;
    if (!keys.input) {
        keys.input = el('input', { type: 'search', id: 'key-query', placeholder: 'find a key ( k )', 'aria-label': 'find a key', spellcheck: 'false', autocomplete: 'off' });
        keys.input.addEventListener('input', () => { keys.query = keys.input.value; setKey(null); });
        keys.input.addEventListener('keydown', (e) => {
            if (e.key === 'Enter') { const found = matching(); if (found.length) setKey(found[0]); }
        });
        keys.body = el('div', { id: 'key-body' });
        keys.canvas = el('canvas', { id: 'key-ops', role: 'img', 'aria-label': 'operations on the key, one row per client' });
        keys.canvas.addEventListener('click', (e) => {
            const op = opAt(e);
            if (op) select(op.cmd || op.rep || op.apps[0], { key: false });
        });
        keys.canvas.addEventListener('pointermove', (e) => {
            const op = opAt(e);
            showTip(op && (op.cmd || op.rep), e.clientX, e.clientY);
        });
        keys.canvas.addEventListener('pointerleave', () => showTip(null));
        fill(pane, keys.input, keys.body);
    }
    if (view.key) drawKey(view.key); else drawKeyList();
}

function opAt(e) {
    const box = keys.canvas.getBoundingClientRect(), x = e.clientX - box.left, y = e.clientY - box.top;
    const found = keys.boxes.find((b) => x >= b[0] - 2 && x <= b[0] + b[2] + 2 && y >= b[1] && y <= b[1] + b[3]);
    return found ? found[4] : null;
}

function matching() {
    const query = keys.query.toLowerCase();
    return model.keyList.filter((key) => key.name.toLowerCase().includes(query));
}

const shownName = (key) => (key.db ? 'db' + key.db + ' ' : '') + (key.name === '' ? '""' : key.name);

function drawKeyList() {
    if (keys.listed === keys.query && keys.body.dataset.shows === 'list') return;
    keys.listed = keys.query;
    keys.body.dataset.shows = 'list';
    const found = matching(), most = 300;
    fill(keys.body,
        el('p', { class: 'muted', text: plural(found.length, 'key') + (found.length > most ? ', the ' + most + ' busiest of them' : '') + '. Name, changes, operations.' }),
        el('ul', { class: 'keys' }, ...found.slice(0, most).map((key) => el('li', {}, el('button', { class: 'key-row' + (key.failed ? ' bad' : ''), 'data-key': key.name, onclick: () => setKey(key) },
            el('span', { class: 'name', text: shownName(key) }), el('span', { class: 'muted', text: key.changes + '' }), el('span', { class: 'muted', text: key.ops.length + '' }))))));
}

function drawKey(key) {
    keys.body.dataset.shows = 'key';
    const pinned = view.pins.includes(key), t = view.cursor;
    const head = el('div', { class: 'key-head' },
        el('button', { onclick: () => setKey(null), title: 'all keys', 'aria-label': 'all keys', text: '‹' }),
        el('code', { class: 'name' + (key.failed ? ' bad' : ''), id: 'key-name', text: shownName(key) }),
        el('button', { 'aria-pressed': String(pinned), title: 'Keep a lane for it in the timeline (p)', onclick: () => togglePin(key), text: pinned ? 'Pinned' : 'Pin' }));
    const cards = key.sorted.map((history) => {
        const entry = valueAt(history, t), op = entry && entry.app && entry.app.op;
        return el('div', { class: 'value', 'data-node': history.n },
            el('div', { class: 'value-head' }, el('span', { text: 'node ' + history.n + (entry ? ', ' + entry.y : '') }),
                el('span', { class: 'muted', text: entry ? 'since ' + timeText(entry.t) + (entry.x !== undefined ? ', TTL ' + entry.x + ' ms' : '') : '' })),
            el('pre', { class: entry && entry.y !== 'none' ? '' : 'muted', text: valueText(entry) }),
            entry ? el('div', { class: 'muted' }, entry.w ? entry.w : op ? el('button', { class: 'link', onclick: () => select(op.cmd || entry), text: '#' + op.o + ' ' + op.text }) : entry.app ? entry.app.a : '', op ? ' by client ' + op.c : '') : null);
    });
    fill(keys.body, head, ...cards,
        el('div', { class: 'value-head' }, el('h3', { text: plural(key.ops.length, 'operation') }), nodeButtons(key) || el('span', { class: 'muted', text: 'from request to reply' })),
        keys.canvas, el('h3', { text: 'Values' }), historyTable(key, t));
    drawKeyOps(key, t);
}

// Where a key lives on several nodes, one looks at one of them.
function nodeShown(key) {
    if (keys.node === -2 || key.nodes.size < 2) return -1;
    if (keys.node >= 0 && key.nodes.has(keys.node)) return keys.node;
    const op = selectedOp(), found = op && op.apps.find((e) => key.nodes.has(e.n));
    return found ? found.n : -1;
}

function nodeButtons(key) {
    if (key.nodes.size < 2) return null;
    const shown = nodeShown(key), button = (n, text) => el('button', { 'aria-pressed': String(shown === n), onclick: () => { keys.node = n < 0 ? -2 : n; redraw('key'); }, text });
    return el('span', { class: 'nodes-of', role: 'group', 'aria-label': 'node' }, ...key.sorted.map(({ n }) => button(n, 'n' + n)), button(-1, 'all'));
}

function historyTable(key, t) {
    const node = nodeShown(key), all = key.sorted.filter((h) => node < 0 || h.n === node).flatMap((h) => h.values).sort((a, b) => a.t - b.t || a.i - b.i);
    const at = upper(all, t), from = clamp(at - 9, 0, Math.max(0, all.length - 24)), some = all.slice(from, from + 24), several = node < 0 && key.nodes.size > 1;
    const rows = some.map((e, i) => {
        const current = valueAt(key.nodes.get(e.n), t) === e;
        return el('tr', { class: (current ? 'current' : '') + (from + i >= at ? ' future' : ''), tabindex: '0', onclick: () => select(e), onkeydown: (k) => { if (k.key === 'Enter') select(e); } },
            el('td', { class: 'time', text: timeText(e.t) }), several ? el('td', { text: 'n' + e.n }) : null, el('td', { class: 'what', text: valueText(e) }),
            el('td', { class: 'muted', text: e.w || (e.app ? wordsOf(e.app.a, 1)[0] + (e.app.c !== undefined ? ' c' + e.app.c : '') : '') }));
    });
    return el('div', {}, from > 0 ? el('p', { class: 'muted', text: plural(from, 'earlier value') }) : null, el('table', { id: 'history' }, el('tbody', {}, ...rows)),
        from + 24 < all.length ? el('p', { class: 'muted', text: plural(all.length - from - 24, 'later value') }) : null);
}

function drawKeyOps(key, t) {
    const node = nodeShown(key), all = node < 0 ? key.ops : key.ops.filter((op) => !op.apps.length || op.apps.some((e) => e.n === node));
    const at = upper(all, t, (op) => op.start), half = keys.half;
    const first = clamp(at - half, 0, Math.max(0, all.length - 2 * half)), ops = all.slice(first, first + 2 * half);
    const clients = [...new Set(ops.map((op) => op.c))].sort((a, b) => a - b), width = $('pane-key').clientWidth - 2, h = 19;
    const ctx = prepare(keys.canvas, width, Math.max(1, clients.length) * h + 4);
    keys.boxes = [];
    if (!ops.length) return;
    // Time between operations is squeezed: what overlaps, and in which order, is what matters.
    const moments = [...new Set(ops.flatMap((op) => [op.start, opEnd(op, op.start), ...op.apps.map((e) => e.t)]))].sort((a, b) => a - b);
    const places = [0];
    for (let i = 1; i < moments.length; i++) {
        const busy = ops.some((op) => op.start < moments[i] && opEnd(op, op.start) > moments[i - 1]);
        places.push(places[i - 1] + (busy ? 1 + Math.log2(1 + moments[i] - moments[i - 1]) * 0.2 : 0.7));
    }
    const room = width - 34 - 12, total = places[places.length - 1] || 1;
    const x = (time) => {
        const i = upper(moments, time, (m) => m);
        if (!i) return 30;
        const share = i < moments.length ? (time - moments[i - 1]) / (moments[i] - moments[i - 1]) * (places[i] - places[i - 1]) : 0;
        return 34 + (places[i - 1] + share) / total * room;
    };
    ctx.font = '10px ' + colors.mono;
    ctx.textAlign = 'left';
    clients.forEach((c, i) => {
        ctx.fillStyle = colors.muted;
        ctx.fillText('c' + c, 2, i * h + h / 2 + 1);
        ctx.fillStyle = colors.faint;
        ctx.fillRect(28, i * h + h, width, 1);
    });
    const of = selectedOp();
    for (const op of ops) {
        const y = clients.indexOf(op.c) * h + 3, x0 = x(op.start), w = Math.max(4, (op.end === NEVER ? width : x(op.end)) - x0), words = wordsOf(op.text, 3);
        const color = op.failed ? colors.bad : op.end === NEVER ? colors.warn : op.rep && op.rep.e ? colors.pink : op.wrote ? colors.ok : colors.accent;
        keys.boxes.push([x0, y, w, h - 4, op]);
        ctx.globalAlpha = op.end === NEVER ? 0.25 : 0.35;
        ctx.fillStyle = color;
        shape(ctx, x0, y, w, h - 4, 3);
        ctx.fill();
        ctx.globalAlpha = 1;
        ctx.strokeStyle = op === of ? colors.text : color;
        ctx.lineWidth = op === of || op.failed ? 2 : 1;
        ctx.stroke();
        for (const e of op.apps) {
            ctx.fillStyle = color;
            ctx.fillRect(x(e.t) - 1, y, 2, h - 4);
        }
        ctx.fillStyle = colors.text;
        putText(ctx, op.wrote ? words[0] + ' ' + (words[2] !== undefined ? words[2] : '') : op.rep ? op.rep.r : words[0] + ' …', x0 + 4, y + h / 2 - 1.5, w - 6);
    }
    ctx.fillStyle = colors.cursor;
    ctx.fillRect(x(t), 0, 1.5, clients.length * h + 4);
}

function togglePin(key) {
    const i = view.pins.indexOf(key);
    if (i >= 0) view.pins.splice(i, 1); else view.pins.push(key);
    if (view.pins.length > 8) view.pins.shift();
    redraw();
}

part('key', drawKeyPane);
