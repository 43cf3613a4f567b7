// The timeline: one canvas that stays in place while its container scrolls; rows for pinned keys, faults, clients,
// nodes and their shards. Only what is in the range is looked at (binary search), and what falls on pixels that are
// already drawn is skipped.
const LABEL = 118, RULER = 22;
const lanes = { rows: [], height: 0, width: 0, drag: null, compact: model.clients.length > 16, folded: new Set() };

function layoutRows() {
    const rows = [];
    let y = 0;
    const add = (row, h) => { rows.push({ ...row, y, h }); y += h; };
    const keys = view.key && !view.pins.includes(view.key) ? [view.key, ...view.pins] : view.pins;
    for (const key of keys) {
        const only = view.pins.includes(key) ? -1 : nodeShown(key);
        for (const history of key.sorted) if (only < 0 || history.n === only) add({ type: 'key', key, history }, 22);
    }
    lanes.sticky = y; // these rows stay while the others scroll
    if (keys.length) y += 4;
    for (const group of model.faultGroups) add({ type: 'fault', group }, 17);
    if (model.faultGroups.length) y += 4;
    const h = lanes.compact ? 5 : model.clients.length > 8 ? 13 : 16;
    for (const client of model.clients) add({ type: 'client', client }, lanes.compact || client.tracks < 3 ? h : client.tracks * 5 + 3);
    for (const node of model.nodes) {
        y += 5;
        add({ type: 'node', node }, 20);
        if (!lanes.folded.has(node.n)) for (const shard of node.shards) add({ type: 'shard', node, shard }, 27);
    }
    lanes.rows = rows;
    lanes.height = y + 10;
    lanes.rowOf = new Map();
    for (const row of rows) {
        if (row.type === 'client') lanes.rowOf.set('c' + row.client.c, row);
        if (row.type === 'node') {
            lanes.rowOf.set('n' + row.node.n, row);
            for (const shard of row.node.shards) lanes.rowOf.set('n' + row.node.n + '/' + shard.s, row); // folded: it stands for them
        }
        if (row.type === 'shard') lanes.rowOf.set('n' + row.node.n + '/' + row.shard.s, row);
    }
}

const xOf = (t) => LABEL + (t - view.from) / (view.to - view.from) * (lanes.width - LABEL);
const tOf = (x) => view.from + (x - LABEL) / (lanes.width - LABEL) * (view.to - view.from);

// What depends on neither cursor nor selection is drawn once per range into `base`, and copied from there.
function drawTimeline() {
    const box = $('timeline');
    layoutRows();
    lanes.width = box.clientWidth;
    const height = box.clientHeight, top = box.scrollTop;
    $('timeline-space').style.height = Math.max(lanes.height + RULER, height) + 'px';
    const seen = lanes.rows.filter((row) => row.type !== 'key' && row.y + row.h > top + lanes.sticky && row.y < top + height);
    const shows = [view.from, view.to, top, lanes.width, height, lanes.height, lanes.compact, [...lanes.folded], view.key && view.key.id,
        colors.bg, window.devicePixelRatio].join();
    const inside = (ctx, draw) => {
        ctx.save();
        ctx.translate(0, RULER - top);
        ctx.beginPath();
        ctx.rect(LABEL, top, lanes.width - LABEL, height);
        ctx.clip();
        draw();
        ctx.restore();
    };
    if (lanes.shows !== shows) {
        lanes.shows = shows;
        lanes.base = lanes.base || document.createElement('canvas');
        const base = prepare(lanes.base, lanes.width, height);
        inside(base, () => {
            drawGrid(base, top, height);
            drawRows(base, seen);
            drawUnseen(base, top, height);
            drawBands(base);
            drawMessages(base);
        });
    }
    const ctx = prepare($('lanes'), lanes.width, height);
    ctx.drawImage(lanes.base, 0, 0, lanes.width, height);
    inside(ctx, () => {
        drawSelected(ctx);
        drawFlying(ctx);
        drawCursor(ctx, top, height);
    });
    ctx.save();
    ctx.translate(0, RULER - top);
    for (const row of seen) drawLabel(ctx, row);
    ctx.restore();
    drawKeyLanes(ctx);
    drawRuler(ctx);
}

function drawRows(ctx, rows) {
    for (const row of rows) {
        ctx.save();
        ctx.beginPath();
        ctx.rect(LABEL, row.y, lanes.width - LABEL, row.h);
        ctx.clip();
        drawRow[row.type](ctx, row);
        ctx.restore();
    }
}

