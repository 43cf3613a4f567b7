// The page that plays a trace, in headless Chromium: what a person does with it. See ../trace_page_test.py.
const { chromium } = require('playwright-core');
const fs = require('fs');
const path = require('path');

const results = { passed: 0, failed: 0 };
function check(name, holds, detail) {
    results[holds ? 'passed' : 'failed']++;
    if (!holds) console.log('FAILED: ' + name + (detail === undefined ? '' : ': ' + JSON.stringify(detail).slice(0, 600)));
}
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const here = (name) => path.join(__dirname, name);
const lines = (name) => fs.readFileSync(here(name), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
const settle = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done)))));
const timeOf = (text) => Math.round(parseFloat(text.replace(/[^0-9.]/g, '')) * 1e6);
const now = async (page) => timeOf(await page.textContent('#now'));

let browser;
async function open(name, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: options.scheme || 'dark' });
    const page = await context.newPage();
    page.trouble = [];
    page.on('console', (m) => { if ((m.type() === 'error' || m.type() === 'warning') && !/getImageData/.test(m.text())) page.trouble.push(m.text()); });
    page.on('pageerror', (e) => page.trouble.push(String(e.stack || e)));
    page.on('request', (r) => { if (!r.url().startsWith('file:') && !r.url().startsWith('data:')) page.trouble.push('asks for ' + r.url()); });
    page.on('dialog', (d) => { page.trouble.push('dialog'); d.dismiss(); });
    await page.goto('file://' + here(name) + (options.hash || ''));
    await settle(page);
    return page;
}
async function close(page, name) {
    check(name + ': no errors, no requests', page.trouble.length === 0, page.trouble);
    await page.context().close();
}

async function overflow(page, name) {
    const sizes = await page.evaluate(() => {
        const root = document.documentElement, wide = [];
        for (const id of ['top', 'transport', 'left', 'side', 'pane', 'list', 'timeline', 'events', 'complaint']) {
            const e = document.getElementById(id);
            if (e && !e.hidden && e.scrollWidth > e.clientWidth + 1) wide.push(id + ' ' + e.scrollWidth + '>' + e.clientWidth);
        }
        for (const e of document.querySelectorAll('#top > *, #transport > *')) {
            const r = e.getBoundingClientRect();
            if (r.width && (r.right > innerWidth + 1 || r.left < -1)) wide.push('outside: ' + (e.id || e.className));
        }
        return { wide, page: root.scrollWidth - innerWidth, high: root.scrollHeight - innerHeight };
    });
    check(name + ': nothing wider than its place', sizes.page <= 0 && sizes.high <= 0 && sizes.wide.length === 0, sizes);
}

// Colours on a part of the timeline: nothing drawn gives one or two.
const inked = (page, x = 130, y = 30, w = 400, h = 200) => page.evaluate(([px, py, pw, ph]) => {
    const canvas = document.getElementById('lanes'), ratio = devicePixelRatio;
    const data = canvas.getContext('2d').getImageData(px * ratio, py * ratio, pw * ratio, ph * ratio).data;
    let sum = 0;
    const seen = new Set();
    for (let i = 0; i < data.length; i += 4) {
        const c = data[i] << 16 | data[i + 1] << 8 | data[i + 2];
        seen.add(c);
        sum = (sum * 31 + c) >>> 0;
    }
    return { colors: seen.size, sum };
}, [x, y, w, h]);

