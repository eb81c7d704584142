/*
 * A process that makes and erases people is killed at any moment, and the
 * vault opened again: what was acknowledged holds, the rest is there whole
 * or not at all.
 *
 * The process is this program once more, told by its arguments; it writes a line before and after each thing it does.
 */
#include "tests/support/vault_fixture.h"

#include "kluis/base/file.h"
#include "kluis/base/secret.h"
#include "tests/support/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 4
#define ROUNDS 6
#define PEOPLE_MAX 4000

/* ---- the process that is killed ---- */

struct work {
    struct vault *vault;
    struct vault_token writer;
    struct vault_token dpo;
    unsigned seed;
    unsigned number;
};

static void say(const char *word, const struct kl_id *subject, const char *email)
{
    char id[KL_ID_TEXT_BYTES];
    char line[160];
    int size = 0;

    kl_id_format("sub", subject, id);
    size = snprintf(line, sizeof line, "%s %s %s\n", word, id, email);
    if (write(STDOUT_FILENO, line, (size_t)size) != size) {
        _exit(1);
    }
}

static struct vault_caller let_in(struct vault *vault, const struct vault_token *token)
{
    const struct vault_proof proof = {.token = token->text};
    struct vault_caller caller = {0};

    if (vault_caller_open(vault, &proof, NULL, "killed", &caller, NULL) != KL_OK) {
        _exit(2);
    }
    return caller;
}

static void work_one(struct work *work, struct kl_arena *arena, unsigned i)
{
    struct vault_caller writer = let_in(work->vault, &work->writer);
    struct vault_caller dpo = let_in(work->vault, &work->dpo);
    const struct vault_consent_input consent = fixture_consent("mailing");
    struct vault_field_input field;
    struct vault_record_input record = {.type = "newsletter",
                                        .fields = &field,
                                        .field_count = 1,
                                        .consents = &consent,
                                        .consent_count = 1};
    const struct vault_subject_input input = {.records = &record, .record_count = 1};
    struct vault_subject_result made = {0};
    struct kl_buf answer;
    char email[64];

    kl_buf_init(&answer, 65536);
    (void)snprintf(email, sizeof email, "k%u-%u-%u@example.org", work->seed, work->number, i);
    field = fixture_field("email", email);
    if (vault_subject_create(work->vault, &writer, &input, NULL, arena, &made, NULL) != KL_OK) {
        _exit(3);
    }
    say("made", &made.id, email);
    if (i % 3 == 0) {
        say("erasing", &made.id, email);
        if (vault_subject_erase(work->vault, &dpo, &made.id, VAULT_ERASE_REQUEST, &answer, NULL) !=
            KL_OK) {
            _exit(4);
        }
        say("erased", &made.id, email);
    } else if (i % 3 == 1) {
        say("erasing-record", &made.id, email);
        if (vault_record_erase(work->vault, &dpo, &made.id, &made.records[0].id,
                               VAULT_ERASE_REQUEST, &answer, NULL) != KL_OK) {
            _exit(5);
        }
        say("erased-record", &made.id, email);
    }
    kl_buf_done(&answer);
    vault_caller_done(&writer);
    vault_caller_done(&dpo);
}

static void *work_on(void *context)
{
    struct work *work = context;
    struct kl_arena *arena = kl_arena_new(16 * 1024 * 1024);
    unsigned i;

    if (arena == NULL) {
        _exit(6);
    }
    for (i = 0;; i++) {
        work_one(work, arena, i);
        kl_arena_reset(arena);
    }
    return NULL;
}

static void token_read(const char *folder, const char *name, struct vault_token *ret)
{
    char path[ADMIN_PATH_BYTES];
    struct kl_buf bytes;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (kl_file_read(path, sizeof ret->text, &bytes, NULL) != KL_OK) {
        _exit(7);
    }
    memset(ret, 0, sizeof *ret);
    memcpy(ret->text, bytes.bytes, bytes.size);
    kl_buf_done(&bytes);
}

/* argv: --work folder seed */
static int work_main(char **argv)
{
    char data[ADMIN_PATH_BYTES];
    char custodian[ADMIN_PATH_BYTES];
    struct vault_options options = {
        .data_dir = data, .country = "IE", .custodian = custodian, .accept_f0 = true};
    struct work works[WORKERS] = {0};
    pthread_t threads[WORKERS];
    struct vault *vault = NULL;
    unsigned i;

    (void)snprintf(data, sizeof data, "%s/data", argv[2]);
    (void)snprintf(custodian, sizeof custodian, "file:%s/root.key", argv[2]);
    if (kl_secret_process_init(true, NULL) != KL_OK ||
        vault_open(&options, &vault, NULL) != KL_OK) {
        return 8;
    }
    for (i = 0; i < WORKERS; i++) {
        works[i].vault = vault;
        works[i].seed = (unsigned)atoi(argv[3]);
        works[i].number = i;
        token_read(argv[2], "writer.token", &works[i].writer);
        token_read(argv[2], "dpo.token", &works[i].dpo);
        if (pthread_create(&threads[i], NULL, work_on, &works[i]) != 0) {
            return 9;
        }
    }
    (void)pthread_join(threads[0], NULL);
    return 0;
}

/* ---- the test ---- */

