// What holds the parts together: header, playback, keyboard, tabs, themes, sizes; then the first frame.

// ---- playback ----
// Virtual seconds per second, as a power of ten: at first so that the whole run takes about a minute.
const player = { last: 0, speed: clamp(Math.round(Math.log10(model.last / 60e6) * 4) / 4, -5, 1) };

function drawTransport() {
    $('now').textContent = timeText(view.cursor);
    $('span').textContent = spanText(view.to - view.from);
    $('play').textContent = view.playing ? '❚❚' : '▶';
    $('play').setAttribute('aria-label', view.playing ? 'pause' : 'play');
    $('play').setAttribute('aria-pressed', String(view.playing));
    $('speed').value = String(player.speed);
    $('speed-text').textContent = spanText(10 ** player.speed * 1e6) + '/s';
}

function play(on) {
    if (on && view.cursor >= model.last) setCursor(0);
    view.playing = on;
    player.last = 0;
    if (on) requestAnimationFrame(frame);
    say(on ? 'playing' : 'paused');
    redraw('transport');
}

function frame(now) {
    if (!view.playing) return;
    const passed = player.last ? Math.min(100, now - player.last) / 1000 : 0;
    player.last = now;
    let t = view.cursor + passed * 10 ** player.speed * 1e6;
    if ($('skip').checked && list.shown.length) {
        // Nothing for a third of a second: on to just before the next event.
        const next = list.shown[upper(list.shown, t)], wait = 10 ** player.speed * 1e6 / 3;
        if (next && next.t - t > wait && !model.events.slice(upper(model.events, t - wait), upper(model.events, t)).length) t = next.t - wait / 4;
    }
    if (t >= model.last) {
        setCursor(model.last);
        play(false);
        return;
    }
    const current = upper(list.shown, t) - 1;
    if (current >= 0) view.selected = list.shown[current];
    setCursor(t);
    requestAnimationFrame(frame);
}

function setSpeed(power) {
    player.speed = clamp(power, -5, 1);
    redraw('transport');
}

function toFault(by) {
    const t = view.cursor, faults = model.faults;
    const i = by > 0 ? upper(faults, t) : upper(faults, t - 0.5) - 1;
    if (faults[i]) select(faults[i].event);
}

// ---- tabs, themes, sizes ----
const TABS = ['world', 'key', 'event', 'run'];

function showTab(name) {
    for (const tab of TABS) {
        const on = tab === name, button = $('tab-' + tab);
        button.setAttribute('aria-selected', String(on));
        button.tabIndex = on ? 0 : -1;
        $('pane-' + tab).hidden = !on;
        if (on) $('pane').setAttribute('aria-labelledby', button.id);
    }
    redraw('world', 'key', 'event', 'run');
}

function setTheme(name) {
    document.documentElement.dataset.theme = name;
    try { localStorage.setItem('weft-theme', name); } catch (e) { /* a file: page may have none */ }
    readColors();
    redraw();
}

function startSplits() {
    const drag = (bar, move) => {
        bar.addEventListener('pointerdown', (e) => { bar.setPointerCapture(e.pointerId); bar.dataset.on = '1'; });
        bar.addEventListener('pointermove', (e) => { if (bar.dataset.on) { move(e); redraw(); } });
        bar.addEventListener('pointerup', () => { delete bar.dataset.on; });
    };
    const style = document.documentElement.style;
    const sizes = { list: 230, side: 392 };
    const apply = () => {
        style.setProperty('--list', clamp(sizes.list, 80, innerHeight - 300) + 'px');
        style.setProperty('--side', clamp(sizes.side, 260, innerWidth - 420) + 'px');
        redraw();
    };
    drag($('split-row'), (e) => { sizes.list = innerHeight - e.clientY - 4; apply(); });
    drag($('split-column'), (e) => { sizes.side = innerWidth - e.clientX - 4; apply(); });
    const keyed = (bar, less, more, name) => bar.addEventListener('keydown', (e) => {
        if (e.key !== less && e.key !== more) return;
        sizes[name] += e.key === more ? 24 : -24;
        apply();
        e.preventDefault();
        e.stopPropagation();
    });
    keyed($('split-row'), 'ArrowDown', 'ArrowUp', 'list');
    keyed($('split-column'), 'ArrowRight', 'ArrowLeft', 'side');
    window.addEventListener('resize', apply);
    const sized = new ResizeObserver(() => redraw());
    for (const id of ['timeline', 'list', 'pane']) sized.observe($(id));
    apply();
}

