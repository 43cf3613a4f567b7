/* Clients: RESP over simulated sockets. A client connects, sends bursts of units, reads answers, thinks,
 * comes back after it was cut. Everything it sees goes to its link. */
#include "sim/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sim/value.h"

#define OUTSTANDING_MAX    2000
#define CONNECT_TIMEOUT_US 35000000
#define QUIT_TIMEOUT_US    40000000
#define IN_MAX             (64u << 20)

static int64_t now_us(const struct client *client)
{
    return run_now_us(client->run);
}

bool client_init(struct client *client, struct run *run, int index, struct process *process)
{
    char name[32];
    int error = 0;
    snprintf(name, sizeof name, "client-%d", index);
    *client = (struct client){.run = run, .process = process, .index = index};
    client->io = io_create(io_sim_node(run->world, name), &error);
    prng_seed(&client->prng, run->plan.client_seed ^ ((uint64_t)index << 32));
    return client->io != NULL;
}

void client_free(struct client *client)
{
    if (client->io) io_destroy(client->io);
    unit_free(&client->unit);
    free(client->out);
    free(client->sending);
    free(client->in);
}

/* ---- sending ---- */

static void append(struct client *client, const void *bytes, size_t len)
{
    if (client->out_len + len > client->out_capacity) {
        client->out_capacity = (client->out_len + len) * 2;
        client->out = realloc(client->out, client->out_capacity);
        CHECK(client->out);
    }
    memcpy(client->out + client->out_len, bytes, len);
    client->out_len += len;
}

