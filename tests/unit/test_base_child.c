/* However a child ends: a status, and the right one. Out of memory is what was refused within its limit; what went over
 * the limit, or crashed without being refused any, is the fault of what it worked on. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/child.h"
#include "base/mem.h"
#include "support/support.h"

enum { MEMORY = 256 << 20, PART = 1 << 20, WALL_S = 60 };

/* Says what it is expected to, then ends as it is told. */
typedef struct plan {
    int sig;     /* 0: none */
    bool exits;  /* as libraries do, with what looks like success */
    bool greedy; /* takes memory until there is none */
    bool ours;   /* from lb_alloc */
    bool returns, done;
} plan;

static void *volatile kept; /* so that no compiler leaves the allocations out */

static bool work(void *user, int out) {
    const plan *p = user;
    const char hello = 'x';
    if (!lb_child_write(out, &hello, 1)) return false;
    for (bool more = p->greedy; more;) {
        kept = p->ours ? lb_alloc(1, PART) : malloc(PART);
        more = kept != NULL;
    }
    if (p->sig) (void)raise(p->sig);
    if (p->exits) exit(EXIT_SUCCESS); /* NOLINT(concurrency-mt-unsafe) */
    return p->done;
}

static lb_status outcome(plan p) {
    lb_child c;
    char byte = 0;
    assert_ok(lb_child_start(work, &p, MEMORY, &c));
    assert_ok(lb_child_read(&c, &byte, 1, WALL_S));
    assert_int_equal(byte, 'x');
    lb_status st = lb_child_read(&c, &byte, 1, WALL_S);
    assert_int_equal(c.pid, 0);
    return st;
}

static void crashes(void **state) {
    (void)state;
    assert_status(LB_E_FORMAT, outcome((plan){.sig = SIGSEGV}));
    if (!LB_TEST_SANITIZED) assert_error_has("Segmentation fault");
    assert_status(LB_E_FORMAT, outcome((plan){.sig = SIGPROF}));
    assert_status(LB_E_FORMAT, outcome((plan){.exits = true}));
    assert_status(LB_E_FORMAT, outcome((plan){.done = true})); /* it said less than was expected */
    assert_status(LB_E_NOMEM, outcome((plan){.sig = SIGKILL}));
    assert_error_has("out of memory");
}

static void over_its_own_limit(void **state) {
    (void)state;
    if (LB_TEST_SANITIZED) skip();
    assert_status(LB_E_FORMAT, outcome((plan){.greedy = true, .sig = SIGABRT}));
    assert_status(LB_E_FORMAT, outcome((plan){.greedy = true, .exits = true}));
    assert_status(LB_E_FORMAT, outcome((plan){.greedy = true}));
    assert_status(LB_E_FORMAT, outcome((plan){.greedy = true, .ours = true}));
}

static void memory_is_scarce(void **state) {
    (void)state;
    struct rlimit before, less;
    lb_status st[5];
    if (LB_TEST_SANITIZED) skip();
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    less = before;
    less.rlim_cur = MEMORY; /* the program itself is in it */
    assert_int_equal(setrlimit(RLIMIT_AS, &less), 0);
    st[0] = outcome((plan){.greedy = true, .sig = SIGABRT});
    st[1] = outcome((plan){.greedy = true, .exits = true});
    st[2] = outcome((plan){.greedy = true});
    st[3] = outcome((plan){.greedy = true, .ours = true, .sig = SIGSEGV});
    st[4] = outcome((plan){.sig = SIGSEGV}); /* there was enough */
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    for (int i = 0; i < 4; i++) assert_int_equal(st[i], LB_E_NOMEM);
    assert_int_equal(st[4], LB_E_FORMAT);
    lb_interrupt_clear();
}

/* One refusal, by a test's hook: there is memory when the child crashes. */
static bool refused_once(void *user, int out) {
    (void)user;
    lb_alloc_fail_at(1);
    void *p = lb_alloc(1, 1);
    char is = (char)(!p && lb_child_memory() == LB_MEMORY_STARVED);
    if (!lb_child_write(out, &is, 1)) return false;
    (void)raise(SIGSEGV); /* as a library does that was refused some */
    return true;
}

static void a_refusal_is_known(void **state) {
    (void)state;
    lb_child c;
    char is = 0;
    assert_ok(lb_child_start(refused_once, NULL, MEMORY, &c));
    assert_ok(lb_child_read(&c, &is, 1, WALL_S));
    assert_int_equal(is, 1);
    lb_status st = lb_child_read(&c, &is, 1, WALL_S);
    assert_int_equal(st, LB_TEST_SANITIZED ? LB_E_FORMAT : LB_E_NOMEM);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes),
        cmocka_unit_test(over_its_own_limit),
        cmocka_unit_test(memory_is_scarce),
        cmocka_unit_test(a_refusal_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
