/* What is on a simulated disk, what of it is durable, and what a power loss makes of the rest.
 *
 * Each node has a flat store of named files in memory. Directories are not modelled: a path is a name, and
 * the directory of a name is what stands before its last slash.
 *
 *    content   now      = what programs read
 *              durable  = now as of the last sync
 *              writes     what came since, in order, each with its bytes
 *    names     entries  = what programs see
 *              durable  = the names as of the last sync of their directory
 *              changes    creates, renames and unlinks since, in order
 *
 * A power loss takes durable and lays over it those writes and changes that the faults leave: all of them, if
 * none is on. Of a content at most WRITES_MAX writes or WRITE_BYTES_MAX bytes wait; the older half then
 * becomes durable, as a kernel writes back in its own time. Within a directory changes of names become
 * durable in order. Tests: test/unit/sim_disk_test.c.
 */
#include "io/sim.h"

#include <stdlib.h>
#include <string.h>

#define WRITES_MAX      4096
#define WRITE_BYTES_MAX (8 * 1024 * 1024)
#define SECTOR          512
#define PAGE            4096

struct sim_write {
    struct list link;
    uint64_t offset;
    size_t len;
    bool truncate; /* to nothing */
    uint8_t data[];
};

enum name_step { NAME_CREATE, NAME_RENAME, NAME_UNLINK };

struct name_change {
    struct list link;
    enum name_step step;
    char *name, *from; /* `from` of a rename only */
    struct sim_content *content;
};

/* ---- bytes ---- */

static void bytes_reserve(struct sim_bytes *b, size_t room)
{
    if (room <= b->room) return;
    b->room = room * 2;
    b->data = realloc(b->data, b->room);
    CHECK(b->data != NULL);
}

static void bytes_put(struct sim_bytes *b, const void *data, size_t len, uint64_t offset)
{
    if (len == 0) return; /* as pwrite(): a file does not grow by nothing */
    bytes_reserve(b, offset + len);
    if (offset > b->len) memset(b->data + b->len, 0, offset - b->len); /* a hole reads as zeros */
    memcpy(b->data + offset, data, len);
    if (offset + len > b->len) b->len = offset + len;
}

static void bytes_copy(struct sim_bytes *to, const struct sim_bytes *from)
{
    to->len = 0;
    if (from->len > 0) bytes_put(to, from->data, from->len, 0);
}

/* ---- contents ---- */

static struct sim_content *content_create(void)
{
    struct sim_content *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->references = 1;
    list_init(&c->writes);
    return c;
}

static void write_drop(struct sim_content *c, struct sim_write *w)
{
    list_remove(&w->link);
    c->write_count--;
    c->write_bytes -= w->len;
    free(w);
}

void sim_content_release(struct sim_content *c)
{
    if (--c->references > 0) return;
    while (!list_empty(&c->writes)) write_drop(c, LIST_OWNER(c->writes.next, struct sim_write, link));
    free(c->now.data);
    free(c->durable.data);
    free(c->old.data);
    free(c);
}

static void write_apply(struct sim_bytes *to, const struct sim_write *w)
{
    if (w->truncate)
        to->len = 0;
    else
        bytes_put(to, w->data, w->len, w->offset);
}

/* The oldest writes become durable until `left` wait. */
static void write_back(struct sim_content *c, size_t left)
{
    while (c->write_count > left) {
        struct sim_write *w = LIST_OWNER(c->writes.next, struct sim_write, link);
        write_apply(&c->durable, w);
        write_drop(c, w);
    }
}

static void write_note(struct sim_content *c, bool truncate, const void *data, size_t len, uint64_t offset)
{
    struct sim_write *w = malloc(sizeof(*w) + len);
    CHECK(w != NULL);
    *w = (struct sim_write){.offset = offset, .len = len, .truncate = truncate};
    if (len > 0) memcpy(w->data, data, len);
    list_init(&w->link);
    list_append(&c->writes, &w->link);
    c->write_count++;
    c->write_bytes += len;
    if (c->write_count > WRITES_MAX || c->write_bytes > WRITE_BYTES_MAX) write_back(c, c->write_count / 2);
}

