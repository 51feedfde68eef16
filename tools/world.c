/* The generator of the built-in text: short stories about a small world whose facts persist. Characters stand at
 * places, carry objects, and own counts of things; events change the facts, and questions ask for them, so that a model
 * has something to learn (grammar, names, who is where, how many are left) and something to lose when its weights
 * become coarse.
 *
 *   world --seed N --bytes N > text
 *
 * The same arguments give the same bytes on every machine: draws come from the counter-based generator alone, one
 * stream a story. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/str.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static const char *const names[] = {"Mia",  "Tom",  "Anna", "Ben",  "Lily",  "Sam",  "Nora", "Max",  "Ella", "Jack",
                                    "Rosa", "Otto", "Ivy",  "Hugo", "Clara", "Finn", "Zoe",  "Emil", "Ada",  "Leo"};
static const bool is_girl[] = {true, false, true, false, true, false, true, false, true, false,
                               true, false, true, false, true, false, true, false, true, false};
static const char *const places[] = {"garden", "kitchen", "school",  "park",   "market", "forest",
                                     "river",  "barn",    "library", "bakery", "harbor", "mill"};
static const char *const objects[] = {"ball", "book", "lamp", "kite", "basket", "drum", "key",    "hat",
                                      "boat", "cup",  "rope", "bell", "map",    "coat", "whistle"};
static const char *const colours[] = {"red", "blue", "green", "yellow", "white", "black", "brown"};
static const char *const things[] = {"apple", "coin", "shell", "button", "cookie", "stone", "feather", "nut"};
static const char *const feelings[] = {"happy", "tired", "sad", "proud", "hungry", "cold", "curious", "angry"};
static const char *const weathers[] = {"sunny", "rainy", "windy", "cloudy", "snowy", "foggy"};
static const char *const times[] = {"morning", "afternoon", "evening", "day", "night"};
static const char *const numbers[] = {"no",    "one",   "two",  "three", "four",   "five",  "six",
                                      "seven", "eight", "nine", "ten",   "eleven", "twelve"};
static const char *const animals[] = {"dog", "cat", "duck", "goat", "owl", "horse"};

enum { CAST_MAX = 3, ITEMS = 2, MOST = 12 };

typedef struct item {
    int object, colour;
    int holder; /* index into the cast, or -1: it lies at `place` */
    int place;
} item;

typedef struct person {
    int name, place, thing, have, feeling; /* feeling -1: not told yet */
} person;

typedef struct story {
    lb_rng rng;
    lb_str *out;
    person cast[CAST_MAX];
    int people;
    item items[ITEMS];
    int last; /* who was named last: may be "he" or "she" now */
} story;

/* Zipf-like: the k-th choice has weight 1 / (k + 1), so that some words are common and some rare. */
static int pick(story *s, int n) {
    double total = 0;
    for (int k = 0; k < n; k++) total += 1.0 / (k + 1);
    double u = lb_rng_uniform(&s->rng) * total;
    for (int k = 0; k < n; k++) {
        u -= 1.0 / (k + 1);
        if (u < 0) return k;
    }
    return n - 1;
}

static int below(story *s, int n) { return (int)lb_rng_below(&s->rng, n); }

static const char *name_of(const story *s, int who) { return names[s->cast[who].name]; }

/* The subject of a sentence: a pronoun now and then when the same person goes on. */
static const char *subject(story *s, int who) {
    bool same = s->last == who;
    s->last = who;
    if (same && below(s, 3) > 0) return is_girl[s->cast[who].name] ? "She" : "He";
    return name_of(s, who);
}

static const char *plural(const char *thing, int n) {
    static const char *const many[] = {"apples", "coins", "shells", "buttons", "cookies", "stones", "feathers", "nuts"};
    for (int i = 0; i < COUNT(things); i++)
        if (things[i] == thing) return n == 1 ? things[i] : many[i];
    return thing;
}

static void tell_item(story *s, const item *it) {
    lb_str_add(s->out, "the %s %s", colours[it->colour], objects[it->object]);
}

static void tell_count(story *s, int who) {
    const person *p = &s->cast[who];
    lb_str_add(s->out, "%s %s", numbers[p->have], plural(things[p->thing], p->have));
}

static void open_story(story *s) {
    const char *weather = weathers[pick(s, COUNT(weathers))], *when = times[pick(s, COUNT(times))];
    static const char *const forms[] = {"One %s %s, ", "It was a %s %s. ", "On a %s %s, "};
    int form = pick(s, COUNT(forms));
    if (form == 0)
        lb_str_add(s->out, "One %s %s, ", weather, when);
    else if (form == 1)
        lb_str_add(s->out, "It was a %s %s. ", weather, when);
    else
        lb_str_add(s->out, "On a %s %s, ", weather, when);
    lb_str_add(s->out, "%s was in the %s.", name_of(s, 0), places[s->cast[0].place]);
    for (int i = 1; i < s->people; i++)
        lb_str_add(s->out, " %s was in the %s.", name_of(s, i), places[s->cast[i].place]);
    s->last = -1;
    for (int i = 0; i < s->people; i++) {
        if (!s->cast[i].have) continue;
        lb_str_add(s->out, " %s had ", name_of(s, i));
        tell_count(s, i);
        lb_str_add(s->out, ".");
    }
    for (int i = 0; i < ITEMS; i++) {
        lb_str_add(s->out, i ? " " : " There was a ");
        if (i) lb_str_add(s->out, "A ");
        lb_str_add(s->out, "%s %s %sin the %s.", colours[s->items[i].colour], objects[s->items[i].object],
                   i ? "was " : "", places[s->items[i].place]);
    }
}