enum fate {
    FATE_NONE,
    FATE_MADE,
    FATE_ERASING,
    FATE_ERASED,
    FATE_ERASING_RECORD,
    FATE_ERASED_RECORD
};
struct person {
    struct kl_id id;
    char email[64];
    enum fate fate;
};
static struct person people[PEOPLE_MAX];
static size_t people_count;

static void person_note(const char *line)
{
    static const struct {
        const char *word;
        enum fate fate;
    } words[] = {{"made", FATE_MADE},
                 {"erasing", FATE_ERASING},
                 {"erased", FATE_ERASED},
                 {"erasing-record", FATE_ERASING_RECORD},
                 {"erased-record", FATE_ERASED_RECORD}};
    char word[32];
    char id_text[64];
    char email[64];
    struct kl_id id;
    size_t at = 0;
    size_t i;

    assert_int_equal(sscanf(line, "%31s %63s %63s", word, id_text, email), 3);
    assert_int_equal(kl_id_parse("sub", id_text, &id, NULL), KL_OK);
    while (at < people_count && !kl_id_equal(&people[at].id, &id)) {
        at++;
    }
    assert_true(at < PEOPLE_MAX);
    if (at == people_count) {
        people_count++;
        people[at].id = id;
        (void)snprintf(people[at].email, sizeof people[at].email, "%s", email);
    }
    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].word, word) == 0) {
            people[at].fate = words[i].fate;
        }
    }
}

static void token_write(struct vault_fixture *fixture, const char *role, const char *name)
{
    struct vault_token token = admin_make(fixture->admin, role, NULL);
    char path[ADMIN_PATH_BYTES];

    fixture_path(fixture, name, path);
    assert_int_equal(kl_file_create(path, 0600, token.text, strlen(token.text), NULL), KL_OK);
}

/* Start the process, read so many of its lines, kill it, read what it still said. */
static void run_and_kill(struct vault_fixture *fixture, unsigned seed, size_t lines)
{
    char number[16];
    char *const arguments[] = {(char *)"test_erasure_hooks", (char *)"--work",
                               fixture->admin->folder, number, NULL};
    int ends[2];
    pid_t child = 0;
    FILE *said = NULL;
    char line[256];
    size_t count = 0;
    int status = 0;

    (void)snprintf(number, sizeof number, "%u", seed);
    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execv("/proc/self/exe", arguments);
        _exit(10);
    }
    (void)close(ends[1]);
    said = fdopen(ends[0], "r");
    assert_non_null(said);
    while (fgets(line, sizeof line, said) != NULL) {
        if (strchr(line, '\n') != NULL) {
            person_note(line);
        }
        if (++count == lines) {
            assert_int_equal(kill(child, SIGKILL), 0);
        }
    }
    (void)fclose(said);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void check_person(struct vault_fixture *fixture, const struct person *person, size_t *erased)
{
    struct vault_subject_result read = {0};
    enum kl_status status = fixture_read(fixture, "reader", &person->id, "support", &read);
    size_t found = fixture_lookup(fixture, "newsletter.email", person->email, NULL);
    bool whole = status == KL_OK && fixture_value_is(fixture_find(&read, "email"), person->email) &&
                 found == 1;
    bool gone = status == KL_ERR_NOT_FOUND && found == 0;
    bool without_record = status == KL_OK && read.record_count == 0 && found == 0;
    bool right = false;

    switch (person->fate) {
    case FATE_MADE:
        right = whole;
        break;
    case FATE_ERASING:
        right = whole || gone;
        break;
    case FATE_ERASED:
        right = gone;
        break;
    case FATE_ERASING_RECORD:
        right = whole || without_record;
        break;
    case FATE_ERASED_RECORD:
        right = without_record;
        break;
    case FATE_NONE:
        break;
    }
    if (!right) {
        fail_msg("%s: fate %d, but status %d, %zu records, found %zu", person->email,
                 (int)person->fate, (int)status, read.record_count, found);
    }
    *erased += gone ? 1 : 0;
}

static void test_whatever_the_moment_of_the_kill_acknowledged_things_hold(void **state)
{
    struct vault_fixture *fixture = *state;
    size_t erased = 0;
    unsigned round;
    size_t i;

    token_write(fixture, "writer", "writer.token");
    token_write(fixture, "dpo", "dpo.token");
    for (round = 0; round < ROUNDS; round++) {
        admin_close(fixture->admin);
        run_and_kill(fixture, round, 60 + 37 * round);
        admin_reopen(fixture->admin);
        erased = 0;
        for (i = 0; i < people_count; i++) {
            check_person(fixture, &people[i], &erased);
            kl_arena_reset(fixture->arena);
        }
        assert_int_equal(fixture_trail(fixture, "\"action\":\"erase\""), erased);
    }
    assert_true(people_count > 100);
    (void)fixture_newsletter(fixture, "after@example.org", true);
    assert_int_equal(fixture_lookup(fixture, "newsletter.email", "after@example.org", NULL), 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_whatever_the_moment_of_the_kill_acknowledged_things_hold, vault_fixture_setup,
            vault_fixture_teardown),
    };

    if (argc == 4 && strcmp(argv[1], "--work") == 0) {
        return work_main(argv);
    }
    return cmocka_run_group_tests(tests, admin_group_setup, NULL);
}
