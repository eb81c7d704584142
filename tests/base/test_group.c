#include "kluis/base/group.h"
#include "tests/support/no_memory.h"
#include "tests/support/test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 16
#define ROUNDS 500

struct counter {
    int value; /* what the submitter wants added */
};

struct bench {
    struct kl_group *group;
    size_t items_max;
    atomic_int inside;   /* groups at work at once */
    atomic_int too_many; /* groups larger than items_max, or two at once */
    long sum;            /* guarded by there being one leader */
    long groups;
};

static void add_all(void *context, struct kl_group_item **items, size_t count)
{
    struct bench *bench = context;

    if (atomic_fetch_add(&bench->inside, 1) != 0 || count < 1 || count > bench->items_max) {
        atomic_fetch_add(&bench->too_many, 1);
    }
    for (size_t i = 0; i < count; i++) {
        const struct counter *counter = items[i]->work;
        if (items[i]->status != KL_OK) {
            atomic_fetch_add(&bench->too_many, 1);
        }
        bench->sum += counter->value;
        if (counter->value % 7 == 0) {
            items[i]->status = kl_fail(items[i]->err, KL_ERR_CONFLICT, "seven", "no sevens", NULL);
        }
    }
    bench->groups++;
    atomic_fetch_sub(&bench->inside, 1);
}

static void *submit_many(void *argument)
{
    struct bench *bench = argument;
    long wrong = 0;

    for (int i = 0; i < ROUNDS; i++) {
        struct kl_err err = {0};
        struct counter counter = {.value = i};
        struct kl_group_item item = {.work = &counter, .err = i % 2 == 0 ? &err : NULL};
        enum kl_status status = kl_group_submit(bench->group, &item);

        wrong += status != (i % 7 == 0 ? KL_ERR_CONFLICT : KL_OK);
        wrong += i % 14 == 0 && strcmp(err.code, "seven") != 0;
    }
    return (void *)(intptr_t)wrong;
}

static void run_threads(size_t items_max)
{
    struct bench bench = {.items_max = items_max};
    pthread_t threads[THREADS];

    bench.group = kl_group_new(add_all, &bench, items_max);
    assert_non_null(bench.group);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &bench), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *wrong = NULL;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_int_equal(atomic_load(&bench.too_many), 0);
    assert_int_equal(bench.sum, (long)THREADS * ROUNDS * (ROUNDS - 1) / 2);
    assert_true(bench.groups <= THREADS * ROUNDS);
    kl_group_free(bench.group);
}

static void test_each_item_is_worked_once_with_its_own_answer(void **state)
{
    (void)state;
    run_threads(1024);
}

static void test_a_group_holds_no_more_than_its_maximum(void **state)
{
    (void)state;
    run_threads(3);
}

static void test_groups_of_one_work_too(void **state)
{
    (void)state;
    run_threads(1);
}

/* The first group works until all others sleep in the queue: they must then be one group. */
struct gate {
    struct kl_group *group;
    pthread_barrier_t leader_inside;
    atomic_int ids[THREADS]; /* of threads, as the kernel counts them; 0: not there yet */
    int groups;
    size_t sizes[THREADS];
};

/*
 * Whoever holds the queue's lock runs, so those that wait for that lock do not sleep for long: when
 * all sleep, and again and again, they sleep in the queue. The state follows the last ")" of a
 * thread's stat (proc(5)).
 */
static bool sleeps(int id)
{
    char path[64];
    char stat[512] = "";
    const char *name_end;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", id);
    fd = id > 0 ? open(path, O_RDONLY) : -1;
    if (fd < 0) {
        return false;
    }
    name_end = read(fd, stat, sizeof(stat) - 1) > 0 ? strrchr(stat, ')') : NULL;
    (void)close(fd);
    return name_end != NULL && name_end[1] == ' ' && name_end[2] == 'S';
}

static void wait_at_the_gate(void *context, struct kl_group_item **items, size_t count)
{
    struct gate *gate = context;

    (void)items;
    if (gate->groups == 0) {
        (void)pthread_barrier_wait(&gate->leader_inside);
        for (int rounds = 0; rounds < 10; rounds++) {
            for (size_t i = 1; i < THREADS; i++) {
                if (!sleeps(atomic_load(&gate->ids[i]))) {
                    rounds = -1;
                    break;
                }
            }
            (void)sched_yield();
        }
    }
    gate->sizes[gate->groups++] = count;
}

struct visitor {
    struct gate *gate;
    size_t number;
};

static void *submit_at_the_gate(void *argument)
{
    const struct visitor *visitor = argument;
    struct kl_group_item item = {0};

    atomic_store(&visitor->gate->ids[visitor->number], (int)gettid());
    return (void *)(intptr_t)kl_group_submit(visitor->gate->group, &item);
}

static void test_those_that_wait_share_one_group(void **state)
{
    struct gate gate = {0};
    struct visitor visitors[THREADS];
    pthread_t threads[THREADS];

    (void)state;
    gate.group = kl_group_new(wait_at_the_gate, &gate, 100);
    assert_int_equal(pthread_barrier_init(&gate.leader_inside, NULL, 2), 0);
    for (size_t i = 0; i < THREADS; i++) {
        visitors[i] = (struct visitor){.gate = &gate, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, submit_at_the_gate, &visitors[i]), 0);
        if (i == 0) {
            (void)pthread_barrier_wait(&gate.leader_inside);
        }
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *status = NULL;
        assert_int_equal(pthread_join(threads[i], &status), 0);
        assert_null(status);
    }
    assert_int_equal(gate.groups, 2);
    assert_int_equal(gate.sizes[0], 1);
    assert_int_equal(gate.sizes[1], THREADS - 1);
    (void)pthread_barrier_destroy(&gate.leader_inside);
    kl_group_free(gate.group);
}

static void test_running_out_of_memory_gives_null(void **state)
{
    struct bench bench = {0};

    (void)state;
    for (long n = 0; n < 2; n++) {
        no_memory_begin(n);
        assert_null(kl_group_new(add_all, &bench, 10));
        assert_true(no_memory_end());
    }
    kl_group_free(NULL);
}

static void new_without_items(void)
{
    (void)!kl_group_new(add_all, NULL, 0);
}

static void test_a_group_of_none_aborts(void **state)
{
    (void)state;
    assert_true(test_aborts(new_without_items));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_item_is_worked_once_with_its_own_answer),
        cmocka_unit_test(test_a_group_holds_no_more_than_its_maximum),
        cmocka_unit_test(test_groups_of_one_work_too),
        cmocka_unit_test(test_those_that_wait_share_one_group),
        cmocka_unit_test(test_running_out_of_memory_gives_null),
        cmocka_unit_test(test_a_group_of_none_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