async function testFirstSight() {
    const page = await open('failed.html'), rows = lines('failed.ndjson'), end = rows[rows.length - 1], world = rows[0];
    check('title', (await page.title()) === 'weft seed 4242', await page.title());
    check('seed', (await page.textContent('#seed')) === world.seed);
    check('replay line', (await page.textContent('#replay')) === world.replay);
    check('hash', (await page.textContent('#hash')).includes(end.hash));
    check('the badge says failed', /✗ linearizability failed/.test(await page.textContent('#verdict')));
    check('the complaint is on top', (await page.textContent('#complaint')).includes('had been acknowledged'));
    check('the timeline is drawn', (await inked(page)).colors > 8, await inked(page));
    check('nothing in the page comes from elsewhere', (await page.evaluate(() => document.querySelectorAll('[src],link[href]:not([href^="data:"])').length)) === 0);
    await overflow(page, '1280x800');
    for (const [width, height] of [[1000, 700], [1920, 1080], [800, 600]]) {
        await page.setViewportSize({ width, height });
        await settle(page);
        await overflow(page, width + 'x' + height);
    }
    await page.setViewportSize({ width: 1280, height: 800 });
    const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, [role=listbox], [role=slider], canvas[role], [role=separator]')]
        .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.closest('label') || e.title)).map((e) => e.outerHTML.slice(0, 80)));
    check('everything that can be used has a name', nameless.length === 0, nameless);
    await page.screenshot({ path: here('page.png') });
    await close(page, 'first sight');
}

async function testPlayback() {
    const page = await open('failed.html'), rows = lines('failed.ndjson');
    const seen = rows.filter((r) => r.t !== undefined && r.k !== 'turn' && r.k !== 'end').sort((a, b) => a.t - b.t);
    check('the list counts', (await page.textContent('#shown')).startsWith(seen.length.toLocaleString('en') + ' of '), await page.textContent('#shown'));
    await page.click('#play');
    await page.waitForTimeout(700);
    const playing = await now(page);
    check('it plays', playing > 0, playing);
    check('the button says so', (await page.getAttribute('#play', 'aria-label')) === 'pause');
    await page.keyboard.press('Escape');
    await page.click('#timeline', { position: { x: 20, y: 320 } });
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press(' ');
    await settle(page);
    const paused = await now(page);
    await page.waitForTimeout(250);
    check('space pauses', (await now(page)) === paused && (await page.getAttribute('#play', 'aria-label')) === 'play');
    await page.keyboard.press('Home');
    await settle(page);
    check('Home', (await now(page)) === 0);
    const texts = [];
    for (let i = 0; i < 24; i++) {
        await page.keyboard.press('ArrowRight');
        await settle(page);
        texts.push(await page.evaluate(() => { const r = document.querySelector('.row.selected'); return r && r.querySelector('.time').textContent; }));
    }
    // Home is behind the events at 0: the next step is the first one later.
    const later = seen.filter((r) => r.t > 0);
    check('a step goes to the next event, each once', texts.every((t, i) => t !== null && timeOf(t) === later[i].t), texts.map((t) => t && timeOf(t)));
    check('the cursor goes along', (await now(page)) === later[23].t);
    await page.keyboard.press('ArrowLeft');
    await settle(page);
    check('and one back', (await now(page)) === later[22].t, await now(page));
    await page.keyboard.press('Shift+ArrowRight');
    await settle(page);
    check('ten on', (await now(page)) === later[32].t, await now(page));
    await page.keyboard.press('End');
    await settle(page);
    const last = Math.max(...rows.map((r) => r.u || r.t || 0));
    check('End', (await now(page)) === last, [await now(page), last]);
    await page.keyboard.press('Home');
    await page.keyboard.press(']');
    await settle(page);
    const fault = rows.filter((r) => r.k === 'flt').sort((a, b) => a.t - b.t)[0];
    check('] goes to the first fault', (await now(page)) === fault.t && (await page.textContent('.row.selected .what')).startsWith(fault.f), await now(page));
    await page.keyboard.press('Home');
    await page.evaluate(() => { const s = document.getElementById('speed'); s.value = '1'; s.dispatchEvent(new Event('input')); });
    await page.keyboard.press(' ');
    await page.waitForFunction(() => document.getElementById('play').getAttribute('aria-label') === 'play', null, { timeout: 8000 });
    check('it stops at the end', (await now(page)) === last, await now(page));
    await close(page, 'playback');
}

