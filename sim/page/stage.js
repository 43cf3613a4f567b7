// The cluster as it is at the cursor: clients above, a card per node, its shards as tiles that light up when they
// work, messages on their way between them; below, in words, what is going on.
const stage = { glow: 50, written: 0 };

const shortCount = (n) => (n < 10000 ? String(n) : Math.round(n / 1000) + 'k');

function shardsAt(node, t) {
    const i = upper(node.changes, t);
    return i ? node.changes[i - 1].shards : node.shards.length;
}

function lifeAt(node, t) {
    if (!node.lives.length) return 'up';
    for (const life of node.lives) if (life.start <= t && t < life.end) return 'up';
    return node.lives[0].start > t ? 'not started' : 'down';
}

function opsInFlight(t) {
    const found = [];
    for (const client of model.clients) {
        const until = upper(client.ops, t, (op) => op.start);
        let n = 0, failed = false;
        for (let i = until - 1; i >= 0 && i > until - 64; i--) {
            const end = opEnd(client.ops[i], NEVER);
            if (end > t) {
                n++;
                found.push(client.ops[i]);
            }
            failed = failed || Boolean(client.ops[i].failed && t - client.ops[i].start < 1e6);
        }
        client.flying = n;
        client.failedNow = failed;
    }
    return found;
}

function drawStage() {
    const pane = $('pane-world');
    if (pane.hidden) return;
    const t = view.cursor, width = pane.clientWidth - 2, columns = model.nodes.length > 4 ? 3 : model.nodes.length > 1 ? 2 : 1;
    stage.glow = Math.max(40, (view.to - view.from) / 80);
    const most = model.nodes.reduce((m, n) => Math.max(m, n.shards.length), 1), across = Math.min(4, most);
    const gap = 10, cardW = (width - gap * (columns - 1)) / columns, tile = Math.min(52, (cardW - 20 - 6 * (across - 1)) / across), tileH = Math.max(28, tile * 0.72);
    const cardH = 44 + Math.ceil(most / across) * (tileH + 6), rows = Math.ceil(model.nodes.length / columns);
    const perRow = Math.max(1, Math.floor(width / 19)), clientH = Math.ceil(model.clients.length / perRow) * 19 + (model.clients.length ? 26 : 0);
    const height = clientH + rows * (cardH + gap);
    const ctx = prepare($('stage'), width, height);
    const at = new Map();
    const flying = opsInFlight(t), of = selectedOp();

    model.clients.forEach((client, i) => {
        const x = (i % perRow) * 19 + 1, y = Math.floor(i / perRow) * 19 + 1;
        at.set('c' + client.c, [x + 8, y + 8]);
        ctx.fillStyle = client.failedNow ? colors.bad : client.flying ? colors.accent : colors.raised;
        ctx.globalAlpha = client.flying || client.failedNow ? 0.9 : 1;
        shape(ctx, x, y, 16, 16, 4);
        ctx.fill();
        ctx.globalAlpha = 1;
        ctx.fillStyle = client.flying || client.failedNow ? colors.bg : colors.muted;
        ctx.font = '9px ' + colors.mono;
        ctx.textAlign = 'center';
        ctx.fillText(String(client.c), x + 8, y + 8.5);
    });
    model.nodes.forEach((node, i) => {
        const x = (i % columns) * (cardW + gap), y = clientH + Math.floor(i / columns) * (cardH + gap);
        drawCard(ctx, node, x, y, cardW, cardH, { tile, tileH, across }, at);
    });
    ctx.lineWidth = 1;
    for (const op of flying) {
        const from = at.get('c' + op.c), e = op.apps[0] || null;
        const to = e && e.s !== undefined ? at.get('n' + e.n + '/' + e.s) : null;
        if (!from || !to) continue;
        const hot = op === of || op.failed;
        const done = op.apps[0].t <= t; // on the way there, or with the reply on the way back
        const share = done ? 1 - clamp((t - e.t) / Math.max(1, op.end - e.t), 0, 1) : clamp((t - op.start) / Math.max(1, e.t - op.start), 0, 1);
        line(ctx, from, to, share, op.failed ? colors.bad : done ? colors.ok : colors.accent, hot ? 0.9 : 0.28);
    }
    for (const node of model.nodes) {
        for (let i = upper(node.messages, t) - 1; i >= 0 && node.messages[i].t >= t - node.slowest; i--) {
            const m = node.messages[i], end = m.u === undefined ? m.t : m.u;
            if (end < t) continue;
            line(ctx, at.get('n' + node.n + '/' + m.a), at.get('n' + node.n + '/' + m.b), (t - m.t) / Math.max(1, end - m.t), m.l ? colors.muted : colors.violet, 0.7);
        }
    }
    for (let i = upper(model.packets, t) - 1, looked = 0; i >= 0 && looked < 500; i--, looked++) {
        const p = model.packets[i];
        if (p.u !== undefined && p.u >= t) line(ctx, at.get('n' + p.a), at.get('n' + p.b), (t - p.t) / Math.max(1, p.u - p.t), colors.pink, 0.8);
    }
    drawWords(t, flying);
}