function drawKeyLanes(ctx) {
    if (!lanes.sticky) return;
    const rows = lanes.rows.filter((row) => row.type === 'key');
    ctx.save();
    ctx.translate(0, RULER);
    ctx.fillStyle = colors.panel;
    ctx.fillRect(0, 0, lanes.width, lanes.sticky);
    drawRows(ctx, rows);
    ctx.fillStyle = colors.cursor;
    ctx.fillRect(Math.max(LABEL, Math.round(xOf(view.cursor)) - 0.5), 0, xOf(view.cursor) < LABEL ? 0 : 1.5, lanes.sticky);
    for (const row of rows) drawLabel(ctx, row);
    ctx.fillStyle = colors.line;
    ctx.fillRect(0, lanes.sticky, lanes.width, 1);
    ctx.restore();
}

function tickStep() {
    const least = (view.to - view.from) / Math.max(1, (lanes.width - LABEL) / 90), power = 10 ** Math.floor(Math.log10(least));
    return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= least) || power * 10;
}

function drawGrid(ctx, top, height) {
    const step = tickStep();
    ctx.fillStyle = colors.faint;
    for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) ctx.fillRect(Math.round(xOf(t)), top, 1, height);
}

function drawRuler(ctx) {
    ctx.fillStyle = colors.panel;
    ctx.fillRect(0, 0, lanes.width, RULER);
    ctx.fillStyle = colors.line;
    ctx.fillRect(0, RULER - 1, lanes.width, 1);
    const step = tickStep();
    ctx.font = '10.5px ' + colors.mono;
    ctx.fillStyle = colors.muted;
    ctx.textAlign = 'left';
    for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
        const x = xOf(t);
        if (x < LABEL) continue;
        ctx.fillRect(Math.round(x), RULER - 6, 1, 5);
        ctx.fillText(tickText(t, step), x + 4, RULER / 2);
    }
    ctx.fillStyle = colors.panel;
    ctx.fillRect(0, 0, LABEL, RULER - 1);
    ctx.fillStyle = colors.muted;
    ctx.fillText('tick ' + spanText(step), 10, RULER / 2);
    const x = xOf(view.cursor);
    if (x < LABEL || x > lanes.width) return;
    ctx.fillStyle = colors.cursor;
    ctx.beginPath();
    ctx.moveTo(x - 5, RULER - 9);
    ctx.lineTo(x + 5, RULER - 9);
    ctx.lineTo(x, RULER);
    ctx.fill();
}

function tickText(t, step) {
    if (step >= 1e5) return trim(t / 1e6, 1) + 's';
    if (step >= 1e3) return trim(t / 1e6, 3) + 's';
    const ms = Math.floor(t / 1000);
    return ms / 1000 + 's+' + Math.round(t - ms * 1000) + 'µ';
}

// What the trace does not hold is hatched.
function drawUnseen(ctx, top, height) {
    if (!model.end) return;
    const hatch = (from, to, text) => {
        const x0 = Math.max(LABEL, xOf(from)), x1 = Math.min(lanes.width, xOf(to));
        if (x1 <= x0) return;
        ctx.globalAlpha = 0.5;
        ctx.fillStyle = colors.bg;
        ctx.fillRect(x0, top, x1 - x0, height);
        ctx.globalAlpha = 1;
        ctx.fillStyle = colors.muted;
        ctx.textAlign = 'left';
        ctx.font = '11px ' + colors.sans;
        putText(ctx, text, x0 + 8, top + height - RULER - 14, x1 - x0 - 12);
    };
    if (model.end.from > 0) hatch(0, model.end.from, 'details before this were not kept');
    if (model.end.until !== undefined) hatch(model.end.until, model.last, 'details after this were not kept');
}

function drawBands(ctx) {
    for (const node of model.nodes) { // while it is down
        const first = lanes.rowOf.get('n' + node.n), last = lanes.rowOf.get('n' + node.n + '/' + (node.shards.length - 1));
        node.lives.forEach((life, i) => {
            const x0 = Math.max(LABEL, xOf(Math.min(life.end, model.last))), x1 = Math.min(lanes.width, xOf(i + 1 < node.lives.length ? node.lives[i + 1].start : model.last));
            if (life.end === NEVER || x1 <= x0) return;
            ctx.globalAlpha = 0.13;
            ctx.fillStyle = colors.bad;
            ctx.fillRect(x0, first.y, x1 - x0, last.y + last.h - first.y);
        });
    }
    for (const fault of model.bands) {
        const end = Math.min(fault.end, model.last);
        if (end < view.from || fault.t > view.to) continue;
        const x0 = Math.max(LABEL, xOf(fault.t)), x1 = Math.min(lanes.width, xOf(end));
        ctx.fillStyle = colors.fault(fault.group);
        for (const node of model.nodes) {
            if (fault.n === undefined ? fault.c !== undefined : fault.n !== node.n) continue;
            const first = lanes.rowOf.get('n' + node.n), last = lanes.rowOf.get('n' + node.n + '/' + (node.shards.length - 1));
            const only = fault.s !== undefined && lanes.rowOf.get('n' + node.n + '/' + fault.s);
            const y0 = only ? only.y : first.y, y1 = only ? only.y + only.h : last.y + last.h;
            ctx.globalAlpha = 0.1;
            ctx.fillRect(x0, y0, Math.max(1, x1 - x0), y1 - y0);
        }
    }
    ctx.globalAlpha = 1;
}

