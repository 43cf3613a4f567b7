// node-redis, with RESP2 or RESP3: node node_redis_test.js PORT 2|3
'use strict';
const { test, run, rejects, until, assert } = require('./frame');
const { createClient, RESP_TYPES } = require('redis');
const port = Number(process.argv[2]);
const RESP = Number(process.argv[3] || 2);

async function make(more) {
    const c = createClient({ socket: { port, host: '127.0.0.1' }, RESP, ...more });
    c.on('error', () => {});   // reconnects are its own business
    await c.connect();
    return c;
}

test('strings and expiry', async ({ r }) => {
    assert.equal(await r.set('k', 'v', { expiration: { type: 'EX', value: 100 } }), 'OK');
    assert.equal(await r.get('k'), 'v');
    assert.ok((await r.ttl('k')) > 97);
    assert.equal(await r.get('none'), null);
    assert.equal(await r.incrBy('n', 5), 5);
    assert.deepEqual(await r.mGet(['k', 'none']), ['v', null]);
    await r.set('short', 'x', { expiration: { type: 'PX', value: 50 } });
    await until(async () => (await r.get('short')) === null, 2000, 'expiry');
});

test('the protocol is the one asked for', async ({ r }) => {
    await r.hSet('h', 'f', 'v');
    const raw = await r.sendCommand(['HGETALL', 'h']);
    // In RESP3 a map arrives as an object, in RESP2 as a flat array.
    if (RESP === 3) assert.equal(raw.f, 'v');
    else assert.deepEqual(raw, ['f', 'v']);
    await r.zAdd('z', { score: 1.5, value: 'm' });
    assert.equal(await r.sendCommand(['ZSCORE', 'z', 'm']), RESP === 3 ? 1.5 : '1.5');
    assert.equal(await r.zScore('z', 'm'), 1.5);
});

test('20000 commands at once, replies in order', async ({ r }) => {
    const all = [];
    for (let i = 0; i < 10000; i++) all.push(r.set(`key:${i}`, String(i)), r.get(`key:${i}`));
    const out = await Promise.all(all);
    out.forEach((v, i) => assert.equal(v, i % 2 ? String(i >> 1) : 'OK'));
});

test('multi', async ({ r }) => {
    const out = await r.multi().set('a', '1').incr('a').rPush('l', ['x', 'y']).lRange('l', 0, -1).hSet('h', { f: 'v' })
        .hGetAll('h').exec();
    assert.deepEqual(JSON.parse(JSON.stringify(out)), ['OK', 2, 2, ['x', 'y'], 1, { f: 'v' }]);
});

test('watch: a conflict is an error', async ({ r, other }) => {
    await r.set('w', '1');
    await r.watch('w');
    await other.set('w', '1');
    await rejects(r.multi().set('w', '2').exec(), /watched/i);
    await r.watch('w');
    assert.deepEqual(await r.multi().set('w', '2').exec(), ['OK']);
});

test('sets, sorted sets, hashes', async ({ r }) => {
    await r.sAdd('s', ['a', 'b']);
    assert.deepEqual([...await r.sMembers('s')].sort(), ['a', 'b']);
    assert.equal(await r.sIsMember('s', 'a'), 1);
    assert.deepEqual(await r.smIsMember('s', ['a', 'z']), [1, 0]);
    await r.zAdd('z', [{ score: 1, value: 'one' }, { score: Infinity, value: 'top' }]);
    assert.deepEqual(JSON.parse(JSON.stringify(await r.zRangeWithScores('z', 0, 0))), [{ value: 'one', score: 1 }]);
    assert.equal(await r.zScore('z', 'top'), Infinity);
    assert.equal(await r.zScore('z', 'none'), null);
    await r.hSet('h', { a: '1', b: '2' });
    assert.deepEqual(await r.hExpire('h', ['a', 'none'], 100), [1, -2]);
    assert.ok((await r.hTTL('h', ['a']))[0] > 97);
    assert.deepEqual(await r.hmGet('h', ['a', 'x']), ['1', null]);
    const popped = await r.zPopMin('z');
    assert.equal(popped.value, 'one');
    assert.equal(popped.score, 1);
});

test('binary and big values', async ({ r }) => {
    const buffers = r.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    const every = Buffer.from(Array.from({ length: 512 }, (_, i) => i & 255));
    await buffers.set(every, every);
    assert.ok((await buffers.get(every)).equals(every));
    const big = Buffer.alloc(8 << 20, 'weft');
    await buffers.set('big', big);
    assert.ok((await buffers.get('big')).equals(big));
});

test('iterators', async ({ r }) => {
    const all = [];
    for (let i = 0; i < 3000; i++) all.push(r.set(`it:${i}`, '1'), r.hSet('h', String(i), '1'), r.sAdd('s', String(i)));
    await Promise.all(all);
    const seen = new Set();
    for await (const keys of r.scanIterator({ MATCH: 'it:*', COUNT: 100 })) for (const k of keys) seen.add(k);
    assert.equal(seen.size, 3000);
    const fields = new Set();
    for await (const entries of r.hScanIterator('h')) for (const e of entries) fields.add(e.field);
    assert.equal(fields.size, 3000);
    const members = new Set();
    for await (const part of r.sScanIterator('s')) for (const m of part) members.add(m);
    assert.equal(members.size, 3000);
});

test('errors', async ({ r }) => {
    await r.set('s', 'text');
    await rejects(r.incr('s'), /ERR value is not an integer or out of range/);
    await rejects(r.lPush('s', 'x'), /WRONGTYPE/);
    await rejects(r.sendCommand(['NOSUCH', 'x']), /unknown command/);
});

test('databases', async ({ r }) => {
    const five = await make({ database: 5 });
    await five.set('k', 'five');
    assert.equal(await r.exists('k'), 0);
    assert.equal(await r.swapDb(0, 5), 'OK');
    assert.equal(await r.get('k'), 'five');
    await five.close();
});

test('reconnects after its connection was killed', async ({ r, other }) => {
    const id = await r.clientId();
    assert.equal(await other.sendCommand(['CLIENT', 'KILL', 'ID', String(id)]), 1);
    await until(async () => { try { return (await r.set('after', 'kill')) === 'OK'; } catch { return false; } }, 5000,
        'a new connection');
    assert.notEqual(await r.clientId(), id);
});

run(`node-redis ${require('redis/package.json').version}, RESP${RESP}`, async () => {
    const r = await make();
    const other = await make();
    await r.flushAll();
    return { r, other, done: async () => { await r.close(); await other.close(); } };
});
