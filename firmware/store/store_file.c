/* store/store_file.c - see store_file.h
 *
 * The file, all numbers little-endian: "postern1", the hash's key (16 bytes), the store's time in seconds (8),
 * the wall clock in seconds (8); then entries of 24 bytes: key, value, time of put (4), time of end (4); then
 * their number (8) and a checksum of everything before it (8). The checksum finds accidents, not forgers: who
 * can write the file can write a good one.
 */
#include "store/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAD_BYTES 40
#define ENTRY_BYTES 24
#define TAIL_BYTES 16
#define SLICES_A_TURN 8
#define DOWNTIME_S_MAX 86400
#define CLOCK_SET_S 1704067200 /* 2024: before, no clock was set */

static const uint8_t magic[8] = {'p', 'o', 's', 't', 'e', 'r', 'n', '1'};
static const struct pst_hash_key check_key = {0x706f737465726e31, 0x73746f7265};

static void put_number(uint8_t *at, uint64_t number, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(number >> (8 * i));
}

static uint64_t get_number(const uint8_t *at, uint32_t bytes)
{
	uint64_t number = 0;

	for (uint32_t i = bytes; i > 0; i--)
		number = number << 8 | at[i - 1];
	return number;
}

/* For people; what the system's own words say badly, or in another language. */
static const char *words_of(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
		return "the disk is full";
	case EACCES:
	case EPERM:
		return "Postern's user may not do that there";
	case EROFS:
		return "the file system is read-only";
	case ENOENT:
	case ENOTDIR:
		return "there is no such folder";
	case EISDIR:
		return "it is a folder";
	default:
		return "the system failed";
	}
}

/* ---- writing --------------------------------------------------------------------------------- */

static void plan(struct pst_store_file *file)
{
	if (file->dirty && file->path_len && file->fd < 0 && !pst_timer_armed(&file->timer))
		pst_timer_set(file->loop, &file->timer, file->loop->now_ms + file->every_ms);
}

static void give_up(struct pst_store_file *file, const char *what, int error)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	unlink(file->new_path);
	file->dirty = true;
	if (!file->failing)
		pst_log_message(file->log, PST_LOG_WARNING, "store",
				"state cannot be saved in %s: %s: %s; what is learnt now is lost at a restart",
				file->path, what, words_of(error));
	file->failing = true;
}

/* ret false: it was given up */
static bool write_slice(struct pst_store_file *file)
{
	struct pst_span rest = pst_buf_span(&file->slice);

	pst_hasher_add(&file->check, rest);
	while (rest.len > 0) {
		ssize_t done = write(file->fd, rest.at, rest.len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			give_up(file, "write", done < 0 ? errno : ENOSPC);
			return false;
		}
		rest = pst_span_sub(rest, (uint32_t)done, rest.len);
	}
	pst_buf_clear(&file->slice);
	return true;
}

static bool begin(struct pst_store_file *file)
{
	uint8_t head[HEAD_BYTES];

	file->dirty = false;
	file->next = 0;
	file->count = 0;
	/* What a crash has left goes: a confined process makes files, and overwrites none. */
	unlink(file->new_path);
	file->fd = open(file->new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file->fd < 0) {
		give_up(file, "open", errno);
		return false;
	}
	memcpy(head, magic, sizeof(magic));
	put_number(head + 8, file->memory.store.key.k0, 8);
	put_number(head + 16, file->memory.store.key.k1, 8);
	put_number(head + 24, pst_store_memory_now_s(&file->memory, file->loop->now_ms), 8);
	put_number(head + 32, file->loop->wall_ms / 1000, 8);
	pst_hasher_init(&file->check, &check_key);
	pst_buf_init(&file->slice, file->slice_area, sizeof(file->slice_area));
	return pst_buf_put(&file->slice, (struct pst_span){head, sizeof(head)}) == 0;
}

static bool finish(struct pst_store_file *file)
{
	uint8_t tail[TAIL_BYTES];
	struct pst_hasher check;

	put_number(tail, file->count, 8);
	if (pst_buf_room(&file->slice) < TAIL_BYTES && !write_slice(file))
		return false;
	PST_BUG_ON(pst_buf_put(&file->slice, (struct pst_span){tail, 8}));
	check = file->check;
	pst_hasher_add(&check, pst_buf_span(&file->slice));
	put_number(tail + 8, pst_hasher_end(&check), 8);
	PST_BUG_ON(pst_buf_put(&file->slice, (struct pst_span){tail + 8, 8}));
	if (!write_slice(file))
		return false;
	if (close(file->fd) < 0) {
		file->fd = -1;
		give_up(file, "close", errno);
		return false;
	}
	file->fd = -1;
	(void)rename(file->path, file->old_path); /* there may be none yet */
	if (rename(file->new_path, file->path) < 0) {
		give_up(file, "rename", errno);
		return false;
	}
	if (file->failing)
		pst_log_message(file->log, PST_LOG_INFO, "store", "state is saved again");
	file->failing = false;
	return true;
}