const drawRow = {
    key(ctx, row) {
        const values = row.history.values;
        let i = Math.max(0, upper(values, view.from) - 1), drawn = -1;
        ctx.font = '11px ' + colors.mono;
        ctx.textAlign = 'left';
        for (; i < values.length && values[i].t <= view.to; i++) {
            const e = values[i], x0 = Math.max(LABEL - 4, xOf(e.t)), x1 = i + 1 < values.length ? xOf(values[i + 1].t) : lanes.width + 4;
            if (x1 - drawn < 1) continue;
            drawn = x1;
            const none = e.y === 'none', now = e.t <= view.cursor && (i + 1 >= values.length || values[i + 1].t > view.cursor);
            ctx.globalAlpha = now ? 0.42 : 0.2;
            ctx.fillStyle = none ? colors.muted : i % 2 ? colors.ok : colors.cyan;
            if (none) ctx.fillRect(x0, row.y + 10, Math.max(1, x1 - x0), 2);
            else ctx.fillRect(x0, row.y + 2, Math.max(1, x1 - x0 - 1), row.h - 4);
            ctx.globalAlpha = 1;
            ctx.fillRect(x0, row.y + 2, 1.5, row.h - 4);
            ctx.fillStyle = colors.text;
            if (!none && x1 - x0 > 22) putText(ctx, valueText(e), x0 + 5, row.y + row.h / 2 + 0.5, Math.min(x1, lanes.width) - x0 - 8);
        }
        ctx.fillStyle = colors.muted;
        for (let r = upper(row.history.reads, view.from); r < row.history.reads.length && row.history.reads[r].t <= view.to; r++) {
            ctx.fillRect(xOf(row.history.reads[r].t), row.y + row.h - 4, 1.5, 3);
        }
    },
    fault(ctx, row) {
        const { faults, longest, group } = row.group, color = colors.fault(group);
        ctx.font = '10.5px ' + colors.mono;
        ctx.textAlign = 'left';
        let free = LABEL, drawn = -1;
        for (let i = upper(faults, view.from - longest - 1); i < faults.length && faults[i].t <= view.to; i++) {
            const f = faults[i], end = Math.min(f.end, model.last);
            if (end < view.from) continue;
            const x0 = Math.max(LABEL, xOf(f.t)), x1 = Math.min(lanes.width, xOf(end)), w = Math.max(2, x1 - x0);
            if (x0 + w < drawn + 0.5) continue;
            drawn = x0 + w;
            ctx.fillStyle = color;
            ctx.globalAlpha = f.end > f.t ? 0.32 : 1;
            ctx.fillRect(x0, row.y + 2, w, row.h - 4);
            ctx.globalAlpha = 1;
            ctx.fillRect(x0, row.y + 2, 2, row.h - 4);
            const name = f.name.slice(group.length + 1) || f.name;
            const next = i + 1 < faults.length ? Math.max(xOf(faults[i + 1].t), x0 + w) : lanes.width;
            const room = Math.max(w, next - x0) - 8;
            if (x0 + 4 >= free && room > 26) {
                ctx.fillStyle = colors.text;
                const text = name + (f.n !== undefined ? ' n' + f.n : f.c !== undefined ? ' c' + f.c : '');
                putText(ctx, text, x0 + 5, row.y + row.h / 2 + 0.5, room);
                free = x0 + 5 + Math.min(room, text.length * CHAR);
            }
        }
    },
    client(ctx, row) {
        const { ops, longest, tracks } = row.client, h = trackHeight(row);
        ctx.font = '10.5px ' + colors.mono;
        ctx.textAlign = 'left';
        const drawn = new Array(tracks).fill(-1);
        const time = (op) => op.start;
        for (let i = upper(ops, view.from - longest - 1, time); i < ops.length && ops[i].start <= view.to; i++) {
            const op = ops[i], mine = view.key && op.keys.includes(view.key), marked = op.failed || mine;
            const x0 = xOf(op.start), x1 = Math.max(x0 + 2, xOf(opEnd(op, op.start)));
            if (x1 < LABEL || (x1 < drawn[op.track] + 0.7 && !marked)) continue;
            drawn[op.track] = Math.max(drawn[op.track], x1);
            const y = trackTop(row, op), unanswered = op.end === NEVER, w = x1 - x0 - (x1 - x0 > 5 ? 1 : 0);
            const color = op.failed ? colors.bad : unanswered ? colors.warn : op.rep.e ? colors.pink : mine ? colors.ok : colors.accent;
            ctx.globalAlpha = marked ? 0.9 : view.key ? 0.2 : 0.5;
            if (unanswered) {
                const cut = Math.max(w, 6);
                ctx.fillStyle = color;
                ctx.fillRect(x0, y, 2, h - 1);
                ctx.globalAlpha *= 0.5;
                ctx.fillRect(x0, y + h / 2 - 1, cut, 1.5);
            } else {
                ctx.fillStyle = color;
                shape(ctx, x0, y, w, h - 1, 2);
                ctx.fill();
            }
            ctx.globalAlpha = 1;
            if (w > 34 && h > 8) {
                ctx.fillStyle = marked ? colors.bg : colors.text;
                const left = Math.max(x0, LABEL);
                putText(ctx, op.text + (op.rep ? ' → ' + op.rep.r : ''), left + 4, y + h / 2, x0 + w - left - 6);
            }
        }
        for (let i = upper(row.client.links, view.from); i < row.client.links.length && row.client.links[i].t <= view.to; i++) {
            const e = row.client.links[i];
            ctx.fillStyle = e.k === 'con' ? colors.ok : colors.bad;
            ctx.fillRect(xOf(e.t) - 1, row.y, 2, row.h);
        }
    },
    node(ctx, row) {
        const y = row.y + 2, h = row.h - 4;
        ctx.font = '10.5px ' + colors.sans;
        ctx.textAlign = 'left';
        for (const life of row.node.lives) {
            const x0 = Math.max(LABEL - 9, xOf(life.start)), x1 = Math.min(lanes.width + 9, xOf(Math.min(life.end, model.last)));
            if (x1 <= x0) continue;
            ctx.globalAlpha = 0.16;
            ctx.fillStyle = colors.ok;
            shape(ctx, x0, y, x1 - x0, h, 3);
            ctx.fill();
            ctx.globalAlpha = 1;
            ctx.fillRect(x0, y, 2, h);
        }
        for (let i = 0; i + 1 <= row.node.lives.length; i++) {
            const life = row.node.lives[i], next = row.node.lives[i + 1];
            if (life.end === NEVER) continue;
            const x0 = xOf(life.end), x1 = xOf(next ? next.start : model.last);
            ctx.fillStyle = colors.bad;
            ctx.fillRect(x0, y, 2.5, h);
            putText(ctx, life.how === 'crash' ? 'crashed' : 'stopped', x0 + 7, y + h / 2, x1 - x0 - 8);
        }
        for (const band of row.node.reshards) {
            const x0 = xOf(band.start), x1 = Math.max(x0 + 2, xOf(Math.min(band.end, model.last)));
            if (x1 < LABEL || x0 > lanes.width) continue;
            ctx.fillStyle = colors.cyan;
            ctx.globalAlpha = 0.35;
            ctx.fillRect(x0, y, x1 - x0, h);
            ctx.globalAlpha = 1;
            ctx.fillStyle = colors.text;
            band.phases.forEach((e, i) => {
                const next = i + 1 < band.phases.length ? xOf(band.phases[i + 1].t) : lanes.width;
                ctx.fillRect(xOf(e.t), y, 1, h);
                putText(ctx, (i ? '' : e.a + '→' + e.b + ' ') + e.p, xOf(e.t) + 4, y + h / 2, next - xOf(e.t) - 5);
            });
        }
        for (const list of [row.node.clocks, row.node.logs]) {
            for (let i = upper(list, view.from); i < list.length && list[i].t <= view.to; i++) {
                const x = xOf(list[i].t), clock = list[i].k === 'clk';
                ctx.fillStyle = clock ? colors.cyan : list[i].l >= 3 ? colors.bad : colors.muted;
                ctx.beginPath();
                ctx.arc(x, y + h / 2, clock ? 4 : 2.5, 0, 7);
                ctx.fill();
            }
        }
    },
    shard(ctx, row) {
        const { turns, applied, longest } = row.shard, perPixel = (view.to - view.from) / (lanes.width - LABEL);
        let drawn = -1;
        ctx.fillStyle = colors.accent;
        for (let i = upper(turns, view.from - longest - 1); i < turns.length && turns[i].t <= view.to; i++) {
            const x0 = xOf(turns[i].t), x1 = Math.max(x0 + 1, xOf(turns[i].t + turns[i].d));
            if (x1 < LABEL || x1 < drawn + 0.7) continue;
            drawn = x1;
            ctx.globalAlpha = 0.35 + Math.min(0.5, turns[i].c / 40);
            ctx.fillRect(x0, row.y + 5, x1 - x0, 9);
        }
        ctx.globalAlpha = 1;
        ctx.font = '10px ' + colors.mono;
        ctx.textAlign = 'left';
        drawn = -9;
        for (let i = upper(applied, view.from); i < applied.length && applied[i].t <= view.to; i++) {
            const e = applied[i], x = xOf(e.t), mine = view.key && e.op && e.op.keys.includes(view.key);
            if (x < drawn + 1 && !mine) continue;
            drawn = x;
            ctx.fillStyle = e.op && e.op.failed ? colors.bad : mine ? colors.ok : colors.muted;
            ctx.fillRect(x - 0.75, row.y + 15, mine ? 2.5 : 1.5, 9);
            const next = i + 1 < applied.length ? xOf(applied[i + 1].t) : lanes.width;
            if (next - x > 30 && perPixel < 50) putText(ctx, e.a, x + 4, row.y + 20, next - x - 6);
        }
        ctx.fillStyle = colors.faint;
        ctx.fillRect(LABEL, row.y + row.h - 1, lanes.width, 1);
    },
};

