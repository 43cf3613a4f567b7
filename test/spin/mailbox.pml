/* Wake-up of an actor that sleeps: mail_publish (src/shard/mail.c), wait_for_work (src/shard/shard.c) and the eventfd's
 * state behind io_wake (src/io/wake.h), two producers, one consumer, on a machine with store buffers. The wait has no
 * timeout here, so a lost wake-up is a deadlock.
 *
 * A producer publishes, fences, then looks whether the consumer sleeps; the consumer says that it sleeps, fences, then
 * looks at its rings. Seeded bugs: NO_PRODUCER_FENCE, NO_CONSUMER_FENCE, LOOK_FIRST (the rings before the flag),
 * FORGETFUL_WAKE (a wake-up that comes before the sleep is not kept), STALE_FLAG (the flag is not taken back by the
 * waker nor set anew by the sleeper). */
#define PRODUCERS 2
#define MESSAGES  2 /* of each */

#define AWAKE  0
#define ASLEEP 1
#define WOKEN  2

byte tail[PRODUCERS];
bool sleeping;
byte wake_state = AWAKE;
byte eventfd; /* edges not seen yet */

/* Store buffers: first in, first out, per thread. */
chan tail_buffer[PRODUCERS] = [2] of { byte };
chan flag_buffer = [3] of { bit };

active proctype memory()
{
    byte value;
    bit flag;
end:
    do
    :: atomic { tail_buffer[0] ? value -> tail[0] = value }
    :: atomic { tail_buffer[1] ? value -> tail[1] = value }
    :: atomic { flag_buffer ? flag -> sleeping = flag }
    od
}

inline io_wake()
{
    atomic {
        if
        :: wake_state == ASLEEP -> eventfd++; wake_state = WOKEN
#ifdef FORGETFUL_WAKE
        :: else -> skip
#else
        :: else -> wake_state = WOKEN
#endif
        fi
    }
}

active [PRODUCERS] proctype producer()
{
    byte n = 0;
    bool saw;
    byte me = _pid - 1; /* memory is process 0 */
    do
    :: n < MESSAGES ->
        n++;
        tail_buffer[me] ! n; /* ring_publish */
#ifndef NO_PRODUCER_FENCE
        empty(tail_buffer[me]);
#endif
        saw = sleeping;
        if
        :: saw ->
            atomic { /* exchange: a fence of its own */
                empty(tail_buffer[me]) -> saw = sleeping;
#ifndef STALE_FLAG
                sleeping = false
#endif
            };
            if
            :: saw -> io_wake()
            :: else -> skip
            fi
        :: else -> skip
        fi
    :: else -> break
    od
}

active proctype consumer()
{
    byte head[PRODUCERS], i;
    bool found, sleeps;
    do
    :: head[0] + head[1] < PRODUCERS * MESSAGES ->
        /* wait_for_work */
#ifdef LOOK_FIRST
        found = tail[0] != head[0] || tail[1] != head[1];
        flag_buffer ! 1;
        empty(flag_buffer);
#else
#ifdef STALE_FLAG
        if :: head[0] + head[1] == 0 -> flag_buffer ! 1 :: else -> skip fi;
#else
        flag_buffer ! 1;
#endif
#ifndef NO_CONSUMER_FENCE
        empty(flag_buffer);
#endif
        found = tail[0] != head[0];
        found = found || tail[1] != head[1];
#endif
        sleeps = !found;
        if
        :: found -> flag_buffer ! 0
        :: else -> skip
        fi;
        /* io_wait */
        if
        :: sleeps ->
            atomic {
                if
                :: wake_state == AWAKE -> wake_state = ASLEEP
                :: else -> sleeps = false
                fi
            };
            if
            :: sleeps -> atomic { eventfd > 0 -> eventfd = 0 }
            :: else -> skip
            fi;
            atomic { wake_state = AWAKE };
#ifndef STALE_FLAG
            flag_buffer ! 0
#endif
        :: else -> wake_state = AWAKE
        fi;
        /* mail_receive */
        for (i : 0 .. PRODUCERS - 1) {
            do
            :: head[i] != tail[i] -> head[i]++
            :: else -> break
            od
        }
    :: else -> break
    od
}