async function testScrubAndZoom() {
    const page = await open('failed.html');
    const box = await page.locator('#timeline').boundingBox(), middle = box.x + 118 + (box.width - 118) / 2;
    await page.mouse.move(middle, box.y + 10);
    await page.mouse.down();
    await settle(page);
    const first = await now(page);
    await page.mouse.move(middle + 150, box.y + 10, { steps: 4 });
    await settle(page);
    const second = await now(page);
    await page.mouse.up();
    check('dragging on the ruler scrubs', first > 100000 && second > first + 20000, [first, second]);
    const before = await page.textContent('#span'), inkBefore = await inked(page);
    await page.keyboard.press('+');
    await page.keyboard.press('+');
    await settle(page);
    const after = await page.textContent('#span');
    check('+ zooms in', before !== after && parseFloat(after) < parseFloat(before), [before, after]);
    check('the picture changes', (await inked(page)).sum !== inkBefore.sum);
    await page.mouse.move(middle, box.y + 150);
    await page.keyboard.down('Control');
    await page.mouse.wheel(0, -300);
    await page.keyboard.up('Control');
    await settle(page);
    check('the wheel zooms', (await page.textContent('#span')) !== after);
    const drawn = await inked(page);
    await page.mouse.move(middle, box.y + 150);
    await page.mouse.down();
    await page.mouse.move(middle - 160, box.y + 150, { steps: 4 });
    await page.mouse.up();
    await settle(page);
    check('dragging moves', (await inked(page)).sum !== drawn.sum && (await now(page)) === second);
    await page.keyboard.press('0');
    await settle(page);
    check('0 shows everything', (await page.textContent('#span')) === before, await page.textContent('#span'));
    await page.keyboard.down('Shift');
    await page.mouse.move(middle, box.y + 150);
    await page.mouse.down();
    await page.mouse.move(middle + 60, box.y + 150, { steps: 4 });
    await page.mouse.up();
    await page.keyboard.up('Shift');
    await settle(page);
    check('shift and dragging zooms to that stretch', parseFloat(await page.textContent('#span')) < 60, await page.textContent('#span'));
    const strip = await page.locator('#overview').boundingBox();
    await page.mouse.click(strip.x + strip.width / 4, strip.y + 20);
    await settle(page);
    const quarter = await now(page);
    check('a click on the overview goes there', Math.abs(quarter - 373971 / 4) < 2500, quarter);
    await page.mouse.move(strip.x + strip.width / 4, strip.y + 20);
    await page.mouse.down();
    await page.mouse.move(strip.x + strip.width / 2, strip.y + 20, { steps: 5 });
    await page.mouse.up();
    await settle(page);
    check('dragging on the overview, too', (await now(page)) > quarter * 1.8);
    for (let i = 0; i < 60; i++) await page.keyboard.press('+');
    await settle(page);
    check('zooming in has an end', /µs/.test(await page.textContent('#span')), await page.textContent('#span'));
    for (let i = 0; i < 60; i++) await page.keyboard.press('-');
    await settle(page);
    check('zooming out, too', parseFloat(await page.textContent('#span')) < 400, await page.textContent('#span'));
    // Rows below the fold are reached by scrolling, and are drawn.
    await page.evaluate(() => { document.getElementById('timeline').scrollTop = 1e6; });
    await settle(page);
    check('the last rows are drawn', (await inked(page, 130, 150, 400, 150)).colors > 3);
    await close(page, 'scrub and zoom');
}

