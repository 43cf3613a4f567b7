// The panes of one event and of the run, and the complaint on top.
function rowsOf(pairs) {
    return el('dl', {}, ...pairs.filter(([, value]) => value !== undefined && value !== null && value !== '').flatMap(([name, value]) => [el('dt', { text: name }), el('dd', {}, value)]));
}

const link = (event, text) => el('button', { class: 'link', onclick: () => select(event), text: text || timeText(event.t) });
const keyLink = (key) => el('button', { class: 'link key-link', onclick: () => { setKey(key); showTab('key'); }, text: shownName(key) });

function drawEventPane() {
    const pane = $('pane-event');
    if (pane.hidden) return;
    const e = view.selected;
    if (!e) {
        fill(pane, el('p', { class: 'muted', text: 'Click on something, or step with the arrow keys.' }));
        return;
    }
    const op = selectedOp(), key = e.k === 'key' ? model.keys.get(keyId(e.d, e.key)) : null;
    fill(pane,
        el('h3', { text: KINDS[e.k].name + ' ' + placeText(e) }),
        rowsOf([['at', timeText(e.t)], ['', ''],
            ['says', el('pre', { text: e.k === 'ver' && !e.ok ? e.f + ' failed\n' + e.x : eventText(e) })],
            ['key', key && keyLink(key)],
            ['fault', e.fault && e.fault.end > e.t ? timeText(e.fault.t) + ' to ' + (e.fault.end === NEVER ? 'the end' : timeText(e.fault.end)) : null],
            ['operation', e.k === 'ver' && e.op ? link(e.op.rep || e.op.cmd || e, '#' + e.o + ' ' + e.op.text) : null]]),
        op ? el('h3', { class: op.failed ? 'bad' : '', text: 'Operation #' + op.o }) : null,
        op ? rowsOf([
            ['command', el('pre', { text: op.text })],
            ['client', op.c === undefined ? null : 'client ' + op.c],
            ['sent', op.cmd ? link(op.cmd) : 'before the trace begins'],
            ['applied', op.apps.length ? el('span', {}, ...op.apps.map((a) => el('span', {}, link(a), ' n' + a.n + (a.s !== undefined ? '/s' + a.s : '') + ' '))) : 'not seen'],
            ['answered', op.rep ? el('span', {}, link(op.rep), ' after ' + spanText(op.end - op.start)) : 'never'],
            ['reply', op.rep ? el('pre', { class: op.rep.e ? 'warn' : '', text: op.rep.r }) : null],
            ['keys', op.keys.length ? el('span', {}, ...op.keys.map((k) => el('span', {}, keyLink(k), ' '))) : null],
            ['failed', op.failed ? el('pre', { class: 'bad', text: op.failed.f + ': ' + op.failed.x }) : null]]) : null,
        el('p', { class: 'buttons' },
            op ? el('button', { onclick: () => setFilter('#' + op.o), text: 'Only #' + op.o }) : null,
            e.c !== undefined ? el('button', { onclick: () => setFilter('c' + e.c), text: 'Only client ' + e.c }) : null,
            e.n !== undefined ? el('button', { onclick: () => setFilter('n' + e.n + (e.s !== undefined && e.k !== 'node' ? '/s' + e.s : '')), text: 'Only node ' + e.n + (e.s !== undefined && e.k !== 'node' ? ' shard ' + e.s : '') }) : null,
            list.text ? el('button', { onclick: () => setFilter(''), text: 'All events' }) : null));
}

