/* test_store.c - the store seam's contract, over every implementation; and what only the file promises */
#include "support/check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "store/store_file.h"
#include "support/alloc_fail.h"
#include "support/poller_sim.h"

#define TABLE_BYTES 16384
#define DAY_MS 86400000ULL

struct bench {
	struct pst_alloc_fail alloc;
	struct pst_poller_sim sim;
	struct pst_loop loop;
	struct pst_log log;
	uint8_t log_area[65536];
	struct pst_store_memory memory;
	struct pst_store_file file;
	struct pst_store *store;
	bool is_file;
	char folder[32], path[40], old_path[48], new_path[48];
};

static struct bench the_bench;

static struct pst_store_conf conf_of(const struct bench *b)
{
	return (struct pst_store_conf){
		.path = {(const uint8_t *)b->path, (uint32_t)strlen(b->path)},
		.bytes = TABLE_BYTES,
		.every_ms = 60000,
	};
}

static int open_file(struct bench *b)
{
	struct pst_store_conf conf = conf_of(b);
	int status;

	pst_loop_turn(&b->loop, false);
	status = pst_store_file_init(&b->file, &b->alloc.mem, (struct pst_hash_key){3, 4}, &conf,
				     &b->loop, &b->log);
	b->store = &b->file.memory.store;
	return status;
}

static int open_bench(void **state)
{
	struct bench *b = &the_bench;

	memset(b, 0, sizeof(*b));
	b->is_file = *state != NULL;
	pst_alloc_fail_init(&b->alloc);
	pst_poller_sim_init(&b->sim, 5000);
	assert_int_equal(pst_loop_init(&b->loop, &b->sim.poller, &b->alloc.mem, 8), 0);
	pst_log_init(&b->log, b->log_area, sizeof(b->log_area));
	strcpy(b->folder, "/tmp/postern-store-XXXXXX");
	assert_non_null(mkdtemp(b->folder));
	snprintf(b->path, sizeof(b->path), "%.30s/state", b->folder);
	snprintf(b->old_path, sizeof(b->old_path), "%.39s.old", b->path);
	snprintf(b->new_path, sizeof(b->new_path), "%.39s.new", b->path);
	pst_loop_turn(&b->loop, false);
	if (b->is_file)
		return open_file(b);
	b->store = &b->memory.store;
	return pst_store_memory_init(&b->memory, &b->alloc.mem, (struct pst_hash_key){1, 2},
				     TABLE_BYTES, b->loop.now_ms);
}

static int close_bench(void **state)
{
	struct bench *b = &the_bench;

	(void)state;
	if (b->is_file)
		pst_store_file_fini(&b->file);
	else
		pst_store_memory_fini(&b->memory);
	assert_int_equal(b->loop.heap_count, 0);
	pst_loop_fini(&b->loop);
	assert_int_equal(b->alloc.block_count, 0);
	unlink(b->path);
	unlink(b->old_path);
	assert_int_not_equal(access(b->new_path, F_OK), 0);
	assert_int_equal(rmdir(b->folder), 0);
	return 0;
}

static uint64_t key_of(const char *name)
{
	return pst_store_key(the_bench.store, PST_STORE_GREYLIST, pst_span_text(name));
}

static bool put(const char *name, uint64_t value, uint32_t life_s)
{
	struct bench *b = &the_bench;

	return b->store->ops->put(b->store, key_of(name), value, life_s, b->loop.now_ms);
}

static bool get(const char *name, struct pst_store_entry *entry)
{
	struct bench *b = &the_bench;

	return b->store->ops->get(b->store, key_of(name), b->loop.now_ms, entry);
}

/* Time passes, with whatever the loop has to do in it. */
static void pass(uint64_t ms)
{
	struct bench *b = &the_bench;
	uint64_t until_ms = b->sim.mono_ms + ms;

	for (int i = 0; i < 10000 && b->sim.mono_ms < until_ms; i++) {
		pst_poller_sim_pass(&b->sim, PST_MIN(until_ms - b->sim.mono_ms, 30000));
		for (int turns = 0; turns < 20; turns++)
			pst_loop_turn(&b->loop, false);
	}
}

/* ---- every store ----------------------------------------------------------------------------- */

static void what_was_put_is_there(void **state)
{
	struct pst_store_entry entry;

	(void)state;
	assert_false(get("a", &entry));
	assert_true(put("a", 7, 100));
	assert_true(put("b", 8, 200));
	pass(40000);
	assert_true(get("a", &entry));
	assert_int_equal(entry.value, 7);
	assert_int_equal(entry.age_s, 40);
	assert_int_equal(entry.left_s, 60);
	assert_true(put("a", 9, 30));
	assert_true(get("a", &entry));
	assert_int_equal(entry.value, 9);
	assert_int_equal(entry.age_s, 0);
	assert_true(get("b", &entry));
	assert_int_equal(entry.value, 8);
}