async function testList() {
    const page = await open('failed.html'), rows = lines('failed.ndjson');
    const shown = async () => parseInt((await page.textContent('#shown')).replace(/,/g, ''), 10);
    const filter = async (text) => { await page.fill('#filter', text); await page.waitForTimeout(200); await settle(page); return shown(); };
    const of3 = rows.filter((r) => ['cmd', 'rep', 'con', 'dis', 'app', 'flt'].includes(r.k) && r.c === 3).length;
    const keysOf3 = new Set(rows.filter((r) => r.k === 'app' && r.c === 3)).size, failedOf3 = rows.filter((r) => r.k === 'ver' && r.c === 3).length;
    check('filter c3', (await filter('c3')) === of3 + keysOf3 + failedOf3, [await shown(), of3, keysOf3]);
    check('every row is of that client', (await page.evaluate(() => [...document.querySelectorAll('.row')].every((r) => /(^| )c3$/.test(r.querySelector('.place').textContent) || r.querySelector('.kind').textContent === 'value'))));
    check('filter n1/s2', (await filter('n1/s2')) === rows.filter((r) => r.n === 1 && ((r.s === 2 && !['turn', 'node'].includes(r.k)) || (r.k === 'msg' && (r.a === 2 || r.b === 2)))).length, await shown());
    check('filter words', (await filter('applied lpush -job')) === 0);
    check('filter an operation', (await filter('#1502')) === 5, await shown());
    check('nothing found is no error', (await filter('no such thing anywhere')) === 0 && (await page.locator('.row').count()) === 0);
    await page.keyboard.press('ArrowRight');
    await filter('');
    const all = await shown();
    await page.click('button[data-group=data]');
    await settle(page);
    check('a kind can be left out', (await shown()) === all - rows.filter((r) => r.k === 'app' || r.k === 'key').length);
    await page.click('button[data-group=turns]');
    await page.click('button[data-group=data]');
    await settle(page);
    check('with turns it is all of them', (await shown()) === rows.filter((r) => r.t !== undefined && r.k !== 'end').length, await shown());
    check('only the rows in sight exist', (await page.locator('.row').count()) < 60, await page.locator('.row').count());
    await page.evaluate(() => { document.getElementById('list').scrollTop = 1e9; });
    await settle(page);
    check('its end is reached', (await page.evaluate(() => document.querySelector('#list').textContent)).includes('wire held'));
    const target = page.locator('.row', { hasText: '#1500' }).first();
    await target.click();
    await settle(page);
    check('a click selects', (await page.locator('.row.selected').count()) === 1 && (await page.textContent('.row.selected')).includes('#1500'));
    check('and tells it to screen readers', (await page.getAttribute('#list', 'aria-activedescendant')) === (await page.getAttribute('.row.selected', 'id')));
    await page.keyboard.press('3');
    await settle(page);
    check('the event pane shows the operation', (await page.textContent('#pane-event')).includes('Operation #1500'));
    await page.click('#pane-event .buttons button >> nth=0');
    await settle(page);
    check('"only this operation" filters', (await page.inputValue('#filter')) === '#1500' && (await shown()) > 2 && (await shown()) < 8, await shown());
    await close(page, 'list');
}

