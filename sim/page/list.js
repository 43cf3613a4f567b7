// The list of events: filtered, and only the rows in sight exist. It follows the cursor until one scrolls it.
const ROW = 21;
const list = { shown: [], groups: new Set(['client', 'data', 'messages', 'faults', 'nodes', 'findings']), text: '', rows: [], ownTop: 0 };

const textOf = (e) => e.text || (e.text = (KINDS[e.k].name + ' ' + eventText(e)).toLowerCase());

// c3, n0, n0/s1, #12, -word, word: all must hold.
function filterOf(text) {
    const tests = [];
    for (const token of text.toLowerCase().split(/\s+/).filter(Boolean)) {
        let found;
        if ((found = /^c(\d+)$/.exec(token))) {
            const c = +found[1];
            tests.push((e) => e.c === c || (e.app && e.app.c === c));
        } else if ((found = /^n(\d+)(?:\/s(\d+))?$/.exec(token))) {
            const n = +found[1], s = found[2] === undefined ? -1 : +found[2];
            tests.push((e) => (e.n === n || (e.k === 'pkt' && (e.a === n || e.b === n))) && (s < 0 || e.s === s || (e.k === 'msg' && (e.a === s || e.b === s))));
        } else if ((found = /^#(\d+)$/.exec(token))) {
            const o = +found[1];
            tests.push((e) => e.o === o || (e.app && e.app.o === o));
        } else if (token.length > 1 && token[0] === '-') {
            tests.push((e) => !textOf(e).includes(token.slice(1)));
        } else {
            tests.push((e) => textOf(e).includes(token));
        }
    }
    return tests;
}

function refilter() {
    const tests = filterOf(list.text), on = {};
    for (const kind in KINDS) on[kind] = list.groups.has(KINDS[kind].group);
    list.shown = model.events.filter((e) => on[e.k] && tests.every((test) => test(e)));
    view.follow = true;
    $('shown').textContent = list.shown.length === model.events.length ? plural(model.events.length, 'event')
        : list.shown.length.toLocaleString('en') + ' of ' + plural(model.events.length, 'event');
    redraw('list', 'transport');
}

function drawList() {
    const box = $('list'), space = $('list-space'), height = box.clientHeight;
    space.style.height = list.shown.length * ROW + 'px';
    const at = upper(list.shown, view.cursor);
    // Among events of one time, the selected one is where we are.
    let current = at - 1;
    if (view.selected) {
        const i = list.shown.indexOf(view.selected, Math.max(0, upper(list.shown, view.selected.t - 0.5)));
        if (i >= 0 && view.selected.t === view.cursor) current = i;
    }
    list.current = current;
    if (view.follow) {
        const y = current * ROW;
        if (y < box.scrollTop + ROW || y > box.scrollTop + height - 2 * ROW) {
            box.scrollTop = y - height * 0.45;
            list.ownTop = box.scrollTop;
        }
    }
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 3), count = Math.min(list.shown.length - first, Math.ceil(height / ROW) + 7);
    while (list.rows.length < count) list.rows.push(makeRow());
    const op = selectedOp();
    for (let i = 0; i < count; i++) {
        const row = list.rows[i], index = first + i, e = list.shown[index];
        row.style.transform = 'translateY(' + index * ROW + 'px)';
        row.index = index;
        row.id = 'event-' + e.i;
        row.className = 'row ' + KINDS[e.k].group + (e === view.selected ? ' selected' : '') + (index >= at ? ' future' : '') +
            (index === at ? ' after' : '') + (op && (e.op === op || (e.app && e.app.op === op)) ? ' same' : '') + (isBad(e) ? ' bad-row' : '');
        row.setAttribute('aria-selected', String(e === view.selected));
        row.setAttribute('aria-posinset', String(index + 1));
        row.setAttribute('aria-setsize', String(list.shown.length));
        const [time, kind, place, text] = row.children;
        time.textContent = timeText(e.t);
        kind.textContent = KINDS[e.k].name;
        place.textContent = placeText(e);
        text.textContent = eventText(e);
        if (row.parentNode !== space) space.append(row);
    }
    for (let i = count; i < list.rows.length; i++) list.rows[i].remove();
    if (view.selected && document.getElementById('event-' + view.selected.i)) box.setAttribute('aria-activedescendant', 'event-' + view.selected.i);
    else box.removeAttribute('aria-activedescendant');
}

const isBad = (e) => (e.k === 'ver' && !e.ok) || (e.op && e.op.failed) || (e.k === 'log' && e.l >= 3) || (e.k === 'node' && e.e === 'crash');

function makeRow() {
    const row = el('div', { role: 'option' }, el('span', { class: 'time' }), el('span', { class: 'kind' }), el('span', { class: 'place' }), el('span', { class: 'what' }));
    row.addEventListener('click', () => select(list.shown[row.index]));
    return row;
}

// One event on or back, through what the filter lets pass.
function step(by) {
    if (!list.shown.length) return;
    const current = list.current === undefined ? -1 : list.current;
    const at = upper(list.shown, view.cursor) - 1;
    let i = current + by;
    if (by < 0 && current === at && current >= 0 && list.shown[current].t < view.cursor) i = current + by + 1;
    i = clamp(i, 0, list.shown.length - 1);
    list.current = i;
    select(list.shown[i]);
}

function startList() {
    const box = $('list');
    for (const group of GROUPS) {
        const button = el('button', { class: 'toggle ' + group, 'aria-pressed': String(list.groups.has(group)), text: group, 'data-group': group });
        button.addEventListener('click', () => {
            if (list.groups.has(group)) list.groups.delete(group); else list.groups.add(group);
            button.setAttribute('aria-pressed', String(list.groups.has(group)));
            refilter();
        });
        $('kinds').append(button);
    }
    let timer = 0;
    $('filter').addEventListener('input', () => {
        clearTimeout(timer);
        timer = setTimeout(() => { list.text = $('filter').value; refilter(); }, 120);
    });
    box.addEventListener('scroll', () => {
        if (Math.abs(box.scrollTop - list.ownTop) > 1) view.follow = false;
        list.ownTop = box.scrollTop;
        redraw('list');
    });
    part('list', drawList);
    refilter();
}

function setFilter(text) {
    $('filter').value = text;
    list.text = text;
    refilter();
}