static void a_life_ends(void **state)
{
	struct pst_store_entry entry;

	(void)state;
	assert_true(put("a", 7, 100));
	pass(99000);
	assert_true(get("a", &entry));
	assert_int_equal(entry.left_s, 1);
	pass(1000);
	assert_false(get("a", &entry));
	assert_true(put("a", 8, UINT32_MAX));
	pass(40 * DAY_MS);
	assert_true(get("a", &entry));
	the_bench.store->ops->expire(the_bench.store, key_of("a"));
	assert_false(get("a", &entry));
	the_bench.store->ops->expire(the_bench.store, key_of("a"));
	the_bench.store->ops->expire(the_bench.store, key_of("never there"));
}

static void kinds_are_apart(void **state)
{
	struct bench *b = &the_bench;
	struct pst_store_entry entry;

	(void)state;
	assert_true(put("a", 7, 100));
	assert_false(b->store->ops->get(b->store,
					pst_store_key(b->store, PST_STORE_PATIENT, PST_SPAN("a")),
					b->loop.now_ms, &entry));
}

/* Whatever the wall clock does, nothing expires by it, and nothing lives longer. */
static void the_wall_clock_jumps(void **state)
{
	struct bench *b = &the_bench;
	struct pst_store_entry entry;

	(void)state;
	b->sim.wall_ms = 0;
	pass(1000);
	assert_true(put("a", 7, 1000));
	b->sim.wall_ms = 4000000000000;
	pass(1000);
	assert_true(get("a", &entry));
	assert_int_equal(entry.left_s, 999);
	b->sim.wall_ms = 1000;
	pass(998000);
	assert_true(get("a", &entry));
	pass(1000);
	assert_false(get("a", &entry));
}

/* Full: who lives stays, who comes is told, and what has ended makes room. */
static void it_is_bounded(void **state)
{
	uint32_t kept = 0, there = 0, places = TABLE_BYTES / sizeof(struct pst_store_slot);
	struct pst_store_entry entry;
	bool was_kept[3000];
	char name[16];

	(void)state;
	for (uint32_t i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		was_kept[i] = put(name, i, 100);
		kept += was_kept[i];
	}
	assert_in_range(kept, places * 9 / 10, places);
	assert_int_equal(the_bench.store->unkept_count, 3000 - kept);
	for (uint32_t i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(get(name, &entry), was_kept[i]);
		if (!was_kept[i])
			continue;
		assert_int_equal(entry.value, i);
		there++;
		assert_true(put(name, i + 1, 100)); /* in its own place */
	}
	assert_int_equal(there, kept);
	pass(101000);
	for (uint32_t i = 3000; i < 3100; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_true(put(name, i, 100));
	}
}