// The selected operation's words, beside its bar.
function nameBar(ctx, op, x0, x1, y, color) {
    const text = op.text + (op.rep ? ' → ' + op.rep.r : ''), width = Math.min(text.length * CHAR + 8, 420), left = x1 + 6 + width > lanes.width && x0 - 6 - width > LABEL;
    ctx.fillStyle = colors.bg;
    ctx.globalAlpha = 0.75;
    ctx.fillRect(left ? x0 - 6 - width : x1 + 3, y - 6, width, 12);
    ctx.globalAlpha = 1;
    ctx.fillStyle = color;
    putText(ctx, text, left ? x0 - 3 - width : x1 + 6, y + 0.5, width - 4);
}

const middleOf = (row) => row.y + 9.5;

function drawMessages(ctx) {
    for (const node of model.nodes) {
        const list = node.messages, first = upper(list, view.from - node.slowest - 1), last = upper(list, view.to);
        const shown = last - first, many = shown > 500 ? Math.max(0.05, Math.min(0.3, 200 / shown)) : 0, step = Math.ceil((last - first) / 6000);
        for (let i = first; i < last; i += step) {
            const m = list[i], a = lanes.rowOf.get('n' + node.n + '/' + m.a), b = lanes.rowOf.get('n' + node.n + '/' + m.b);
            drawArrow(ctx, m, middleOf(a), middleOf(b), m.l ? colors.muted : colors.violet, many);
        }
    }
    const first = upper(model.packets, view.from - 1e6), last = upper(model.packets, view.to);
    for (let i = first; i < last; i++) {
        const p = model.packets[i], a = lanes.rowOf.get('n' + p.a), b = lanes.rowOf.get('n' + p.b);
        if (a && b) drawArrow(ctx, p, a.y + 10, b.y + 10, colors.pink, last - first > 500 ? 0.2 : 0);
    }
    ctx.globalAlpha = 1;
}

