/* Intrusive doubly linked list with a head that points to itself when empty. A link that is in no list points
 * to itself too, so list_remove() is harmless on it and list_linked() answers whether it is in one. */
#ifndef WEFT_IO_LIST_H
#define WEFT_IO_LIST_H

#include <stddef.h>
#include <stdbool.h>

struct list {
    struct list *next, *prev;
};

#define LIST_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_linked(const struct list *l)
{
    return l->next != l;
}
static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

static inline void list_remove(struct list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

#endif
