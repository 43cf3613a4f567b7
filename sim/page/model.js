// The model: a trace's lines become sorted arrays and indexes. Pure; sim/TRACE.md is the schema.
//
// events: all of them by time (equal times in the order of the file), each with i, its place.
// ops:    client operations by number: command, reply, where applied, keys, [start, end].
// keys:   by "db/key": histories per node, and everything that touched it.
const NEVER = Infinity;

function readLines(text) {
    const lines = text.split('\n').filter((line) => line.length > 1);
    try {
        return { rows: JSON.parse('[' + lines.join(',') + ']'), bad: 0 };
    } catch (e) {
        const rows = [];
        let bad = 0;
        for (const line of lines) {
            try { rows.push(JSON.parse(line)); } catch (error) { bad++; }
        }
        return { rows, bad };
    }
}

// First place in `array` whose time(x) is > t.
function upper(array, t, time = (x) => x.t) {
    let low = 0, high = array.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (time(array[middle]) <= t) low = middle + 1; else high = middle;
    }
    return low;
}

// A command's words as they are shown; those in quotes lose them.
function wordsOf(text, max) {
    const words = [];
    const pattern = /"((?:[^"\\]|\\.)*)"(?=\s|$)|(\S+)/g;
    for (let found; words.length < max && (found = pattern.exec(text));) {
        words.push(found[2] !== undefined ? found[2] : found[1].replace(/\\"/g, '"'));
    }
    return words;
}

const faultGroup = (name) => name.split('.')[0];

function buildModel(text) {
    const { rows, bad } = readLines(text);
    const model = {
        world: { seed: '?', nodes: 0, shards: 0, clients: 0, replay: '', version: '' }, plan: [], hist: null, lost: [],
        end: null, bad, events: [], ops: new Map(), keys: new Map(), faults: [], nodes: [], clients: [], messages: [],
        packets: [], verdicts: [], marks: [], notable: [], last: 1,
    };
    const events = model.events;
    const lastApplied = new Map();
    for (const row of rows) {
        switch (row.k) {
        case 'world': model.world = row; break;
        case 'plan': model.plan.push(row); break;
        case 'hist': model.hist = row; break;
        case 'lost': model.lost.push(row); break;
        case 'end': model.end = row; break;
        default:
            if (typeof row.t !== 'number') { model.bad++; break; }
            // A key's line follows its command's in the file, whatever other shards write in between.
            if (row.k === 'app') lastApplied.set(row.n + '/' + row.s, row);
            if (row.k === 'key' && row.w === undefined) row.app = lastApplied.get(row.n + '/' + row.s);
            events.push(row);
        }
    }
    events.forEach((event, i) => { event.i = i; });
    events.sort((a, b) => a.t - b.t || a.i - b.i);
    let last = model.end ? model.end.t : 0;
    events.forEach((event, i) => {
        event.i = i;
        const until = event.k === 'msg' || event.k === 'pkt' ? event.u || event.t : event.k === 'turn' ? event.t + event.d : event.t;
        if (until > last) last = until;
    });
    model.last = Math.max(1, last);
    addPlaces(model);
    addOps(model);
    addKeys(model);
    addFaults(model);
    return model;
}

function nodeOf(model, n) {
    while (model.nodes.length <= n) {
        model.nodes.push({ n: model.nodes.length, shards: [], lives: [], reshards: [], clocks: [], logs: [], messages: [], changes: [] });
    }
    return model.nodes[n];
}

function shardOf(model, n, s) {
    const shards = nodeOf(model, n).shards;
    while (shards.length <= s) shards.push({ s: shards.length, turns: [], applied: [] });
    return shards[s];
}

function clientOf(model, c) {
    while (model.clients.length <= c) model.clients.push({ c: model.clients.length, ops: [], links: [] });
    return model.clients[c];
}

function addPlaces(model) {
    for (let n = 0; n < model.world.nodes; n++) nodeOf(model, n);
    if (model.world.clients > 0) clientOf(model, model.world.clients - 1);
    for (const e of model.events) {
        const node = e.n !== undefined && e.n >= 0 ? nodeOf(model, e.n) : null;
        switch (e.k) {
        case 'turn': shardOf(model, e.n, e.s).turns.push(e); break;
        case 'app': if (e.s !== undefined) shardOf(model, e.n, e.s).applied.push(e); break;
        case 'msg': shardOf(model, e.n, Math.max(e.a, e.b)); node.messages.push(e); model.messages.push(e); break;
        case 'pkt': nodeOf(model, Math.max(e.a, e.b)); model.packets.push(e); break;
        case 'con': case 'dis': clientOf(model, e.c).links.push(e); break;
        case 'node': {
            if (e.s > 0) shardOf(model, e.n, e.s - 1);
            const open = node.lives[node.lives.length - 1];
            if (open && open.end === NEVER) { open.end = e.t; open.how = e.e; }
            if (e.e === 'start' || e.e === 'restart') node.lives.push({ start: e.t, end: NEVER, how: '' });
            if (e.s > 0) node.changes.push({ t: e.t, shards: e.s });
            break;
        }
        case 'clk': if (node) node.clocks.push(e); break;
        case 'log': if (node) node.logs.push(e); break;
        case 'rsh': {
            let band = node.reshards[node.reshards.length - 1];
            if (!band || band.end !== NEVER) node.reshards.push(band = { start: e.t, end: NEVER, a: e.a, b: e.b, phases: [] });
            band.phases.push(e);
            shardOf(model, e.n, Math.max(e.a, e.b) - 1);
            if (e.p === 'done' || e.p === 'refused') {
                band.end = e.t;
                if (e.p === 'done') node.changes.push({ t: e.t, shards: e.b });
            }
            break;
        }
        case 'ver': model.verdicts.push(e); break;
        case 'mrk': model.marks.push(e); break;
        }
        if (['note', 'node', 'rsh', 'log', 'clk'].includes(e.k)) model.notable.push(e);
    }
    for (const node of model.nodes) {
        if (!node.shards.length) for (let s = 0; s < Math.max(1, model.world.shards); s++) shardOf(model, node.n, s);
        for (const shard of node.shards) {
            // The longest decides how far back a search for those that reach into a view has to begin.
            shard.longest = shard.turns.reduce((most, turn) => Math.max(most, turn.d), 0);
        }
        node.slowest = node.messages.reduce((most, m) => Math.max(most, (m.u || m.t) - m.t), 0);
    }
}

function opOf(model, e) {
    let op = model.ops.get(e.o);
    if (!op) model.ops.set(e.o, op = { o: e.o, c: e.c, cmd: null, rep: null, apps: [], keys: [], wrote: false, text: '', start: e.t, end: NEVER });
    return op;
}

function addOps(model) {
    for (const e of model.events) {
        if (!e.o || e.k === 'ver') continue;
        const op = e.op = opOf(model, e);
        if (op.c === undefined) op.c = e.c;
        if (e.k === 'cmd') { op.cmd = e; op.text = e.a; op.start = e.t; }
        if (e.k === 'rep') { op.rep = e; op.end = e.t; }
        if (e.k === 'app') { op.apps.push(e); if (!op.text) op.text = e.a; }
    }
    for (const op of model.ops.values()) {
        if (!op.cmd && op.rep) op.start = op.rep.t - (op.rep.l || 0);
        if (op.c !== undefined) clientOf(model, op.c).ops.push(op);
    }
    for (const client of model.clients) {
        client.ops.sort((a, b) => a.start - b.start);
        // An operation without a reply ends when its client's connection does, or never.
        for (const op of client.ops) {
            if (op.end !== NEVER) continue;
            const link = client.links[upper(client.links, op.start)];
            op.cut = link && link.k === 'dis' ? link.t : NEVER;
        }
        // Operations of a pipeline overlap: each gets a track of its own within the client's row.
        const tracks = [];
        client.longest = 0;
        for (const op of client.ops) {
            const end = opEnd(op, op.start);
            let track = tracks.findIndex((until) => until <= op.start);
            if (track < 0) track = tracks.length < 4 ? tracks.length : tracks.indexOf(Math.min(...tracks));
            tracks[track] = end;
            op.track = track;
            client.longest = Math.max(client.longest, end - op.start);
        }
        client.tracks = Math.max(1, tracks.length);
    }
}

// Where an operation's bar ends; one without a reply gets a stub of `least`.
function opEnd(op, least) {
    if (op.end !== NEVER) return op.end;
    return op.cut !== undefined && op.cut !== NEVER ? op.cut : least;
}

// Commands that name no key and leave none.
function flush(model, e) {
    const all = /^flushall/i.test(e.a);
    for (const key of model.keys.values()) {
        const history = key.nodes.get(e.n), last = history && history.values[history.values.length - 1];
        if (!last || last.y === 'none' || (!all && key.db !== (e.d || 0))) continue;
        history.values.push({ k: 'key', t: e.t, i: e.i, n: e.n, d: key.db, key: key.name, y: 'none', v: '', w: 'flushed', app: e });
        key.changes++;
    }
}

const keyId = (db, name) => (db || 0) + '/' + name;

function addKeys(model) {
    const touch = (id, op) => {
        const key = model.keys.get(id);
        if (key && op && !op.keys.includes(key)) { op.keys.push(key); key.ops.push(op); }
    };
    for (const e of model.events) {
        if (e.k === 'app' && !e.e && /^flush(all|db)\b/i.test(e.a)) flush(model, e);
        if (e.k !== 'key') continue;
        const id = keyId(e.d, e.key);
        let key = model.keys.get(id);
        if (!key) model.keys.set(id, key = { id, db: e.d || 0, name: e.key, nodes: new Map(), ops: [], touches: 0, changes: 0, failed: false });
        let history = key.nodes.get(e.n);
        if (!history) key.nodes.set(e.n, history = { n: e.n, values: [], reads: [] });
        const before = history.values[history.values.length - 1];
        key.touches++;
        if (before && before.y === e.y && before.v === e.v && (before.x === undefined) === (e.x === undefined)) {
            history.reads.push(e);
        } else {
            history.values.push(e);
            key.changes++;
            if (e.app && e.app.op) e.app.op.wrote = true;
        }
        if (e.app && e.app.op) touch(id, e.app.op);
    }
    // Operations that were never applied: their words tell which keys they meant.
    for (const op of model.ops.values()) {
        if (op.apps.length) continue;
        const db = 0;
        for (const word of wordsOf(op.text, 6).slice(1)) touch(keyId(db, word), op);
    }
    for (const v of model.verdicts) {
        if (v.ok) continue;
        v.op = v.o ? model.ops.get(v.o) : undefined;
        if (v.op) v.op.failed = v;
        const id = keyId(v.d, v.key);
        const key = v.key !== undefined ? model.keys.get(id) : v.op && v.op.keys[0];
        if (key) { key.failed = true; v.keyObject = key; touch(key.id, v.op); }
    }
    for (const key of model.keys.values()) {
        key.ops.sort((a, b) => a.start - b.start);
        key.sorted = [...key.nodes.values()].sort((a, b) => a.n - b.n);
    }
    model.keyList = [...model.keys.values()].sort((a, b) => b.failed - a.failed || b.touches - a.touches);
}

// The last entry at or before t, or null.
function valueAt(history, t) {
    const i = upper(history.values, t);
    return i ? history.values[i - 1] : null;
}

function addFaults(model) {
    const open = [];
    for (const e of model.events) {
        if (e.k === 'flt') {
            const fault = { name: e.f, group: faultGroup(e.f), n: e.n, s: e.s, c: e.c, x: e.x || '', t: e.t, event: e,
                end: e.d === undefined ? e.t : e.d < 0 ? NEVER : e.t + e.d };
            e.fault = fault;
            model.faults.push(fault);
            if (e.d < 0) open.push(fault);
        } else if (e.k === 'fle') {
            const i = open.findIndex((f) => f.name === e.f && f.n === e.n && f.s === e.s);
            if (i >= 0) { open[i].end = e.t; e.fault = open[i]; open.splice(i, 1); }
        }
    }
    model.faultGroups = [...new Set(model.faults.map((f) => f.group))].sort().map((group) => {
        const faults = model.faults.filter((f) => f.group === group);
        return { group, faults, longest: faults.reduce((most, f) => Math.max(most, Math.min(f.end, model.last) - f.t), 0) };
    });
    model.bands = model.faults.filter((f) => f.end > f.t);
}

// ---- what one reads ----
function timeText(t) {
    const us = Math.round(t), whole = Math.floor(us / 1e6), rest = String(us % 1e6).padStart(6, '0');
    return whole + '.' + rest.slice(0, 3) + '\u2009' + rest.slice(3) + ' s';
}

function spanText(us) {
    if (us < 1000) return trim(us, us < 10 ? 1 : 0) + ' µs';
    if (us < 1e6) return trim(us / 1000, us < 1e4 ? 2 : us < 1e5 ? 1 : 0) + ' ms';
    return trim(us / 1e6, us < 1e7 ? 2 : 1) + ' s';
}

const trim = (value, digits) => (digits ? value.toFixed(digits).replace(/\.?0+$/, '') : value.toFixed(0));
const plural = (n, one, many) => n.toLocaleString('en') + ' ' + (n === 1 ? one : many || one + 's');

function valueText(entry) {
    if (!entry) return '(not seen yet)';
    if (entry.y === 'none') return '(no such key)';
    return entry.y === 'string' ? '"' + entry.v + '"' : entry.v;
}

const KINDS = {
    cmd: { name: 'command', group: 'client' }, rep: { name: 'reply', group: 'client' }, psh: { name: 'push', group: 'client' },
    con: { name: 'connect', group: 'client' }, dis: { name: 'disconnect', group: 'client' },
    app: { name: 'applied', group: 'data' }, key: { name: 'value', group: 'data' },
    turn: { name: 'turn', group: 'turns' }, msg: { name: 'message', group: 'messages' }, pkt: { name: 'packet', group: 'messages' },
    flt: { name: 'fault', group: 'faults' }, fle: { name: 'fault ends', group: 'faults' }, clk: { name: 'clock', group: 'faults' },
    node: { name: 'node', group: 'nodes' }, rsh: { name: 'reshard', group: 'nodes' }, log: { name: 'log', group: 'nodes' },
    ver: { name: 'verdict', group: 'findings' }, mrk: { name: 'mark', group: 'findings' }, note: { name: 'note', group: 'findings' },
};
const GROUPS = ['client', 'data', 'messages', 'turns', 'faults', 'nodes', 'findings'];

function placeText(e) {
    const parts = [];
    if (e.n !== undefined) parts.push('n' + e.n + (e.s !== undefined && e.k !== 'node' ? '/s' + e.s : ''));
    if (e.c !== undefined && e.k !== 'turn') parts.push('c' + e.c);
    return parts.join(' ');
}

function eventText(e) {
    switch (e.k) {
    case 'cmd': return '#' + e.o + ' ' + e.a;
    case 'rep': return (e.o ? '#' + e.o + ' ' : '') + (e.r === '' ? '(nothing)' : e.r) + '   ← ' + (e.op && e.op.text ? e.op.text : '?') + '  ' + spanText(e.l);
    case 'psh': return e.r;
    case 'con': return 'connects' + (e.x ? ' ' + e.x : '');
    case 'dis': return 'disconnects' + (e.x ? ': ' + e.x : '');
    case 'app': return (e.o ? '#' + e.o + ' ' : '') + e.a + ' → ' + e.r;
    case 'key': return (e.d ? 'db' + e.d + ' ' : '') + e.key + ' = ' + valueText(e) + (e.y !== 'string' && e.y !== 'none' ? ' (' + e.y + ')' : '') +
        (e.x !== undefined ? ' TTL ' + e.x + ' ms' : '') + (e.w ? ' — ' + e.w : '');
    case 'turn': return plural(e.c, 'command') + ', ' + plural(e.m, 'message') + (e.q > 1 ? ', ' + e.q + ' turns' : '') + ', ' + spanText(e.d);
    case 'msg': return 's' + e.a + ' → s' + e.b + ' ' + e.w + (e.l ? ' (control)' : '') + (e.u === undefined ? ' — lost' : ' ' + spanText(e.u - e.t));
    case 'pkt': return 'n' + e.a + ' → n' + e.b + ' ' + e.w + ', ' + e.z + ' B' + (e.x ? ' — ' + e.x : '') + (e.u === undefined ? '' : ' ' + spanText(e.u - e.t));
    case 'flt': return e.f + (e.x ? ' ' + e.x : '') + (e.fault && e.fault.end > e.t ? (e.fault.end === NEVER ? ', to the end' : ', ' + spanText(e.fault.end - e.t)) : '');
    case 'fle': return e.f + ' ends';
    case 'clk': return 'steps by ' + (e.step < 0 ? '−' : '+') + spanText(Math.abs(e.step)) + ', now off by ' + (e.off < 0 ? '−' : '+') + spanText(Math.abs(e.off)) + (e.ppm ? ', drift ' + e.ppm + ' ppm' : '');
    case 'node': return e.e + (e.s && e.e !== 'crash' && e.e !== 'stop' ? ' with ' + plural(e.s, 'shard') : '') + (e.x ? ': ' + e.x : '');
    case 'rsh': return 'shards ' + e.a + ' → ' + e.b + ': ' + e.p;
    case 'log': return ['debug', 'verbose', 'notice', 'warning'][e.l] + ': ' + e.x;
    case 'ver': return e.f + (e.ok ? ' held (' + plural(e.z, 'check') + ')' : ' FAILED: ' + e.x.split('\n')[0]);
    case 'mrk': return e.f;
    case 'note': return e.x;
    default: return JSON.stringify(e);
    }
}