function drawArrow(ctx, m, y0, y1, color, many, hot) {
    const lost = m.u === undefined, x0 = xOf(m.t), x1 = xOf(lost ? m.t + (view.to - view.from) * 0.01 : m.u);
    if (x1 < LABEL) return;
    if (lost) y1 = y0 + (y1 - y0) * 0.6;
    ctx.strokeStyle = ctx.fillStyle = lost ? colors.bad : color;
    ctx.globalAlpha = hot ? 1 : many || 0.7; // `many`: so many that each is faint and has no head
    ctx.lineWidth = hot ? 2.5 : 1;
    ctx.setLineDash(lost ? [3, 3] : []);
    ctx.beginPath();
    ctx.moveTo(x0, y0);
    ctx.lineTo(x1, y1);
    ctx.stroke();
    ctx.setLineDash([]);
    if (lost && !many) {
        ctx.fillText('×', x1 - 3, y1);
    } else if (!many) {
        const angle = Math.atan2(y1 - y0, x1 - x0);
        ctx.beginPath();
        ctx.moveTo(x1, y1);
        ctx.lineTo(x1 - 6 * Math.cos(angle - 0.4), y1 - 6 * Math.sin(angle - 0.4));
        ctx.lineTo(x1 - 6 * Math.cos(angle + 0.4), y1 - 6 * Math.sin(angle + 0.4));
        ctx.fill();
    }
}