// ---- keyboard ----
const HELP = [
    ['space', 'play, pause'], ['← →', 'one event back, on (of those that the filter shows); with shift ten'], ['↑ ↓', 'the same, in the list'],
    ['[ ]', 'previous, next fault'], ['f', 'the failing operation; again: the next failure'], ['+ −', 'zoom in, out'], ['a d', 'move the timeline'], ['0', 'the whole run'],
    ['Home End', 'start, end'], ['< >', 'slower, faster'], ['/', 'filter events'], ['k', 'find a key'], ['p', 'pin the key: a lane for its values'],
    ['c', 'rows of clients small or large (a click on a label, too; on a node: its shards)'], ['1 2 3 4', 'world, keys, event, run'], ['t', 'light, dark'], ['Esc', 'leave a field; let go of the selection'], ['?', 'this'],
];
const MOUSE = 'Mouse: click selects, dragging moves, shift and dragging zooms to a stretch, Ctrl and the wheel zooms, shift and the wheel moves, double click zooms in; on the ruler: the cursor.';
const FILTERS = 'Filter: words that must occur, -word that must not, c3 a client, n0 a node, n0/s1 a shard, #12 an operation.';

function showHelp() {
    const dialog = $('keys-help');
    if (!dialog.childElementCount) {
        fill(dialog, el('h2', { text: 'Keys' }), el('table', {}, el('tbody', {}, ...HELP.map(([k, what]) => el('tr', {}, el('td', {}, el('kbd', { text: k })), el('td', { text: what }))))),
            el('p', { text: MOUSE }), el('p', { text: FILTERS }),
            el('p', { class: 'muted' }, 'Client bars: ', el('span', { class: 'swatch accent' }), 'answered ', el('span', { class: 'swatch pink' }), 'an error ', el('span', { class: 'swatch warn' }), 'no answer ',
                el('span', { class: 'swatch ok' }), 'touches the key ', el('span', { class: 'swatch bad' }), 'failed. Arrows: messages, ', el('span', { class: 'swatch violet' }), 'requests ', el('span', { class: 'swatch muted-swatch' }), 'answers.'),
            el('form', { method: 'dialog' }, el('button', { text: 'Close' })));
    }
    dialog.showModal();
}

const ACTIONS = {
    ' ': () => play(!view.playing), '?': showHelp, t: () => $('theme').click(), '0': () => setRange(0, model.last), f: () => nextFailure(),
    '+': () => zoom(0.6), '=': () => zoom(0.6), '-': () => zoom(1.6), a: () => pan(-0.2), d: () => pan(0.2), w: () => zoom(0.6), s: () => zoom(1.6),
    '[': () => toFault(-1), ']': () => toFault(1), Home: () => { view.selected = null; setCursor(0); }, End: () => { view.selected = null; setCursor(model.last); },
    '<': () => setSpeed(player.speed - 0.5), '>': () => setSpeed(player.speed + 0.5),
    '/': () => $('filter').focus(), k: () => { showTab('key'); setKey(null); keys.input ? keys.input.focus() : requestAnimationFrame(() => keys.input && keys.input.focus()); },
    c: () => { lanes.compact = !lanes.compact; redraw('timeline'); },
    p: () => view.key && togglePin(view.key), Escape: () => { view.selected = null; view.key = null; showTip(null); redraw(); },
};
TABS.forEach((tab, i) => { ACTIONS[String(i + 1)] = () => showTab(tab); });

function nextFailure() {
    if (failures.length) showFailure(failures[(failureAt + 1) % failures.length]);
}