async function testKeys() {
    const page = await open('failed.html'), rows = lines('failed.ndjson');
    await page.keyboard.press('k');
    await settle(page);
    check('k goes to the search', (await page.evaluate(() => document.activeElement.id)) === 'key-query');
    const names = new Set(rows.filter((r) => r.k === 'key').map((r) => r.key));
    check('every key is listed', (await page.locator('.key-row').count()) === names.size, [await page.locator('.key-row').count(), names.size]);
    check('the failed one first', (await page.getAttribute('.key-row >> nth=0', 'data-key')) === 'user:0');
    await page.keyboard.type('QUEUE:4');
    await settle(page);
    check('the search narrows', (await page.locator('.key-row').count()) === [...names].filter((n) => n.includes('queue:4')).length);
    await page.keyboard.press('Enter');
    await settle(page);
    check('Enter opens the first', (await page.textContent('#key-name')) === 'queue:4', await page.textContent('#key-name'));
    await page.keyboard.press('Escape');
    // Its value at many moments, against the lines themselves.
    const history = rows.filter((r) => r.k === 'key' && r.key === 'queue:4').map((r, i) => ({ ...r, i })).sort((a, b) => a.t - b.t || a.i - b.i);
    const wrong = [];
    const strip = await page.locator('#overview').boundingBox();
    for (let i = 1; i < 14; i++) {
        await page.mouse.click(strip.x + strip.width * i / 14, strip.y + 20);
        await settle(page);
        const t = await now(page);
        for (let n = 0; n < 3; n++) {
            const past = history.filter((r) => r.n === n && r.t <= t), entry = past[past.length - 1];
            const want = !entry ? '(not seen yet)' : entry.y === 'none' ? '(no such key)' : entry.v;
            const card = page.locator('.value[data-node="' + n + '"] pre');
            const got = (await card.count()) ? await card.textContent() : null;
            if (history.some((r) => r.n === n) && got !== want) wrong.push([t, n, got, want]);
        }
    }
    check('the value at the cursor is what the trace says', wrong.length === 0, wrong.slice(0, 3));
    check('the current value is marked in the table', (await page.locator('#history tr.current').count()) >= 1);
    const second = page.locator('#history tr').nth(1);
    const when = timeOf(await second.locator('.time').textContent());
    await second.click();
    await settle(page);
    check('a value in the table leads to its moment', (await now(page)) === when, [await now(page), when]);
    const height = async () => page.evaluate(() => document.getElementById('timeline-space').offsetHeight);
    const before = await height();
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('p');
    await settle(page);
    check('a pinned key has a lane per node', (await page.textContent('.key-head button >> nth=1')) === 'Pinned' && (await height()) > before, [before, await height()]);
    const canvas = await page.locator('#key-ops').boundingBox();
    let clicked = false;
    for (let y = 8; y < canvas.height && !clicked; y += 19) {
        for (let x = 40; x < canvas.width && !clicked; x += 9) {
            await page.mouse.move(canvas.x + x, canvas.y + y);
            if (await page.isVisible('#tip')) {
                const tip = await page.textContent('#tip');
                await page.mouse.click(canvas.x + x, canvas.y + y);
                await settle(page);
                clicked = /queue:4/.test(tip) && /queue:4/.test(await page.textContent('.row.selected'));
            }
        }
    }
    check('a bar of an operation on the key can be clicked', clicked);
    await page.screenshot({ path: here('page-key.png') });
    await overflow(page, 'key pane');
    await close(page, 'keys');
}

async function testFailure() {
    const page = await open('failed.html'), rows = lines('failed.ndjson');
    const verdict = rows.find((r) => r.k === 'ver' && !r.ok), reply = rows.find((r) => r.k === 'rep' && r.o === verdict.o);
    await page.click('#jump');
    await settle(page);
    check('the link leads to the failing operation\'s reply', (await now(page)) === reply.t, await now(page));
    check('which is selected', (await page.textContent('.row.selected')).includes('#' + verdict.o));
    check('its key is open', (await page.textContent('#key-name')) === 'user:0');
    check('with the value that it should have seen', (await page.textContent('.value[data-node="0"] pre')) === '"4711"');
    check('the range is close around it', /ms|µs/.test(await page.textContent('#span')) && parseFloat(await page.textContent('#span')) < 50, await page.textContent('#span'));
    // Its bar is where the pointer finds it.
    const box = await page.locator('#timeline').boundingBox();
    let found = '';
    for (let y = 40; y < box.height && !found; y += 4) {
        for (let x = 130; x < box.width - 20 && !found; x += 6) {
            await page.mouse.move(box.x + x, box.y + y);
            if (await page.isVisible('#tip') && (await page.textContent('#tip')).includes('linearizability failed')) found = await page.textContent('#tip');
        }
    }
    check('its bar can be pointed at', found.includes('GET user:0') && found.includes('"17"'), found);
    await page.keyboard.press('4');
    await settle(page);
    check('the run pane has the verdicts', (await page.textContent('#verdicts')).includes('✗ linearizability') && (await page.textContent('#verdicts')).includes('1,500 checks'));
    check('and the plan', (await page.textContent('#plan')).includes('Zipf 0.99'));
    const fired = rows.filter((r) => r.k === 'flt' && r.f === 'client.cut_mid_command').length;
    check('and counts the faults', (await page.textContent('#fault-kinds')).includes('client.cut_mid_command' + fired), await page.textContent('#fault-kinds'));
    await page.keyboard.press('1');
    await settle(page);
    check('the world pane tells the time', (await page.textContent('#world-text')).includes('At 0.37'));
    await page.screenshot({ path: here('page-failure.png') });
    await close(page, 'failure');

    const linked = await open('failed.html', { hash: '#fail' });
    check('#fail opens it there', (await now(linked)) === reply.t, await now(linked));
    await close(linked, '#fail');
    const at = await open('failed.html', { hash: '#t=200000&key=cart:1' });
    check('#t and #key open it there', (await now(at)) === 200000 && (await at.textContent('#key-name')) === 'cart:1');
    await close(at, '#t');
    const good = await open('passed.html');
    check('a run without failure says so', (await good.textContent('#verdict')).includes('✓ every oracle held') && !(await good.isVisible('#complaint')));
    await good.keyboard.press('f');
    await close(good, 'passed');
}