// Messages that are on their way at the cursor: a dot where each is now.
function drawFlying(ctx) {
    const t = view.cursor, dot = (m, a, b, color) => {
        if (!a || !b || m.u === undefined || m.u <= t) return;
        ctx.fillStyle = color;
        ctx.beginPath();
        ctx.arc(xOf(t), a + (b - a) * (t - m.t) / (m.u - m.t), 3.5, 0, 7);
        ctx.fill();
    };
    for (const node of model.nodes) {
        for (let i = upper(node.messages, t) - 1; i >= 0 && node.messages[i].t >= t - node.slowest; i--) {
            const m = node.messages[i];
            dot(m, middleOf(lanes.rowOf.get('n' + node.n + '/' + m.a)), middleOf(lanes.rowOf.get('n' + node.n + '/' + m.b)), m.l ? colors.muted : colors.violet);
        }
    }
    for (let i = upper(model.packets, t) - 1, looked = 0; i >= 0 && looked < 200; i--, looked++) {
        const p = model.packets[i], a = lanes.rowOf.get('n' + p.a), b = lanes.rowOf.get('n' + p.b);
        if (a && b) dot(p, a.y + 10, b.y + 10, colors.pink);
    }
}

// The selected message; or the way of the selected operation: client, shard, client.
function drawSelected(ctx) {
    const m = view.selected;
    if (m && m.k === 'msg') {
        const a = lanes.rowOf.get('n' + m.n + '/' + m.a), b = lanes.rowOf.get('n' + m.n + '/' + m.b);
        drawArrow(ctx, m, middleOf(a), middleOf(b), m.l ? colors.muted : colors.violet, 0, true);
        ctx.globalAlpha = 1;
    }
    const op = selectedOp(), client = op && lanes.rowOf.get('c' + op.c);
    if (!client) return;
    const color = op.failed ? colors.bad : op.end === NEVER ? colors.warn : colors.ok, h = trackHeight(client), y = trackTop(client, op);
    const x0 = xOf(op.start), x1 = Math.max(x0 + 3, xOf(opEnd(op, op.start)));
    ctx.strokeStyle = ctx.fillStyle = color;
    ctx.lineWidth = 1.5;
    for (const e of op.apps) {
        const row = lanes.rowOf.get('n' + e.n + '/' + e.s);
        if (!row) continue;
        ctx.beginPath();
        ctx.moveTo(x0, client.y + client.h);
        ctx.lineTo(xOf(e.t), row.y + 15);
        if (op.end !== NEVER) ctx.lineTo(x1, client.y + client.h);
        ctx.stroke();
        ctx.beginPath();
        ctx.arc(xOf(e.t), row.y + 17, 3.5, 0, 7);
        ctx.fill();
    }
    ctx.strokeStyle = colors.text;
    shape(ctx, x0, y, x1 - x0, Math.max(3, h - 1), 2);
    ctx.stroke();
    ctx.font = '10.5px ' + colors.mono;
    ctx.textAlign = 'left';
    if (!(x1 - x0 > 200 && h > 8)) nameBar(ctx, op, x0, x1, y + h / 2, color);
}

const trackHeight = (row) => (row.h - (lanes.compact ? 0 : 3)) / row.client.tracks;
const trackTop = (row, op) => row.y + (lanes.compact ? 0 : 1.5) + op.track * trackHeight(row);

function drawCursor(ctx, top, height) {
    const x = Math.round(xOf(view.cursor));
    ctx.fillStyle = colors.cursor;
    ctx.fillRect(x - 0.5, top, 1.5, height);
    for (const v of model.verdicts) {
        if (v.ok) continue;
        const at = xOf(v.op ? Math.min(v.op.end, v.t) : v.t);
        ctx.strokeStyle = colors.bad;
        ctx.setLineDash([4, 3]);
        ctx.lineWidth = 1;
        ctx.beginPath();
        ctx.moveTo(at, top);
        ctx.lineTo(at, top + height);
        ctx.stroke();
        ctx.setLineDash([]);
    }
}

function drawLabel(ctx, row) {
    ctx.fillStyle = row.type === 'node' ? colors.raised : colors.panel;
    ctx.fillRect(0, row.y, LABEL, row.h);
    ctx.fillStyle = colors.line;
    ctx.fillRect(LABEL - 1, row.y, 1, row.h);
    ctx.textAlign = 'left';
    const y = row.y + row.h / 2 + 0.5;
    ctx.font = '11px ' + colors.sans;
    ctx.fillStyle = colors.muted;
    const text = (s, x, width = LABEL - x - 6) => {
        while (ctx.measureText(s).width > width && s.length > 2) s = s.slice(0, -2) + '\u2026';
        ctx.fillText(s, x, y);
    };
    switch (row.type) {
    case 'key':
        ctx.fillStyle = row.key.failed ? colors.bad : colors.text;
        ctx.font = '11px ' + colors.mono;
        text((row.key.nodes.size > 1 ? 'n' + row.history.n + ' ' : '') + (row.key.name || '""'), 10);
        break;
    case 'fault':
        ctx.fillStyle = colors.fault(row.group.group);
        ctx.fillRect(0, row.y + 2, 3, row.h - 4);
        ctx.fillStyle = colors.muted;
        text(row.group.group + ' faults', 10);
        break;
    case 'client':
        if (!lanes.compact) text('client ' + row.client.c, 10);
        else if (row.client.c % 3 === 1) text((row.client.c - 1) + ' \u2013 ' + Math.min(row.client.c + 1, model.clients.length - 1), 10);
        break;
    case 'node': {
        const up = row.node.lives.some((l) => l.start <= view.cursor && view.cursor < l.end);
        ctx.fillStyle = !row.node.lives.length ? colors.muted : up ? colors.ok : colors.bad;
        ctx.beginPath();
        ctx.arc(13, y, 4, 0, 7);
        ctx.fill();
        ctx.fillStyle = colors.text;
        ctx.font = '600 11.5px ' + colors.sans;
        text('node ' + row.node.n, 23);
        ctx.fillStyle = colors.muted;
        ctx.fillText(lanes.folded.has(row.node.n) ? '▸' : '▾', LABEL - 16, y);
        break;
    }
    case 'shard': text('shard ' + row.shard.s, 23); break;
    }
}