function drawRunPane() {
    const pane = $('pane-run');
    if (pane.hidden || pane.childElementCount) return;
    const kinds = new Map();
    for (const f of model.faults) kinds.set(f.name, (kinds.get(f.name) || 0) + 1);
    const counts = new Map();
    for (const e of model.events) counts.set(e.k, (counts.get(e.k) || 0) + 1);
    const table = (id, rows) => el('table', { id }, el('tbody', {}, ...rows));
    const dropped = model.lost.map((l) => (KINDS[l.w] ? KINDS[l.w].name : l.w) + ' ' + l.z.toLocaleString('en')).join(', ');
    fill(pane,
        el('h3', { text: 'Verdicts' }),
        model.verdicts.length ? table('verdicts', model.verdicts.map((v) => el('tr', { class: v.ok ? '' : 'bad' },
            el('td', {}, el('span', { class: 'mark ' + (v.ok ? 'ok' : 'bad'), text: v.ok ? '✓' : '✗' }), ' ' + v.f),
            el('td', {}, v.ok ? plural(v.z, 'check') : el('button', { class: 'link', onclick: () => showFailure(v), text: v.x.split('\n')[0] })))))
            : el('p', { class: 'muted', text: 'none recorded' }),
        el('h3', { text: 'Plan' }),
        table('plan', [['seed', model.world.seed], ['nodes', model.world.nodes], ['clients', model.world.clients], ['built from', model.world.version], ['hash', model.end ? model.end.hash : '']]
            .concat(model.plan.map((p) => [p.f, p.x])).filter(([, x]) => x !== '').map(([name, x]) => el('tr', {}, el('td', { text: name }), el('td', { text: x })))),
        el('h3', { text: 'Faults that fired' }),
        kinds.size ? table('fault-kinds', [...kinds].sort((a, b) => b[1] - a[1]).map(([name, n]) => el('tr', {},
            el('td', {}, el('button', { class: 'link', onclick: () => setFilter('fault ' + name), text: name })), el('td', { text: n.toLocaleString('en') }))))
            : el('p', { class: 'muted', text: 'none' }),
        model.marks.length ? el('h3', { text: 'Rare branches reached' }) : null,
        model.marks.length ? table('marks', model.marks.map((m) => el('tr', {}, el('td', { text: m.f }), el('td', {}, link(m))))) : null,
        el('h3', { text: 'In this trace' }),
        table('counts', [...counts].sort((a, b) => b[1] - a[1]).map(([kind, n]) => el('tr', {}, el('td', { text: KINDS[kind] ? KINDS[kind].name : kind }), el('td', { text: n.toLocaleString('en') })))),
        model.end ? el('p', { class: 'muted', text: plural(model.end.idle, 'turn') + ' with nothing to do left out.' + (model.end.outside ? ' Outside the window: ' + plural(model.end.outside, 'event') + '.' : '') }) : null,
        dropped ? el('p', { class: 'warn', id: 'dropped', text: 'Dropped, the oldest first: ' + dropped + '. Run it again with a window to see them.' }) : null,
        model.bad ? el('p', { class: 'warn', text: plural(model.bad, 'line') + ' could not be read.' }) : null);
}

// ---- failures ----
const failures = model.verdicts.filter((v) => !v.ok);
let failureAt = -1;

function showFailure(v) {
    failureAt = failures.indexOf(v);
    const op = v.op, from = op ? op.start : v.t, to = op && op.end !== NEVER ? op.end : v.t;
    view.key = v.keyObject || (op && op.keys[0]) || view.key;
    // So much around it that one sees what led to it.
    const near = upper(model.events, from), before = model.events[Math.max(0, near - 120)].t, span = Math.max((to - from) * 8, to - before, 500);
    setRange(to - span * 0.7, to + span * 0.3);
    showTab(view.key ? 'key' : 'event');
    select((op && (op.rep || op.cmd)) || v, { key: false });
    drawComplaint();
    // The client's row has to be in sight.
    layoutRows();
    const row = op && lanes.rowOf.get('c' + op.c), box = $('timeline');
    if (row && (row.y < box.scrollTop + lanes.sticky || row.y + row.h > box.scrollTop + box.clientHeight - RULER)) box.scrollTop = Math.max(0, row.y - lanes.sticky - 40);
}

function drawComplaint() {
    const box = $('complaint'), v = failures[Math.max(0, failureAt)];
    box.hidden = !v;
    if (!v) return;
    const [first, ...rest] = v.x.split('\n');
    fill(box,
        el('button', { class: 'go', id: 'jump', title: 'Go to the failing operation (f)', onclick: () => showFailure(v), text: 'Show it' }),
        el('div', { class: 'says' }, el('b', { text: v.f + ': ' }), first,
            rest.length ? el('div', { class: 'more', text: rest.join('\n') }) : null,
            el('div', { class: 'muted', text: [v.op ? '#' + v.o + ' ' + v.op.text : '', v.c !== undefined ? 'client ' + v.c : '', v.n !== undefined ? 'node ' + v.n : '', 'found at ' + timeText(v.t)].filter(Boolean).join(' · ') })),
        failures.length > 1 ? el('div', { class: 'pager' }, el('button', { 'aria-label': 'previous failure', onclick: () => showFailure(failures[(failureAt + failures.length - 1) % failures.length]), text: '‹' }),
            el('span', { text: Math.max(0, failureAt) + 1 + ' of ' + failures.length }), el('button', { 'aria-label': 'next failure', onclick: () => showFailure(failures[(failureAt + 1) % failures.length]), text: '›' })) : null);
}

part('event', drawEventPane);
part('run', drawRunPane);
