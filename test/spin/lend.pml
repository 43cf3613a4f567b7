/* Lend, run, return (src/shard/lend.c; execute() in src/shard/shard.c): three shards that own one partition each. Every
 * shard has borrowers (sessions) that want any two or three partitions, one owner after the other in ascending order, the
 * own shard at its place; a request takes a credit, and there is one per pair of shards. Single commands for a partition
 * arrive at its owner and are parked while it is lent.
 *
 * Checked: nobody touches a partition that somebody else holds; who runs holds all it wants; what was parked has run
 * before its partition is lent again; no deadlock: all borrowers come to an end. Seeded bugs: ANY_ORDER a borrower asks in any order;
 * OWN_FIRST it takes its own shard's partition before the others; GRANT_FIRST partitions are lent again before parked
 * commands run; LEND_TWICE a lender does not look whether the partition is home. */
#define SHARDS    3
#define BORROWERS 3
#define NOBODY    255
#ifdef CROWDED /* two borrowers of one shard compete for its credits */
#define LIVES_ON(b) ((b) / 2)
#define COMMANDS    0
#else
#define LIVES_ON(b) (b)
#define COMMANDS    1 /* single commands that each shard gets */
#endif

byte holder[SHARDS];   /* of partition p (owned by shard p): a borrower, or NOBODY: it is home */
bool parked[SHARDS];   /* at the owner: a command waits for the partition */
bool returned[SHARDS]; /* came home and parked commands have not run yet */
byte done;

chan lend[SHARDS] = [BORROWERS] of { byte };  /* MESSAGE_LEND to shard: the borrower */
chan queue[SHARDS] = [BORROWERS] of { byte }; /* its lend_queue */
chan grant[BORROWERS] = [1] of { byte };      /* MESSAGE_GRANT: the partition */
chan home[SHARDS] = [BORROWERS] of { byte };  /* MESSAGE_RETURN to shard */
bool credit[SHARDS * SHARDS];                 /* [from * SHARDS + to] is taken */

proctype borrower(byte me)
{
    byte shard = LIVES_ON(me), at = 0, p = 0;
    bool wants[SHARDS], held[SHARDS];
    atomic {
        if
        :: wants[0] = true; wants[1] = true
        :: wants[1] = true; wants[2] = true
        :: wants[0] = true; wants[2] = true
        :: wants[0] = true; wants[1] = true; wants[2] = true
        fi
    };
    do
    :: atomic { at < SHARDS ->
        /* which one is asked now */
#ifdef ANY_ORDER
        if
        :: wants[0] && !held[0] -> p = 0
        :: wants[1] && !held[1] -> p = 1
        :: wants[2] && !held[2] -> p = 2
        :: else -> p = NOBODY
        fi;
#else
#ifdef OWN_FIRST
        if
        :: wants[shard] && !held[shard] -> p = shard
        :: else -> p = at
        fi;
#else
        p = at;
#endif
        if
        :: !wants[p] || held[p] -> p = NOBODY
        :: else -> skip
        fi;
#endif
        if
        :: p == NOBODY -> at++
        :: p == shard ->
            queue[p] ! me;
            grant[me] ? p;
            held[p] = true
        :: else ->
            !credit[shard * SHARDS + p] -> credit[shard * SHARDS + p] = true;
            lend[p] ! me;
            grant[me] ? p;
            credit[shard * SHARDS + p] = false;
            held[p] = true
        fi;
        p = 0
    }
    :: atomic { at == SHARDS -> break }
    od;
    atomic { /* runs */
        assert(!wants[0] || holder[0] == me);
        assert(!wants[1] || holder[1] == me);
        assert(!wants[2] || holder[2] == me)
    };
    atomic { /* gives back, in one go; the mail delivers at any time */
        if :: wants[0] -> home[0] ! me :: else -> skip fi;
        if :: wants[1] -> home[1] ! me :: else -> skip fi;
        if :: wants[2] -> home[2] ! me :: else -> skip fi;
        done++
    }
}

proctype owner(byte me)
{
    byte b, commands = COMMANDS;
    do
    /* messages */
    :: atomic { lend[me] ? b -> queue[me] ! b; b = 0 }
    :: atomic { home[me] ? b -> assert(holder[me] == b); holder[me] = NOBODY; returned[me] = true; b = 0 }
    :: atomic { commands > 0 -> commands--;
        if
        :: holder[me] == NOBODY -> skip /* runs at once */
        :: else -> parked[me] = true
        fi
    }
    /* execute(): parked commands, then the queue */
    :: atomic { returned[me] -> parked[me] = false; returned[me] = false }
#ifdef GRANT_FIRST
    :: atomic { holder[me] == NOBODY && queue[me] ? [b] ->
#else
#ifdef LEND_TWICE
    :: atomic { queue[me] ? [b] ->
#else
    :: atomic { holder[me] == NOBODY && !returned[me] && queue[me] ? [b] ->
#endif
#endif
        queue[me] ? b;
#ifndef LEND_TWICE
        assert(!parked[me]);
#endif
        assert(holder[me] == NOBODY);
        holder[me] = b;
        grant[b] ! me;
        b = 0
    }
    :: atomic { done == BORROWERS && commands == 0 && holder[me] == NOBODY && !returned[me] && empty(home[me]) ->
        assert(!parked[me]);
        break
    }
    od
}

init
{
    byte i;
    atomic {
        for (i : 0 .. SHARDS - 1) {
            holder[i] = NOBODY;
            run owner(i)
        }
        for (i : 0 .. BORROWERS - 1) {
            run borrower(i)
        }
    }
}