// ---- what is under the pointer ----
function hit(x, y) {
    const py = y - RULER + (y < RULER + lanes.sticky ? 0 : $('timeline').scrollTop);
    if (y < RULER || x < LABEL) return null;
    const t = tOf(x), slack = (view.to - view.from) / (lanes.width - LABEL) * 4;
    const row = lanes.rows.find((r) => py >= r.y && py < r.y + r.h && (r.type === 'key') === (y < RULER + lanes.sticky));
    const nearest = (list) => {
        const i = upper(list, t), a = list[i - 1], b = list[i];
        const best = !a ? b : !b ? a : t - a.t < b.t - t ? a : b;
        return best && Math.abs(best.t - t) <= slack ? best : null;
    };
    if (!row) return null;
    switch (row.type) {
    case 'key': return nearest(row.history.reads.filter((e) => py > row.y + row.h - 5)) || valueAt(row.history, t);
    case 'fault': {
        let best = null;
        for (const f of row.group.faults) {
            if (f.t > t + slack) break;
            if (Math.min(f.end, model.last) >= t - slack && (!best || f.t >= best.t)) best = f;
        }
        return best && best.event;
    }
    case 'client': {
        const link = nearest(row.client.links);
        const { ops, longest, tracks } = row.client, edge = lanes.compact ? 0 : 3, track = clamp(Math.floor((py - row.y - edge / 2) / ((row.h - edge) / tracks)), 0, tracks - 1);
        for (let i = upper(ops, t + slack, (op) => op.start) - 1; i >= 0 && ops[i].start >= t - longest - slack * 3; i--) {
            if (ops[i].track === track && opEnd(ops[i], ops[i].start + slack) >= t - slack) return ops[i].cmd || ops[i].rep;
        }
        return link;
    }
    case 'node': {
        const near = nearest(row.node.clocks) || nearest(row.node.logs);
        if (near) return near;
        for (const band of row.node.reshards) {
            const phase = nearest(band.phases);
            if (phase) return phase;
        }
        return nearestEvent((e) => e.k === 'node' && e.n === row.node.n, t, slack) || hitPacket(x, py);
    }
    case 'shard': {
        if (py > row.y + 14) return nearest(row.shard.applied) || hitMessage(row.node, x, py);
        const message = hitMessage(row.node, x, py);
        if (message) return message;
        for (let i = upper(row.shard.turns, t + slack) - 1; i >= 0 && row.shard.turns[i].t >= t - row.shard.longest - slack; i--) {
            if (row.shard.turns[i].t + row.shard.turns[i].d >= t - slack) return row.shard.turns[i];
        }
        return null;
    }
    }
    return null;
}

// A click on a label: clients get small or large, a node's shards come and go.
function foldAt(y) {
    const py = y - RULER + $('timeline').scrollTop, row = lanes.rows.find((r) => py >= r.y && py < r.y + r.h);
    if (!row || y < RULER + lanes.sticky) return;
    if (row.type === 'client') lanes.compact = !lanes.compact;
    if (row.type === 'node' && !lanes.folded.delete(row.node.n)) lanes.folded.add(row.node.n);
    redraw('timeline');
}

function nearestEvent(wanted, t, slack) {
    for (let i = upper(model.events, t + slack) - 1; i >= 0 && model.events[i].t >= t - slack; i--) if (wanted(model.events[i])) return model.events[i];
    return null;
}

function onLine(m, y0, y1, x, y) {
    const x0 = xOf(m.t), x1 = Math.max(x0 + 1, xOf(m.u === undefined ? m.t : m.u)), dx = x1 - x0, dy = y1 - y0;
    const share = clamp(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1), 0, 1);
    return Math.hypot(x - x0 - share * dx, y - y0 - share * dy) < 4;
}

