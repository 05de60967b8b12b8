/* replay.c - runs a fuzz target over files, without a fuzzer
 *
 *     fuzz_NAME            all of host-tests/fuzz/corpus/NAME, from the top of the tree
 *     fuzz_NAME FILE...    these files: a finding, to look at it in a debugger
 *
 * Says what a test program says (TAP). A finding ends the program.
 */
#include <dirent.h>
#include <errno.h>

#include "fuzz/fuzz.h"

#define FILES_MAX 4096
#define FILE_BYTES_MAX (1 << 20)

static int run_file(const char *path)
{
	static uint8_t bytes[FILE_BYTES_MAX];
	FILE *file = fopen(path, "rb");
	size_t len;
	uint8_t *copy;

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	len = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	copy = fuzz_copy(bytes, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	return 0;
}

static int is_seed(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int run_corpus(const char *folder)
{
	struct dirent **entries;
	int count = scandir(folder, &entries, is_seed, alphasort), failed = 0;

	if (count <= 0 || count > FILES_MAX) {
		printf("1..1\nnot ok 1 - %s holds no seeds\n", folder);
		return 1;
	}
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		char path[1024];
		int len = snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		int bad = len < 0 || (size_t)len >= sizeof(path) || run_file(path);

		printf("%sok %d - %s\n", bad ? "not " : "", i + 1, entries[i]->d_name);
		fflush(stdout);
		failed |= bad;
		free(entries[i]);
	}
	free(entries);
	return failed;
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
	char folder[256];
	int failed = 0;

	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			failed |= run_file(argv[i]);
		return failed ? 1 : 0;
	}
	if (strncmp(name, "fuzz_", 5) == 0)
		name += 5;
	snprintf(folder, sizeof(folder), "host-tests/fuzz/corpus/%s", name);
	return run_corpus(folder) ? 1 : 0;
}
