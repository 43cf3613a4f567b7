/* The register that the checker of linearizability searches with. See linear_register.h. */
#include "sim/linear_register.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"

const char *linear_kind_name(enum linear_kind kind)
{
    static const char *const names[LINEAR_KINDS] = {"GET", "SET",  "GETSET", "SETNX",
                                                    "CAS", "INCR", "DEL",    "APPEND"};
    CHECK(kind < LINEAR_KINDS);
    return names[kind];
}

/* ---- interned values ---- */

static void *take(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    CHECK(p != NULL);
    return p;
}

static uint64_t hash_of(struct slice s)
{
    uint64_t h = 0xcbf29ce484222325u ^ s.len; /* FNV-1a */
    for (size_t i = 0; i < s.len; i++) h = (h ^ (uint8_t)s.ptr[i]) * 0x100000001b3u;
    return prng_mix(&h);
}

void linear_values_init(struct values *v)
{
    *v = (struct values){.count = 1, .room = 64, .mask = 127};
    v->list = take(v->room, sizeof *v->list);
    v->table = take(v->mask + 1, sizeof *v->table);
}

void linear_values_free(struct values *v)
{
    for (uint32_t i = 1; i < v->count; i++) free((char *)(uintptr_t)v->list[i].ptr);
    free(v->list);
    free(v->table);
}

static uint32_t *values_place(struct values *v, struct slice s)
{
    uint32_t i = (uint32_t)hash_of(s) & v->mask;
    while (v->table[i] && !slice_equal(v->list[v->table[i]], s)) i = (i + 1) & v->mask;
    return &v->table[i];
}

static void values_grow(struct values *v)
{
    v->room *= 2;
    v->list = realloc(v->list, v->room * sizeof *v->list);
    CHECK(v->list != NULL);
    free(v->table);
    v->mask = v->room * 2 - 1;
    v->table = take(v->mask + 1, sizeof *v->table);
    for (uint32_t i = 1; i < v->count; i++) *values_place(v, v->list[i]) = i;
}

uint32_t linear_values_intern(struct values *v, struct slice s)
{
    if (s.len == 0) s.ptr = "";
    uint32_t *place = values_place(v, s);
    if (*place) return *place;
    if (v->count == v->room) {
        values_grow(v);
        place = values_place(v, s);
    }
    char *copy = take(s.len, 1);
    if (s.len) memcpy(copy, s.ptr, s.len);
    v->list[v->count] = (struct slice){copy, s.len};
    return *place = v->count++;
}

/* ---- operations ---- */