async function testWorld() {
    const page = await open('failed.html', { hash: '#t=150000' }), rows = lines('failed.ndjson');
    const crash = rows.find((r) => r.k === 'node' && r.e === 'crash'), restart = rows.find((r) => r.k === 'node' && r.e === 'restart');
    const t = Math.round((crash.t + restart.t) / 2);
    const between = await open('failed.html', { hash: '#t=' + t });
    check('lately: the crash', (await between.textContent('#world-text')).includes('crash: power cut'), await between.textContent('#world-text'));
    const lasting = rows.filter((r) => r.k === 'flt' && r.t <= t && (r.d > 0 ? t < r.t + r.d : r.d < 0 && rows.some((e) => e.k === 'fle' && e.f === r.f && e.t > t))).map((r) => r.f);
    const words = await between.textContent('#world-text');
    check('the faults of that moment', lasting.length > 0 && lasting.every((f) => words.includes(f)), lasting);
    const stage = await between.evaluate(() => { const c = document.getElementById('stage'); return [c.width, c.height]; });
    check('the stage is drawn', stage[0] > 200 && stage[1] > 100, stage);
    await between.screenshot({ path: here('page-world.png') });
    await close(between, 'between crash and restart');
    await close(page, 'world');
}

async function testEscapes() {
    const page = await open('binary.html'), rows = lines('binary.ndjson');
    await page.keyboard.press('End');
    await page.keyboard.press('2');
    await settle(page);
    const names = [...new Set(rows.filter((r) => r.k === 'key').map((r) => r.key))];
    const listed = await page.evaluate(() => [...document.querySelectorAll('.key-row')].map((r) => [r.dataset.key, r.querySelector('.name').textContent]));
    check('every name is listed as the trace has it', names.every((n) => listed.some(([key, text]) => key === n && text === (n === '' ? '""' : n))), names.filter((n) => !listed.some(([key]) => key === n)));
    for (const name of names.slice(0, 15)) {
        const i = listed.findIndex(([key]) => key === name);
        await page.locator('.key-row').nth(i).click();
        await settle(page);
        const row = rows.find((r) => r.k === 'key' && r.key === name);
        check('key ' + name + ' opens with its value', (await page.textContent('.value pre')) === '"' + row.v + '"', await page.textContent('.value pre'));
        await overflow(page, 'key ' + name);
        await page.keyboard.press('k');
        await settle(page);
        await page.keyboard.press('Escape');
    }
    await page.keyboard.press('f');
    for (const tab of ['1', '2', '3', '4']) { await page.keyboard.press(tab); await settle(page); await overflow(page, 'binary, pane ' + tab); }
    await page.keyboard.press('Home');
    for (let i = 0; i < 60; i++) await page.keyboard.press('ArrowRight');
    await settle(page);
    check('no name has become markup', await page.evaluate(() => window.broken === undefined && document.querySelectorAll('img').length === 0 && document.scripts.length === 2));
    check('the complaint is text', (await page.textContent('#complaint')).includes('</script><script>window.broken=1</script>'));
    await page.screenshot({ path: here('page-binary.png') });
    await close(page, 'binary');
}