static void flushing_keeps_everything(void **state)
{
	struct pst_store_entry entry;

	(void)state;
	assert_true(put("a", 7, 100));
	the_bench.store->ops->flush(the_bench.store, the_bench.loop.now_ms);
	assert_true(get("a", &entry));
	assert_int_equal(entry.value, 7);
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The process ends without a word, and another one begins after `down_ms` of the wall clock. */
static int restart(uint64_t down_ms)
{
	struct bench *b = &the_bench;

	pst_store_file_fini(&b->file);
	b->sim.wall_ms += down_ms;
	b->sim.mono_ms = 777; /* another boot */
	pst_loop_turn(&b->loop, false);
	return open_file(b);
}

static void flush(void)
{
	the_bench.store->ops->flush(the_bench.store, the_bench.loop.now_ms);
}

static void it_outlives_the_process(void **state)
{
	struct pst_store_entry entry;
	struct stat info;

	(void)state;
	assert_true(put("a", 7, 1000));
	pass(100000); /* it is written while it runs, a minute behind the change */
	assert_int_equal(restart(50000), 0);
	assert_true(get("a", &entry));
	assert_int_equal(entry.value, 7);
	assert_in_range(entry.age_s, 100, 150);
	assert_int_equal(stat(the_bench.path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
}

/* Nothing is written while nothing changes. */
static void it_rests(void **state)
{
	struct stat info, later;

	(void)state;
	pass(1000);
	assert_int_equal(stat(the_bench.path, &info), 0); /* the first one, to see whether it can be */
	pass(DAY_MS);
	assert_int_equal(stat(the_bench.path, &later), 0);
	assert_int_equal(info.st_ino, later.st_ino);
	assert_false(pst_timer_armed(&the_bench.file.timer));
}

static void downtime_counts_up_to_a_day(void **state)
{
	struct pst_store_entry entry;

	(void)state;
	assert_true(put("short", 1, 3600));
	assert_true(put("long", 2, 30 * 86400));
	flush();
	assert_int_equal(restart(1800000), 0);
	assert_true(get("short", &entry));
	assert_in_range(entry.left_s, 1799, 1801);
	flush();
	assert_int_equal(restart(4000 * DAY_MS), 0);
	assert_false(get("short", &entry));
	assert_true(get("long", &entry));
	assert_in_range(entry.left_s, 29 * 86400 - 1801, 29 * 86400);
}

static void a_clock_that_is_not_set_counts_for_nothing(void **state)
{
	struct bench *b = &the_bench;
	struct pst_store_entry entry;

	(void)state;
	assert_true(put("a", 1, 3600));
	flush();
	b->sim.wall_ms = 5000; /* 1970 at the start, as without a battery */
	assert_int_equal(restart(0), 0);
	assert_true(get("a", &entry));
	assert_in_range(entry.left_s, 3599, 3600);
	pass(1000);
	flush();
	b->sim.wall_ms = 1800000000000; /* saved in 1970, started with a clock */
	assert_int_equal(restart(0), 0);
	assert_true(get("a", &entry));
	assert_in_range(entry.left_s, 3598, 3600);
}

static void spoil(const char *path, uint32_t at)
{
	int fd = open(path, O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

/* Whichever byte is wrong, and however much is missing: the older file is used, or none. */
static void it_may_be_spoilt(void **state)
{
	struct pst_store_entry entry;
	struct stat info;

	(void)state;
	assert_true(put("a", 7, 1000));
	flush();
	assert_int_equal(stat(the_bench.path, &info), 0);
	for (uint32_t at = 0; at < (uint32_t)info.st_size; at++) {
		spoil(the_bench.path, at);
		assert_int_equal(restart(0), -PST_E_PROTO);
		assert_false(get("a", &entry));
		assert_true(put("b", 8, 10));
		spoil(the_bench.path, at); /* the same again mends it */
		assert_int_equal(restart(0), 0);
		assert_true(get("a", &entry));
	}
	for (off_t len = 0; len < info.st_size; len++) {
		int fd = open(the_bench.path, O_RDONLY);
		uint8_t whole[4096];
		ssize_t bytes = read(fd, whole, sizeof(whole));

		close(fd);
		assert_int_equal(truncate(the_bench.path, len), 0);
		assert_int_equal(restart(0), -PST_E_PROTO);
		fd = open(the_bench.path, O_WRONLY | O_TRUNC);
		assert_int_equal(write(fd, whole, (size_t)bytes), bytes);
		close(fd);
	}
	assert_int_equal(restart(0), 0);
	assert_true(put("c", 9, 1000));
	flush();
	spoil(the_bench.path, 50);
	assert_int_equal(restart(0), 0);
	assert_true(get("a", &entry));
	assert_false(get("c", &entry));
}

/* A rename that was never reached leaves PATH.new behind: it is not looked at. */
static void it_may_be_killed_while_writing(void **state)
{
	struct bench *b = &the_bench;
	struct pst_store_entry entry;
	char name[16];
	int fd;

	(void)state;
	assert_true(put("a", 7, 1000));
	flush();
	for (uint32_t i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		(void)put(name, i, 1000);
	}
	pst_poller_sim_pass(&b->sim, 61000);
	pst_loop_turn(&b->loop, false); /* begun, and not ended */
	fd = open(b->new_path, O_RDONLY);
	assert_true(fd >= 0 || access(b->path, F_OK) == 0);
	if (fd >= 0)
		close(fd);
	assert_int_equal(restart(0), 0);
	assert_true(get("a", &entry));
	fd = open(b->new_path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "rubbish", 7), 7);
	close(fd);
	assert_int_equal(restart(0), 0);
	assert_true(get("a", &entry));
	flush();
	assert_true(put("b", 7, 1000));
	flush();
}

static void a_folder_that_is_not_there(void **state)
{
	struct bench *b = &the_bench;
	struct pst_store_conf conf = conf_of(b);
	struct pst_store_entry entry;
	char nowhere[64];

	(void)state;
	snprintf(nowhere, sizeof(nowhere), "%.30s/nowhere/state", b->folder);
	conf.path = pst_span_text(nowhere);
	pst_store_file_use(&b->file, &conf);
	assert_true(put("a", 7, 100000));
	pass(3600000);
	assert_true(get("a", &entry));
	assert_true(b->file.failing);
	assert_non_null(memmem(b->log_area, b->log.ring.len, "state cannot be saved", 21));
	/* Once there is a place, all of it is saved. */
	conf = conf_of(b);
	pst_store_file_use(&b->file, &conf);
	pass(61000);
	assert_int_equal(restart(0), 0);
	assert_true(get("a", &entry));
}

#define FILE_KIND ((void *)1)
#define EACH(name, kind, test) \
	{name, test, open_bench, close_bench, kind}
#define BOTH(test) EACH("memory: " #test, NULL, test), EACH("file: " #test, FILE_KIND, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(what_was_put_is_there),
		BOTH(a_life_ends),
		BOTH(kinds_are_apart),
		BOTH(the_wall_clock_jumps),
		BOTH(it_is_bounded),
		BOTH(flushing_keeps_everything),
		EACH("file: it outlives the process", FILE_KIND, it_outlives_the_process),
		EACH("file: it rests", FILE_KIND, it_rests),
		EACH("file: downtime counts up to a day", FILE_KIND, downtime_counts_up_to_a_day),
		EACH("file: a clock that is not set counts for nothing", FILE_KIND,
		     a_clock_that_is_not_set_counts_for_nothing),
		EACH("file: it may be spoilt", FILE_KIND, it_may_be_spoilt),
		EACH("file: it may be killed while writing", FILE_KIND, it_may_be_killed_while_writing),
		EACH("file: a folder that is not there", FILE_KIND, a_folder_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