static void set_up(story *s) {
    s->people = 2 + below(s, CAST_MAX - 1);
    for (int i = 0; i < s->people; i++) {
        bool taken;
        do {
            s->cast[i].name = pick(s, COUNT(names));
            taken = false;
            for (int j = 0; j < i; j++) taken = taken || s->cast[j].name == s->cast[i].name;
        } while (taken);
        s->cast[i].place = pick(s, COUNT(places));
        s->cast[i].thing = pick(s, COUNT(things));
        s->cast[i].have = below(s, 8);
        s->cast[i].feeling = -1;
    }
    for (int i = 0; i < ITEMS; i++) {
        do {
            s->items[i] = (item){.holder = -1};
            s->items[i].object = pick(s, COUNT(objects));
            s->items[i].colour = pick(s, COUNT(colours));
            s->items[i].place = pick(s, COUNT(places));
        } while (i && s->items[i].object == s->items[0].object);
    }
}

static void go(story *s, int who) {
    int to;
    do to = pick(s, COUNT(places));
    while (to == s->cast[who].place);
    static const char *const verbs[] = {"went to", "walked to", "ran to", "hurried to"};
    /* One draw a statement: compilers may evaluate arguments in any order. */
    const char *verb = verbs[pick(s, COUNT(verbs))], *name = subject(s, who);
    lb_str_add(s->out, " %s %s the %s.", name, verb, places[to]);
    s->cast[who].place = to;
}

static void take(story *s, int who) {
    for (int i = 0; i < ITEMS; i++) {
        item *it = &s->items[i];
        if (it->holder >= 0) continue;
        if (it->place != s->cast[who].place) {
            lb_str_add(s->out, " %s went to the %s.", subject(s, who), places[it->place]);
            s->cast[who].place = it->place;
        }
        static const char *const verbs[] = {"took", "picked up", "found"};
        const char *verb = verbs[pick(s, COUNT(verbs))], *name = subject(s, who);
        lb_str_add(s->out, " %s %s ", name, verb);
        tell_item(s, it);
        lb_str_add(s->out, ".");
        it->holder = who;
        return;
    }
    go(s, who);
}

static void put(story *s, int who) {
    for (int i = 0; i < ITEMS; i++) {
        item *it = &s->items[i];
        if (it->holder != who) continue;
        int to = below(s, s->people);
        if (to != who && s->cast[to].place == s->cast[who].place) {
            lb_str_add(s->out, " %s gave ", subject(s, who));
            tell_item(s, it);
            lb_str_add(s->out, " to %s.", name_of(s, to));
            it->holder = to;
        } else {
            lb_str_add(s->out, " %s left ", subject(s, who));
            tell_item(s, it);
            lb_str_add(s->out, " in the %s.", places[s->cast[who].place]);
            it->holder = -1;
            it->place = s->cast[who].place;
        }
        return;
    }
    take(s, who);
}

/* A count changes, and the new count is told: arithmetic that can be learned. */
static void count(story *s, int who) {
    person *p = &s->cast[who];
    int n = 1 + pick(s, 4);
    bool more = p->have < n || (p->have + n <= MOST && below(s, 2) == 0);
    static const char *const gain[] = {"found", "got", "bought", "collected"};
    static const char *const lose[] = {"lost", "gave away", "dropped", "sold"};
    const char *verb = more ? gain[pick(s, COUNT(gain))] : lose[pick(s, COUNT(lose))];
    if (p->have == 0) more = true, verb = gain[pick(s, COUNT(gain))];
    bool had = p->have > 0;
    lb_str_add(s->out, " %s %s %s %s%s.", subject(s, who), verb, numbers[n], more && had ? "more " : "",
               plural(things[p->thing], n));
    p->have += more ? n : -n;
    lb_str_add(s->out, " Now %s had ",
               subject(s, who)[0] == names[p->name][0] ? name_of(s, who)
               : is_girl[p->name]                      ? "she"
                                                       : "he");
    tell_count(s, who);
    lb_str_add(s->out, ".");
}

static void share(story *s, int who) {
    int to = (who + 1) % s->people;
    person *a = &s->cast[who], *b = &s->cast[to];
    if (a->have < 2 || (b->have && b->thing != a->thing)) {
        count(s, who);
        return;
    }
    int n = 1 + below(s, a->have / 2);
    if (b->have + n > MOST) n = 1;
    if (b->have + n > MOST) {
        go(s, who);
        return;
    }
    b->thing = a->thing;
    a->have -= n;
    b->have += n;
    lb_str_add(s->out, " %s gave %s %s to %s.", subject(s, who), numbers[n], plural(things[a->thing], n),
               name_of(s, to));
    lb_str_add(s->out, " Then %s had ", name_of(s, who));
    tell_count(s, who);
    lb_str_add(s->out, " and %s had ", name_of(s, to));
    tell_count(s, to);
    lb_str_add(s->out, ".");
    s->last = -1;
}