async function testThemesAndKeys() {
    const page = await open('failed.html', { scheme: 'light' });
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.keyboard.press('t');
    await settle(page);
    check('t changes the theme', (await ground()) !== light);
    // WCAG's contrast of text on its grounds, in both themes.
    for (const theme of ['light', 'dark']) {
        const poor = await page.evaluate((name) => {
            document.documentElement.dataset.theme = name;
            const style = getComputedStyle(document.documentElement);
            const channel = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
            const light = (color) => { const v = parseInt(style.getPropertyValue('--' + color).trim().slice(1), 16); return 0.2126 * channel((v >> 16) / 255) + 0.7152 * channel((v >> 8 & 255) / 255) + 0.0722 * channel((v & 255) / 255); };
            const found = [];
            for (const ground of ['bg', 'panel', 'raised']) {
                for (const ink of ['text', 'muted', 'accent', 'ok', 'bad', 'violet', 'cyan', 'pink', 'warn']) {
                    const [a, b] = [light(ground), light(ink)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
                    if (ratio < (ink === 'text' ? 7 : ground === 'raised' ? 4 : 4.5)) found.push(ink + ' on ' + ground + ' ' + ratio.toFixed(2));
                }
            }
            return found;
        }, theme);
        check(theme + ': text can be read', poor.length === 0, poor);
    }
    await page.keyboard.press('?');
    await settle(page);
    check('? shows the keys', await page.evaluate(() => document.getElementById('keys-help').open));
    await page.screenshot({ path: here('page-help.png') });
    await page.keyboard.press('Escape');
    await settle(page);
    check('Esc closes them', !(await page.evaluate(() => document.getElementById('keys-help').open)));
    const reached = new Set();
    for (let i = 0; i < 60; i++) {
        await page.keyboard.press('Tab');
        reached.add(await page.evaluate(() => document.activeElement.id || document.activeElement.dataset.group || document.activeElement.tagName));
    }
    const wanted = ['verdict', 'copy', 'jump', 'play', 'speed', 'overview', 'timeline', 'filter', 'data', 'list', 'tab-world'];
    check('Tab reaches everything', wanted.every((id) => reached.has(id)), wanted.filter((id) => !reached.has(id)));
    await page.focus('#tab-world');
    await page.keyboard.press('ArrowRight');
    await settle(page);
    check('arrows go from tab to tab', (await page.getAttribute('#tab-key', 'aria-selected')) === 'true');
    await page.focus('#split-row');
    const before = await page.evaluate(() => document.getElementById('events').offsetHeight);
    await page.keyboard.press('ArrowUp');
    await settle(page);
    check('the parts can be resized by keys', (await page.evaluate(() => document.getElementById('events').offsetHeight)) > before);
    await page.click('#copy');
    const says = () => document.getElementById('copy').textContent === 'Copied'; // soon, for a while
    check('Copy says so', await page.waitForFunction(says, null, { timeout: 5000 }).then(() => true, () => false));
    await page.evaluate(() => document.activeElement.blur());
    const high = () => page.evaluate(() => document.getElementById('timeline-space').offsetHeight);
    const all = await high();
    await page.keyboard.press('c');
    await settle(page);
    check('c makes the clients\' rows small', (await high()) < all, [all, await high()]);
    await close(page, 'themes and keys');
}

async function testBig() {
    const began = Date.now(), page = await open('big.html'), loaded = Date.now() - began;
    const total = parseInt((await page.textContent('#shown')).split('of')[1].replace(/\D/g, ''), 10);
    check('more than 100,000 events', total > 100000, total);
    // What a frame costs in CPU time of the page's thread: other work on the machine does not count.
    const cdp = await page.context().newCDPSession(page);
    await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
    const spent = async () => (await cdp.send('Performance.getMetrics')).metrics.find((m) => m.name === 'TaskDuration').value * 1000;
    const frameCost = async () => {
        const before = await spent();
        const frames = await page.evaluate(() => new Promise((done) => {
            let n = 0;
            const start = performance.now();
            const frame = () => { n++; if (performance.now() - start > 2000 && n > 10) done(n); else requestAnimationFrame(frame); };
            requestAnimationFrame(frame);
        }));
        return (await spent() - before) / frames;
    };
    await page.keyboard.press('>');
    await page.keyboard.press(' ');
    await settle(page);
    const whole = await frameCost();
    for (let i = 0; i < 9; i++) await page.keyboard.press('+');
    await settle(page);
    const near = await frameCost();
    await page.keyboard.press(' ');
    check('a frame of playing costs little, all in sight', whole < 50, whole);
    check('and close up', near < 50, near);
    const took = await page.evaluate(() => new Promise((done) => {
        const start = performance.now();
        document.getElementById('filter').value = 'applied user:1';
        document.getElementById('filter').dispatchEvent(new Event('input'));
        const poll = () => (/of/.test(document.getElementById('shown').textContent) && parseInt(document.getElementById('shown').textContent.replace(/,/g, ''), 10) < 90000
            ? done(performance.now() - start) : setTimeout(poll, 10));
        poll();
    }));
    check('filters in little time', took < 5000, took);
    check('few elements', (await page.evaluate(() => document.querySelectorAll('*').length)) < 1500);
    console.log(total + ' events: open after ' + loaded + ' ms, a frame of playing costs ' + whole.toFixed(1) + ' ms with all in sight, ' + near.toFixed(1) + ' ms close up');
    await close(page, 'big');
}

async function testOddTraces() {
    const cut = await open('cut.html');
    check('a line that was cut does not matter', (await cut.textContent('#shown')).includes('events'));
    await cut.keyboard.press('4');
    await settle(cut);
    check('and is told', /could not be read/.test(await cut.textContent('#pane-run')), await cut.textContent('#pane-run'));
    await close(cut, 'cut');
    const rescue = await open('rescue.html');
    check('a rescued trace shows why', (await rescue.textContent('#verdict')).includes('CHECK(x)'), await rescue.textContent('#verdict'));
    await close(rescue, 'rescue');
    const flood = await open('flood.html');
    await flood.keyboard.press('4');
    await settle(flood);
    check('what was dropped is told', /Dropped.*command [\d,]+/.test(await flood.textContent('#dropped')));
    await flood.screenshot({ path: here('page-flood.png') });
    await close(flood, 'flood');
    fs.writeFileSync(here('empty.html'), fs.readFileSync(here('template.html'), 'utf8').replace('@TRACE-LINES@', ''));
    const empty = await open('empty.html');
    for (const key of [' ', 'f', 'ArrowRight', 'ArrowLeft', ']', '2', '3', '4', '1', 'End', '+', '0']) await empty.keyboard.press(key);
    await settle(empty);
    await close(empty, 'a trace without lines');
    if (fs.existsSync(here('weft-sim.html'))) {
        const real = await open('weft-sim.html');
        check('a page of weft-sim', (await real.title()).startsWith('weft seed') && parseInt((await real.textContent('#shown')).replace(/,/g, ''), 10) > 100, await real.textContent('#shown'));
        await real.keyboard.press(' ');
        await real.waitForTimeout(500);
        await real.keyboard.press(' ');
        for (const key of ['ArrowRight', ']', 'f', '1', '2', '3', '4']) { await real.keyboard.press(key); await settle(real); }
        await overflow(real, 'weft-sim');
        await real.screenshot({ path: here('page-weft-sim.png') });
        await close(real, 'weft-sim');
    }
}

(async () => {
    const tests = { testFirstSight, testPlayback, testScrubAndZoom, testList, testKeys, testFailure, testWorld, testEscapes, testThemesAndKeys, testBig, testOddTraces };
    const wanted = process.argv.slice(2);
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ARGS });
    for (const [name, test] of Object.entries(tests)) {
        if (wanted.length && !wanted.some((w) => name.toLowerCase().includes(w.toLowerCase()))) continue;
        const before = { ...results };
        try {
            await test();
        } catch (e) {
            check(name + ' came to its end', false, String(e.stack || e));
        }
        console.log(name + ': ' + (results.passed - before.passed) + ' held, ' + (results.failed - before.failed) + ' did not');
    }
    await browser.close();
    console.log(results.passed + ' passed, ' + results.failed + ' failed');
    process.exit(results.failed ? 1 : 0);
})();
