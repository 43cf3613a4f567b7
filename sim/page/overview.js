// The whole run in one strip: activity, faults, crashes, failures; the range as a window that can be dragged.
const overview = { width: 0, drag: null };

function activity() {
    const hist = model.hist;
    if (hist && hist.cmd && hist.cmd.length > 1) {
        return { width: hist.w, counts: hist.cmd.map((n, i) => n + (hist.msg[i] || 0)), commands: hist.cmd };
    }
    const width = Math.max(1, Math.ceil(model.last / 256)), counts = new Array(256).fill(0), commands = new Array(256).fill(0);
    for (const e of model.events) {
        if (e.k !== 'cmd' && e.k !== 'msg') continue;
        const i = Math.min(255, Math.floor(e.t / width));
        counts[i]++;
        if (e.k === 'cmd') commands[i]++;
    }
    return { width, counts, commands };
}
const busy = activity();

function drawOverview() {
    const canvas = $('overview'), width = canvas.parentElement.clientWidth, height = 46;
    overview.width = width;
    const ctx = prepare(canvas, width, height), x = (t) => t / model.last * width, most = Math.max(1, ...busy.counts);
    const area = (counts, color, alpha) => {
        ctx.fillStyle = color;
        ctx.globalAlpha = alpha;
        ctx.beginPath();
        ctx.moveTo(0, height - 9);
        counts.forEach((n, i) => {
            const y = height - 9 - Math.sqrt(n / most) * (height - 15); // a peak must not hide the rest
            ctx.lineTo(x(i * busy.width), y);
            ctx.lineTo(x((i + 1) * busy.width), y);
        });
        ctx.lineTo(x(counts.length * busy.width), height - 9);
        ctx.fill();
        ctx.globalAlpha = 1;
    };
    area(busy.counts, colors.violet, 0.3);
    area(busy.commands, colors.accent, 0.55);
    for (const f of model.faults) {
        ctx.fillStyle = colors.fault(f.group);
        ctx.globalAlpha = f.end > f.t ? 0.7 : 1;
        ctx.fillRect(x(f.t), height - 7, Math.max(1.5, x(Math.min(f.end, model.last)) - x(f.t)), 6);
    }
    ctx.globalAlpha = 1;
    for (const node of model.nodes) {
        for (const life of node.lives) {
            if (life.end === NEVER) continue;
            ctx.fillStyle = colors.bad;
            ctx.fillRect(x(life.end) - 0.5, 4, 1.5, height - 12);
        }
    }
    const x0 = x(Math.max(0, view.from)), x1 = Math.max(x0 + 2, x(Math.min(model.last, view.to)));
    ctx.fillStyle = colors.bg;
    ctx.globalAlpha = 0.55;
    ctx.fillRect(0, 0, x0, height);
    ctx.fillRect(x1, 0, width - x1, height);
    ctx.globalAlpha = 1;
    ctx.strokeStyle = colors.accent;
    ctx.lineWidth = 1.5;
    ctx.strokeRect(x0 + 0.75, 0.75, Math.max(2, x1 - x0 - 1.5), height - 1.5);
    for (const v of model.verdicts) {
        if (v.ok) continue;
        const at = x(v.op ? Math.min(v.op.end, v.t) : v.t);
        ctx.fillStyle = colors.bad;
        ctx.beginPath();
        ctx.moveTo(at - 6, 0);
        ctx.lineTo(at + 6, 0);
        ctx.lineTo(at, 9);
        ctx.fill();
        ctx.fillRect(at - 0.75, 0, 1.5, height);
    }
    ctx.fillStyle = colors.cursor;
    ctx.fillRect(x(view.cursor) - 0.75, 0, 1.5, height);
    canvas.setAttribute('aria-valuemax', String(model.last));
    canvas.setAttribute('aria-valuenow', String(Math.round(view.cursor)));
    canvas.setAttribute('aria-valuetext', timeText(view.cursor));
}

function startOverview() {
    const canvas = $('overview');
    const time = (e) => clamp((e.clientX - canvas.getBoundingClientRect().left) / overview.width, 0, 1) * model.last;
    const move = (e) => {
        const span = view.to - view.from, t = time(e);
        if (span < model.last * 0.98) setRange(t - span / 2, t + span / 2);
        setCursor(t, false);
    };
    canvas.addEventListener('pointerdown', (e) => { overview.drag = true; canvas.setPointerCapture(e.pointerId); move(e); });
    canvas.addEventListener('pointermove', (e) => { if (overview.drag) move(e); });
    canvas.addEventListener('pointerup', () => { overview.drag = null; });
    canvas.addEventListener('wheel', (e) => {
        e.preventDefault();
        zoom(1.0025 ** clamp(e.deltaY, -200, 200), time(e));
    }, { passive: false });
    part('overview', drawOverview);
}