void sim_content_write(struct sim_content *c, const void *data, size_t len, uint64_t offset)
{
    if (len == 0) return;
    uint64_t end = offset + len;
    c->old.len = 0;
    c->old_offset = offset;
    bytes_reserve(&c->old, len);
    memset(c->old.data, 0, len);
    c->old.len = len;
    if (offset < c->now.len)
        memcpy(c->old.data, c->now.data + offset, (end < c->now.len ? end : c->now.len) - offset);
    bytes_put(&c->now, data, len, offset);
    write_note(c, false, data, len, offset);
}

void sim_content_truncate(struct sim_content *c)
{
    if (c->now.len == 0) return;
    c->now.len = 0;
    write_note(c, true, NULL, 0, 0);
}

void sim_content_sync(struct sim_content *c)
{
    write_back(c, 0);
}

/* The pages are marked clean without having been written: never tried again. Some leave the cache, too, and
 * the old bytes are read again. */
void sim_content_sync_fails(struct sim_node *node, struct sim_content *c)
{
    while (!list_empty(&c->writes)) {
        struct sim_write *w = LIST_OWNER(c->writes.next, struct sim_write, link);
        if (sim_fault_below(node->sim, IO_SIM_DISK_SYNC_ERROR, 2) == 0) {
            for (uint64_t i = w->offset; i < w->offset + w->len && i < c->now.len; i++)
                c->now.data[i] = i < c->durable.len ? c->durable.data[i] : 0;
        }
        write_drop(c, w);
    }
}

bool sim_content_flip(struct sim_node *node, struct sim_content *c, uint64_t offset, size_t len)
{
    if (offset >= c->now.len || len == 0) return false;
    if (len > c->now.len - offset) len = c->now.len - offset;
    uint64_t at = offset + sim_fault_below(node->sim, IO_SIM_DISK_BIT_FLIP, len);
    uint8_t bit = (uint8_t)(1u << sim_fault_below(node->sim, IO_SIM_DISK_BIT_FLIP, 8));
    c->now.data[at] ^= bit;
    if (at < c->durable.len) c->durable.data[at] ^= bit;
    for (struct list *l = c->writes.next; l != &c->writes; l = l->next) {
        struct sim_write *w = LIST_OWNER(l, struct sim_write, link);
        if (!w->truncate && at >= w->offset && at < w->offset + w->len) w->data[at - w->offset] ^= bit;
    }
    return true;
}

bool sim_content_stale(const struct sim_content *c, uint8_t *buf, size_t len, uint64_t offset)
{
    bool differs = false;
    for (size_t i = 0; i < c->old.len; i++) {
        uint64_t at = c->old_offset + i;
        if (at < offset || at >= offset + len) continue;
        differs |= buf[at - offset] != c->old.data[i];
        buf[at - offset] = c->old.data[i];
    }
    return differs;
}

/* ---- names ---- */

static struct sim_entry *find_in(struct list *entries, const char *name)
{
    for (struct list *l = entries->next; l != entries; l = l->next) {
        struct sim_entry *e = LIST_OWNER(l, struct sim_entry, link);
        if (strcmp(e->name, name) == 0) return e;
    }
    return NULL;
}

struct sim_entry *sim_disk_find(struct sim_node *node, const char *name)
{
    return find_in(&node->entries, name);
}

static void entry_remove(struct sim_entry *e)
{
    if (e == NULL) return;
    list_remove(&e->link);
    sim_content_release(e->content);
    free(e->name);
    free(e);
}