static void append_command(struct client *client, const struct slice *argv, int argc)
{
    char head[32];
    append(client, head, (size_t)snprintf(head, sizeof head, "*%d\r\n", argc));
    for (int i = 0; i < argc; i++) {
        append(client, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", argv[i].len));
        append(client, argv[i].ptr, argv[i].len);
        append(client, "\r\n", 2);
    }
}

void client_flush(struct client *client)
{
    if (client->is_sending || !client->out_len || client->state != CLIENT_OPEN) return;
    char *bytes = client->sending;
    size_t capacity = client->sending_capacity;
    client->sending = client->out;
    client->sending_len = client->out_len;
    client->sending_capacity = client->out_capacity;
    client->out = bytes;
    client->out_capacity = capacity;
    client->out_len = 0;
    client->is_sending = true;
    struct io_slice slice = {client->sending, client->sending_len};
    io_send(client->conn, &slice, 1);
}

static bool is_word(struct slice s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

static enum op_kind kind_of(const struct unit *unit, int i, bool *in_multi)
{
    struct slice name = unit->commands[i].argv[0];
    if (!unit->is_transaction) return OP_PLAIN;
    if (is_word(name, "MULTI")) {
        *in_multi = true;
        return OP_MULTI;
    }
    if (is_word(name, "EXEC") || is_word(name, "DISCARD")) {
        *in_multi = false;
        return is_word(name, "EXEC") ? OP_EXEC : OP_DISCARD;
    }
    return *in_multi ? OP_QUEUED : OP_PLAIN;
}

bool client_is_dropped(const struct client *client, uint64_t unit)
{
    const uint8_t *set = client->run->options.dropped_units;
    if (client->index >= RUN_CLIENTS_MAX || unit >= RUN_UNITS_MAX) return false;
    client->run->result.units[client->index] = (uint32_t)unit + 1;
    size_t bit = (size_t)client->index * RUN_UNITS_MAX + unit;
    return set && set[bit / 8] & 1 << bit % 8;
}

/* A new unit, or the rest of the present one. False: it goes on after a while. */
static bool send_unit(struct client *client)
{
    struct run *run = client->run;
    if (!client->unit_at) {
        uint64_t number = client->unit_number++;
        int64_t now_ms = io_sim_realtime_us(client->process->world) / 1000;
        workload_draw(&run->plan.workload, client->index, number, now_ms, &client->unit);
        if (client_is_dropped(client, number)) return true;
        client->unit_in_multi = false;
    }
    int from = client->unit_at;
    client->unit_at = 0;
    for (int i = from; i < client->unit.count; i++) {
        if (i > from && i == client->unit.rest_at) {
            client->unit_at = i;
            client->act_at_us = now_us(client) + client->unit.rest_us;
            return false;
        }
        const struct unit_command *command = &client->unit.commands[i];
        if (command->argc == 0) continue;
        enum op_kind kind = kind_of(&client->unit, i, &client->unit_in_multi);
        link_add(run, client->link, kind, client->unit.family, command->argv, command->argc);
        if (is_word(command->argv[0], "QUIT")) {
            client->link->quits = client->finished = true;
            client->act_at_us = now_us(client) + QUIT_TIMEOUT_US;
        }
        append_command(client, command->argv, command->argc);
    }
    return true;
}

/* Stories, transactions and floods make more commands than the plan asks for: by how much all are ahead of it. */
static int64_t ahead_us(const struct run *run)
{
    const struct plan *plan = &run->plan;
    int64_t done = (int64_t)(run->result.commands + run->result.errors);
    int64_t since = run_now_us(run) - run->start_us;
    if (since > plan->duration_us / 2 + plan->night_us) since -= plan->night_us;
    int64_t ahead = done * (plan->duration_us / 100) / (plan->commands * 11 / 1000 + 1) - since;
    return ahead < 0 ? 0 : ahead < plan->duration_us / 4 ? ahead : plan->duration_us / 4;
}

static void think(struct client *client)
{
    const struct plan *plan = &client->run->plan;
    int64_t most = 2 * (plan->think_us + ahead_us(client->run));
    int64_t at = now_us(client) + (int64_t)prng_below(&client->prng, (uint64_t)most + 1);
    if (plan->rally_us) at = run_rally_us(client->run, at - plan->think_us / 2, &client->prng);
    client->act_at_us = at;
}

/* All at once, or piece by piece, so that the server takes it in several turns. */
static void burst(struct client *client)
{
    const struct plan *plan = &client->run->plan;
    if (!client->burst_left)
        client->burst_left = 1 + (int)prng_below(&client->prng, (uint64_t)plan->depth_max);
    int count = client->burst_left;
    if (plan->dribbles) count = 1 + (int)prng_below(&client->prng, count < 8 ? (uint64_t)count : 8);
    bool whole = true;
    if (client->is_watching && !client->unit_at) {
        client->is_watching = false;
        client_send(client, (struct slice[]){SLICE("RESET")}, 1);
    }
    for (int i = 0; i < count && whole && link_outstanding(client->link) < OUTSTANDING_MAX && !client->finished; i++)
        whole = send_unit(client);
    client->burst_left -= count;
    client_flush(client);
    if (client->finished) return; /* has said QUIT: acts when it has waited for too long */
    if (!whole) return;           /* in the middle of a unit */
    if (client->burst_left) {
        uint64_t most = UINT64_C(50) << prng_below(&client->prng, 6);
        client->act_at_us = now_us(client) + (int64_t)prng_below(&client->prng, most);
    } else {
        think(client);
    }
}

struct op *client_queue(struct client *client, enum op_kind kind, const struct slice *argv, int argc)
{
    struct op *op = link_add(client->run, client->link, kind, FAMILY_LITMUS, argv, argc);
    append_command(client, argv, argc);
    return op;
}

void client_send(struct client *client, const struct slice *argv, int argc)
{
    link_add(client->run, client->link, OP_PLAIN, 0, argv, argc);
    append_command(client, argv, argc);
    client_flush(client);
}

bool client_say(struct client *client, const char *line)
{
    struct slice argv[16];
    int argc = 0;
    if (client->state != CLIENT_OPEN || !client->conn || client->unit_at || link_outstanding(client->link) > 50)
        return false;
    for (const char *at = line; *at && argc < (int)ARRAY_LEN(argv);) {
        size_t len = strcspn(at, " ");
        argv[argc++] = (struct slice){at, len};
        at += len + (at[len] == ' ');
    }
    char words[256]; /* of the last argument, which ~ holds together */
    struct slice *last = &argv[argc - 1];
    if (memchr(last->ptr, '~', last->len) && last->len < sizeof words) {
        for (size_t i = 0; i < last->len; i++) words[i] = last->ptr[i] == '~' ? ' ' : last->ptr[i];
        last->ptr = words;
    }
    client_send(client, argv, argc);
    return true;
}

void client_flood(struct client *client, bool query, int64_t until_us)
{
    static const struct slice echo = SLICE("ECHO");
    size_t len =
        query ? 1400000 + prng_below(&client->prng, 400000) : 5000 + prng_below(&client->prng, 60000);
    int count = query ? 1 : 4 + (int)prng_below(&client->prng, 12);
    char *text = malloc(len);
    CHECK(text);
    memset(text, 'f', len);
    client->slow_until_us = client->silent_until_us = until_us;
    io_recv_pause(client->conn);
    client->link->was_slow = true;
    for (int i = 0; i < count; i++) client_send(client, (struct slice[]){echo, {text, len}}, 2);
    free(text);
}

void client_hostile(struct client *client)
{
    static const char *const bytes[] = {"*-5\r\n",         "*1\r\n$-7\r\n",
                                        "*2000000000\r\n", "*1\r\n$99999999999\r\n",
                                        "*1\r\n!3\r\n",    "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nab",
                                        "\"unbalanced\r\n"};
    struct slice text = {bytes[prng_below(&client->prng, ARRAY_LEN(bytes))], 0};
    text.len = strlen(text.ptr);
    link_add(client->run, client->link, OP_HOSTILE, 0, &text, 1);
    append(client, text.ptr, text.len);
    client_flush(client);
    client->is_cut = true;   /* the server may close */
    client->finished = true; /* nothing sensible can follow on this connection */
    client->act_at_us = now_us(client) + 1000000;
}

/* ---- the connection ---- */

static void go_away(struct client *client, const char *why)
{
    struct run *run = client->run;
    if (client->state == CLIENT_AWAY) return;
    TRACE(run->trace, disconnect, now_us(client) - run->start_us, client->index, client->process->index, why);
    bool refused = client->link && client->link->refused;
    if (client->link) client->link->closed = true;
    client->link = NULL;
    client->conn = NULL;
    client->state = CLIENT_AWAY;
    client->is_sending = client->is_cut = client->finished = false;
    client->out_len = client->in_len = client->in_seen = 0;
    client->unit_at = 0;
    client->is_watching = false;
    client->silent_until_us = 0;
    client->burst_left = 0;
    client->litmus = (struct litmus_game){0};
    client->act_at_us =
        now_us(client) + 1000 + (int64_t)prng_below(&client->prng, refused ? 3000000 : 200000);
}

static void connect(struct client *client)
{
    char name[32];
    int error = 0;
    snprintf(name, sizeof name, "node-%d", client->process->index);
    client->conn = io_connect(client->io, name, 6379, client, &error);
    if (!client->conn) {
        client->act_at_us = now_us(client) + 100000;
        return;
    }
    client->state = CLIENT_CONNECTING;
    client->connecting_since_us = now_us(client);
}

void client_cut(struct client *client)
{
    if (client->state == CLIENT_AWAY || !client->conn) return;
    if (client->out_len > 1 && !client->is_sending && prng_below(&client->prng, 2)) client->out_len /= 2;
    client_flush(client);
    io_close(client->conn);
    client->conn = NULL; /* go_away() when IO_CLOSED comes */
}

static void connected(struct client *client)
{
    struct run *run = client->run;
    client->state = CLIENT_OPEN;
    client->link = link_create(run, client->process, client->index);
    client->link->last_heard_us = client->connecting_since_us; /* the server may know of it since then */
    io_local_address(client->conn, client->link->address);
    TRACE(run->trace, connect, now_us(client) - run->start_us, client->index, client->process->index, "");
    if (run->plan.resp3_percent > (int)prng_below(&client->prng, 100)) client_say(client, "HELLO 3");
    client->act_at_us = now_us(client);
    if (client->was_limited) think(client); /* or it might do the same again at once, for ever */
    client->was_limited = false;
}

/* ---- receiving ---- */

static void take_replies(struct client *client)
{
    struct run *run = client->run;
    size_t at = 0;
    client->link->received_bytes += client->in_len - client->in_seen;
    while (at < client->in_len && !run->result.finding.found) {
        value_arena_reset(run->arena);
        struct value_parsed parsed = value_parse(run->arena, client->in + at, client->in_len - at);
        if (parsed.status == VALUE_NEEDS_MORE) break;
        if (parsed.status == VALUE_INVALID) {
            struct trace_place place = {.client = client->index, .node = client->process->index, .shard = -1};
            run_fail(run, ORACLE_WIRE, &place, "client %d got bytes that are no RESP: %s", client->index,
                     parsed.error);
            return;
        }
        link_answered(run, client->link, parsed.value, client->in + at, parsed.consumed);
        at += parsed.consumed;
    }
    memmove(client->in, client->in + at, client->in_len - at);
    client->in_seen = client->in_len -= at;
    if (client->link->refused) client->is_cut = true;
}

static void received(struct client *client, const struct io_completion *done)
{
    size_t len = (size_t)done->result;
    if (client->in_len + len > client->in_capacity) {
        client->in_capacity = (client->in_len + len) * 2;
        CHECK(client->in_capacity < IN_MAX);
        client->in = realloc(client->in, client->in_capacity);
        CHECK(client->in);
    }
    memcpy(client->in + client->in_len, done->data, len);
    client->in_len += len;
    take_replies(client);
    if (client->litmus.left && client->link && !link_outstanding(client->link)) litmus_go_on(client);
}

bool client_may_be_broken(const struct client *client)
{
    const struct run *run = client->run;
    const struct process *process = client->process;
    if (run->stopping || client->link->life != process->life || !process->up || process->stop_asked_us) return true;
    static const enum io_sim_fault breakers[] = {IO_SIM_NET_RESET, IO_SIM_NET_FIN_CUT, IO_SIM_NET_HALF_OPEN,
                                                 IO_SIM_NET_ATTACH_ERROR, IO_SIM_NET_ACCEPT_STORM};
    for (size_t i = 0; i < ARRAY_LEN(breakers); i++)
        if (run->plan.world_rate[breakers[i]]) return true;
    for (int i = IO_SIM_NET_CLOG_SEND; i <= IO_SIM_NET_FLAP; i++) /* keep-alive may give up */
        if (run->plan.world_rate[i]) return true;
    return false;
}

/* May the server have closed this connection? Otherwise that is a finding. */
static bool may_be_closed(const struct client *client)
{
    return client->is_cut || client->link->quits || client_may_be_broken(client) || limits_may_close(client);
}

static void ended(struct client *client, int64_t result)
{
    struct run *run = client->run;
    if (!client->conn) return;
    if (client->link) client->was_limited = limits_may_close(client);
    if (client->link && !may_be_closed(client)) {
        struct trace_place place = {.client = client->index, .node = client->process->index, .shard = -1};
        run_fail(run, ORACLE_WIRE, &place, "the server closed the connection of client %d (%s)",
                 client->index, result == 0 ? "end of stream" : "reset");
    }
    io_close(client->conn);
    client->conn = NULL;
}

void client_turn(struct client *client)
{
    struct run *run = client->run;
    struct io_completion done[64];
    int64_t until = client->act_at_us;
    if (client->slow_until_us && client->slow_until_us < until) until = client->slow_until_us;
    if (client->finished && client->state == CLIENT_OPEN && !client->is_cut && !client->link->quits)
        until = INT64_MAX;
    int count = io_wait(client->io, until, done, ARRAY_LEN(done));
    for (int i = 0; i < count; i++) {
        switch (done[i].op) {
        case IO_CONNECT:
            if (done[i].result == 0)
                connected(client);
            else
                ended(client, done[i].result);
            break;
        case IO_RECV:
            if (done[i].result > 0 && client->link)
                received(client, &done[i]);
            else
                ended(client, done[i].result);
            break;
        case IO_SENT:
            client->is_sending = false;
            if (done[i].result < 0)
                ended(client, done[i].result);
            else if (client->conn)
                client_flush(client);
            break;
        case IO_CLOSED: go_away(client, ""); break;
        default: break;
        }
    }
    int64_t now = now_us(client);
    if (client->slow_until_us && client->slow_until_us <= now) {
        client->slow_until_us = 0;
        if (client->conn && client->state == CLIENT_OPEN) io_recv_resume(client->conn);
    }
    if (now < client->act_at_us) {
        if (client->act_at_us < until) io_wake(client->io); /* sooner than it has asked for */
        return;
    }
    client->act_at_us = now + 1000000;
    if (client->state == CLIENT_AWAY) {
        connect(client);
    } else if (client->state == CLIENT_CONNECTING && client->conn &&
               now - client->connecting_since_us > CONNECT_TIMEOUT_US) {
        io_close(client->conn); /* the machine at the other end may have gone without a word */
        client->conn = NULL;
    } else if (client->state == CLIENT_OPEN && client->conn) {
        if (client->finished && (client->is_cut || client->link->quits)) {
            client_cut(client);
        } else if (!client->finished && !client->is_operator && !run->healing && !run->night) {
            if (now < client->silent_until_us)
                think(client);
            else if (!client->unit_at && litmus_plays(client))
                litmus_begin(client);
            else
                burst(client);
        }
    }
}
