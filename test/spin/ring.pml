/* The ring of src/base/ring.h: one producer, one consumer, both with a cached copy of the other's index, on a machine
 * whose stores become visible late and in any order. A release store becomes visible only after the stores before it.
 *
 * Checked: every message arrives, in order, whole; no slot is overwritten before it was released (R1, R2); no deadlock.
 * Seeded bugs: NO_RELEASE the tail may be seen before the slot; NO_RELEASE_HEAD the head before the slot was read;
 * ROOM_OFF_BY_ONE one slot too many is handed out; STALE_EMPTY the consumer never looks at the tail again. */
#define CAPACITY 2
#define MESSAGES 5

byte slot[CAPACITY]; /* 0: never written */
byte tail, head;
bool reading;        /* the consumer has peeked and not yet copied */
byte reading_at;

/* The producer's store buffer: a slot and a tail that are not visible yet. */
bool slot_waits, tail_waits;
byte slot_at, slot_value, tail_value;

active proctype memory()
{
end:
    do
    :: atomic {
        slot_waits ->
        assert(!(reading && reading_at == slot_at)); /* R2: nobody reads what is being written */
        slot[slot_at] = slot_value;
        slot_waits = false
    }
#ifdef NO_RELEASE
    :: atomic { tail_waits -> tail = tail_value; tail_waits = false }
#else
    :: atomic { tail_waits && !slot_waits -> tail = tail_value; tail_waits = false }
#endif
    od
}

active proctype producer()
{
    byte reserved = 0, head_seen = 0, n = 1;
    do
    :: n <= MESSAGES ->
        /* ring_has_room */
        if
#ifdef ROOM_OFF_BY_ONE
        :: reserved - head_seen <= CAPACITY -> skip
#else
        :: reserved - head_seen < CAPACITY -> skip
#endif
        :: else ->
            do
            :: head_seen = head;
                if
                :: reserved - head_seen < CAPACITY -> break
                :: else -> head != head_seen /* full: comes again when the consumer has moved */
                fi
            od
        fi;
        /* fill; one slot waits at a time, which is no loss: the next store to memory is to another slot */
        atomic { !slot_waits -> slot_at = reserved % CAPACITY; slot_value = n; slot_waits = true };
        reserved++;
        n++;
        if /* publish now, or with the next one */
        :: atomic { !tail_waits -> tail_value = reserved; tail_waits = true }
        :: n <= MESSAGES && reserved - head_seen < CAPACITY -> skip
        fi
    :: else -> break
    od
}

active proctype consumer()
{
    byte tail_seen = 0, mine = 0, expected = 1, copy;
    do
    :: expected <= MESSAGES ->
        /* ring_peek */
        if
        :: mine == tail_seen ->
#ifdef STALE_EMPTY
            if :: tail_seen == 0 -> tail != 0; tail_seen = tail :: else -> false fi
#else
            tail != mine; /* (what it sleeps for: mailbox.pml) */
            tail_seen = tail
#endif
        :: else -> skip
        fi;
        atomic { reading = true; reading_at = mine % CAPACITY };
#ifdef NO_RELEASE_HEAD
        head = mine + 1;
#endif
        copy = slot[mine % CAPACITY];
        atomic { assert(copy == expected); reading = false };
        mine++;
        expected++;
        head = mine;
    :: else -> break
    od;
    assert(head == MESSAGES && tail == MESSAGES)
}