/* Puts `content` under `name`, in order of names, in place of what had the name. */
static struct sim_entry *entry_put(struct list *entries, const char *name, struct sim_content *content)
{
    struct sim_entry *e = calloc(1, sizeof(*e));
    CHECK(e != NULL);
    content->references++;
    entry_remove(find_in(entries, name));
    e->name = strdup(name);
    CHECK(e->name != NULL);
    e->content = content;
    struct list *l = entries->next;
    while (l != entries && strcmp(LIST_OWNER(l, struct sim_entry, link)->name, name) < 0) l = l->next;
    list_append(l, &e->link); /* before l */
    return e;
}

static void change_note(struct sim_node *node, enum name_step step, const char *name, const char *from,
                        struct sim_content *content)
{
    struct name_change *change = calloc(1, sizeof(*change));
    CHECK(change != NULL);
    change->step = step;
    change->name = strdup(name);
    change->from = from != NULL ? strdup(from) : NULL;
    CHECK(change->name != NULL && (from == NULL || change->from != NULL));
    change->content = content;
    content->references++;
    list_init(&change->link);
    list_append(&node->name_changes, &change->link);
}

static void change_free(struct name_change *change)
{
    list_remove(&change->link);
    sim_content_release(change->content);
    free(change->name);
    free(change->from);
    free(change);
}

struct sim_entry *sim_disk_create(struct sim_node *node, const char *name)
{
    struct sim_content *content = content_create();
    struct sim_entry *e = entry_put(&node->entries, name, content);
    change_note(node, NAME_CREATE, name, NULL, content);
    sim_content_release(content); /* the entry and the change have it */
    return e;
}

void sim_disk_unlink(struct sim_node *node, struct sim_entry *entry)
{
    change_note(node, NAME_UNLINK, entry->name, NULL, entry->content);
    entry_remove(entry);
}

void sim_disk_rename(struct sim_node *node, struct sim_entry *entry, const char *to)
{
    if (strcmp(entry->name, to) == 0) return;
    change_note(node, NAME_RENAME, to, entry->name, entry->content);
    entry_put(&node->entries, to, entry->content);
    entry_remove(entry);
}

static void change_apply(struct sim_node *node, const struct name_change *change)
{
    const char *gone = change->step == NAME_UNLINK ? change->name : change->from;
    if (change->step != NAME_UNLINK) entry_put(&node->durable, change->name, change->content);
    struct sim_entry *e = gone != NULL ? find_in(&node->durable, gone) : NULL;
    if (e != NULL && e->content == change->content) entry_remove(e);
}

static size_t directory_len(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash != NULL ? (size_t)(slash - name) : 0;
}

static bool same_directory(const char *a, const char *b)
{
    size_t len = directory_len(a);
    return len == directory_len(b) && memcmp(a, b, len) == 0;
}

void sim_disk_sync_directory(struct sim_node *node, const char *of_name)
{
    for (struct list *l = node->name_changes.next, *next; l != &node->name_changes; l = next) {
        next = l->next;
        struct name_change *change = LIST_OWNER(l, struct name_change, link);
        if (!same_directory(change->name, of_name)) continue;
        change_apply(node, change);
        change_free(change);
    }
}

/* ---- power loss ---- */

/* Applies the part of a write that lies in [begin, end) of the file. */
static void apply_part(struct sim_bytes *to, const struct sim_write *w, uint64_t begin, uint64_t end)
{
    if (begin < w->offset) begin = w->offset;
    if (end > w->offset + w->len) end = w->offset + w->len;
    if (begin < end) bytes_put(to, w->data + (begin - w->offset), end - begin, begin);
}

static void survive_any(struct sim *sim, struct sim_content *c, struct sim_bytes *to)
{
    for (struct list *l = c->writes.next; l != &c->writes; l = l->next)
        if (sim_fault_below(sim, IO_SIM_DISK_CRASH_REORDERED, 2) == 0)
            write_apply(to, LIST_OWNER(l, struct sim_write, link));
}