/* As Redis reads an integer: an optional '-', digits without a leading zero, 64 bits. */
bool linear_parse_integer(struct slice s, int64_t *out)
{
    bool minus = s.len && s.ptr[0] == '-';
    size_t i = minus;
    uint64_t n = 0;
    if (i == s.len || s.len - i > 19 || (s.ptr[i] == '0' && s.len > 1)) return false;
    for (; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
        n = n * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    if (n > (uint64_t)INT64_MAX + minus) return false;
    *out = minus ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

static uint32_t intern_number(struct values *v, int64_t number)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%lld", (long long)number);
    return linear_values_intern(v, (struct slice){text, (size_t)len});
}

static uint32_t apply_incr(struct values *v, const struct step *s, uint32_t state)
{
    int64_t old = 0, sum;
    bool good = (state == ABSENT || linear_parse_integer(v->list[state], &old)) &&
                !__builtin_add_overflow(old, s->op->number, &sum);
    if (!good) return s->unknown || s->op->reply == LINEAR_ERROR ? state : NO_STATE;
    if (!s->unknown && (s->op->reply != LINEAR_INT || s->op->reply_number != sum)) return NO_STATE;
    return intern_number(v, sum);
}

static uint32_t apply_append(struct values *v, const struct step *s, uint32_t state, uint64_t *steps)
{
    struct slice old = state == ABSENT ? (struct slice){"", 0} : v->list[state], more = s->op->value;
    size_t len = old.len + more.len;
    bool fits = s->op->reply == LINEAR_INT && s->op->reply_number == (int64_t)len;
    if (!s->unknown && !fits) return NO_STATE;
    if (more.len == 0 && state != ABSENT) return state; /* nothing appended to nothing makes an empty value */
    char *text = take(len, 1);
    if (old.len) memcpy(text, old.ptr, old.len);
    if (more.len) memcpy(text + old.len, more.ptr, more.len);
    uint32_t next = linear_values_intern(v, (struct slice){text, len});
    free(text);
    *steps += len / 64;
    return next;
}

static bool says(const struct step *s, enum linear_reply reply, int64_t number)
{
    return s->unknown || (s->op->reply == reply && (reply != LINEAR_INT || s->op->reply_number == number));
}

/* `reply` shows what was there before. */
static bool shows(const struct step *s, uint32_t state)
{
    if (s->unknown) return true;
    return state == ABSENT ? s->op->reply == LINEAR_NIL : s->op->reply == LINEAR_BULK && s->reply == state;
}

/* The state after the operation, or NO_STATE when its reply contradicts `state`. */
uint32_t linear_step_apply(struct values *v, const struct step *s, uint32_t state, uint64_t *steps)
{
    switch ((enum linear_kind)s->op->kind) {
    case LINEAR_GET: return shows(s, state) ? state : NO_STATE;
    case LINEAR_SET: return says(s, LINEAR_OK, 0) ? s->value : NO_STATE;
    case LINEAR_GETSET: return shows(s, state) ? s->value : NO_STATE;
    case LINEAR_SETNX:
        if (!says(s, LINEAR_INT, state == ABSENT)) return NO_STATE;
        return state == ABSENT ? s->value : state;
    case LINEAR_CAS:
        if (state == ABSENT) return says(s, LINEAR_NIL, 0) ? state : NO_STATE;
        if (!says(s, LINEAR_INT, state == s->expected)) return NO_STATE;
        return state == s->expected ? s->value : state;
    case LINEAR_INCR: return apply_incr(v, s, state);
    case LINEAR_DEL: return says(s, LINEAR_INT, state != ABSENT) ? ABSENT : NO_STATE;
    case LINEAR_APPEND: return apply_append(v, s, state, steps);
    case LINEAR_KINDS: break;
    }
    CHECK(!"a kind of operation that is none");
    return NO_STATE;
}

/* Its reply shows that it left the value as it was, wherever it fits. */
bool linear_step_changes_nothing(const struct step *s)
{
    if (s->unknown) return false;
    bool no = s->op->reply == LINEAR_NIL || (s->op->reply == LINEAR_INT && s->op->reply_number == 0);
    switch ((enum linear_kind)s->op->kind) {
    case LINEAR_GET: return true;
    case LINEAR_SETNX:
    case LINEAR_DEL: return no;
    case LINEAR_CAS: return no || s->expected == s->value;
    case LINEAR_INCR: return s->op->reply == LINEAR_ERROR;
    default: return false;
    }
}

/* Sets the value whatever it was, and nobody learns what it was. */
bool linear_step_overwrites_unseen(const struct step *s)
{
    if (s->op->kind == LINEAR_SET) return true;
    return s->unknown && (s->op->kind == LINEAR_GETSET || s->op->kind == LINEAR_DEL);
}

uint32_t linear_step_needs(struct values *v, const struct step *s)
{
    int64_t old;
    uint32_t shown = s->op->reply == LINEAR_NIL ? ABSENT : s->op->reply == LINEAR_BULK ? s->reply : NO_STATE;
    if (s->unknown) return NO_STATE;
    switch ((enum linear_kind)s->op->kind) {
    case LINEAR_GET:
    case LINEAR_GETSET: return shown;
    case LINEAR_SETNX: return s->op->reply_number == 1 ? ABSENT : NO_STATE;
    case LINEAR_DEL: return s->op->reply_number == 0 ? ABSENT : NO_STATE;
    case LINEAR_CAS: return shown == NO_STATE && s->op->reply_number == 1 ? s->expected : shown;
    case LINEAR_INCR: /* 0 may have been absent */
        if (s->op->reply != LINEAR_INT) return NO_STATE;
        if (__builtin_sub_overflow(s->op->reply_number, s->op->number, &old) || !old) return NO_STATE;
        return intern_number(v, old);
    default: return NO_STATE;
    }
}

uint32_t linear_step_makes(struct values *v, const struct step *s)
{
    switch ((enum linear_kind)s->op->kind) {
    case LINEAR_SET:
    case LINEAR_GETSET:
    case LINEAR_SETNX:
    case LINEAR_CAS: return s->value;
    case LINEAR_DEL: return ABSENT;
    case LINEAR_INCR:
        return s->unknown || s->op->reply != LINEAR_INT ? NO_STATE : intern_number(v, s->op->reply_number);
    default: return NO_STATE;
    }
}

bool linear_step_may_append_to(const struct step *s, struct slice result)
{
    struct slice end = s->op->value;
    if (s->op->kind != LINEAR_APPEND || result.len < end.len) return false;
    if (!s->unknown && s->op->reply_number != (int64_t)result.len) return false;
    return !end.len || memcmp(result.ptr + result.len - end.len, end.ptr, end.len) == 0;
}
