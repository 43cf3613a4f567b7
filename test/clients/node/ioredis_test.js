// ioredis: node ioredis_test.js PORT
'use strict';
const { test, run, rejects, until, assert } = require('./frame');
const Redis = require('ioredis');
const port = Number(process.argv[2]);
const make = (more) => new Redis({ port, host: '127.0.0.1', ...more });

test('strings, expiry, numbers', async ({ r }) => {
    assert.equal(await r.set('k', 'v', 'EX', 100), 'OK');
    assert.equal(await r.get('k'), 'v');
    assert.ok((await r.ttl('k')) > 97);
    assert.equal(await r.set('k', 'w', 'NX'), null);
    assert.equal(await r.incrby('n', 41), 41);
    assert.equal(await r.incr('n'), 42);
    assert.equal(await r.incrbyfloat('n', '0.5'), '42.5');
    assert.deepEqual(await r.mget('k', 'none'), ['v', null]);
    await r.set('short', 'x', 'PX', 50);
    await until(async () => (await r.get('short')) === null, 2000, 'expiry');
});

test('pipeline: 20000 commands, replies in order', async ({ r }) => {
    const p = r.pipeline();
    for (let i = 0; i < 10000; i++) p.set(`key:${i}`, i).get(`key:${i}`);
    const out = await p.exec();
    assert.equal(out.length, 20000);
    out.forEach(([e, v], i) => { assert.equal(e, null); assert.equal(v, i % 2 ? String(i >> 1) : 'OK'); });
});

test('pipeline: an error stays at its place', async ({ r }) => {
    await r.lpush('l', 'x');
    const out = await r.pipeline().set('a', 1).get('l').call('NOSUCH').get('a').exec();
    assert.equal(out[0][1], 'OK');
    assert.match(out[1][0].message, /^WRONGTYPE/);
    assert.match(out[2][0].message, /unknown command/i);
    assert.equal(out[3][1], '1');
});

test('multi', async ({ r }) => {
    const out = await r.multi().set('a', 1).incr('a').rpush('l', 'x', 'y').lrange('l', 0, -1).exec();
    assert.deepEqual(out, [[null, 'OK'], [null, 2], [null, 2], [null, ['x', 'y']]]);
    await rejects(r.multi().set('a', '5').call('SET', 'few').exec(), /EXECABORT/);
    assert.equal(await r.get('a'), '2');
});

test('watch: a conflict gives null', async ({ r, other }) => {
    await r.set('w', 1);
    await r.watch('w');
    await other.set('w', 1);
    assert.equal(await r.multi().set('w', 2).exec(), null);
    await r.watch('w');
    assert.deepEqual(await r.multi().set('w', 2).exec(), [[null, 'OK']]);
    assert.equal(await r.get('w'), '2');
});

test('binary and big values', async ({ r }) => {
    const every = Buffer.from(Array.from({ length: 512 }, (_, i) => i & 255));
    await r.set(every, every);
    assert.ok((await r.getBuffer(every)).equals(every));
    const big = Buffer.alloc(8 << 20, 'weft');
    await r.set('big', big);
    assert.ok((await r.getBuffer('big')).equals(big));
    await r.hset('h', Buffer.from([0]), Buffer.from([13, 10]));
    assert.ok((await r.hgetBuffer('h', Buffer.from([0]))).equals(Buffer.from([13, 10])));
});

test('scan streams', async ({ r }) => {
    const p = r.pipeline();
    for (let i = 0; i < 3000; i++) p.set(`it:${i}`, i).sadd('s', i).hset('h', i, i).zadd('z', i, i);
    await p.exec();
    const collect = async (stream) => { const all = []; for await (const part of stream) all.push(...part); return all; };
    assert.equal(new Set(await collect(r.scanStream({ match: 'it:*', count: 100 }))).size, 3000);
    assert.equal(new Set(await collect(r.sscanStream('s'))).size, 3000);
    assert.equal((await collect(r.hscanStream('h'))).length >= 6000, true);
    assert.equal((await collect(r.zscanStream('z', { match: '29*' }))).length, 2 * 111);
});

test('hashes, sorted sets, lists', async ({ r }) => {
    assert.equal(await r.hset('h', { a: 1, b: 'two' }), 2);
    assert.deepEqual(await r.hgetall('h'), { a: '1', b: 'two' });
    assert.deepEqual(await r.call('HEXPIRE', 'h', 100, 'FIELDS', 2, 'a', 'none'), [1, -2]);
    assert.ok((await r.call('HTTL', 'h', 'FIELDS', 1, 'a'))[0] > 97);
    await r.zadd('z', 1, 'one', 2.5, 'two and a half', '+inf', 'top');
    assert.deepEqual(await r.zrange('z', 0, -1, 'WITHSCORES'), ['one', '1', 'two and a half', '2.5', 'top', 'inf']);
    assert.deepEqual(await r.zrangebyscore('z', '(1', '+inf', 'LIMIT', 0, 1), ['two and a half']);
    await r.rpush('l', 1, 2, 3);
    assert.equal(await r.lmove('l', 'm', 'LEFT', 'RIGHT'), '1');
    assert.deepEqual(await r.lrange('l', 0, -1), ['2', '3']);
});

test('errors', async ({ r }) => {
    await r.set('s', 'text');
    await rejects(r.incr('s'), /ERR value is not an integer or out of range/);
    await rejects(r.lpush('s', 1), /WRONGTYPE/);
    await rejects(r.call('GET'), /wrong number of arguments for 'get' command/);
});

test('databases and connection options', async ({ r }) => {
    const five = make({ db: 5, connectionName: 'five' });
    await five.set('k', 'in five');
    assert.equal(await r.exists('k'), 0);
    assert.equal(await five.client('GETNAME'), 'five');
    assert.equal(await five.move('k', 0), 1);
    assert.equal(await r.get('k'), 'in five');
    five.disconnect();
});

test('reconnects after its connection was killed', async ({ r, other }) => {
    const id = await r.client('ID');
    assert.equal(await other.client('KILL', 'ID', id), 1);
    assert.equal(await r.set('after', 'kill'), 'OK');
    assert.notEqual(await r.client('ID'), id);
});

test('automatic pipelining', async () => {
    const a = make({ enableAutoPipelining: true });
    const values = await Promise.all(Array.from({ length: 2000 }, async (_, i) => {
        await a.set(`auto:${i}`, i);
        return a.get(`auto:${i}`);
    }));
    values.forEach((v, i) => assert.equal(v, String(i)));
    a.disconnect();
});

run(`ioredis ${require('ioredis/package.json').version}`, async () => {
    const r = make();
    const other = make();
    await r.flushall();
    return { r, other, done: async () => { r.disconnect(); other.disconnect(); } };
});