static void survive_first(struct sim *sim, struct sim_content *c, struct sim_bytes *to)
{
    enum io_sim_fault f = IO_SIM_DISK_CRASH_TORN_4096;
    uint64_t whole = sim_fault_below(sim, f, c->write_count);
    for (struct list *l = c->writes.next; l != &c->writes; l = l->next) {
        const struct sim_write *w = LIST_OWNER(l, struct sim_write, link);
        if (whole-- > 0) {
            write_apply(to, w);
            continue;
        }
        uint64_t pages = (w->offset + w->len) / PAGE - w->offset / PAGE; /* boundaries within it */
        uint64_t cut = pages > 0 ? (w->offset / PAGE + 1 + sim_fault_below(sim, f, pages)) * PAGE : 0;
        if (!w->truncate) apply_part(to, w, 0, cut);
        return;
    }
}

static void survive_sectors(struct sim *sim, struct sim_content *c, struct sim_bytes *to)
{
    enum io_sim_fault f = IO_SIM_DISK_CRASH_TORN_512;
    for (struct list *l = c->writes.next; l != &c->writes; l = l->next) {
        const struct sim_write *w = LIST_OWNER(l, struct sim_write, link);
        if (w->truncate && sim_fault_below(sim, f, 2) == 0) to->len = 0;
        uint64_t last = w->len > 0 ? (w->offset + w->len - 1) / SECTOR : 0;
        for (uint64_t s = w->offset / SECTOR; s <= last && w->len > 0; s++)
            if (sim_fault_below(sim, f, 2) == 0) apply_part(to, w, s * SECTOR, (s + 1) * SECTOR);
    }
}

/* What was added to the file, from some place on. `to` has everything; it began to grow at `grown_from`. */
static void spoil_tail(struct sim *sim, struct sim_bytes *to, size_t grown_from, enum io_sim_fault f)
{
    if (to->len <= grown_from) return;
    size_t from = grown_from + sim_fault_below(sim, f, to->len - grown_from);
    if (f == IO_SIM_DISK_CRASH_TRUNCATED) {
        to->len = from;
        return;
    }
    for (size_t i = from; i < to->len; i++)
        to->data[i] = f == IO_SIM_DISK_CRASH_ZERO_TAIL ? 0 : (uint8_t)sim_fault_below(sim, f, 256);
}