function hitMessage(node, x, y) {
    const list = node.messages;
    for (let i = upper(list, tOf(x + 4)) - 1, looked = 0; i >= 0 && looked < 3000 && list[i].t >= tOf(x - 4) - node.slowest; i--, looked++) {
        const a = lanes.rowOf.get('n' + node.n + '/' + list[i].a), b = lanes.rowOf.get('n' + node.n + '/' + list[i].b);
        if (onLine(list[i], middleOf(a), middleOf(b), x, y)) return list[i];
    }
    return null;
}

function hitPacket(x, y) {
    for (let i = upper(model.packets, tOf(x + 4)) - 1, looked = 0; i >= 0 && looked < 3000; i--, looked++) {
        const p = model.packets[i], a = lanes.rowOf.get('n' + p.a), b = lanes.rowOf.get('n' + p.b);
        if (a && b && onLine(p, a.y + 10, b.y + 10, x, y)) return p;
    }
    return null;
}

function showTip(event, x, y) {
    const tip = $('tip');
    tip.hidden = !event;
    if (!event) return;
    const op = event.op;
    const lines = [el('div', { class: 'tip-head', text: KINDS[event.k].name + '  ' + placeText(event) + '  ' + timeText(event.t) })];
    if (event.k === 'cmd' && op) {
        lines.push(el('div', { text: op.text }), el('div', { class: 'muted', text: op.rep ? '→ ' + op.rep.r + '   ' + spanText(op.end - op.start) : 'no reply' }));
        if (op.failed) lines.push(el('div', { class: 'bad', text: op.failed.f + ' failed' }));
    } else {
        lines.push(el('div', { text: eventText(event) }));
        if (event.fault && event.fault.n === undefined && event.fault.c === undefined) lines.push(el('div', { class: 'muted', text: 'all nodes' }));
    }
    fill(tip, ...lines);
    const box = tip.getBoundingClientRect();
    tip.style.left = clamp(x + 14, 4, innerWidth - box.width - 8) + 'px';
    tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18) + 'px';
}

function startTimeline() {
    const box = $('timeline');
    const at = (e) => { const r = box.getBoundingClientRect(); return [e.clientX - r.left, e.clientY - r.top]; };
    box.addEventListener('scroll', () => redraw('timeline'));
    box.addEventListener('pointerdown', (e) => {
        const [x, y] = at(e);
        if (e.button || x >= box.clientWidth) return;
        lanes.drag = { x, y, from: view.from, to: view.to, moved: false, scrub: y < RULER, range: e.shiftKey, top: box.scrollTop };
        box.setPointerCapture(e.pointerId);
        if (lanes.drag.scrub) setCursor(tOf(Math.max(x, LABEL)), false);
    });
    box.addEventListener('pointermove', (e) => {
        const [x, y] = at(e), drag = lanes.drag;
        if (!drag) {
            showTip(hit(x, y), e.clientX, e.clientY);
            return;
        }
        if (Math.abs(x - drag.x) + Math.abs(y - drag.y) > 4) drag.moved = true;
        if (drag.scrub) setCursor(tOf(Math.max(x, LABEL)), false);
        else if (drag.moved && !drag.range) {
            const by = (drag.x - x) / (lanes.width - LABEL) * (drag.to - drag.from);
            setRange(drag.from + by, drag.to + by);
            box.scrollTop = drag.top + drag.y - y;
            showTip(null);
        }
    });
    box.addEventListener('pointerup', (e) => {
        const [x, y] = at(e), drag = lanes.drag;
        lanes.drag = null;
        if (!drag || drag.scrub) return;
        if (drag.range && drag.moved) {
            setRange(Math.min(tOf(drag.x), tOf(x)), Math.max(tOf(drag.x), tOf(x)));
        } else if (!drag.moved) {
            const found = hit(x, y);
            if (found) {
                select(found, { cursor: found.k !== 'key' });
                if (found.k === 'key') setCursor(tOf(x), false);
            } else if (x > LABEL) {
                setCursor(tOf(x), false);
            } else {
                foldAt(y);
            }
        }
    });
    box.addEventListener('pointerleave', () => showTip(null));
    box.addEventListener('dblclick', (e) => zoom(0.25, tOf(at(e)[0])));
    box.addEventListener('wheel', (e) => {
        const [x, y] = at(e), fits = box.scrollHeight <= box.clientHeight + 1;
        if (e.ctrlKey || e.metaKey || e.altKey || y < RULER || (fits && !e.shiftKey && Math.abs(e.deltaY) > Math.abs(e.deltaX))) {
            e.preventDefault();
            zoom(1.0025 ** clamp(e.deltaY, -200, 200), tOf(x));
        } else if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) {
            e.preventDefault();
            pan((e.deltaX || e.deltaY) / 900);
        }
    }, { passive: false });
    part('timeline', drawTimeline);
}