static void put_slot(struct pst_store_file *file, const struct pst_store_slot *slot)
{
	uint8_t entry[ENTRY_BYTES];

	put_number(entry, slot->key, 8);
	put_number(entry + 8, slot->value, 8);
	put_number(entry + 16, slot->put_s, 4);
	put_number(entry + 20, slot->end_s, 4);
	PST_BUG_ON(pst_buf_put(&file->slice, (struct pst_span){entry, sizeof(entry)}));
	file->count++;
}

/* The next slices. ret true: there are more */
static bool go_on(struct pst_store_file *file, uint32_t slices)
{
	const struct pst_store_memory *memory = &file->memory;
	uint32_t now_s = pst_store_memory_now_s(memory, file->loop->now_ms);

	for (; file->next < memory->slot_count; file->next++) {
		if (memory->slots[file->next].end_s <= now_s)
			continue;
		if (pst_buf_room(&file->slice) < ENTRY_BYTES) {
			if (!write_slice(file))
				return false;
			if (--slices == 0)
				return true;
		}
		put_slot(file, &memory->slots[file->next]);
	}
	(void)finish(file);
	return false;
}

static void on_task(struct pst_task *task)
{
	struct pst_store_file *file = PST_CONTAINER(task, struct pst_store_file, task);

	if (go_on(file, SLICES_A_TURN))
		pst_loop_resume(file->loop, &file->task);
	else
		plan(file);
}

static void on_due(struct pst_timer *timer)
{
	struct pst_store_file *file = PST_CONTAINER(timer, struct pst_store_file, timer);

	if (begin(file))
		pst_loop_resume(file->loop, &file->task);
	else
		plan(file);
}