static bool bytes_equal(const struct sim_bytes *a, const struct sim_bytes *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* Makes of durable and the waiting writes what one fault leaves; `whole` is with all of them. */
static void image_of(struct sim *sim, struct sim_content *c, const struct sim_bytes *whole,
                     enum io_sim_fault fault, struct sim_bytes *to)
{
    bytes_copy(to, fault >= IO_SIM_DISK_CRASH_TRUNCATED ? whole : &c->durable);
    switch (fault) {
    case IO_SIM_DISK_CRASH_LOST: break;
    case IO_SIM_DISK_CRASH_REORDERED: survive_any(sim, c, to); break;
    case IO_SIM_DISK_CRASH_TORN_4096: survive_first(sim, c, to); break;
    case IO_SIM_DISK_CRASH_TORN_512: survive_sectors(sim, c, to); break;
    default: spoil_tail(sim, to, c->durable.len, fault);
    }
}

_Static_assert(IO_SIM_DISK_CRASH_GARBAGE_TAIL - IO_SIM_DISK_CRASH_LOST == 6, "one range of the table");
_Static_assert(IO_SIM_DISK_CRASH_TRUNCATED - IO_SIM_DISK_CRASH_LOST == 4, "the tail's faults are the last");

/* The first fault that is drawn has the file. It counts when it has taken something. */
static void content_lose_power(struct sim_node *node, struct sim_content *c)
{
    struct sim_bytes whole = {0}, image = {0};
    if (c->crashed) return;
    c->crashed = true;
    bytes_copy(&whole, &c->durable);
    for (struct list *l = c->writes.next; l != &c->writes; l = l->next)
        write_apply(&whole, LIST_OWNER(l, struct sim_write, link));
    const struct sim_bytes *picked = &whole;
    for (int f = IO_SIM_DISK_CRASH_LOST; f <= IO_SIM_DISK_CRASH_GARBAGE_TAIL && picked == &whole; f++) {
        if (c->write_count == 0 || !sim_fault_draw(node, f)) continue;
        image_of(node->sim, c, &whole, f, &image);
        picked = &image;
        if (!bytes_equal(&image, &whole)) sim_fault_count(node, f);
    }
    while (!list_empty(&c->writes)) write_drop(c, LIST_OWNER(c->writes.next, struct sim_write, link));
    bytes_copy(&c->now, picked);
    bytes_copy(&c->durable, picked);
    c->old.len = 0;
    free(whole.data);
    free(image.data);
}

/* Whether the change, and with it all later ones of its directory, is lost. */
static bool change_lost(struct sim_node *node, const struct name_change *change)
{
    static const enum io_sim_fault faults[] = {IO_SIM_DISK_CREATE_LOST, IO_SIM_DISK_RENAME_LOST,
                                               IO_SIM_DISK_UNLINK_LOST};
    return sim_fault_hit(node, faults[change->step]);
}

static void names_lose_power(struct sim_node *node)
{
    while (!list_empty(&node->name_changes)) {
        struct name_change *change = LIST_OWNER(node->name_changes.next, struct name_change, link);
        if (!change_lost(node, change)) {
            change_apply(node, change);
            change_free(change);
            continue;
        }
        for (struct list *l = change->link.next, *next; l != &node->name_changes; l = next) {
            next = l->next;
            struct name_change *later = LIST_OWNER(l, struct name_change, link);
            if (same_directory(later->name, change->name)) change_free(later);
        }
        change_free(change);
    }
}

static void entries_copy(struct list *to, struct list *from)
{
    while (!list_empty(to)) entry_remove(LIST_OWNER(to->next, struct sim_entry, link));
    for (struct list *l = from->next; l != from; l = l->next) {
        struct sim_entry *e = LIST_OWNER(l, struct sim_entry, link);
        entry_put(to, e->name, e->content);
    }
}

void sim_disk_power_loss(struct sim_node *node)
{
    names_lose_power(node);
    for (struct list *l = node->durable.next; l != &node->durable; l = l->next)
        content_lose_power(node, LIST_OWNER(l, struct sim_entry, link)->content);
    for (struct list *l = node->durable.next; l != &node->durable; l = l->next)
        LIST_OWNER(l, struct sim_entry, link)->content->crashed = false;
    entries_copy(&node->entries, &node->durable);
}

/* ---- life, and what a harness may ask ---- */

void sim_disk_node_init(struct sim_node *node)
{
    list_init(&node->entries);
    list_init(&node->durable);
    list_init(&node->name_changes);
}

void sim_disk_node_destroy(struct sim_node *node)
{
    while (!list_empty(&node->name_changes))
        change_free(LIST_OWNER(node->name_changes.next, struct name_change, link));
    while (!list_empty(&node->entries)) entry_remove(LIST_OWNER(node->entries.next, struct sim_entry, link));
    while (!list_empty(&node->durable)) entry_remove(LIST_OWNER(node->durable.next, struct sim_entry, link));
}

void sim_disk_freeze(struct sim_node *node)
{
    node->read_only = false;
    node->disk_stalled_until_us = 0;
}

void io_sim_disk_wipe(struct io_world *node)
{
    sim_disk_node_destroy(sim_node_of(node));
}

uint8_t *io_sim_disk_peek(struct io_world *world, const char *path, bool durable, size_t *len)
{
    struct sim_node *node = sim_node_of(world);
    const struct sim_entry *e = find_in(durable ? &node->durable : &node->entries, path);
    if (e == NULL) return NULL;
    const struct sim_bytes *b = durable ? &e->content->durable : &e->content->now;
    *len = b->len;
    return sim_copy(b->data, b->len);
}
