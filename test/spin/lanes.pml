/* Two lanes and credits (src/shard/mail.c): two actors that both send requests, answer each other's (at once or later)
 * and now and then send a note that nobody asked for, merged while there is no spare room.
 *
 * Checked: a data or control lane never overflows, every request is answered, no deadlock. Seeded bugs: EARLY_CREDIT a
 * credit is back when the request is taken, not with its answer; NOTES_TAKE_ALL notes use the last free slot; SMALL_LANE
 * the control lane is no longer than the data lane; ONE_LANE answers queue behind requests. */
#define DATA_SLOTS 2
#ifdef SMALL_LANE
#define CONTROL_SLOTS DATA_SLOTS
#else
#define CONTROL_SLOTS (2 * DATA_SLOTS)
#endif
#define REQUESTS 4
#define NOTES    3

mtype = { REQUEST, ANSWER, NOTE, CREDIT };

chan data[2] = [DATA_SLOTS] of { mtype };       /* by sender */
chan control[2] = [CONTROL_SLOTS] of { mtype };
byte finished;

proctype actor(byte me)
{
    byte peer = 1 - me, credits = DATA_SLOTS, to_send = REQUESTS, unanswered = 0, deferred = 0, taken = 0;
    byte notes = NOTES, waiting_notes = 0, notes_seen = 0;
    do
    /* What has come is taken at any time. */
    :: atomic { control[peer] ? ANSWER ->
        unanswered--;
#ifndef EARLY_CREDIT
        credits++
#endif
    }
    :: atomic { control[peer] ? CREDIT -> credits++ }
    :: atomic { control[peer] ? NOTE -> notes_seen = 1 }
    :: atomic { data[peer] ? REQUEST -> deferred++; taken++;
#ifdef EARLY_CREDIT
        assert(nfull(control[me]));
        control[me] ! CREDIT
#endif
    }
#ifdef ONE_LANE
    :: atomic { data[peer] ? ANSWER -> unanswered--; credits++ }
    :: deferred > 0 && nfull(data[me]) -> atomic { data[me] ! ANSWER; deferred-- }
#else
    /* Answers, in this turn or in a later one (a grant that had to wait). */
    :: atomic { deferred > 0 ->
        assert(nfull(control[me]));
        control[me] ! ANSWER;
        deferred--
    }
#endif
    :: atomic { to_send > 0 && credits > 0 ->
        assert(nfull(data[me]));
        data[me] ! REQUEST;
        credits--;
        to_send--;
        unanswered++
    }
    :: notes > 0 -> atomic { notes--; waiting_notes = 1 }
    /* has_spare_control: room for DATA_SLOTS + 1 */
#ifdef NOTES_TAKE_ALL
    :: atomic { waiting_notes > 0 && nfull(control[me]) -> control[me] ! NOTE; waiting_notes = 0 }
#else
    :: atomic { waiting_notes > 0 && CONTROL_SLOTS - len(control[me]) >= DATA_SLOTS + 1 ->
        control[me] ! NOTE;
        waiting_notes = 0
    }
#endif
    :: atomic {
        to_send == 0 && unanswered == 0 && taken == REQUESTS && deferred == 0 && notes == 0 && waiting_notes == 0 ->
        assert(credits == DATA_SLOTS);
        finished++;
        break
    }
    od;
end: /* what is left to come are notes */
    do
    :: control[peer] ? NOTE
    :: control[peer] ? CREDIT
    od
}

init
{
    atomic {
        run actor(0);
        run actor(1)
    }
    finished == 2
}