function startKeyboard() {
    document.addEventListener('keydown', (e) => {
        if (e.ctrlKey || e.metaKey || e.altKey || $('keys-help').open) return;
        const field = e.target.tagName === 'INPUT' && e.target.type === 'search';
        if (field) {
            if (e.key === 'Escape') { e.target.blur(); e.preventDefault(); }
            return;
        }
        if (e.target.tagName === 'INPUT' && e.target.type === 'range' && e.key.startsWith('Arrow')) return;
        if (e.target.getAttribute('role') === 'tab' && (e.key === 'ArrowLeft' || e.key === 'ArrowRight')) {
            const i = TABS.indexOf(e.target.dataset.tab) + (e.key === 'ArrowRight' ? 1 : -1), tab = TABS[(i + TABS.length) % TABS.length];
            showTab(tab);
            $('tab-' + tab).focus();
            e.preventDefault();
            return;
        }
        if (e.key === 'ArrowLeft' || e.key === 'ArrowUp') step(e.shiftKey ? -10 : -1);
        else if (e.key === 'ArrowRight' || e.key === 'ArrowDown') step(e.shiftKey ? 10 : 1);
        else if (ACTIONS[e.key] && !(e.key === ' ' && e.target.tagName === 'BUTTON')) ACTIONS[e.key]();
        else return;
        e.preventDefault();
    });
}

// ---- the header ----
function startHeader() {
    const world = model.world, end = model.end;
    document.title = 'weft seed ' + world.seed;
    $('seed').textContent = world.seed;
    $('shape').textContent = plural(model.nodes.length, 'node') + ' · ' + plural(model.clients.length, 'client') + ' · ' + spanText(model.last);
    const failed = failures.length > 0 || (end && end.failed);
    const badge = $('verdict');
    badge.className = 'badge ' + (failed ? 'bad' : end ? 'ok' : 'warn');
    badge.textContent = failed ? '✗ ' + (failures.length ? failures[0].f + ' failed' : end.x) : end ? '✓ ' + (end.x || 'every oracle held') : 'no end recorded';
    badge.title = failures.length ? 'Go to the failure (f)' : badge.textContent;
    badge.addEventListener('click', () => (failures.length ? showFailure(failures[Math.max(0, failureAt)]) : showTab('run')));
    $('hash').textContent = end && end.hash ? 'hash ' + end.hash : '';
    $('replay').textContent = world.replay;
    $('replay').title = world.replay;
    $('copy').hidden = !world.replay;
    $('copy').addEventListener('click', async () => {
        try {
            await navigator.clipboard.writeText(world.replay);
        } catch (e) { // a file: page may not; then it is selected for Ctrl-C
            getSelection().selectAllChildren($('replay'));
            try { document.execCommand('copy'); } catch (error) { /* it stays selected */ }
        }
        $('copy').textContent = 'Copied';
        setTimeout(() => { $('copy').textContent = 'Copy'; }, 1500);
    });
    drawComplaint();
}

function start() {
    let theme = 'auto';
    try { theme = localStorage.getItem('weft-theme') || 'auto'; } catch (e) { /* see setTheme */ }
    setTheme(theme);
    startHeader();
    startTimeline();
    startOverview();
    startList();
    startKeyboard();
    startSplits();
    part('transport', drawTransport);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', () => { readColors(); redraw(); });
    const buttons = {
        play: () => play(!view.playing), next: () => step(1), back: () => step(-1), home: ACTIONS.Home, end: ACTIONS.End, help: showHelp,
        'zoom-in': () => zoom(0.6), 'zoom-out': () => zoom(1.6), fit: ACTIONS['0'], 'fault-back': () => toFault(-1), 'fault-next': () => toFault(1),
        theme: () => {
            const now = document.documentElement.dataset.theme, isDark = now === 'dark' || (now === 'auto' && dark.matches);
            setTheme(isDark ? 'light' : 'dark');
        },
    };
    for (const id in buttons) $(id).addEventListener('click', buttons[id]);
    for (const tab of TABS) $('tab-' + tab).addEventListener('click', () => showTab(tab));
    $('speed').addEventListener('input', () => setSpeed(+$('speed').value));
    showTab('world');
    // A page opened at #fail or #t=123&key=name begins there.
    const asked = new URLSearchParams(location.hash.slice(1));
    setRange(0, model.last);
    if (asked.has('key')) {
        const key = model.keyList.find((k) => k.name === asked.get('key'));
        if (key) { setKey(key); showTab('key'); }
    }
    if (asked.has('t')) {
        const t = +asked.get('t') || 0, span = Math.min(model.last, 20000);
        setRange(t - span / 2, t + span / 2);
        setCursor(t);
    }
    if (asked.has('fail')) nextFailure();
    redraw();
}
start();