/* Drop a writing that is under way. */
static void cut(struct pst_store_file *file)
{
	pst_loop_forget(&file->task);
	if (file->fd < 0)
		return;
	close(file->fd);
	file->fd = -1;
	unlink(file->new_path);
	file->dirty = true;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool read_exactly(int fd, uint8_t *at, uint32_t len)
{
	while (len > 0) {
		ssize_t done = read(fd, at, len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		at += done;
		len -= (uint32_t)done;
	}
	return true;
}

/* Time goes on where the file says it was. */
static void set_time(struct pst_store_file *file, const uint8_t *head)
{
	uint64_t then_s = get_number(head + 32, 8), now_s = file->loop->wall_ms / 1000, down_s = 0;

	if (then_s >= CLOCK_SET_S && now_s > then_s)
		down_s = PST_MIN(now_s - then_s, DOWNTIME_S_MAX);
	file->memory.base_s = (uint32_t)(get_number(head + 24, 8) + down_s);
	file->memory.start_ms = file->loop->now_ms;
	file->memory.store.key = (struct pst_hash_key){get_number(head + 8, 8),
						       get_number(head + 16, 8)};
}

/* Entries are taken in as they are read, and given up again where the checksum says so.
 *  ret what is wrong with it; NULL: nothing */
static const char *read_file(struct pst_store_file *file, int fd, uint64_t *count)
{
	uint8_t head[HEAD_BYTES], entry[ENTRY_BYTES];
	struct pst_hasher check;
	off_t bytes = lseek(fd, 0, SEEK_END);

	if (bytes < 0 || lseek(fd, 0, SEEK_SET) < 0 || bytes < HEAD_BYTES + TAIL_BYTES ||
	    (bytes - HEAD_BYTES - TAIL_BYTES) % ENTRY_BYTES != 0)
		return "it has not the length of one";
	*count = (uint64_t)(bytes - HEAD_BYTES - TAIL_BYTES) / ENTRY_BYTES;
	if (!read_exactly(fd, head, sizeof(head)))
		return "it cannot be read";
	if (memcmp(head, magic, sizeof(magic)) != 0 || get_number(head + 24, 8) >= UINT32_MAX / 2)
		return "it is none of ours";
	pst_hasher_init(&check, &check_key);
	pst_hasher_add(&check, (struct pst_span){head, sizeof(head)});
	set_time(file, head);
	for (uint64_t i = 0; i < *count; i++) {
		struct pst_store_slot slot;

		if (!read_exactly(fd, entry, sizeof(entry)))
			return "it cannot be read";
		pst_hasher_add(&check, (struct pst_span){entry, sizeof(entry)});
		slot = (struct pst_store_slot){
			.key = get_number(entry, 8),
			.value = get_number(entry + 8, 8),
			.put_s = (uint32_t)get_number(entry + 16, 4),
			.end_s = (uint32_t)get_number(entry + 20, 4),
		};
		if (slot.put_s <= file->memory.base_s && slot.end_s > file->memory.base_s)
			(void)pst_store_memory_restore(&file->memory, &slot, file->memory.base_s);
	}
	if (!read_exactly(fd, entry, TAIL_BYTES))
		return "it cannot be read";
	pst_hasher_add(&check, (struct pst_span){entry, 8});
	if (get_number(entry, 8) != *count || get_number(entry + 8, 8) != pst_hasher_end(&check))
		return "its checksum is wrong";
	return NULL;
}

/*  ret 0 | -PST_E_NOENT: there is none | -PST_E_PROTO: it is bad, which is logged */
static int try_file(struct pst_store_file *file, const char *path)
{
	const struct pst_store_memory fresh = file->memory;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	const char *problem;
	uint64_t count = 0;

	if (fd < 0 && errno == ENOENT)
		return -PST_E_NOENT;
	problem = fd < 0 ? words_of(errno) : read_file(file, fd, &count);
	if (fd >= 0)
		close(fd);
	if (problem) {
		file->memory = fresh;
		pst_store_memory_clear(&file->memory);
		pst_log_message(file->log, PST_LOG_WARNING, "store", "%s is not used: %s", path,
				problem);
		return -PST_E_PROTO;
	}
	pst_log_begin(file->log, PST_LOG_INFO, "store");
	pst_log_text(file->log, "read", path);
	pst_log_u64(file->log, "entries", count);
	pst_log_end(file->log);
	return 0;
}

static int read_back(struct pst_store_file *file)
{
	int status = try_file(file, file->path), older;

	if (status == 0)
		return 0;
	older = try_file(file, file->old_path);
	if (older == 0)
		return 0;
	return status == -PST_E_NOENT && older == -PST_E_NOENT ? 0 : -PST_E_PROTO;
}

/* ---- the seam -------------------------------------------------------------------------------- */

static struct pst_store_file *file_of(struct pst_store *store)
{
	return PST_CONTAINER(store, struct pst_store_file, memory.store);
}

static bool file_get(struct pst_store *store, uint64_t key, uint64_t now_ms,
		     struct pst_store_entry *out)
{
	return file_of(store)->inner->get(store, key, now_ms, out);
}

static bool file_put(struct pst_store *store, uint64_t key, uint64_t value, uint32_t life_s,
		     uint64_t now_ms)
{
	bool kept = file_of(store)->inner->put(store, key, value, life_s, now_ms);

	if (kept) {
		file_of(store)->dirty = true;
		plan(file_of(store));
	}
	return kept;
}

static void file_expire(struct pst_store *store, uint64_t key)
{
	file_of(store)->inner->expire(store, key);
	file_of(store)->dirty = true;
	plan(file_of(store));
}

static void file_flush(struct pst_store *store, uint64_t now_ms)
{
	struct pst_store_file *file = file_of(store);

	(void)now_ms;
	if (!file->path_len)
		return;
	pst_timer_cancel(file->loop, &file->timer);
	cut(file);
	if (file->dirty && begin(file))
		while (go_on(file, UINT32_MAX))
			;
}

static const struct pst_store_ops file_ops = {file_get, file_put, file_expire, file_flush};

/* ---- life ------------------------------------------------------------------------------------ */

uint32_t pst_store_file_timers_max(void)
{
	return 1;
}

static void name_file(char *name, struct pst_span path, const char *suffix)
{
	struct pst_buf text;

	pst_buf_init(&text, name, PST_STORE_NAME_SIZE);
	PST_BUG_ON(pst_buf_put(&text, path) || pst_buf_put_text(&text, suffix) ||
		   pst_buf_put_byte(&text, 0));
}

static void take_conf(struct pst_store_file *file, const struct pst_store_conf *conf)
{
	name_file(file->path, conf->path, "");
	name_file(file->new_path, conf->path, ".new");
	name_file(file->old_path, conf->path, ".old");
	file->path_len = conf->path.len;
	file->every_ms = conf->every_ms;
}

int pst_store_file_init(struct pst_store_file *file, struct pst_mem *mem, struct pst_hash_key key,
			const struct pst_store_conf *conf, struct pst_loop *loop,
			struct pst_log *log)
{
	int status;

	*file = (struct pst_store_file){
		.loop = loop,
		.log = log,
		.timer = {.on_due = on_due},
		.task = {.on_run = on_task},
		.fd = -1,
	};
	take_conf(file, conf);
	status = pst_store_memory_init(&file->memory, mem, key, conf->bytes, loop->now_ms);
	if (status < 0)
		return status;
	file->inner = file->memory.store.ops;
	file->memory.store.ops = &file_ops;
	if (!file->path_len)
		return 0;
	/* A folder that cannot be written shall be told of now, not when there is something to lose. */
	file->dirty = true;
	pst_timer_set(loop, &file->timer, loop->now_ms);
	return read_back(file);
}

void pst_store_file_use(struct pst_store_file *file, const struct pst_store_conf *conf)
{
	if (!pst_span_eq(conf->path, (struct pst_span){(const uint8_t *)file->path, file->path_len})) {
		cut(file);
		file->dirty = true;
	}
	pst_timer_cancel(file->loop, &file->timer);
	take_conf(file, conf);
	plan(file);
}

void pst_store_file_fini(struct pst_store_file *file)
{
	if (!file->memory.slots)
		return;
	pst_timer_cancel(file->loop, &file->timer);
	cut(file);
	pst_store_memory_fini(&file->memory);
}