static void feel(story *s, int who) {
    person *p = &s->cast[who];
    p->feeling = pick(s, COUNT(feelings));
    int form = pick(s, 3);
    if (form == 0)
        lb_str_add(s->out, " %s was %s.", subject(s, who), feelings[p->feeling]);
    else if (form == 1)
        lb_str_add(s->out, " %s felt very %s.", subject(s, who), feelings[p->feeling]);
    else
        lb_str_add(s->out, " \"I am %s,\" said %s.", feelings[p->feeling], name_of(s, who));
    if (form == 2) s->last = who;
}

static void meet(story *s, int who) {
    int other = (who + 1) % s->people;
    if (below(s, 3) == 0) {
        const char *animal = animals[pick(s, COUNT(animals))];
        static const char *const said[] = {"slept", "looked at the sky", "made a loud noise", "ran away"};
        const char *did = said[pick(s, COUNT(said))], *name = subject(s, who);
        lb_str_add(s->out, " %s saw a %s in the %s. The %s %s.", name, animal, places[s->cast[who].place], animal, did);
        return;
    }
    if (s->cast[other].place != s->cast[who].place) {
        lb_str_add(s->out, " %s went to the %s to see %s.", subject(s, who), places[s->cast[other].place],
                   name_of(s, other));
        s->cast[who].place = s->cast[other].place;
    }
    static const char *const lines[] = {"Hello", "Good to see you", "Come with me", "Let us play", "What a day"};
    lb_str_add(s->out, " \"%s, %s!\" said %s.", lines[pick(s, COUNT(lines))], name_of(s, other), name_of(s, who));
    s->last = who;
}

static void ask_item(story *s) {
    const item *it = &s->items[below(s, ITEMS)];
    lb_str_add(s->out, "\nWhere is ");
    tell_item(s, it);
    lb_str_add(s->out, "? ");
    if (it->holder >= 0) {
        lb_str_add(s->out, "%s has ", name_of(s, it->holder));
        tell_item(s, it);
        lb_str_add(s->out, ".");
    } else {
        lb_str_add(s->out, "It is in the %s.", places[it->place]);
    }
}

static void ask(story *s) {
    int who = below(s, s->people), form = below(s, 3);
    const person *p = &s->cast[who];
    if (form == 0) {
        lb_str_add(s->out, "\nWhere is %s? %s is in the %s.", name_of(s, who), name_of(s, who), places[p->place]);
    } else if (form == 1) {
        lb_str_add(s->out, "\nHow many %s does %s have? %s has ", plural(things[p->thing], 2), name_of(s, who),
                   name_of(s, who));
        tell_count(s, who);
        lb_str_add(s->out, ".");
    } else {
        ask_item(s);
    }
}

static void close_story(story *s) {
    static const char *const ends[] = {"In the end, everyone went home.", "It was a good day.",
                                       "Then it was time for bed.", "And that was all."};
    lb_str_add(s->out, " %s", ends[pick(s, COUNT(ends))]);
    int questions = 1 + below(s, 3);
    for (int i = 0; i < questions; i++) ask(s);
    lb_str_add(s->out, "\n\n");
}

static void tell(uint64_t seed, uint64_t number, lb_str *out) {
    story s = {.rng = lb_rng_make(seed, number), .out = out, .last = -1};
    static void (*const events[])(story *, int) = {go, take, count, put, share, meet, feel};
    set_up(&s);
    open_story(&s);
    int n = 5 + below(&s, 8);
    for (int i = 0; i < n; i++) {
        int who = s.last >= 0 && below(&s, 2) ? s.last : below(&s, s.people);
        events[below(&s, COUNT(events))](&s, who);
    }
    close_story(&s);
}

static int usage(void) {
    fprintf(stderr,
            "usage: world --seed N --bytes N\nWrites that many bytes of stories, whole ones, to standard output.\n");
    return 2;
}

int main(int argc, char **argv) {
    int64_t seed = -1, bytes = -1;
    for (int i = 1; i + 1 < argc; i += 2) {
        int64_t *to = strcmp(argv[i], "--seed") == 0 ? &seed : strcmp(argv[i], "--bytes") == 0 ? &bytes : NULL;
        if (!to || lb_parse_i64(argv[i + 1], to) != LB_OK) return usage();
    }
    if (argc != 5 || seed < 0 || bytes < 1) return usage();
    int64_t written = 0;
    for (uint64_t number = 0; written < bytes; number++) {
        lb_str text = {0};
        tell((uint64_t)seed, number, &text);
        if (text.failed || fwrite(text.s, 1, text.len, stdout) != text.len) {
            fprintf(stderr, "world: writing story %llu failed\n", (unsigned long long)number);
            return 1;
        }
        written += (int64_t)text.len;
        lb_str_free(&text);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