function drawCard(ctx, node, x, y, w, h, { tile, tileH, across }, at) {
    const t = view.cursor, state = lifeAt(node, t), up = state === 'up', shards = shardsAt(node, t);
    const faults = model.bands.filter((f) => f.t <= t && t < f.end && (f.n === node.n || (f.n === undefined && f.c === undefined)));
    ctx.fillStyle = colors.raised;
    shape(ctx, x + 0.5, y + 0.5, w - 1, h - 1, 7);
    ctx.fill();
    ctx.strokeStyle = !up ? colors.bad : faults.length ? colors.fault(faults[0].group) : colors.line;
    ctx.lineWidth = !up || faults.length ? 1.5 : 1;
    ctx.stroke();
    ctx.fillStyle = up ? colors.ok : colors.bad;
    ctx.beginPath();
    ctx.arc(x + 13, y + 15, 4, 0, 7);
    ctx.fill();
    ctx.textAlign = 'left';
    ctx.font = '600 12px ' + colors.sans;
    ctx.fillStyle = colors.text;
    ctx.fillText('node ' + node.n, x + 23, y + 15.5);
    at.set('n' + node.n, [x + w - 14, y + 15]);
    const i = upper(node.clocks, t), clock = i ? node.clocks[i - 1].off : 0;
    const reshard = node.reshards.find((b) => b.start <= t && t < b.end);
    ctx.font = '10.5px ' + colors.mono;
    ctx.textAlign = 'right';
    ctx.fillStyle = reshard || clock ? colors.cyan : colors.muted;
    ctx.fillText(!up ? state : reshard ? 'shards ' + reshard.a + '→' + reshard.b : clock ? 'clock ' + (clock < 0 ? '−' : '+') + spanText(Math.abs(clock)) : plural(shards, 'shard'), x + w - 10, y + 15.5);
    node.shards.forEach((shard, s) => {
        const tx = x + 10 + (s % across) * (tile + 6), ty = y + 30 + Math.floor(s / across) * (tileH + 6), th = tileH;
        at.set('n' + node.n + '/' + shard.s, [tx + tile / 2, ty + th / 2]);
        const j = upper(shard.turns, t), turn = j ? shard.turns[j - 1] : null, a = upper(shard.applied, t), last = a ? shard.applied[a - 1] : null;
        const since = Math.min(turn ? t - turn.t - turn.d : Infinity, last ? t - last.t : Infinity);
        const heat = !up || s >= shards ? 0 : since <= 0 ? 1 : Math.max(0, 1 - since / stage.glow);
        ctx.fillStyle = colors.bg;
        shape(ctx, tx, ty, tile, th, 4);
        ctx.fill();
        ctx.globalAlpha = heat * 0.75;
        ctx.fillStyle = colors.accent;
        ctx.fill();
        ctx.globalAlpha = s < shards && up ? 1 : 0.35;
        ctx.strokeStyle = colors.line;
        ctx.lineWidth = 1;
        ctx.stroke();
        ctx.fillStyle = heat > 0.5 ? colors.bg : colors.muted;
        ctx.textAlign = 'center';
        ctx.font = '10.5px ' + colors.mono;
        if (tile > 20) ctx.fillText('s' + shard.s, tx + tile / 2, ty + th / 2 - (tile > 30 ? 6 : 0));
        ctx.font = '9px ' + colors.mono;
        if (tile > 30) ctx.fillText(shortCount(upper(shard.applied, t)), tx + tile / 2, ty + th / 2 + 7);
        ctx.globalAlpha = 1;
    });
    ctx.textAlign = 'left';
    if (!up) return;
    ctx.font = '10px ' + colors.mono;
    ctx.fillStyle = faults.length ? colors.fault(faults[0].group) : colors.muted;
    putText(ctx, faults.map((f) => f.name).join(' '), x + 10, y + h - 8, w - 16);
}

function line(ctx, from, to, share, color, alpha) {
    if (!from || !to) return;
    ctx.strokeStyle = ctx.fillStyle = color;
    ctx.globalAlpha = alpha;
    ctx.beginPath();
    ctx.moveTo(...from);
    ctx.lineTo(...to);
    ctx.stroke();
    ctx.globalAlpha = 1;
    ctx.beginPath();
    ctx.arc(from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share, 3, 0, 7);
    ctx.fill();
}

function drawWords(t, flying) {
    // While it plays, nobody reads faster than that.
    if (view.playing && performance.now() - stage.written < 150) return;
    stage.written = performance.now();
    const faults = model.bands.filter((f) => f.t <= t && t < f.end);
    const rows = faults.slice(0, 12).map((f) => el('li', {}, el('button', { class: 'link', onclick: () => select(f.event), text: f.name }),
        ' ' + (f.n !== undefined ? 'node ' + f.n : f.c !== undefined ? 'client ' + f.c : 'everywhere') + (f.x ? ', ' + f.x : ''),
        el('span', { class: 'muted', text: f.end === NEVER ? ' to the end' : ' for ' + spanText(f.end - t) + ' more' })));
    const around = model.faults.slice(upper(model.faults, t - stage.glow), upper(model.faults, t)).filter((f) => f.end === f.t).slice(-6);
    const notes = model.notable.slice(Math.max(0, upper(model.notable, t) - 4), upper(model.notable, t));
    fill($('world-text'),
        el('h3', { text: 'At ' + timeText(t) }),
        el('p', { class: 'muted', text: plural(flying.length, 'operation') + ' in flight from ' + plural(model.clients.filter((c) => c.flying).length, 'client') + '. A tile is a shard: lit while it works, below its name the commands that it has executed.' }),
        el('h3', { text: 'Faults now' }),
        rows.length ? el('ul', { class: 'plain' }, ...rows) : el('p', { class: 'muted', text: 'none that lasts' }),
        around.length ? el('p', {}, ...around.map((f) => el('button', { class: 'link', onclick: () => select(f.event), text: f.name + ' ' }))) : null,
        el('h3', { text: 'Lately' }),
        notes.length ? el('ul', { class: 'plain' }, ...notes.reverse().map((e) => el('li', {}, el('button', { class: 'link', onclick: () => select(e), text: timeText(e.t) }), ' ' + placeText(e) + ' ' + eventText(e)))) : el('p', { class: 'muted', text: 'nothing' }));
}

part('world', drawStage);
